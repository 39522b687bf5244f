"""What became of every artifact that was ever proposed for a tier, by node, path and digest.

For registries outside of Placet that name artifacts by their digests: each artifact has one answer, its best.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from placet.core import layout
from placet.core.predicates import Manifest
from placet.core.states import State
from placet.engine.cases import Case
from placet.engine.ctrl import View
from placet.engine.published import Publication
from placet.errors import PlacetError


class Key(NamedTuple):
    """One artifact's bytes at one path."""

    node: str
    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How one artifact of one proposal stands.

    Attributes:
        state: The proposal's; of what was published, the artifact's own: it alone may have been retracted,
            or another version may stand at its path.
        sequence: Of the ledger entry that published it; -1 if none did.
    """

    proposal: str
    state: State
    proposed: str
    sequence: int = -1

    @property
    def stands(self) -> bool:
        """Is it what everybody is given now?"""
        return self.state is State.PUBLISHED

    @property
    def rank(self) -> tuple[bool, int, str, str]:
        """The best of several is the greatest: what stands, what was published last, proposed last."""
        return self.stands, self.sequence, self.proposed, self.proposal


def editions(view: View, tier: str, now: datetime) -> Mapping[Key, Standing]:
    """The best standing of each artifact.

    Raises:
        Corrupt: the tier's published branch does not recompute, so nobody can say what stands.
    """
    broken: PlacetError | None = view.broken.get(tier)
    if broken is not None:
        raise broken
    publication = view.latest(tier)
    out: dict[Key, Standing] = {}
    for case in (*view.ended().values(), *view.cases().values()):
        for key, one in _of_case(view, case, publication, tier, now):
            known = out.get(key)
            if known is None or known.rank < one.rank:
                out[key] = one
    return out


def _of_case(
    view: View, case: Case, publication: Publication | None, tier: str, now: datetime
) -> Iterator[tuple[Key, Standing]]:
    body = case.manifest.body
    if body.kind != "publish" or body.tier != tier:
        return
    published = publication.publications.get(case.id) if publication else None
    state = view.state(case, now)
    for artifact, subject in zip(body.artifacts, case.manifest.subjects, strict=True):
        key = Key(body.node or "", artifact.path, subject.value)
        if publication is None or published is None:
            yield key, Standing(case.id, state, body.time)
        else:
            own = _published(publication, case.id, _metafile(body, artifact.path))
            yield key, Standing(case.id, own, body.time, published.entry.body.sequence)


def _published(publication: Publication, proposal: str, metafile: str) -> State:
    if publication.retracted(proposal, metafile) is not None:
        return State.RETRACTED
    return State.PUBLISHED if publication.current.get(metafile) == proposal else State.SUPERSEDED


def _metafile(body: Manifest, path: str) -> str:
    return layout.metafile(body.node or "", path)
