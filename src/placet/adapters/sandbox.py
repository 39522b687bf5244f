"""Runs checks in processes of their own: hostile bytes meet a parser that holds no credential.

Each process gets an empty environment but for what Python needs, open descriptors of the files and nothing
else to read them by; limits on memory and time; no network where the system allows that without privileges.
A process that dies or takes too long fails the file that it had, and a new one goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO

import msgspec

from placet.checks import worker
from placet.checks.api import Answer, Begin, Conclude, Finding, Look, OptionValue
from placet.core.formed import formed
from placet.core.guards import guard
from placet.errors import Refused

LEAST_S = 120
_BYTES_A_SECOND = 200_000
_MAX_ANSWER = 1 << 20
_START = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[2]);"
    " from placet.checks.worker import main; main(int(sys.argv[1]))"
)


class Sandbox:
    """The port `placet.ports.Checks` on Unix."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = {
            **{name: environ[name] for name in ("PATH", "TMPDIR", "LANG", "LC_ALL") if name in environ},
            "ARROW_DEFAULT_MEMORY_POOL": "system",
            "OMP_NUM_THREADS": "1",
        }

    @contextmanager
    def session(
        self, checks: Mapping[str, Mapping[str, OptionValue]], listing: Mapping[str, str], jobs: int
    ) -> Iterator[_Session]:
        """The checks of one artifact; its processes end with it."""
        begin = Begin({name: dict(options) for name, options in checks.items()}, dict(listing))
        session = _Session(begin, self._environ, min(jobs, os.cpu_count() or 1))
        try:
            yield session
        finally:
            session.close()


class _Session:
    def __init__(self, begin: Begin, environ: Mapping[str, str], size: int) -> None:
        self._begin, self._environ = begin, environ
        self._slots: queue.LifoQueue[_Process | None] = queue.LifoQueue()
        first = _Process(begin, environ)
        self.tools: Mapping[str, str] = first.tools
        for one in [None] * (size - 1) + [first]:
            self._slots.put(one)

    @guard(26, 31)
    def look(self, name: str, sha256: str, size: int, file: IO[bytes]) -> Mapping[str, Finding]:
        """What every check says about one file; for many threads at once."""
        seconds = LEAST_S + size // _BYTES_A_SECOND
        return self._ask(Look(name, size, sha256, seconds), seconds, file.fileno())

    def conclude(self, facts: Mapping[str, Mapping[str, int]]) -> Mapping[str, Finding]:
        """What every check says about the facts of all files together."""
        return self._ask(Conclude({name: dict(one) for name, one in facts.items()}), LEAST_S)

    def _ask(self, request: Look | Conclude, seconds: int, *fds: int) -> Mapping[str, Finding]:
        process = self._slots.get()
        try:
            process = process or _Process(self._begin, self._environ)
            found = process.ask(request, seconds, *fds).found
        except (OSError, ValueError, msgspec.DecodeError) as error:
            if process is not None:
                process.kill()
                process = None
            slow = isinstance(error, TimeoutError)
            problem = f"the checks took longer than {seconds} s" if slow else "a check broke its process"
            return dict.fromkeys(self._begin.checks, Finding(problem))
        finally:
            self._slots.put(process)
        missing = Finding("the check did not answer")
        return {name: Finding(*found[name]) if name in found else missing for name in self._begin.checks}

    def close(self) -> None:
        """End the processes."""
        while not self._slots.empty():
            process = self._slots.get()
            if process is not None:
                process.kill()


class _Process:
    def __init__(self, begin: Begin, environ: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        self._channel = ours
        path = json.dumps([one for one in sys.path if one])
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _START, str(theirs.fileno()), path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            cwd=tempfile.gettempdir(),
            env=dict(environ),
            start_new_session=True,
        )
        theirs.close()
        try:
            answer = self.ask(begin, LEAST_S)
        except (OSError, ValueError, msgspec.DecodeError) as error:
            self.kill()
            raise Refused(
                "The process in which checks run does not start.",
                kind="no-sandbox",
                why="Nothing was checked.",
                mend="Try: python -c 'import placet.checks.worker'",
            ) from error
        if answer.refused is not None:
            self.kill()
            kind, what, mend = answer.refused
            raise Refused(what, kind=kind, mend=mend)
        self.tools = answer.tools

    def ask(self, request: Begin | Look | Conclude, seconds: int, *fds: int) -> Answer:
        """Send a request and wait for its answer.

        Raises:
            TimeoutError, OSError, ValueError, msgspec.DecodeError: the process is of no more use.
        """
        self._channel.settimeout(seconds)
        worker.send(self._channel, msgspec.json.encode(request), *fds)
        message = worker.receive(self._channel, _MAX_ANSWER)
        if message is None:
            raise ConnectionError
        return msgspec.json.decode(message[0], type=Answer)

    def kill(self) -> None:
        """End it, whatever it does, and what a check started in it."""
        self._channel.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()


formed(Answer)
