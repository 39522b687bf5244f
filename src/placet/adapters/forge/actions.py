"""What Actions leave open at the Ctrl repository, where whoever may push a branch can write a workflow."""

from __future__ import annotations

from collections.abc import Sequence

from placet.ports import Hole

_SHOWN = 5


def with_runners(names: Sequence[str], total: int) -> Hole:
    """Runners are registered with the repository itself; of so many these are known by name."""
    shown = ", ".join([*(one[:40] for one in sorted(names)[:_SHOWN]), *(["..."] if total > _SHOWN else [])])
    return Hole(
        f"Runners are registered with the Ctrl repository ({shown}): whoever pushes a branch can run what"
        " they like there, with every key and secret that is on them.",
        "Settings, Actions, Runners: remove them, and register them with a private repository of the node's"
        " own (docs/how-to/ci.md).",
    )


def with_secrets(total: int) -> Hole:
    """The repository has so many secrets for workflows."""
    return Hole(
        f"The Ctrl repository has secrets for workflows ({total}): whoever pushes a branch can read them.",
        "Settings, Actions, Secrets: remove them, or keep them where main alone may use them.",
    )
