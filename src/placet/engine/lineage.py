"""Where a proposal's artifacts came from and what was made from them, by the provenance of signed manifests.

Provenance is a node's word. What it names is followed by digest: an input is the artifact whose bytes it
were, at the path that it names, if it names one. Nothing here decides anything: a descendant of what was
retracted is marked, no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from placet.core import layout
from placet.core.drawing import Box, Style, svg
from placet.core.predicates import Artifact
from placet.core.provenance import Resource
from placet.core.statement import format_time
from placet.core.states import State
from placet.engine.cases import Case, chains, seen_level
from placet.engine.ctrl import View
from placet.engine.publication import Retraction

MOST = 500
"""So many proposals and resources are told; a lineage that is longer is cut."""


@dataclass(frozen=True, slots=True)
class Node:
    """A proposal, or something foreign that went in.

    Attributes:
        key: The proposal's id, or the resource's URI with its digest.
        steps: From the proposal that was asked for: below zero what it was made from, above what was made
            from it.
        name: Its artifacts, or the resource's name.
        digest: Of a foreign resource, `sha256:...`.
        state: Of a proposal; empty of a resource.
        retracted: What was retracted of it, and why, one sentence each.
        made_from_retracted: It stands, but something that it was made from was retracted.
    """

    key: str
    kind: Literal["proposal", "resource"]
    steps: int
    name: str
    by: str = ""
    uri: str = ""
    digest: str = ""
    state: str = ""
    published: str = ""
    retracted: tuple[str, ...] = ()
    made_from_retracted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Edge:
    """`made` was made from `used`, from the artifact at this path or the resource of this name."""

    used: str
    made: str
    path: str


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval that counts."""

    person: str
    organisation: str
    seen: str
    time: str


@dataclass(frozen=True, slots=True)
class Lineage:
    """Everything known of how one proposal came about, and of what came of it.

    Attributes:
        at: The time of the answer.
        nodes: The proposal, all that it was made from, and all that was made from it.
        warnings: What was retracted of that, in sentences.
        cut: There is more than is told.
    """

    id: str
    at: str
    state: State
    by: str
    tier: str | None
    message: str
    builder: str
    run: str
    run_url: str | None
    asset: str
    code: str
    commit: str
    code_version: str
    approvals: tuple[Approval, ...]
    published: str | None
    branch: str
    sequence: int | None
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    warnings: tuple[str, ...]
    cut: bool


@dataclass(frozen=True, slots=True)
class _Version:
    """One artifact of one proposal."""

    case: Case
    artifact: Artifact

    @property
    def metafile(self) -> str:
        return layout.metafile(self.case.manifest.body.node or "", self.artifact.path)

    @property
    def name(self) -> str:
        return self.metafile.removeprefix(layout.ARTIFACTS).removesuffix(".dvc")


class Descent:
    """All artifacts that were ever proposed here, by digest, and who used them; made once for a view."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._repository = view.history.repository
        self._versions: dict[str, list[_Version]] = {}
        self._users: dict[str, list[Case]] = {}
        self._gone: dict[tuple[str, str], Retraction] = {}
        for tier in view.publications:
            publication = view.latest(tier)
            for each, one in publication.gone() if publication else ():
                self._gone[each.proposal, each.metafile] = one
        for case in view.cases().values():
            self._take(case)

    def _take(self, case: Case) -> None:
        body = case.manifest.body
        if body.kind != "publish":
            return
        for artifact, subject in zip(body.artifacts, case.manifest.subjects, strict=True):
            self._versions.setdefault(subject.value, []).append(_Version(case, artifact))
        for digest in {digest for one in body.provenance.dependencies for digest in _digests(one)}:
            self._users.setdefault(digest, []).append(case)

    def versions(self, one: Resource) -> list[_Version]:
        """The artifacts that a dependency was: of its digest, and at the path that it names."""
        named = layout.of_artifact_uri(one.uri)
        if named is not None and named[0] != self._repository:
            return []
        found = [each for digest in _digests(one) for each in self._versions.get(digest, ())]
        if named is None:
            return found
        return [each for each in found if each.metafile == layout.metafile(named[1], named[2])]

    def inputs(self, case: Case) -> Iterator[tuple[Resource, _Version | None]]:
        """What a proposal was made from, and which artifact that is; a published one before others."""
        for one in case.manifest.body.provenance.dependencies:
            found = [each for each in self.versions(one) if each.case is not case]
            yield one, max(found, key=self._rank, default=None)

    def users(self, case: Case) -> Iterator[tuple[Case, str]]:
        """What was made from a proposal's artifacts, and from which."""
        for subject in case.manifest.subjects:
            for user in self._users.get(subject.value, ()):
                for _, version in self.inputs(user):
                    if version is not None and version.case is case:
                        yield user, version.name

    def retracted(self, case: Case) -> tuple[str, ...]:
        """What was taken back of a proposal, and why."""
        return tuple(
            f"{_Version(case, one).name} was {known.reason}"
            for one in case.manifest.body.artifacts
            if (known := self._known(_Version(case, one))) is not None
        )

    def warnings(self, case: Case) -> tuple[str, ...]:
        """What was retracted of all that a proposal was made from, over any number of steps."""
        out: dict[str, None] = {}
        seen, todo = {case.id}, [case]
        while todo:
            for _, version in self.inputs(todo.pop(0)):
                if version is None:
                    continue
                known = self._known(version)
                if known is not None:
                    out[f"it was made from {version.name}, which was {known.reason}"] = None
                if version.case.id not in seen:
                    seen.add(version.case.id)
                    todo.append(version.case)
        return tuple(out)

    def _known(self, version: _Version) -> Retraction | None:
        return self._gone.get((version.case.id, version.metafile))

    def _rank(self, version: _Version) -> tuple[bool, bool, str, str]:
        """One that is published goes before one that was taken back, that before one that never was."""
        body = version.case.manifest.body
        publication = self._view.publications.get(body.tier or "")
        published = publication is not None and version.case.id in publication.publications
        return published and self._known(version) is None, published, body.time, version.case.id


