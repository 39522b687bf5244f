"""What works here and what does not: settings, keys, trust root, stores."""

from __future__ import annotations

from collections.abc import Iterator

from placet import config
from placet.core import layout
from placet.engine import doctor
from placet.engine.ctrl import load
from placet.engine.doctor import Finding, guarded
from placet.errors import PlacetError
from placet.wire.ctrl import Wire


def examine(wire: Wire) -> list[Finding]:
    """What works here and what does not; tries credentials on probe objects of its own."""
    return [*_settings(wire), *_ctrl(wire), *_stores(wire)]


def _settings(wire: Wire) -> Iterator[Finding]:
    for name in ("git", "dvc", "python"):
        yield Finding(name, "ok", config.tool_version(name))
    settings = wire.settings
    who = settings.node or settings.person
    yield Finding("settings", "ok" if who else "warn", f"{who or 'nobody'}, {settings.root}")
    yield (
        guarded("key", lambda: wire.signer().public) if settings.key else Finding("key", "warn", "none set")
    )
    pinned = settings.trust_root is not None
    text = f"sha256:{settings.trust_root}" if pinned else "not pinned: the first use will be recorded"
    yield Finding("trust root", "ok" if pinned else "warn", text, "Write trust_root to placet.toml.")


def _ctrl(wire: Wire) -> Iterator[Finding]:
    if wire.settings.ctrl is None:
        yield Finding("Ctrl repository", "warn", "none set", 'Write ctrl = "URL" to placet.toml.')
        return
    try:
        view = load(wire.repo, wire.trust_root(), wire.clock.now(), wire.memory)
        yield from doctor.check_view(view, wire.settings.node, wire.settings.person, _public_key(wire))
    except PlacetError as error:
        yield Finding("Ctrl repository", "fail", error.what, f"{error.why} {error.mend}".strip())


def _stores(wire: Wire) -> Iterator[Finding]:
    if config.find_dvc(wire.folder) is None:
        yield Finding("DVC project", "warn", "none here", "`dvc init` makes one.")
        return
    publication = {layout.DEFAULT_TIER, *wire.settings.tiers.values()}
    for name in wire.dvc.get("remote", {}):
        try:
            yield from doctor.check_store(name, wire.store(name), public=name in publication)
        except PlacetError as error:
            yield Finding(f"remote {name}", "fail", error.what, f"{error.why} {error.mend}".strip())


def _public_key(wire: Wire) -> str | None:
    try:
        return wire.signer().public
    except PlacetError:
        return None
