"""What works here and what does not: settings, keys, trust root, Ctrl repository, stores, the agent."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from platform import python_version

from placet import config
from placet.adapters.git_process import git_version
from placet.adapters.httpdate import server_time
from placet.core import layout
from placet.core.agentform import AgentForm
from placet.engine import doctor
from placet.engine.ctrl import View, load
from placet.engine.doctor import Finding, Level, Role, failed, guarded
from placet.errors import PlacetError
from placet.ports import ObjectStore, StoreAddress
from placet.wire.ctrl import Wire
from placet.wire.forge import commission, may_push
from placet.wire.keys import webhook_secret
from placet.wire.lineage import Reporter
from placet.wire.notify import Notifier

_LEAST_GIT = (2, 30)
_PLACE = {"url", "endpointurl", "region", "read_timeout", "connect_timeout", "ssl_verify", "use_ssl", "jobs"}


def examine(wire: Wire) -> list[Finding]:
    """What works here and what does not; tries credentials on probe objects of its own."""
    return [
        *_tools(),
        *_settings(wire),
        *_ctrl(wire),
        *_stores(wire),
        *_disks(wire),
        *_agent(wire),
        *_notify(wire),
        *_lineage(wire),
    ]


def _tools() -> Iterator[Finding]:
    yield Finding("placet", "ok", f"{version('placet')}, Python {python_version()}, DVC {version('dvc')}")
    try:
        found = git_version(config.environment())
    except PlacetError as error:
        yield failed("git", error)
        return
    shown = ".".join(map(str, found))
    yield Finding("git", "ok" if found >= _LEAST_GIT else "fail", shown, "Install Git 2.30 or later.")


def _settings(wire: Wire) -> Iterator[Finding]:
    settings = wire.settings
    who = settings.node or settings.person or settings.witness
    mend = "Write node, person or witness to placet.toml; `placet init` makes one to fill in."
    yield Finding("settings", "ok" if who else "warn", f"{who or 'nobody'}, {settings.root}", mend)
    if settings.key:
        yield guarded("key", lambda: wire.signer().public)
    else:
        yield Finding("key", "warn", "none set", 'placet keygen FILE, then key = "FILE" in placet.toml.')
    pinned = settings.trust_root is not None
    text = f"sha256:{settings.trust_root}" if pinned else "not pinned: the first use will be recorded"
    yield Finding("trust root", "ok" if pinned else "warn", text, "Write trust_root to placet.toml.")


def _ctrl(wire: Wire) -> Iterator[Finding]:
    settings = wire.settings
    if settings.ctrl is None:
        yield Finding("Ctrl repository", "warn", "none set", 'Write ctrl = "URL" to placet.toml.')
        return
    try:
        yield Finding("Ctrl server", "ok", f"{len(wire.repo.heads())} branches")
        view = load(wire.repo, wire.trust_root(), wire.clock.now(), wire.memory)
    except PlacetError as error:
        yield failed("Ctrl repository", error)
        return
    yield from doctor.check_view(view, settings.node, settings.person, _public_key(wire), settings.witness)
    yield doctor.check_checks(view.history.policy, wire.checks)
    if settings.forge is not None:
        yield from _forge(wire, view, settings.forge.known_as)
    elif settings.node or settings.person:
        yield doctor.check_gate(wire.repo, view.main)
    if settings.ctrl.startswith(("http://", "https://")):
        yield _clock(wire, "the Ctrl repository's server", settings.ctrl)
    if _promotes(wire):
        yield from _places(wire, view)
    if settings.retraction:
        yield from _retraction(wire, view)


def _forge(wire: Wire, view: View, name: str) -> Iterator[Finding]:
    """What the repository's protection on the forge leaves open."""
    try:
        wanted = commission(view.history.policy, name, mine=_pushed(wire, view))
        holes, pushers = wire.forge.holes(wanted), may_push(wire.forge, wanted)
    except PlacetError as error:
        yield failed(f"forge {name}", error)
        return
    yield from (Finding(f"forge {name}", "warn", hole.what, hole.mend) for hole in holes)
    if not holes:
        yield Finding(f"forge {name}", "ok", "no hole seen in the protection of main and what is published")
    if pushers:
        text = f"these may push {pushers}; to name others: placet init --forge --agent NAME --witness NAME"
        yield Finding(f"forge {name}", "ok", f"{text}, or --no-agents, --no-witnesses")


def _pushed(wire: Wire, view: View) -> tuple[str, ...]:
    """The branches that this party has to push to itself."""
    main = layout.MAIN.removeprefix("refs/heads/")
    if _promotes(wire):
        return main, *(layout.published_name(tier) for tier in view.history.policy.form.tiers)
    return (main,) if wire.settings.witness else ()


def _places(wire: Wire, view: View) -> Iterator[Finding]:
    try:
        promoter = wire.promoter()
    except PlacetError as error:
        yield failed("promotion", error)
    else:
        yield from doctor.check_tiers(promoter, view)


def _retraction(wire: Wire, view: View) -> Iterator[Finding]:
    """The credential that erases is nobody else's."""
    try:
        retractor = wire.retractor
    except PlacetError as error:
        yield failed("retraction", error)
        return
    yield from doctor.check_retraction(view.history.policy, retractor.targets)
    remotes = wire.dvc.get("remote", {})
    for remote in sorted(wire.settings.retraction.values()):
        mine = _credential(remotes.get(remote.lower(), {}))
        shared = [
            one for one in sorted(_publication(wire) & remotes.keys()) if _credential(remotes[one]) == mine
        ]
        mend = "Give the retraction a credential of its own: whoever publishes must not be able to delete."
        text = f"the same as of {', '.join(shared)}" if shared else "of its own"
        yield Finding(f"credential of {remote}", "fail" if shared else "ok", text, mend)