def lineage(view: View, case: Case, now: datetime) -> Lineage:
    """The lineage of one proposal."""
    descent = Descent(view)
    walk = _Walk(view, descent, now)
    walk.begin(case)
    body = case.manifest.body
    origin, code = body.provenance, body.provenance.code
    publication = view.publications.get(body.tier or "")
    published = publication.publications.get(case.id) if publication else None
    return Lineage(
        id=case.id,
        at=format_time(now),
        state=view.state(case, now),
        by=body.signer,
        tier=body.tier,
        message=body.message,
        builder=origin.builder,
        run=origin.invocation,
        run_url=origin.invocation_url,
        asset=origin.asset,
        code=code.uri if code else "",
        commit=code.digest.get("gitCommit", "") if code else "",
        code_version=origin.code_version,
        approvals=tuple(_approvals(case)),
        published=published.entry.body.time if published else None,
        branch=publication.branch if publication and published else "",
        sequence=published.entry.body.sequence if published else None,
        nodes=tuple(walk.nodes.values()),
        edges=tuple(dict.fromkeys(walk.edges)),
        warnings=(*descent.retracted(case), *descent.warnings(case)),
        cut=walk.cut,
    )


def warnings(view: View, case: Case) -> tuple[str, ...]:
    """What was retracted of all that a proposal was made from, one sentence each."""
    return Descent(view).warnings(case) if _anything_gone(view) else ()


def marks(view: View, published: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Of these artifacts, by path and proposal, those that were made from something that was retracted."""
    if _anything_gone(view):
        descent = Descent(view)
        for path, proposal in published:
            yield from (f"{path}: {text}" for text in descent.warnings(view.history.cases[proposal]))


def drawn(found: Lineage) -> str:
    """A lineage as an SVG."""
    boxes = [Box(one.key, one.steps, tuple(_lines(one)), _style(one)) for one in found.nodes]
    return svg(f"Lineage of {found.id}", boxes, [(one.used, one.made) for one in found.edges])


def _lines(one: Node) -> Iterator[str]:
    yield one.name
    yield f"{one.state} {one.key[:12]}, {one.by}" if one.kind == "proposal" else one.uri
    if one.digest:
        yield one.digest
    if one.retracted:
        yield "RETRACTED"
    if one.made_from_retracted:
        yield "made from what was retracted"


def _style(one: Node) -> Style:
    if one.retracted:
        return "gone"
    if one.made_from_retracted:
        return "marked"
    return "foreign" if one.kind == "resource" else "plain" if one.steps else "self"


class _Walk:
    """Both ways from one proposal, the nearest first, each thing once."""

    def __init__(self, view: View, descent: Descent, now: datetime) -> None:
        self._view = view
        self._descent = descent
        self._now = now
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.cut = False

    def begin(self, case: Case) -> None:
        """Walk."""
        self._add(self._node(case, 0))
        self._up(case)
        self._down(case)

    def _up(self, start: Case) -> None:
        todo: list[Case] = [start]
        while todo:
            case = todo.pop(0)
            for one, version in self._descent.inputs(case):
                steps = self.nodes[case.id].steps - 1
                node = _resource(one, steps) if version is None else self._node(version.case, steps)
                if self._add(node) and version is not None:
                    todo.append(version.case)
                self._join(node.key, case.id, version.name if version else one.name or one.uri)

    def _down(self, start: Case) -> None:
        todo: list[Case] = [start]
        while todo:
            case = todo.pop(0)
            for user, path in self._descent.users(case):
                if self._add(self._node(user, self.nodes[case.id].steps + 1)):
                    todo.append(user)
                self._join(case.id, user.id, path)

    def _add(self, node: Node) -> bool:
        if node.key in self.nodes:
            return False
        if len(self.nodes) >= MOST:
            self.cut = True
            return False
        self.nodes[node.key] = node
        return True

    def _join(self, used: str, made: str, path: str) -> None:
        if used in self.nodes and made in self.nodes:
            self.edges.append(Edge(used, made, path))

    def _node(self, case: Case, steps: int) -> Node:
        body = case.manifest.body
        publication = self._view.publications.get(body.tier or "")
        published = publication.publications.get(case.id) if publication else None
        return Node(
            key=case.id,
            kind="proposal",
            steps=steps,
            name=", ".join(case.paths),
            by=body.signer,
            state=self._view.state(case, self._now),
            published=published.entry.body.time if published else "",
            retracted=self._descent.retracted(case),
            made_from_retracted=self._descent.warnings(case),
        )


def _resource(one: Resource, steps: int) -> Node:
    digest = ", ".join(f"{name}:{value}" for name, value in sorted(one.digest.items()))
    key = f"{one.uri} {digest}".strip()
    return Node(key, "resource", steps, one.name or one.uri, uri=one.uri, digest=digest)


def _anything_gone(view: View) -> bool:
    known = (view.latest(tier) for tier in view.publications)
    return any(one is not None and one.retractions for one in known)


def _digests(one: Resource) -> Sequence[str]:
    """The digests that can name an artifact; MD5 proves nothing."""
    return [one.digest[name] for name in ("sha256", "dirHash") if name in one.digest]


def _approvals(case: Case) -> Iterator[Approval]:
    for person, chain in chains(case).items():
        last = chain[-1].decision.body
        if last.verdict == "approve" and last.policy == case.policy.digest:
            known = case.policy.form.people.get(person)
            yield Approval(person, known.organisation if known else "", seen_level(case, last), last.time)
