"""What an MLflow server should say of what was published, and what must change for that: pure functions.

A server is somebody else's: what it says is compared with the ledger, and never believed. A version of a
model counts by its source alone, which is an artifact's URI with the SHA-256 of its bytes, and never changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from placet.core.location import parse_location
from placet.engine.editions import Key, Standing
from placet.errors import Invalid, PlacetError
from placet.ports.models import Version

BUILD_TYPE = "urn:placet:build:mlflow:v1"
PROPOSAL_TAG = "placet.proposal."
DIGEST_TAG = "placet.sha256."
STATE_TAG = "placet.state"
_SHOWN = 200
What = Literal["alias", "version", "run"]
_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not as it should be.

    Attributes:
        what: An alias of a model, a tag of a version, or a tag of a run.
        name: Of the model, or the run's id.
        key: Which alias, or which tag.
        version: Whose tag; empty for aliases and runs.
        before: What it was: of an alias the version; None if it was not there.
        after: What it is now; None if it was removed.
    """

    what: What
    name: str
    key: str
    version: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that could not be looked at or changed.

    Attributes:
        what: An alias of a model, a tag of a version, or a run.
        name: Of the model, or the run's id.
        key: Which alias, or which tag; of a run that could not be looked at nothing.
        version: Whose tag; empty for aliases and runs.
        error: Why.
    """

    what: What
    name: str
    key: str
    version: str
    error: PlacetError


@dataclass(frozen=True, slots=True)
class Left:
    """A version that can never be shown as published, and why."""

    name: str
    version: str
    reason: str


def place(
    version: Version, repository: str, known: Mapping[Key, Standing]
) -> tuple[Key | None, Standing | None, str]:
    """Which artifact a version is, how it stands, and why it is none of the Ctrl repository's, or empty."""
    try:
        at = parse_location(version.source)
    except Invalid as error:
        return None, None, f"{error.what} {error.why}"[:_SHOWN]
    if at.repository != repository:
        return None, None, "its source is not an artifact of this Ctrl repository"
    if at.sha256 is None:
        return None, None, "its source names no version; register_model binds one to its bytes"
    key = Key(at.node, at.path, at.sha256)
    return key, known.get(key), ""


def models(versions: Iterable[Version], repository: str) -> Iterator[str]:
    """The models that have a version which is bound to an artifact of this Ctrl repository, each once."""
    seen: set[str] = set()
    for one in versions:
        if one.name not in seen and not place(one, repository, {})[2]:
            seen.add(one.name)
            yield one.name


def aliases(
    versions: Iterable[Version],
    now: Mapping[str, str | None],
    repository: str,
    known: Mapping[Key, Standing],
    alias: str,
) -> Iterator[Change]:
    """What must change of one alias: of each model it is at what was published last and still stands.

    Args:
        versions: All that have a source of Placet. Models of which none is bound to an artifact of this
            Ctrl repository are left alone; of the others, any other version loses the alias.
        now: Model -> version that has the alias.
        repository: The Ctrl repository's id.
        known: How its artifacts stand.
        alias: Which.
    """
    best: dict[str, tuple[int, int, str]] = {}
    models = set()
    for one in versions:
        key, standing, _ = place(one, repository, known)
        if key is not None:
            models.add(one.name)
        if standing is not None and standing.stands:
            number = int(one.version) if _NUMBER.fullmatch(one.version) else 0
            best[one.name] = max(best.get(one.name, (-1, -1, "")), (standing.sequence, number, one.version))
    for name in sorted(models):
        wanted = best[name][2] if name in best else None
        before = now.get(name)
        if wanted != before:
            yield Change("alias", name, alias, "", before, wanted)


def version_tags(
    versions: Iterable[Version], repository: str, known: Mapping[Key, Standing]
) -> Iterator[Change]:
    """Which tags of versions must change: the state of what they are, and the proposal's id."""
    for one in versions:
        _, standing, problem = place(one, repository, known)
        if problem:
            continue
        wanted = {STATE_TAG: str(standing.state) if standing else "UNPROPOSED"}
        if standing is not None:
            wanted["placet.proposal"] = standing.proposal
        for key, after in wanted.items():
            if one.tags.get(key) != after:
                yield Change("version", one.name, key, one.version, one.tags.get(key), after)


def left(versions: Iterable[Version], repository: str) -> Iterator[Left]:
    """The versions that nobody can bind to what was approved."""
    for one in versions:
        problem = place(one, repository, {})[2]
        if problem:
            yield Left(one.name, one.version, problem)


def run_tags(
    run: str, tags: Mapping[str, str], proposals: Iterable[tuple[str, str, Iterable[str]]]
) -> Iterator[Change]:
    """Which tags of a run must change.

    Args:
        run: Its id.
        tags: As they are.
        proposals: Id, state and digests of each proposal whose manifest names the run, oldest first. One
            counts only if the run names one of its digests: a node could name another's run.
    """
    wanted: dict[str, str] = {}
    for ident, state, digests in proposals:
        if any(f"{DIGEST_TAG}{digest}" in tags for digest in digests):
            wanted[f"{PROPOSAL_TAG}{ident}"] = wanted[STATE_TAG] = state
    for key, after in wanted.items():
        if tags.get(key) != after:
            yield Change("run", run, key, "", tags.get(key), after)


def ordered(changes: Iterable[Change]) -> list[Change]:
    """First what takes something back, so that nothing is shown as published longer than it must be."""
    return sorted(changes, key=lambda one: (one.after is not None, one.what != "alias"))
