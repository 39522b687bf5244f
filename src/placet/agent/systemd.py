"""systemd's notification protocol (sd_notify(3)); nothing where systemd did not ask for it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping

_LIMIT_S = 1.0


def notify(environ: Mapping[str, str], state: str) -> None:
    """Tell systemd: `READY=1`, `STOPPING=1`, `WATCHDOG=1`."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.settimeout(_LIMIT_S)
        line.sendto(state.encode(), address.replace("@", "\0", 1) if address.startswith("@") else address)
