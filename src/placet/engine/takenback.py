"""What a party that has it is told of what was retracted (threat 33)."""

from __future__ import annotations

import os
from pathlib import Path

from placet.core.guards import guard
from placet.engine.published import Publication, Retraction


@guard(33)
def taken_back(latest: Publication, ident: str, metafile: str) -> str:
    """Why a published artifact is not to be used any more, and what to do; empty if it was not retracted."""
    known = latest.retracted(ident, metafile)
    return _removal(metafile, known) if known else ""


@guard(33)
def left_over(publication: Publication, latest: Publication, root: Path) -> dict[str, str]:
    """What was retracted and still lies in a work tree that does not track it any more: path -> why."""
    out = {}
    for edition, known in latest.gone():
        path = edition.metafile.removesuffix(".dvc")
        here = any(os.path.lexists(root / one) for one in (path, edition.metafile))
        if edition.metafile not in publication.current and edition.metafile not in latest.current and here:
            out[path] = _removal(edition.metafile, known)
    return out


def _removal(metafile: str, known: Retraction) -> str:
    data = metafile.removesuffix(".dvc")
    return f"RETRACTED: {known.reason}. Do not use it; remove it: git pull; rm -r {data}; placet gc --yes"
