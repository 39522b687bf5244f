"""A Git server on loopback: `git daemon`, which ships with Git; hooks run for every push."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_READY_S = 20.0


class GitServer:
    """Serves every repository below a folder as `git://127.0.0.1:<port>/<name>`, for reading and pushing."""

    def __init__(self, base: Path) -> None:
        self._base = base.resolve()
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start, and wait until it accepts connections."""
        with (self._base / "git-daemon.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "git", "daemon", "--listen=127.0.0.1", f"--port={self._port}",
                    f"--base-path={self._base}", "--export-all", "--enable=receive-pack",
                    "--reuseaddr", "--", str(self._base),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
            )  # fmt: skip
        deadline = time.monotonic() + _READY_S
        while True:
            if self._process.poll() is not None:
                said = (self._base / "git-daemon.log").read_text(errors="replace")
                raise RuntimeError(f"git daemon ended: {said[-1000:]}")
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
                return self
            except OSError:
                if time.monotonic() > deadline:
                    self.stop()
                    raise
                time.sleep(0.05)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it and its children."""
        self.stop()

    def stop(self) -> None:
        """End it and its children; may be called twice."""
        process, self._process = self._process, None
        if process is not None:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                return
            finally:
                process.wait()

    def url(self, name: str) -> str:
        """Where a repository below the folder is reached."""
        return f"git://127.0.0.1:{self._port}/{name}"


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
