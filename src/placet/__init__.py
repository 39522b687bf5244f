"""Governed, verified publication of DVC data.

Nothing leaves until the right people approved exactly these bytes, and anyone can check it afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from placet.client import Client
    from placet.errors import (
        Bug,
        Conflict,
        Corrupt,
        Invalid,
        NotFound,
        Partial,
        PlacetError,
        Refused,
        Unavailable,
    )

__all__ = [
    "Bug",
    "Client",
    "Conflict",
    "Corrupt",
    "Invalid",
    "NotFound",
    "Partial",
    "PlacetError",
    "Refused",
    "Unavailable",
]


def __getattr__(name: str) -> object:
    """Load a public name when it is first used, so that importing a part does not start the whole."""
    if name not in __all__:
        raise AttributeError(f"module 'placet' has no attribute {name!r}")
    from placet import client, errors  # noqa: PLC0415 - lazy by design

    return client.Client if name == "Client" else getattr(errors, name)
