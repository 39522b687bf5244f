"""Commands of a Python program, each in a child forked from a process that has imported the program before.

What runs is the program itself, in a process of its own with its own directory, environment and arguments;
only the imports are shared, which are most of a short command's time. Run as a script, this file is the
server; it needs the standard library only, so that any interpreter can be one.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

_MESSAGE = 1 << 20


class ForkServer:
    """A program that is started by forking; usable from several threads.

    Args:
        python: The interpreter whose packages are used.
        entry: `module:function`, as in a console script.
        modules: Imported before, where this version has them; no module of them may start a thread.
    """

    def __init__(self, python: Path, entry: str, modules: Iterable[str] = ()) -> None:
        self.python, self._entry = python, entry
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [str(python), __file__, str(theirs.fileno()), entry, *modules],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                pass_fds=[theirs.fileno()],
                env={**os.environ, "LC_ALL": "C.UTF-8"},
            )

    def close(self) -> None:
        """End the server; commands that it started go on."""
        self._control.close()
        self._process.wait()
        self._log.close()

    def run(self, argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run one command to its end; `returncode` is -1 if it was killed.

        Raises:
            RuntimeError: The server itself is gone; with its last words.
        """
        order = json.dumps({"argv": list(argv), "cwd": str(cwd), "env": dict(env)}).encode()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            end, theirs = os.pipe()
            with os.fdopen(end, "rb") as answer:
                fds = array.array("i", [out.fileno(), err.fileno(), theirs])
                try:
                    self._control.sendmsg([order], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
                except BrokenPipeError as error:
                    raise self._gone() from error
                finally:
                    os.close(theirs)
                code = answer.read()
            if not code and self._ended():
                raise self._gone()
            texts = []
            for stream in (out, err):
                stream.seek(0)
                texts.append(stream.read().decode("utf-8", "replace"))
        return subprocess.CompletedProcess(list(argv), int(code) if code else -1, *texts)

    def _ended(self) -> bool:
        """Is the server gone? Its end of the socket is closed then, and was before the answer's pipe."""
        try:
            return self._control.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True

    def _gone(self) -> RuntimeError:
        code = self._process.wait()
        self._log.seek(0)
        return RuntimeError(
            f"the server ended with {code}: {self._log.read().decode(errors='replace')[-2000:]}"
        )

    def run_plain(
        self, argv: Sequence[str], cwd: Path, env: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """The same without the server: a new interpreter."""
        module, _, function = self._entry.partition(":")
        code = f"import sys; from {module} import {function}; sys.exit({function}())"
        return subprocess.run(
            [str(self.python), "-c", code, *argv],
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


def _serve(control: socket.socket, entry: str, modules: Sequence[str]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    module, _, function = entry.partition(":")
    main = getattr(importlib.import_module(module), function)
    for one in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(one)
    gc.collect()
    gc.freeze()
    while True:
        order, fds, _, _ = socket.recv_fds(control, _MESSAGE, 3)
        if not order:
            return
        _require_one_thread()
        if os.fork() == 0:
            control.close()
            _child(main, json.loads(order), *fds)
        for fd in fds:
            os.close(fd)


def _require_one_thread() -> None:
    """A child has none of the other threads, but the locks that they held; so there must be none."""
    tasks = Path("/proc/self/task")
    count = len(list(tasks.iterdir())) if tasks.is_dir() else threading.active_count()
    if count != 1:
        raise RuntimeError(f"{count} threads in the server, {threading.enumerate()}")


def _child(main, order: Mapping[str, object], out: int, err: int, answer: int) -> None:
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.environ.clear()
        os.environ.update(order["env"])
        os.chdir(order["cwd"])
        sys.argv = [sys.argv[2].partition(".")[0], *order["argv"]]
        code = _code(main)
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - nothing may come back into the server's loop
        traceback.print_exc()
    finally:
        os.write(answer, str(code).encode())
        os._exit(code)


def _code(main) -> int:
    """What the interpreter makes of `sys.exit(main())`."""
    try:
        found = main()
    except SystemExit as error:
        found = error.code
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        return 1
    if found is None or isinstance(found, int):
        return (found or 0) & 0xFF
    print(found, file=sys.stderr)
    return 1


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2], sys.argv[3:])
