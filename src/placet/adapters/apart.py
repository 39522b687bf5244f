"""Runs what talks to a server by somebody else's client in a process of its own, bounded in time and memory.

Such clients read an answer whole, however long it is and however slowly it comes, its headers too. So it is
bounded from outside: a process that takes too long or too much is ended, and the next question starts a new
one. It ends by itself soon after its deadline, also where nobody is left to end it.
"""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self, TypeVar, get_type_hints

import msgspec

from placet import errors
from placet.core.formed import formed
from placet.errors import PlacetError

START_S = 120.0
MEMORY = 512 << 20
_MOST = 16 << 20
_LATE_S = 5.0
_START = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[3]);"
    " from placet.adapters.apart import main; main(int(sys.argv[1]), sys.argv[2])"
)

T = TypeVar("T")


class Question(msgspec.Struct, frozen=True, array_like=True):
    """A method of what was made there, its arguments as JSON has them, and how many seconds it may take."""

    method: str
    args: list[Any]
    seconds: float


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """What it returned, or the error of ours that it raised."""

    value: Any = None
    error: tuple[str, dict[str, Any]] | None = None


class Apart:
    """One object in a process of its own, started when it is first asked; for one thread.

    Args:
        target: `module:function` that makes the object.
        args: What the function is given, as JSON has it; they are in no list of processes.
        environ: Of the process.
    """

    def __init__(self, target: str, *args: object, environ: Mapping[str, str]) -> None:
        self._target, self._args, self._environ = target, args, dict(environ)
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, kind: type[T], seconds: float, method: str, *args: object) -> T:
        """What a method returns.

        Args:
            kind: Of the value.
            seconds: How long it may take; the start of the process is not counted.
            method: Of the object.
            args: As it takes them; JSON must have them.

        Raises:
            TimeoutError: it took too long.
            ConnectionError: the process ended: it took too much, or died.
            PlacetError: as the method raised it.
        """
        question = Question(method, list(args), seconds)
        try:
            channel = self._channel or self._started()
            channel.send_bytes(msgspec.json.encode(question))
            reply = _reply(channel, seconds)
            if reply.error is None:
                return msgspec.convert(reply.value, kind)
        except TimeoutError:
            self.close()
            raise
        except (OSError, EOFError, msgspec.MsgspecError) as error:
            self.close()
            raise ConnectionError(f"the process ended ({type(error).__name__})") from error
        except BaseException:
            self.close()
            raise
        raise _error(*reply.error)

    def close(self) -> None:
        """End the process; the next question starts another. May be called twice."""
        channel, process = self._channel, self._process
        self._channel = self._process = None
        if channel is not None:
            channel.close()
        if process is not None:
            process.kill()
            process.wait()

    def _started(self) -> Connection:
        ours, theirs = socket.socketpair()
        self._channel = channel = Connection(ours.detach())
        path = json.dumps([one for one in sys.path if one])
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", _START, str(theirs.fileno()), self._target, path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=self._environ,
                start_new_session=True,
            )
        channel.send_bytes(msgspec.json.encode(list(self._args)))
        reply = _reply(channel, START_S)
        if reply.error is not None:
            self.close()
            raise _error(*reply.error)
        return channel


def _reply(channel: Connection, seconds: float) -> Reply:
    if not channel.poll(seconds):
        raise TimeoutError
    return msgspec.json.decode(channel.recv_bytes(_MOST), type=Reply)


def _error(name: str, fields: dict[str, Any]) -> PlacetError:
    kind = getattr(errors, name)
    return kind(fields.pop("what"), **fields)  # type: ignore[no-any-return]


def main(descriptor: int, target: str) -> None:
    """Make the object and answer questions until the other side closes the channel; in the process itself."""
    signal.alarm(int(START_S + _LATE_S))
    with Connection(descriptor) as channel, contextlib.suppress(EOFError, OSError):
        module, _, name = target.partition(":")
        make = getattr(import_module(module), name)
        _confine()
        made: list[Any] = []

        def begin() -> None:
            made.append(make(*msgspec.json.decode(channel.recv_bytes())))

        channel.send_bytes(_said(begin))
        while True:
            signal.setitimer(signal.ITIMER_REAL, 0)
            question = msgspec.json.decode(channel.recv_bytes(), type=Question)
            signal.setitimer(signal.ITIMER_REAL, question.seconds + _LATE_S)
            channel.send_bytes(_said(lambda: answer(made[0], question)))  # noqa: B023 - called at once


def answer(made: object, question: Question) -> object:
    """What the method says, its arguments as it wants them."""
    method = getattr(made, question.method)
    kinds = [kind for name, kind in get_type_hints(method).items() if name != "return"]
    return method(*(msgspec.convert(one, kind) for one, kind in zip(question.args, kinds, strict=True)))


def _said(call: Any) -> bytes:  # noqa: ANN401 - whatever it is
    try:
        data = msgspec.json.encode(Reply(call()))
    except PlacetError as error:
        fields = {"what": error.what, "kind": error.kind, "why": error.why, "mend": error.mend}
        data = msgspec.json.encode(Reply(error=(type(error).__name__, fields)))
    if len(data) > _MOST:
        raise ValueError(len(data))
    return data


def _confine() -> None:
    """No core dumps, and so much more memory than it has by now."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, ValueError):  # systems without /proc, or without this limit
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


formed(Question, Reply)
