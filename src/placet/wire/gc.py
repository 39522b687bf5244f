"""The parts of `placet gc`: everybody who uses what is collected, and what must not be touched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from placet import config
from placet.core import layout
from placet.engine import gcguard
from placet.engine.ctrl import View, load
from placet.engine.gc import Collected, collect_cache, collect_remote
from placet.engine.gclock import alone
from placet.engine.needs import Places, gather
from placet.engine.roots import Governed, User, governed, total
from placet.errors import Invalid, NotFound, Unavailable
from placet.ports import ObjectStore
from placet.wire.ctrl import Wire
from placet.wire.data import DataWire

if TYPE_CHECKING:
    from placet.adapters.git_past import GitPast

CACHE_LEAST_S = 600.0
REMOTE_LEAST_S = 86_400.0


def collect(
    own: Wire,
    *,
    remote: str | None,
    remove: bool,
    tips: bool,
    least_s: float | None,
    give_up: Iterable[str],
) -> Collected:
    """Collect a workspace's cache, or one of its remotes; see `Client.gc`."""
    if remote is not None:
        _refuse(own, remote, ())
    with ExitStack() as held:
        wires = [own]
        for folder in own.settings.gc.workspaces:
            wires.append(_other(folder, own))
            held.callback(wires[-1].close)
        pasts = [_past(one) for one in wires]
        linked = list(_linked(wires, pasts))
        for one in linked:
            held.callback(one.close)
        everybody = [*wires, *linked]
        if remove:
            held.enter_context(alone([one.workspace for one in everybody]))
        views = {one.settings.ctrl: _view(one) for one in wires if one.settings.ctrl is not None}
        _refuse(own, remote, views.values())
        users = [
            *(
                _user(one, past, views.get(one.settings.ctrl or ""))
                for one, past in zip(wires, pasts, strict=True)
            ),
            *(_user(one, None, None) for one in linked),
        ]
        return _collect(everybody, users, remote, remove=remove, tips=tips, least_s=least_s, give_up=give_up)


def _other(folder: Path, own: Wire) -> Wire:
    """Another workspace, as the settings name it.

    Raises:
        NotFound: kind `no-dvc`: it is not a DVC project's root.
    """
    root = folder.resolve()
    if not (root / ".dvc").is_dir():
        raise NotFound(
            f"{folder} is not a DVC project; nothing is removed.",
            kind="no-dvc",
            why="placet.toml names it in gc.workspaces; what it needs is not known.",
            mend="Name the project's root, or remove it from the list if it is gone for good.",
        )
    home = {"PLACET_HOME": str(own.settings.home)}
    return Wire(config.load_settings(root, home), root, own.progress)


def _view(wire: Wire) -> View:
    return load(wire.repo, wire.trust_root(), wire.clock.now(), wire.memory)


def _past(wire: DataWire) -> GitPast | None:
    """The Git history of a workspace.

    Raises:
        Invalid: kind `no-git-repository`: there is none, and DVC was not told that there is none.
    """
    from placet.adapters.git_past import GitPast

    past = GitPast.open(wire.project, config.environment())
    if past is None and not wire.dvc.get("core", {}).get("no_scm"):
        raise Invalid(
            f"{wire.project} is in no Git repository; nothing is removed.",
            kind="no-git-repository",
            why="DVC's configuration says that it has one, so what its commits need is not known.",
            mend="Bring back its .git; if there never was one: dvc config core.no_scm true",
        )
    return past


def _linked(wires: Sequence[DataWire], pasts: Sequence[GitPast | None]) -> Iterator[DataWire]:
    """The same DVC projects in other work trees of their repositories; their history is the same."""
    seen = {one.project for one in wires}
    for wire, past in zip(wires, pasts, strict=True):
        for folder in past.folders() if past is not None else ():
            if folder not in seen and (folder / ".dvc").is_dir():
                seen.add(folder)
                yield DataWire(wire.settings, folder, wire.progress)


def _user(wire: DataWire, past: GitPast | None, view: View | None) -> User:
    root, node = wire.workspace.root, wire.settings.node
    return User(
        workspace=wire.workspace,
        past=past,
        governed=governed(view, wire.clock.now(), node) if view else Governed(),
        node=node,
        in_ctrl=(root / layout.POLICY).is_file(),
    )


def _refuse(wire: DataWire, remote: str | None, views: Iterable[View]) -> None:
    """Refuse what must not be collected; see `engine.gcguard`."""
    settings, base = wire.settings, wire.project / ".dvc"
    tiers = gcguard.Tiers(
        remotes=wire.dvc.get("remote", {}),
        names=frozenset({layout.DEFAULT_TIER, *settings.tiers, *settings.tiers.values()}),
        urls=tuple(tier.url for view in views for tier in view.history.policy.form.tiers.values()),
        base=base,
    )
    if remote is None:
        space = wire.workspace
        gcguard.refuse_cache(space.cache, space.root, tiers, shared=space.shared, owned=settings.gc.cache)
    else:
        wire.remote(remote)
        gcguard.refuse_remote(remote, tiers, owned=settings.gc.remotes)


def _collect(
    wires: Sequence[DataWire],
    users: Sequence[User],
    remote: str | None,
    *,
    remove: bool,
    tips: bool,
    least_s: float | None,
    give_up: Iterable[str],
) -> Collected:
    """The first wire and user are the workspace's own."""
    wire = wires[0]
    jobs, progress, now_s = wire.settings.jobs, wire.progress, wire.clock.now().timestamp()
    caches = [one.workspace.objects for one in users]
    given_up = frozenset(one.removesuffix(".dir").lower() for one in give_up)
    places = Places(caches, _stores(wire, remote))
    needs = gather(users, places, tips=tips, give_up=given_up, jobs=jobs)
    roots = total(users, tips=tips)
    if remote is None:
        return collect_cache(
            caches[0],
            needs,
            now_s=now_s,
            least_s=CACHE_LEAST_S if least_s is None else least_s,
            roots=roots,
            remove=remove,
            jobs=jobs,
            progress=progress,
        )
    return collect_remote(
        remote,
        wire.store(remote),
        caches,
        needs,
        now_s=now_s,
        least_s=REMOTE_LEAST_S if least_s is None else least_s,
        roots=roots,
        forget=partial(_forget, wires),
        remove=remove,
        jobs=jobs,
        progress=progress,
    )


def _stores(wire: DataWire, first: str | None) -> list[tuple[str, Callable[[], ObjectStore]]]:
    """All remotes of the project, the one that is collected first."""
    names = sorted(wire.dvc.get("remote", {}), key=lambda one: (one != first, one))
    return [(one, partial(wire.store, one)) for one in names]


def _forget(wires: Sequence[DataWire]) -> None:
    from placet.adapters.state import dvc_hashes, forget_remotes

    for one in wires:
        tmp = one.project / ".dvc" / "tmp"
        hashes = dvc_hashes(config.site_cache(one.dvc), one.project, tmp)
        if hashes is None:
            raise Unavailable(f"DVC's databases of {one.project} cannot be found.", kind="disk-denied")
        forget_remotes(hashes)
