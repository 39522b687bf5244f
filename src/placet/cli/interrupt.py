"""Ctrl-C: an orderly end where that is quick, an end in any case.

Python raises `KeyboardInterrupt` in the main thread only, and only between two of its own instructions; a
request that hangs in a library would hold it back for minutes. A thread of its own therefore sees every
SIGINT too, and ends the process if the main thread has not done so in time, or at the second Ctrl-C. That is
safe at any moment: whatever has a name is whole, and the same command goes on.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
from typing import NoReturn

INTERRUPTED = 130
_GRACE_S = 3.0
_SHOW_CURSOR = b"\x1b[?25h"
_saying = threading.Lock()


def watch() -> None:
    """From now on every SIGINT is seen; called once, by the main thread."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(ours,), name="placet-interrupt", daemon=True).start()


def say() -> None:
    """Tell the person, once."""
    if _saying.acquire(blocking=False):
        with contextlib.suppress(OSError):
            if os.isatty(2):
                os.write(2, _SHOW_CURSOR)
            os.write(2, b"interrupted; the same command goes on from here\n")


def leave() -> NoReturn:
    """End the process without waiting for threads: some may hang in the network."""
    say()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(INTERRUPTED)


def _watch(pipe: int) -> None:
    while signal.SIGINT not in os.read(pipe, 64):
        pass
    ready, _, _ = select.select([pipe], [], [], _GRACE_S)
    while ready and signal.SIGINT not in os.read(pipe, 64):
        ready, _, _ = select.select([pipe], [], [], _GRACE_S)
    leave()
