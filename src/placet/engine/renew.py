"""A party's own copy of the Ctrl repository that was damaged on its disk is no reason to stop: it is a cache.

What could come from damage may come from what somebody wrote on purpose just as well, so Git itself is asked
first whether the copy is whole. What was verified before is remembered apart from it (`ports.TrustMemory`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from placet.errors import PlacetError
from placet.ports import Repo

_SUSPICIOUS = frozenset(
    {
        "cache-corrupt", "git-failed", "no-commit", "no-blob", "no-tree", "no-main", "shallow-clone",
        "not-on-line", "published-branch",
    }
)  # fmt: skip
_P = ParamSpec("_P")


class _Seen(Protocol):
    @property
    def faults(self) -> Iterable[PlacetError]:
        """Why parts of it cannot be used."""
        ...


_V = TypeVar("_V", bound=_Seen)


def renewing(
    load: Callable[Concatenate[Repo, _P], _V],
) -> Callable[Concatenate[Repo, _P], _V]:
    """The same function; once it begins again, if what it missed is missing because the copy is damaged."""

    @wraps(load)
    def whole(repo: Repo, /, *args: _P.args, **kwargs: _P.kwargs) -> _V:
        try:
            view = load(repo, *args, **kwargs)
        except PlacetError as error:
            if not _suspicious([error]) or not repo.renew():
                raise
        else:
            if not _suspicious(view.faults) or not repo.renew():
                return view
        kwargs.pop("before", None)  # used up by the first attempt
        return load(repo, *args, **kwargs)

    return whole


def _suspicious(faults: Iterable[PlacetError]) -> bool:
    return any(one.kind in _SUSPICIOUS for one in faults)
