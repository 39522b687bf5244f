"""The mark of a guard: a function that stands between an attack and its effect (design 3).

The mark changes nothing about the function: no switch, no registry at run time. The attack corpus finds the
marks in the code and asks for a test that fails when the function is taken away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

MARK = "__placet_guard__"

F = TypeVar("F", bound=Callable[..., Any])


def guard(*threats: int) -> Callable[[F], F]:
    """Mark a guard.

    Args:
        threats: Rows of the threat table in `docs/explanation/security.md` that it stands against.
    """

    def mark(function: F) -> F:
        setattr(function, MARK, threats)
        return function

    return mark