def _credential(options: Mapping[str, object]) -> dict[str, object]:
    """What a remote's options say of who asks; nothing said is whoever this machine is."""
    return {key: one for key, one in options.items() if key not in _PLACE}


def _stores(wire: Wire) -> Iterator[Finding]:
    if config.find_dvc(wire.folder) is None:
        level: Level = "fail" if wire.settings.internal else "warn"
        mend = "`dvc init` makes one; outside of Git `dvc init --no-scm`."
        yield Finding("DVC project", level, "none here", mend)
        return
    yield from _missing(wire)
    places: dict[str, StoreAddress] = {}
    servers: set[str] = set()
    for name in wire.dvc.get("remote", {}):
        role = _role(wire, name)
        try:
            store = wire.store(name)
            yield from doctor.check_store(name, store, role)
        except PlacetError as error:
            yield failed(f"remote {name}", error)
            continue
        if role not in {"other", "retractor"}:
            places[name] = store.address
        yield from _store_clock(wire, store, servers)
    yield from doctor.check_apart(places)


def _missing(wire: Wire) -> Iterator[Finding]:
    """Remotes that the settings name and DVC does not know."""
    named = {*wire.settings.internal.values(), *wire.settings.tiers.values()}
    for name in sorted(one for one in named if one.lower() not in wire.dvc.get("remote", {})):
        mend = f"dvc remote add {name} s3://BUCKET/PREFIX, or name another one there."
        yield Finding(f"remote {name}", "fail", "placet.toml names it, and DVC has no such remote", mend)


def _store_clock(wire: Wire, store: ObjectStore, known: set[str]) -> Iterator[Finding]:
    kind, _, url = store.address.service.partition(":")
    if kind == "s3" and url not in known:
        known.add(url)
        yield _clock(wire, url, url)


def _clock(wire: Wire, name: str, url: str) -> Finding:
    return doctor.check_clock(name, wire.clock.now(), server_time(url))


def _role(wire: Wire, name: str) -> Role:
    settings = wire.settings
    if name in _publication(wire):
        return "promoter" if settings.node else "reader"
    if name in {one.lower() for one in settings.retraction.values()}:
        return "retractor"
    if name not in {one.lower() for one in settings.internal.values()}:
        return "other"
    if settings.node is None:
        return "review"
    return "source" if _promotes(wire) else "job"


def _publication(wire: Wire) -> set[str]:
    return {layout.DEFAULT_TIER, *(one.lower() for one in wire.settings.tiers.values())}


def _promotes(wire: Wire) -> bool:
    """Is this the folder of a node's agent: does it know a publication tier?"""
    if wire.settings.node is None or config.find_dvc(wire.folder) is None:
        return False
    return not _publication(wire).isdisjoint(wire.dvc.get("remote", {}))


def _disks(wire: Wire) -> Iterator[Finding]:
    home = wire.settings.home
    yield _disk("state folder", home)
    if config.find_dvc(wire.folder) is not None and not _promotes(wire):
        yield _disk("cache", wire.workspace.cache)


def _disk(name: str, folder: Path) -> Finding:
    """Room where a folder is or will be, and whether it can be written."""
    there = next(one for one in (folder, *folder.absolute().parents) if one.is_dir())
    try:
        with tempfile.TemporaryFile(dir=there):
            return doctor.check_room(name, shutil.disk_usage(there).free)
    except OSError as error:
        mend = "Let this user write there; PLACET_HOME names another place for state."
        return Finding(name, "fail", f"{folder} cannot be written: {error.strerror}", mend)


def _agent(wire: Wire) -> Iterator[Finding]:
    form = wire.settings.agent
    if form is None:
        return
    for one in form.workspaces:
        found = (wire.settings.root / Path(one).expanduser() / config.SETTINGS).is_file()
        text = f"{one} has {'' if found else 'no '}placet.toml"
        yield Finding("agent's workspace", "ok" if found else "fail", text, "Mend [agent] workspaces.")
    if form.place is not None:
        yield _port(*form.place)
    if form.webhook_secret is not None:
        yield from _webhook(wire, form, form.webhook_secret)


def _notify(wire: Wire) -> Iterator[Finding]:
    if wire.settings.notify is None:
        return
    if wire.settings.ctrl is None:
        yield Finding("notify", "fail", "no Ctrl repository is set", 'Write ctrl = "URL" to placet.toml.')
        return
    notifier = Notifier(wire)
    for name in wire.settings.notify.targets:
        yield guarded(f"notify target {name}", partial(notifier.tried, name))


def _lineage(wire: Wire) -> Iterator[Finding]:
    if wire.settings.lineage is not None:
        yield guarded("lineage", lambda: Reporter(wire).tried())


def _webhook(wire: Wire, form: AgentForm, secret: str) -> Iterator[Finding]:
    yield guarded("webhook", lambda: f"a secret of {len(webhook_secret(wire.settings.root / secret))} bytes")
    if form.place is None:
        yield Finding("webhook", "fail", "the agent listens nowhere", "Set `listen` in [agent] too.")


def _port(host: str, port: int) -> Finding:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except (OSError, OverflowError) as error:
        mend = "If that is not the agent itself, which runs already, name another `listen`."
        return Finding("agent's port", "warn", f"{host}:{port} cannot be used: {error}", mend)
    return Finding("agent's port", "ok", f"{host}:{port} is free")


def _public_key(wire: Wire) -> str | None:
    try:
        return wire.signer().public
    except PlacetError:
        return None
