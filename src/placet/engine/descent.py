"""Which artifact went into which, by the provenance of signed manifests; and what a retraction taints.

Provenance is a node's word. What it names is followed by digest: an input is the artifact whose bytes it
were, at the path that it names, if it names one. Nothing here decides anything: a descendant of what was
retracted is marked, no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from placet.core import layout
from placet.core.predicates import Artifact
from placet.core.provenance import Resource
from placet.engine.cases import Case
from placet.engine.ctrl import View
from placet.engine.publication import Retraction

_Key = tuple[str, str]
_KEPT = 2


@dataclass(frozen=True, slots=True)
class Version:
    """One artifact of one proposal."""

    case: Case
    artifact: Artifact

    @property
    def metafile(self) -> str:
        """Its `.dvc` file in the Ctrl repository."""
        return layout.metafile(self.case.manifest.body.node or "", self.artifact.path)

    @property
    def name(self) -> str:
        """Node and path, as people name it."""
        return self.metafile.removeprefix(layout.ARTIFACTS).removesuffix(".dvc")


class Descent:
    """All artifacts that were ever proposed here, by digest, and who used them; made once for a view.

    Every look-up takes the same time, however many proposals name the same bytes.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._repository = view.history.repository
        self._best: dict[_Key, list[Version]] = {}
        self._users: dict[_Key, list[tuple[Case, Resource]]] = {}
        self._gone: dict[_Key, Retraction] = {}
        for tier in view.publications:
            publication = view.latest(tier)
            for each, one in publication.gone() if publication else ():
                self._gone[each.proposal, each.metafile] = one
        for case in view.cases().values():
            self._take(case)

    def inputs(self, case: Case) -> Iterator[tuple[Resource, Version | None]]:
        """What a proposal was made from, and which artifact that is; a published one before others."""
        for one in case.manifest.body.provenance.dependencies:
            yield one, self._resolved(one, case)

    def users(self, case: Case) -> Iterator[tuple[Case, Version]]:
        """What was made from a proposal's artifacts, and from which."""
        body = case.manifest.body
        for artifact, subject in zip(body.artifacts, case.manifest.subjects, strict=True):
            version = Version(case, artifact)
            for key in _keys(subject.value, version.metafile) if body.kind == "publish" else ():
                for user, resource in self._users.get(key, ()):
                    found = self._resolved(resource, user)
                    if found and (found.case.id, found.metafile) == (case.id, version.metafile):
                        yield user, version

    def retracted(self, case: Case) -> tuple[str, ...]:
        """What was taken back of a proposal, and why."""
        found = (Version(case, one) for one in case.manifest.body.artifacts)
        return tuple(f"{one.name} was {known.reason}" for one in found if (known := self._known(one)))

    def tainted(self, case: Case) -> bool:
        """Was it made, over any number of steps, from something that was retracted?"""
        return case.id in self._tainted

    def warnings(self, case: Case) -> tuple[str, ...]:
        """What was retracted of all that a proposal was made from, one sentence each."""
        out: dict[str, None] = {}
        seen, todo = {case.id}, [case]
        while todo:
            for _, version in self.inputs(todo.pop()):
                if version is None:
                    continue
                known = self._known(version)
                if known is not None:
                    out[f"it was made from {version.name}, which was {known.reason}"] = None
                if version.case.id not in seen and self.tainted(version.case):
                    seen.add(version.case.id)
                    todo.append(version.case)
        return tuple(sorted(out))

    @cached_property
    def _tainted(self) -> frozenset[str]:
        out: set[str] = set()
        cases = self._view.cases()
        first = {proposal: cases[proposal] for proposal, _ in self._gone if proposal in cases}
        todo = [user for case in first.values() for user, one in self.users(case) if self._known(one)]
        while todo:
            case = todo.pop()
            if case.id not in out:
                out.add(case.id)
                todo += [user for user, _ in self.users(case)]
        return frozenset(out)

    def _take(self, case: Case) -> None:
        body = case.manifest.body
        if body.kind != "publish":
            return
        for artifact, subject in zip(body.artifacts, case.manifest.subjects, strict=True):
            version = Version(case, artifact)
            for key in _keys(subject.value, version.metafile):
                self._keep(self._best.setdefault(key, []), version)
        for one in body.provenance.dependencies:
            for key in self._named(one):
                self._users.setdefault(key, []).append((case, one))

    def _keep(self, known: list[Version], version: Version) -> None:
        """The best and, for whoever is that itself, the one after it."""
        if all(one.case.id != version.case.id for one in known):
            known.append(version)
            known.sort(key=self._rank, reverse=True)
            del known[_KEPT:]

    def _named(self, one: Resource) -> Iterator[_Key]:
        """Under which keys its artifact is; none if it can be none of this repository."""
        named = layout.of_artifact_uri(one.uri)
        if named is None or named[0] == self._repository:
            place = layout.metafile(named[1], named[2]) if named else ""
            yield from ((one.digest[name], place) for name in ("sha256", "dirHash") if name in one.digest)

    def _resolved(self, one: Resource, user: Case) -> Version | None:
        found = (each for key in self._named(one) for each in self._best.get(key, ()))
        return next((each for each in found if each.case.id != user.id), None)

    def _known(self, version: Version) -> Retraction | None:
        return self._gone.get((version.case.id, version.metafile))

    def _rank(self, version: Version) -> tuple[bool, bool, str, str]:
        """One that is published goes before one that was taken back, that before one that never was."""
        body = version.case.manifest.body
        publication = self._view.publications.get(body.tier or "")
        published = publication is not None and version.case.id in publication.publications
        return published and self._known(version) is None, published, body.time, version.case.id


def warnings(view: View, case: Case) -> tuple[str, ...]:
    """What was retracted of all that a proposal was made from, one sentence each."""
    return Descent(view).warnings(case) if _anything_gone(view) else ()


def marks(view: View, published: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Of these artifacts, by path and proposal, those that were made from something that was retracted."""
    if _anything_gone(view):
        descent = Descent(view)
        for path, proposal in published:
            yield from (f"{path}: {text}" for text in descent.warnings(view.history.cases[proposal]))


def _anything_gone(view: View) -> bool:
    known = (view.latest(tier) for tier in view.publications)
    return any(one is not None and one.retractions for one in known)


def _keys(digest: str, metafile: str) -> tuple[_Key, _Key]:
    """Of one artifact: by its place, and wherever it is."""
    return (digest, metafile), (digest, "")
