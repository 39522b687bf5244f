"""What the process was given: its environment, and what a person types."""

from __future__ import annotations

import os
import sys


def environment() -> dict[str, str]:
    """The process's environment, for Git and for AWS's credential chain."""
    return dict(os.environ)


def secret(name: str) -> str | None:
    """A secret of the environment (PLACET_PASSPHRASE, PLACET_PIN), if it is set and not empty."""
    return os.environ.get(name) or None


def ask(prompt: str) -> str | None:
    """What a person types on the terminal, unseen; None where nobody sits there."""
    import getpass

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    return getpass.getpass(prompt)
