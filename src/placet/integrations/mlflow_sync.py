"""Keep an MLflow server true to the ledger: aliases of models, tags of their versions and of runs.

Idempotent: what should be is computed from the Ctrl repository, compared with what the server says, and only
the difference is written. Two that do it at the same time write the same. What fails holds nothing else up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TypeVar

from placet.client import Client
from placet.core.mlflowform import MlflowForm
from placet.engine.ctrl import View
from placet.engine.editions import editions
from placet.errors import Invalid, NotFound, Partial, PlacetError, Unavailable
from placet.integrations.mlflow_plan import (
    BUILD_TYPE,
    Change,
    Left,
    Problem,
    What,
    aliases,
    left,
    models,
    ordered,
    run_tags,
    version_tags,
)
from placet.ports import Progress
from placet.ports.models import ModelServer, Version
from placet.wire.mlflow import shown

_MOST_PAGES = 1_000  # of 200 versions each
_SILENT = 3
_AGAIN_S = 3600.0
_FAILED_S = 600.0
_RUN = re.compile(r"[0-9a-f]{32}")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Synced:
    """What a sync found and changed.

    Attributes:
        server: The registry's address.
        models: Registered models with a version whose source is Placet's.
        changes: What was changed, or with `dry_run` would be.
        problems: What could not be looked at, or changed. Everything else was.
        left: Versions that can never be shown as published, and why.
    """

    server: str
    alias: str
    tier: str
    models: int
    versions: int
    runs: int
    changes: tuple[Change, ...]
    problems: tuple[Problem, ...]
    left: tuple[Left, ...]

    @property
    def error(self) -> PlacetError | None:
        """The problems as one error, if there are any; `Partial` if something was done in spite of them."""
        if not self.problems:
            return None
        first = self.problems[0]
        if not self.changes:
            return first.error
        return Partial(
            f"{len(self.problems)} things on the MLflow server could not be looked at or changed.",
            kind="mlflow-partly",
            why=f"{first.name}: {first.error.what} {first.error.why}".rstrip(),
            mend="placet mlflow sync tells which, and goes on from there.",
        )


def sync(
    client: Client, server: ModelServer, form: MlflowForm, *, dry_run: bool = False, view: View | None = None
) -> Synced:
    """Bring a server up to date with the Ctrl repository.

    Args:
        client: Any party's; runs are tagged for its own node's proposals, or for all nodes' if it is no node.
        server: Whose.
        form: Which alias and tier.
        dry_run: Say what would be changed, and change nothing.
        view: Of the Ctrl repository, if it was looked at just now.

    Raises:
        NotFound: kind `no-tier`.
        Corrupt: the published branch does not recompute; nothing was changed.
        Unavailable, Refused, Invalid: the server does not tell its versions; nothing was changed. What goes
            wrong later is in `problems`.
        Unavailable: kind `stopped`, by the client's progress; what was changed by then stays.
    """
    view, now = view or client.view(), client.now()
    if form.tier not in view.history.policy.form.tiers:
        raise NotFound(
            f"The effective policy has no tier {form.tier!r}.",
            kind="no-tier",
            mend="Mend tier in the table [mlflow] of placet.toml.",
        )
    known, repository = editions(view, form.tier, now), view.history.repository
    progress = client.progress.start("mlflow")
    versions, work = list(_versions(server, progress)), _Work(server, dry_run, progress)
    have: dict[str, str | None] = {}
    for name in models(versions, repository):
        found = work.one("alias", name, form.alias, "", partial(server.aliases, name))
        if found is not None:
            have[name] = found.get(form.alias)
    told = [one for one in versions if one.name in have]
    changes = [
        *aliases(told, have, repository, known, form.alias),
        *version_tags(versions, repository, known),
    ]
    work.change(ordered(changes))
    runs = _runs(view, client.settings.node, now)
    for run, proposals in runs.items():
        tags = work.one("run", run, "", "", partial(server.run_tags, run))
        work.change(run_tags(run, tags, proposals) if tags is not None else ())
    progress.done()
    return Synced(
        shown(form),
        form.alias,
        form.tier,
        len({one.name for one in versions}),
        len(versions),
        len(runs),
        tuple(work.changes),
        tuple(work.problems),
        tuple(left(versions, repository)),
    )


@dataclass(slots=True)
class _Work:
    """What was done, and what could not be; one thing that fails keeps no other from being done."""

    server: ModelServer
    dry_run: bool
    progress: Progress
    changes: list[Change] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    _silent: int = 0

    def one(self, what: What, name: str, key: str, version: str, call: Callable[[], T]) -> T | None:
        """What the server says; None if it fails. After some silence it is not asked any more."""
        self.progress.advance(1)
        try:
            if self._silent >= _SILENT:
                raise Unavailable("The MLflow server was not asked any more.", kind="mlflow-unreachable")
            found = call()
        except PlacetError as error:
            self._silent = self._silent + 1 if error.kind == "mlflow-unreachable" else 0
            self.problems.append(Problem(what, name, key, version, error))
            return None
        self._silent = 0
        return found

    def change(self, wanted: Iterable[Change]) -> None:
        """Make changes, or with `dry_run` note them only."""
        for one in wanted:
            if self.dry_run or self.one(one.what, one.name, one.key, one.version, partial(self._made, one)):
                self.changes.append(one)

    def _made(self, one: Change) -> bool:
        if one.what == "alias":
            self.server.set_alias(one.name, one.key, one.after)
        elif one.what == "version":
            self.server.set_version_tag(one.name, one.version, one.key, str(one.after))
        else:
            self.server.set_run_tag(one.name, one.key, str(one.after))
        return True


@dataclass(frozen=True, slots=True)
class _Done:
    heads: Mapping[str, str]
    time: datetime
    error: PlacetError | None

    def holds(self, heads: Mapping[str, str], now: datetime) -> bool:
        again = _AGAIN_S if self.error is None else _FAILED_S
        return self.heads == heads and (now - self.time).total_seconds() < again


@dataclass(slots=True)
class Keeper:
    """Syncs when a branch of the Ctrl repository moved, and once an hour: for what changed on the server.

    What could not be done is tried again after ten minutes.
    """

    open_server: Callable[[MlflowForm], AbstractContextManager[ModelServer]]
    _done: dict[str, _Done] = field(default_factory=dict)

    def look(self, client: Client) -> Synced | None:
        """Sync if it is time to; None if it is not, or if the settings name no server.

        Raises:
            As `sync`; and what `Synced.error` was the last time, until it is tried again.
        """
        form, place = client.settings.mlflow, str(client.settings.root)
        if form is None:
            return None
        heads, now = client.heads(), client.now()
        before = self._done.get(place)
        if before is not None and before.holds(heads, now):
            if before.error is not None:
                raise before.error
            return None
        with self.open_server(form) as server:
            found = sync(client, server, form)
        self._done[place] = _Done(heads, now, found.error)
        return found


def _versions(server: ModelServer, progress: Progress) -> Iterator[Version]:
    """Every version of every page.

    Raises:
        Invalid: kind `mlflow-answer`: there is no end.
    """
    token = None
    for _ in range(_MOST_PAGES):
        page = server.versions(token)
        yield from page.versions
        progress.advance(1)
        token = page.token
        if not token:
            return
    raise Invalid(
        "The MLflow server lists without end.",
        kind="mlflow-answer",
        why=f"It has more than {_MOST_PAGES} pages of versions with a source of Placet, or does not look.",
    )


def _runs(view: View, node: str | None, now: datetime) -> dict[str, list[tuple[str, str, tuple[str, ...]]]]:
    """Run -> id, state and digests of the proposals that name it, oldest first."""
    out: dict[str, list[tuple[str, str, tuple[str, ...]]]] = {}
    cases = [*view.ended().values(), *view.cases().values()]
    for case in sorted(cases, key=lambda one: (one.manifest.body.time, one.id)):
        body = case.manifest.body
        run = body.provenance.invocation
        named = body.provenance.build_type == BUILD_TYPE and _RUN.fullmatch(run)
        if named and body.kind == "publish" and node in {None, body.node}:
            digests = tuple(one.value for one in case.manifest.subjects)
            out.setdefault(run, []).append((case.id, str(view.state(case, now)), digests))
    return out
