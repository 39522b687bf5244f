"""Where a copy of the Ctrl repository stands: the commits that its refs name, in whatever kind of copy."""

from __future__ import annotations

from placet.core import layout
from placet.errors import NotFound
from placet.ports import Repo


def main_tip(repo: Repo) -> str:
    """The tip of `main` in a bare cache, a server, or a researcher's clone.

    A clone of a published branch alone holds `main` up to the last judged commit: that is its tip there.

    Raises:
        NotFound: kind `no-main`.
    """
    tip = ref_tip(repo, layout.MAIN, remote_first=True)
    ref = layout.published_ref(layout.DEFAULT_TIER)
    published = None if tip else ref_tip(repo, ref, remote_first=True)
    if published is not None:
        tip = repo.line(published)[-1].parents[-1]
    if tip is None:
        raise NotFound(
            "The repository has no branch main.",
            kind="no-main",
            why="It is not a Ctrl repository, or it was never initialised.",
            mend="An administrator makes one with `placet init --ctrl`.",
        )
    return tip


def ref_tip(repo: Repo, ref: str, *, remote_first: bool = False) -> str | None:
    """A ref's commit; in a researcher's clone also as the remote-tracking branch of `origin`."""
    name = ref.removeprefix("refs/heads/")
    tracking = f"refs/remotes/origin/{name}"
    names = (tracking, ref) if remote_first else (ref, tracking)
    refs = repo.refs()
    return next((refs[one] for one in names if one in refs), None)
