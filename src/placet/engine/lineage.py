"""The lineage of one proposal, told and drawn: what it was made from, how, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from placet.core.drawing import Box, Style, svg
from placet.core.provenance import Resource
from placet.core.statement import format_time
from placet.core.states import State
from placet.engine.cases import Case, attested, chains, seen_level
from placet.engine.ctrl import View
from placet.engine.descent import Descent
from placet.engine.observed import told_by

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
    made_from_retracted: bool = False


@dataclass(frozen=True, slots=True)
class Edge:
    """`made` was made from `used`, from the artifact at this path or the resource of this name."""

    used: str
    made: str
    path: str


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval that counts.

    Attributes:
        attested: On whose word it rests, if it was given on a forge and not signed.
    """

    person: str
    organisation: str
    seen: str
    time: str
    attested: str = ""


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


def drawn(found: Lineage) -> str:
    """A lineage as an SVG."""
    boxes = [Box(one.key, one.steps, tuple(_lines(one)), _style(one)) for one in found.nodes]
    arrows = dict.fromkeys((one.used, one.made) for one in found.edges)
    return svg(f"Lineage of {found.id}", boxes, list(arrows))


def _lines(one: Node) -> Iterator[str]:
    yield one.name
    yield f"{one.state} {one.key[:12]}, {one.by}" if one.kind == "proposal" else one.uri
    if one.digest:
        yield one.digest
    if one.retracted and one.state != State.RETRACTED:
        yield "partly retracted"
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
            for user, version in self._descent.users(case):
                if self._add(self._node(user, self.nodes[case.id].steps + 1)):
                    todo.append(user)
                self._join(case.id, user.id, version.name)

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
            made_from_retracted=self._descent.tainted(case),
        )


def _resource(one: Resource, steps: int) -> Node:
    digest = ", ".join(f"{name}:{value}" for name, value in sorted(one.digest.items()))
    key = f"{one.uri} {digest}".strip()
    return Node(key, "resource", steps, one.name or one.uri, uri=one.uri, digest=digest)


def _approvals(case: Case) -> Iterator[Approval]:
    people = case.policy.form.people
    for person, chain in chains(case).items():
        last = chain[-1].decision.body
        if last.verdict == "approve" and last.policy == case.policy.digest:
            known = people.get(person)
            yield Approval(person, known.organisation if known else "", seen_level(case, last), last.time)
    told = case.said()
    for person in attested(case):
        time = max(one.body.time for one in told[person].by)
        yield Approval(person, people[person].organisation, "report", time, told_by(told[person]))
