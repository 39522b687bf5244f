"""How `git` is started, how its objects are read, and what its failures mean.

Nothing else here starts processes. Each gets a clean environment: no replace refs, no grafts, no prompts, no
hooks, no file monitor, no pager, no foreign `GIT_*` variables. What only reads may talk to nobody, so that
nothing which a clone's own configuration names is started. `fetch` and `push` use it as its user set it:
credential helpers, SSH, proxies, `remote.*.uploadpack`.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from placet.core.guards import guard
from placet.errors import Corrupt, Invalid, NotFound, PlacetError, Refused, Unavailable

_KEPT = frozenset(
    {
        "GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_ASKPASS", "GIT_ALLOW_PROTOCOL",
        "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_SSL_CERT", "GIT_SSL_KEY",
        "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_EXEC_PATH",
        "GIT_PROXY_COMMAND", "GIT_HTTP_PROXY_AUTHMETHOD", "GIT_HTTP_USER_AGENT", "GIT_TRACE",
    }
)  # fmt: skip
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.commitGraph=false",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.alternateRefsCommand=true",
    "core.attributesFile=/dev/null",
    "core.pager=cat",
    "submodule.recurse=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "fetch.recurseSubmodules=false",
    "push.recurseSubmodules=no",
    "push.followTags=false",
    "push.pushOption=",
    "transfer.fsckObjects=true",
    "fetch.fsckObjects=true",
    "core.quotePath=false",
    "i18n.commitEncoding=UTF-8",
    "protocol.ext.allow=never",
)
_MAX_WORDS = 2000

_UNKNOWN = re.compile(
    r"bad object|unknown revision|ambiguous argument|Not a valid object|bad revision|not a tree object"
)
_DISK = re.compile(
    r"No space left|Disk quota|Read-only file system|insufficient permission|Unable to create|File exists"
)
_BROKEN = re.compile(
    r"(?i)fsck error|corrupt|inflate|(?:could not|unable to) read [0-9a-f]{40}|failed to traverse"
    r"|missing (?:blob|tree|commit)|bad tree|loose object|index-pack failed|did not send all necessary"
    r"|not point to a valid object|unable to find [0-9a-f]{40}"
)
_DENIED = re.compile(
    r"(?i)authentication failed|permission denied \(|permission denied, please|permission to \S+ denied"
    r"|access denied|could not read (?:username|password)|returned error: 40[13]"
)


@guard(7, 13)
def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What every `git` process gets of this environment, and what switches Git's surprises off."""
    kept = {key: value for key, value in environ.items() if not key.startswith("GIT_") or key in _KEPT}
    return {
        **kept,
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_GRAFT_FILE": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_LITERAL_PATHSPECS": "1",
        "LC_ALL": "C",
    }


def credential(origin: str, file: Path, renew: Sequence[str] = ()) -> dict[str, str]:
    """What lets Git read a forge's access token from a file, for this origin alone.

    It is in no URL, argument or variable, and no other helper is asked or told. Needs Git 2.31.

    Args:
        origin: `https://host[:port]`.
        file: Where the token is.
        renew: The command that writes it anew, if it ends: run where the file is older than 45 minutes.
    """
    name = shlex.quote(str(file))
    read = f'{{ echo username=x-access-token; echo password="$(cat {name})"; }}'
    if renew:
        fresh = f'test -n "$(find {name} -mmin -45 2>/dev/null)"'
        read = f"{{ {fresh} || {shlex.join(renew)} >&2; }} && {read}"
    helper = f'!f() {{ if test "$1" = get; then {read}; fi; }}; f'
    settings = [("helper", ""), ("helper", helper)]
    named = [(f"credential.{origin}.{key}", value) for key, value in settings]
    found = {"GIT_CONFIG_COUNT": str(len(named))}
    for number, (key, value) in enumerate(named):
        found |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return found


