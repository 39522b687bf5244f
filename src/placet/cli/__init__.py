"""The command line: options in, one call of the client, a result out. Nothing is decided here."""

from __future__ import annotations

import sys


def main() -> None:
    """Run `placet` with the process's arguments and exit with its code."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        from importlib.metadata import version

        print(f"placet {version('placet')}")
        return
    from placet.cli import interrupt

    interrupt.watch()
    try:
        import gc

        gc.set_threshold(100_000, 20, 100)  # commands make many small values and end soon
        from placet.cli.app import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = interrupt.INTERRUPTED
    if code == interrupt.INTERRUPTED:
        interrupt.leave()
    sys.exit(code)
