"""The process in which checks run: it reads what a job produced, so it holds nothing and is allowed little.

Started by `placet.adapters.sandbox`; the files come as open descriptors over a Unix socket. Whatever goes
wrong here is a check that did not pass.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
from collections.abc import Callable, Mapping
from typing import IO

import msgspec

from placet.checks import archives, registry
from placet.checks.api import (
    MAX_FACTS,
    MAX_PROBLEM,
    Answer,
    Begin,
    Check,
    Conclude,
    Facts,
    File,
    Finding,
    Look,
    Options,
)
from placet.errors import PlacetError, Refused

MEMORY = 4 << 30
FILES = 64 << 30
_HEAD = 8
_NEW_USER, _NEW_NET = 0x10000000, 0x40000000

Loaded = Mapping[str, tuple[Check, Options]]


def main(descriptor: int) -> None:
    """Serve requests until the other side closes the socket."""
    _confine()
    channel = socket.socket(fileno=descriptor)
    decoder = msgspec.json.Decoder(Begin | Look | Conclude)
    loaded: Loaded = {}
    listing: Mapping[str, str] = {}
    while (message := receive(channel)) is not None:
        data, fds = message
        request = decoder.decode(data)
        if isinstance(request, Begin):
            answer, loaded = _begin(request)
            listing = request.listing
        elif isinstance(request, Look):
            signal.alarm(request.seconds)
            with os.fdopen(fds[0], "rb") as stream:
                answer = Answer(found=_look(loaded, request, stream, listing))
            signal.alarm(0)
        else:
            answer = Answer(found=_conclude(loaded, request.facts))
        send(channel, msgspec.json.encode(answer))


def send(channel: socket.socket, data: bytes, *fds: int) -> None:
    """One message, with open descriptors."""
    head = len(data).to_bytes(_HEAD, "big")
    if fds:
        socket.send_fds(channel, [head], list(fds))
        channel.sendall(data)
    else:
        channel.sendall(head + data)


def receive(channel: socket.socket, limit: int = 1 << 28) -> tuple[bytes, list[int]] | None:
    """The next message and its descriptors; None at the end.

    Raises:
        ValueError: the message is larger than the limit, or is cut.
    """
    head, fds, _, _ = socket.recv_fds(channel, _HEAD, 1)
    if not head:
        return None
    head += _exactly(channel, _HEAD - len(head))
    size = int.from_bytes(head, "big")
    if size > limit:
        raise ValueError(size)
    return _exactly(channel, size), fds


def _exactly(channel: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = channel.recv(min(size - len(parts), 1 << 20))
        if not part:
            raise ValueError(size)
        parts += part
    return bytes(parts)


def _begin(request: Begin) -> tuple[Answer, Loaded]:
    try:
        checks = {name: registry.load(name) for name in request.checks}
        loaded = {
            name: (check, registry.read_options(name, check, request.checks[name]))
            for name, check in checks.items()
        }
    except Refused as error:
        return Answer(refused=(error.kind, f"{error.what} {error.why}", error.mend)), {}
    return Answer(tools={name: check.tool[:300] for name, check in checks.items()}), loaded


def _look(
    loaded: Loaded, request: Look, stream: IO[bytes], listing: Mapping[str, str]
) -> dict[str, tuple[str, dict[str, int]]]:
    whole = File(request.name, request.size, request.sha256, stream, listing)
    found = {name: _one(check, whole, options, "") for name, (check, options) in loaded.items()}
    limits = loaded["archives"][1] if "archives" in loaded else None
    if (
        not isinstance(limits, archives.ArchiveOptions)
        or found["archives"][0]
        or not archives.is_archive(whole)
    ):
        return found
    inside = {name: pair for name, pair in loaded.items() if name != "archives"}
    with contextlib.closing(archives.members(whole, limits)) as members:
        for number, member in enumerate(members, start=1):
            for name, (check, options) in inside.items():
                problem, facts = _one(check, member, options, f"member {number} of the archive: ")
                found[name] = (found[name][0] or problem, add(found[name][1], facts))
    return found


def _one(check: Check, file: File, options: Options, where: str) -> tuple[str, dict[str, int]]:
    def call() -> Finding:
        file.stream.seek(0)
        found = check.look(file, options)
        return Finding(found.problem, msgspec.convert(dict(found.facts), Facts))

    found = _guarded(call)
    problem = f"{where}{_plain(found.problem)}"[:MAX_PROBLEM] if found.problem else ""
    return problem, dict(found.facts)


def _conclude(loaded: Loaded, facts: Mapping[str, dict[str, int]]) -> dict[str, tuple[str, dict[str, int]]]:
    out = {}
    for name, (check, options) in loaded.items():
        known = facts.get(name, {})
        found = _guarded(lambda: Finding(check.conclude(known, options)))  # noqa: B023 - called at once
        out[name] = (_plain(found.problem)[:MAX_PROBLEM], known)
    return out


def _guarded(call: Callable[[], Finding]) -> Finding:
    """What a check says; what it raises is a failure, and its words might hold data: they are left out."""
    try:
        return call()
    except PlacetError as error:
        own = error.kind in {"archive", "no-library", "pickle", "table"}
        return Finding(f"{error.what} {error.why}".strip() if own else f"the check failed: {error.kind}")
    except MemoryError:
        return Finding("the check needed more memory than it may have")
    except Exception as error:  # noqa: BLE001 - whatever a check raises
        return Finding(f"the check failed with {type(error).__name__}")


def add(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """The facts of two files together."""
    return {name: one.get(name, 0) + other.get(name, 0) for name in sorted({*one, *other})[:MAX_FACTS]}


def _plain(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in str(text))


def _confine() -> None:
    """Limits on memory and size of files, no core dumps, and no network where the system lets it."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILES, FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(Exception):
        _leave_network()


def _leave_network() -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(_NEW_NET) == 0 or libc.unshare(_NEW_USER | _NEW_NET) != 0:
        return
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as stream:  # noqa: PTH123 - no pathlib for this
            stream.write(text)
