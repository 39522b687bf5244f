"""Keep an MLflow server true to the ledger: aliases of models, tags of their versions and of runs.

Idempotent: what should be is computed from the Ctrl repository, compared with what the server says, and only
the difference is written. Two that do it at the same time write the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.entities.paged_list import PagedList

from placet.client import Client
from placet.core.mlflowform import MlflowForm
from placet.engine.ctrl import View
from placet.engine.editions import editions
from placet.errors import Invalid, NotFound, PlacetError, Refused, Unavailable
from placet.integrations.mlflow import BUILD_TYPE
from placet.integrations.mlflow_plan import (
    SCHEME,
    Change,
    Left,
    Version,
    aliases,
    left,
    ordered,
    run_tags,
    version_tags,
)

_PAGE = 200
_MOST = 100_000
_AGAIN_S = 3600.0
_RUN = re.compile(r"[0-9a-f]{32}")
_REFUSED = frozenset({"PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"})
_SHOWN = 300

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Synced:
    """What a sync found and changed.

    Attributes:
        server: The registry's URI.
        models: Registered models with a version whose source is Placet's.
        changes: What was changed, or with `dry_run` would be.
        left: Versions that can never be shown as published, and why.
    """

    server: str
    alias: str
    tier: str
    models: int
    versions: int
    runs: int
    changes: tuple[Change, ...]
    left: tuple[Left, ...]


def sync(
    client: Client, server: MlflowClient, form: MlflowForm, *, dry_run: bool = False, view: View | None = None
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
        Unavailable: kind `mlflow-unreachable`.
        Refused: kind `mlflow-refused`.
        Invalid: kind `mlflow-answer`.
    """
    view, now = view or client.view(), client.now()
    if form.tier not in view.history.policy.form.tiers:
        raise NotFound(
            f"The effective policy has no tier {form.tier!r}.",
            kind="no-tier",
            mend="Mend tier in the table [mlflow] of placet.toml.",
        )
    known, repository = editions(view, form.tier, now), view.history.repository
    with _asked():
        versions = list(_versions(server))
        names = {one.name for one in versions}
        have = _aliased(server, names, form.alias)
        changes = [
            *aliases(versions, have, repository, known, form.alias),
            *version_tags(versions, repository, known),
        ]
        runs = _runs(view, client.settings.node, now)
        for run, proposals in runs.items():
            tags = _tags(server, run)
            changes += run_tags(run, tags, proposals) if tags is not None else ()
        changes = ordered(changes)
        for one in () if dry_run else changes:
            _change(server, one)
    return Synced(
        _shown(form.registry_uri or str(server.tracking_uri)),
        form.alias,
        form.tier,
        len(names),
        len(versions),
        len(runs),
        tuple(changes),
        tuple(left(versions, repository)),
    )


@dataclass(slots=True)
class Keeper:
    """Syncs when a branch of the Ctrl repository moved, and once an hour: for what changed on the server."""

    open_server: Callable[[MlflowForm], MlflowClient]
    _done: dict[str, tuple[Mapping[str, str], datetime]] = field(default_factory=dict)

    def look(self, client: Client) -> Synced | None:
        """Sync if it is time to; None if it is not, or if the settings name no server."""
        form, place = client.settings.mlflow, str(client.settings.root)
        if form is None:
            return None
        heads, now = client.heads(), client.now()
        before = self._done.get(place)
        if before is not None and before[0] == heads and (now - before[1]).total_seconds() < _AGAIN_S:
            return None
        found = sync(client, self.open_server(form), form)
        self._done[place] = heads, now
        return found


def _versions(server: MlflowClient) -> Iterator[Version]:
    def page(token: str | None) -> PagedList[Any]:
        return server.search_model_versions(max_results=_PAGE, page_token=token)

    for one in _all(page):
        if str(one.source).startswith(SCHEME):
            yield Version(one.name, str(one.version), str(one.source), dict(one.tags))


def _aliased(server: MlflowClient, names: set[str], alias: str) -> dict[str, str | None]:
    """Model -> version that has the alias."""

    def page(token: str | None) -> PagedList[Any]:
        return server.search_registered_models(max_results=_PAGE, page_token=token)

    found = {one.name: dict(one.aliases) for one in _all(page) if one.name in names} if names else {}
    return {name: str(known[alias]) for name, known in found.items() if alias in known}


def _all(page: Callable[[str | None], PagedList[T]]) -> Iterator[T]:
    """Every entry of every page.

    Raises:
        Invalid: kind `mlflow-answer`: there is no end.
    """
    token, count = None, 0
    while True:
        found = page(token)
        yield from found
        count, token = count + len(found), found.token
        if not token:
            return
        if count > _MOST or not found:
            raise Invalid("The MLflow server lists without end.", kind="mlflow-answer")


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


def _tags(server: MlflowClient, run: str) -> Mapping[str, str] | None:
    """A run's tags; None if the server has no such run, or it was deleted."""
    try:
        found = server.get_run(run)
        return dict(found.data.tags) if found.info.lifecycle_stage == "active" else None
    except MlflowException as error:
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise


def _change(server: MlflowClient, one: Change) -> None:
    if one.what == "alias" and one.after is None:
        server.delete_registered_model_alias(one.name, one.key)
    elif one.what == "alias":
        server.set_registered_model_alias(one.name, one.key, str(one.after))
    elif one.what == "version":
        server.set_model_version_tag(one.name, one.version, one.key, one.after)
    else:
        server.set_tag(one.name, one.key, one.after)


@contextmanager
def _asked() -> Iterator[None]:
    """MLflow's errors as ours."""
    try:
        yield
    except PlacetError:
        raise
    except MlflowException as error:
        why = _shown(str(error))[:_SHOWN]
        if error.error_code in _REFUSED:
            raise Refused(
                "The MLflow server does not let this be done.",
                kind="mlflow-refused",
                why=why,
                mend="See MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD, MLFLOW_TRACKING_TOKEN.",
            ) from error
        raise Unavailable(
            "The MLflow server did not do what it was asked.",
            kind="mlflow-unreachable",
            why=why,
            mend="Run it again when it answers: placet mlflow sync",
        ) from error


def _shown(text: str) -> str:
    """A text without the name and password that a URI in it may have."""
    return re.sub(r"//[^/@\s]*@", "//", text)