@guard(7)
def offline(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command that reads what is here.

    In a partial clone Git would fetch what it lacks by the way, and start for that whatever the clone's
    configuration names; so no transport is allowed.
    """
    return {**environ, "GIT_ALLOW_PROTOCOL": "", "GIT_NO_LAZY_FETCH": "1"}


def run(
    arguments: Sequence[str],
    *,
    environ: Mapping[str, str],
    git_dir: Path | None = None,
    data: bytes | None = None,
    network_s: float | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """One `git` command to its end, whatever its exit code.

    Args:
        arguments: The command.
        environ: As of `environment`.
        git_dir: The repository.
        data: Its input.
        network_s: Seconds that a command may take which talks to a remote; any other one may not talk to one.

    Raises:
        NotFound: kind `no-git`.
        Unavailable: kind `ctrl-unreachable`, after `network_s` seconds.
    """
    try:
        return subprocess.run(
            _command(git_dir, arguments),
            input=data if data is not None else b"",
            capture_output=True,
            env=dict(environ) if network_s is not None else offline(environ),
            timeout=network_s,
            check=False,
        )
    except FileNotFoundError as error:
        raise _no_git() from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(
            f"git {arguments[0]} did not end within {error.timeout:.0f} s.",
            kind="ctrl-unreachable",
            mend="Try again.",
        ) from error


def git_version(environ: Mapping[str, str]) -> tuple[int, ...]:
    """Git's version; empty if it does not tell one.

    Raises:
        NotFound: kind `no-git`.
    """
    found = re.search(rb"version (\d+(?:\.\d+)*)", run(["--version"], environ=environ).stdout)
    return tuple(map(int, found[1].split(b"."))) if found else ()


def run_bounded(
    arguments: Sequence[str], *, environ: Mapping[str, str], git_dir: Path, limit: int
) -> subprocess.CompletedProcess[bytes]:
    """One local `git` command that is ended when it prints more than `limit` bytes.

    Raises:
        NotFound: kind `no-git`.
        Invalid: kind `too-large`.
    """
    command = _command(git_dir, arguments)
    try:
        with (
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=offline(environ)
            ) as started,
        ):
            data = started.stdout.read(limit + 1) if started.stdout else b""
            if len(data) > limit:
                started.kill()
                raise Invalid(
                    f"git {arguments[0]} prints more than {limit} bytes; no more is read.", kind="too-large"
                )
            code = started.wait()
            errors.seek(0)
            return subprocess.CompletedProcess(command, code, data, errors.read(_MAX_WORDS))
    except FileNotFoundError as error:
        raise _no_git() from error


def _command(git_dir: Path | None, arguments: Sequence[str]) -> list[str]:
    where = [f"--git-dir={git_dir}"] if git_dir else []
    settings = [part for one in _SETTINGS for part in ("-c", one)]
    return ["git", *where, *settings, *arguments]


def said(done: subprocess.CompletedProcess[bytes]) -> str:
    """What a command wrote to stderr, fit to be shown: bounded, no control characters, no passwords."""
    text = done.stderr.decode("utf-8", "replace").strip()[-_MAX_WORDS:]
    text = "".join(char if char.isprintable() or char == "\n" else " " for char in text)
    return without_password(text)


def without_password(url: str) -> str:
    """The same text, without user and password in URLs."""
    return re.sub(r"(://)[^/@\s]*@", r"\1", url)


def check(done: subprocess.CompletedProcess[bytes], what: str, cache: Path | None = None) -> bytes:
    """What a local command printed, if it succeeded; `cache` is the folder that can be made again.

    Raises:
        NotFound: kind `no-commit`.
        Unavailable: kind `disk`.
        Corrupt: kind `cache-corrupt`, `git-failed`.
    """
    if done.returncode == 0:
        return done.stdout
    words = said(done)
    if _BROKEN.search(words):
        raise broken(cache, words)
    if _UNKNOWN.search(words):
        raise NotFound("There is no such commit here.", kind="no-commit", why=words)
    if _DISK.search(words):
        raise Unavailable(f"git {what} could not write.", kind="disk", why=words)
    raise Corrupt(f"git {what} failed.", kind="git-failed", why=words)


def network_error(done: subprocess.CompletedProcess[bytes], what: str, url: str, cache: Path) -> PlacetError:
    """Why a command failed that talks to `url`."""
    words, where = said(done), without_password(url)
    if _DENIED.search(words):
        return Refused(f"{where} does not let this party {what}.", kind="ctrl-denied", why=words)
    if _DISK.search(words):
        return Unavailable(
            f"git {what} could not write to {cache}.",
            kind="disk",
            why=words,
            mend="Make room; if a file `*.lock` is in the way and no git runs there, remove it.",
        )
    if _BROKEN.search(words):
        return broken(cache, words)
    return Unavailable(
        f"The Ctrl repository {where} does not answer.",
        kind="ctrl-unreachable",
        why=words,
        mend="Check `ctrl` in placet.toml and the network, then run it again.",
    )


def broken(folder: Path | None, why: str) -> Corrupt:
    """A Git repository that cannot be read; `folder` is the one to remove."""
    return Corrupt(
        f"The Git repository {folder or ''} is damaged.",
        kind="cache-corrupt",
        why=why,
        mend=f"If it is Placet's cache, it is made again: rm -r {folder}" if folder else "git fsck",
    )


def _no_git() -> NotFound:
    return NotFound("There is no `git` on this machine.", kind="no-git", mend="Install Git 2.30 or later.")


class Reader:
    """Objects by id through `git cat-file` processes that are kept open; safe for threads.

    Two processes, for sizes and for contents: a newer Git can do both in one, but not the Git that long-lived
    systems ship.
    """

    def __init__(self, git_dir: Path, environ: Mapping[str, str]) -> None:
        self._dir = git_dir
        self._env = offline(environ)
        self._lock = threading.Lock()
        self._open: dict[str, subprocess.Popen[bytes]] = {}

    def read(self, wanted: str, ident: str, limit: int) -> bytes:
        """The content of an object of type `wanted` (`blob`, `commit`) with at most `limit` bytes.

        Raises:
            NotFound: kind `no-blob` or `no-commit`.
            Invalid: kind `too-large`.
            Corrupt: kind `cache-corrupt`.
        """
        with self._lock:
            _, kind, size = self._ask("--batch-check", ident)
            if kind != wanted:
                raise NotFound(
                    f"There is no {wanted} {ident[:12]}.",
                    kind=f"no-{wanted}",
                    mend="If this is a partial clone, fetch the rest: git fetch --refetch --no-filter",
                )
            if size > limit:
                raise Invalid(
                    f"{wanted} {ident[:12]} has {size} bytes; at most {limit} are read.", kind="too-large"
                )
            self._ask("--batch", ident)
            stream = self._open["--batch"].stdout
            data = stream.read(size + 1) if stream else b""
            if len(data) != size + 1:
                self._end("--batch")
                raise broken(self._dir, f"{wanted} {ident[:12]} cannot be read.")
            return data[:-1]

    def find(self, commit: str, path: str) -> str | None:
        """The blob at a path of a commit, or None.

        Raises:
            NotFound: kind `no-commit`.
        """
        with self._lock:
            ident, kind, _ = self._ask("--batch-check", f"{commit}:{path}")
            if kind != "blob" and self._ask("--batch-check", commit)[1] != "commit":
                raise NotFound(f"There is no commit {commit[:12]}.", kind="no-commit")
        return ident if kind == "blob" else None

    def close(self) -> None:
        """End the processes; may be called twice."""
        with self._lock:
            for mode in tuple(self._open):
                self._end(mode)

    def _ask(self, mode: str, ident: str) -> tuple[str, str, int]:
        """Id, type and size of an object; a process that has died is started again, once."""
        for _ in range(2):
            answer = _answer(self._started(mode), ident)
            if answer:
                found = len(answer) == 3 and answer[2].isdigit()  # noqa: PLR2004 - id, type, size
                return (answer[0], answer[1], int(answer[2])) if found else ("", "missing", 0)
            self._end(mode)
        raise broken(self._dir, f"Object {ident[:12]} cannot be read.")

    def _started(self, mode: str) -> subprocess.Popen[bytes]:
        if mode not in self._open:
            try:
                self._open[mode] = subprocess.Popen(
                    _command(self._dir, ["cat-file", mode]),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env=self._env,
                )
            except FileNotFoundError as error:
                raise _no_git() from error
        return self._open[mode]

    def _end(self, mode: str) -> None:
        process = self._open.pop(mode, None)
        if process is not None:
            process.communicate()


def _answer(process: subprocess.Popen[bytes], ident: str) -> list[str]:
    """The words of the line that describes an object; none if the process has died."""
    if process.stdin is None or process.stdout is None:
        return []
    try:
        process.stdin.write(f"{ident}\n".encode("utf-8", "surrogateescape"))
        process.stdin.flush()
    except BrokenPipeError:
        return []
    return process.stdout.readline().decode("utf-8", "replace").split()
