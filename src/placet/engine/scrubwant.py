"""What a publication tier must hold, and what explains the rest; from manifests down, nothing else believed.

Digest lists and `.dir` objects count only with the SHA-256 that the manifest names, wherever they are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from placet.core import layout
from placet.core.predicates import Artifact, Manifest
from placet.core.statement import Signed, parse_time
from placet.core.states import State
from placet.engine.contents import (
    Contents,
    from_lists,
    read_artifact,
    read_object,
    require_listable,
    sums_limit,
)
from placet.engine.ctrl import View
from placet.engine.inventory import Inventory
from placet.engine.published import Publication
from placet.engine.threads import run
from placet.errors import Corrupt, Invalid, NotFound, Refused, Unavailable
from placet.ports import ObjectStore

_GROUP_FILES = 100_000
_GROUP = 256
_NOT_HAD = (NotFound, Corrupt, Refused, Unavailable)


@dataclass(frozen=True, slots=True)
class Owner:
    """One artifact of one proposal, and why its objects are in the tier.

    Attributes:
        sha256: What the manifest says of it.
        since: When it was published, in seconds since 1970; 0 if it is not.
        state: The state of its proposal.
    """

    proposal: str
    node: str
    artifact: Artifact
    sha256: str
    since: float
    state: State

    @property
    def path(self) -> str:
        """In the Ctrl repository, without `.dvc`."""
        return layout.metafile(self.node, self.artifact.path).removesuffix(".dvc")

    @property
    def content(self) -> tuple[str, str, int]:
        """What two artifacts have in common that consist of the same objects."""
        return self.artifact.md5, self.sha256, self.artifact.size


def published(view: View, publication: Publication, now: datetime, node: str | None) -> list[Owner]:
    """Every artifact that was ever published and was not retracted; this node's first."""
    out = []
    for one in publication.publications.values():
        state = view.state(one.case, now)
        if state is not State.RETRACTED:
            since = parse_time(one.entry.body.time).timestamp()
            out += list(_owners(one.case.id, one.case.manifest, since, state))
    return sorted(out, key=lambda one: one.node != node)


def explained(view: View, tier: str, now: datetime, but: Iterable[Owner]) -> list[Owner]:
    """The artifacts of all other proposals for the tier: approved, landed, retracted, ended."""
    skip = {one.proposal for one in but}
    out = []
    for case in {**view.ended(), **view.cases()}.values():
        body = case.manifest.body
        if body.kind == "publish" and body.tier == tier and case.id not in skip:
            out += list(_owners(case.id, case.manifest, 0.0, view.state(case, now)))
    return out


def want(
    inventory: Inventory, owners: Sequence[Owner], places: Sequence[ObjectStore], jobs: int
) -> list[Owner]:
    """Take all objects of these artifacts into the inventory.

    Args:
        inventory: Holds the tier's listing already.
        owners: What was published.
        places: Where lists are read: the tier, then others that may have them.
        jobs: Lists that are read at once.

    Returns:
        The directories whose files cannot be told: no place has their lists right.
    """
    told: dict[tuple[str, str, int], bool] = {}
    untold = []
    since: dict[tuple[str, str, int], float] = {}
    for one in owners:
        since[one.content] = min(one.since, since.get(one.content, one.since))
    for group in _groups(owners):
        new = {one.content: one for _, one in group if one.content not in told}
        read = dict(zip(new, run(lambda one: _read(one, places), list(new.values()), jobs), strict=True))
        for number, one in group:
            contents, whole = read.get(one.content, (None, True))
            if one.content in read:
                told[one.content] = contents is not None
                _take(inventory, number, replace(one, since=since[one.content]), contents, whole=whole)
            if not told[one.content]:
                untold.append(one)
    return untold


def explain(inventory: Inventory, owners: Sequence[Owner], places: Sequence[ObjectStore], jobs: int) -> None:
    """Tell the inventory which objects these artifacts would have in the tier, as far as that can be told."""
    for group in _groups(owners):
        read = run(lambda pair: _read(pair[1], places), group, jobs)
        for (number, one), (contents, _) in zip(group, read, strict=True):
            keys = [key for key, *_ in _lists(one, contents)]
            keys += [item.key for item in contents.items] if contents is not None else []
            inventory.explain(keys, number)


def _owners(proposal: str, manifest: Signed[Manifest], since: float, state: State) -> Iterator[Owner]:
    for artifact, subject in zip(manifest.body.artifacts, manifest.subjects, strict=True):
        yield Owner(proposal, manifest.body.node or "", artifact, subject.value, since, state)


def _groups(owners: Sequence[Owner]) -> Iterator[list[tuple[int, Owner]]]:
    """Artifacts with their numbers, so few that their lists fit into memory together."""
    group: list[tuple[int, Owner]] = []
    files = 0
    for number, one in enumerate(owners):
        if group and (len(group) >= _GROUP or files + one.artifact.files > _GROUP_FILES):
            yield group
            group, files = [], 0
        group.append((number, one))
        files += one.artifact.files
    if group:
        yield group


def _read(owner: Owner, places: Sequence[ObjectStore]) -> tuple[Contents | None, bool]:
    """The contents of an artifact, or None; and whether the first place, the tier, has its lists right."""
    artifact = owner.artifact
    if artifact.dir is None:
        return read_artifact(places[0], artifact, owner.sha256), True
    listing = (layout.data_key(artifact.md5, is_dir=True), artifact.dir.sha256, artifact.dir.size)
    sums = (layout.sums_key(owner.sha256), owner.sha256, sums_limit(artifact))
    try:
        require_listable(artifact)
        found = [_first(places, *one) for one in (sums, listing)]
        if found[0] is None or found[1] is None:
            return None, False
        contents = from_lists(artifact, owner.sha256, found[0][0], found[1][0])
    except (Invalid, Corrupt):
        return None, False
    return contents, found[0][1] and found[1][1]


def _first(places: Sequence[ObjectStore], key: str, sha256: str, limit: int) -> tuple[bytes, bool] | None:
    for place in places:
        try:
            return read_object(place, key, sha256, limit), place is places[0]
        except _NOT_HAD:
            continue
    return None


def _take(inventory: Inventory, number: int, owner: Owner, contents: Contents | None, *, whole: bool) -> None:
    lists = _lists(owner, contents)
    inventory.want(lists, since=owner.since, owner=number, suspect=not whole)
    if contents is not None:
        keys = (item.key for item in contents.items)
        odd = not inventory.adds_up(keys, owner.artifact.size)
        size = owner.artifact.size if owner.artifact.dir is None else None
        objects = ((item.key, item.sha256, size) for item in contents.items)
        inventory.want(objects, since=owner.since, owner=number, suspect=odd)


def _lists(owner: Owner, contents: Contents | None) -> list[tuple[str, str, int | None]]:
    """The two lists of a directory as objects that must be there."""
    artifact = owner.artifact
    if artifact.dir is None:
        return []
    sums = len(contents.sums) if contents is not None and contents.sums is not None else None
    key = layout.data_key(artifact.md5, is_dir=True)
    return [
        (layout.sums_key(owner.sha256), owner.sha256, sums),
        (key, artifact.dir.sha256, artifact.dir.size),
    ]
