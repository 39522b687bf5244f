"""`placet.toml` of a party: looked for in the working directory and its parents.

Each text or number can be overridden by a variable `PLACET_*`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from placet.config.tables import TABLES, Tables, read_tables, with_variables
from placet.core import layout
from placet.errors import Invalid, NotFound

SETTINGS = "placet.toml"
_TEXTS = ("node", "person", "witness", "ctrl", "trust_root", "key", "jobs")
_KEYS = frozenset({*_TEXTS, "internal", "tiers", "retraction", "gc"}) | TABLES
_SCHEMES = ("ssh-agent:", "pkcs11:")
MAX_JOBS = 256


@dataclass(frozen=True, slots=True)
class GcSettings:
    """Who uses what `placet gc` may collect.

    Attributes:
        workspaces: Other DVC projects that use the same cache or remotes.
        remotes: DVC remotes that nobody uses but this workspace and those.
        cache: The same of a cache outside of the project, or a shared one.
    """

    workspaces: tuple[Path, ...] = ()
    remotes: tuple[str, ...] = ()
    cache: bool = False


@dataclass(frozen=True, slots=True)
class Settings(Tables):
    """What one party has set, on its own machine; never taken from the Ctrl repository.

    Attributes (and those of `Tables`):
        root: The folder of `placet.toml`, or the working directory.
        node: This node's name, if this is a node.
        person: This person's name, if this is a reviewer or an administrator.
        witness: This witness's name, if this is one.
        ctrl: URL of the Ctrl repository.
        trust_root: SHA-256 of policy 0.
        key: The signing key: its file, or `ssh-agent:<which>`, or a `pkcs11:` URI.
        internal: Node -> DVC remote of its internal tier; a node's own is the only one it needs.
        tiers: Publication tier -> DVC remote; the tier's own name if it is not here.
        retraction: Publication tier -> DVC remote with the credential that may delete there; used for
            retractions alone.
        jobs: Transfers at once.
        gc: Who uses what may be collected.
        jobs_given: `jobs` was set, and is no default.
        home: Where caches and trust memory are kept, outside any clone.
    """

    root: Path
    home: Path
    node: str | None = None
    person: str | None = None
    witness: str | None = None
    ctrl: str | None = None
    trust_root: str | None = None
    key: Path | str | None = None
    internal: Mapping[str, str] = field(default_factory=dict)
    tiers: Mapping[str, str] = field(default_factory=dict)
    retraction: Mapping[str, str] = field(default_factory=dict)
    jobs: int = 64
    gc: GcSettings = GcSettings()
    jobs_given: bool = False

    @property
    def identity(self) -> str:
        """The name under which this party writes commits."""
        return self.node or self.person or self.witness or "placet"


def load_settings(start: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read `placet.toml` at or above `start`, then the environment.

    Raises:
        Invalid: kind `settings`: malformed file, unknown key, wrong type.
    """
    env = os.environ if environ is None else environ
    folder = (start or Path.cwd()).resolve()
    root = next((one for one in (folder, *folder.parents) if (one / SETTINGS).is_file()), None)
    values: dict[str, Any] = _read(root / SETTINGS) if root else {}
    for key in _TEXTS:
        if f"PLACET_{key.upper()}" in env:
            values[key] = env[f"PLACET_{key.upper()}"]
    home = env.get("PLACET_HOME")
    return _settings(root or folder, Path(home) if home else _home(), with_variables(values, env))


def _home() -> Path:
    import platformdirs

    return Path(platformdirs.user_state_dir("placet"))


def _read(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # ValueError: also of a number with thousands of digits
        raise Invalid(f"{path}: {error}.", kind="settings", mend="See docs/reference/settings.md.") from error
    unknown = sorted(set(values) - _KEYS)
    if unknown:
        raise Invalid(
            f"{path}: there is no setting {unknown[0]!r}.",
            kind="settings",
            mend=f"Known: {', '.join(sorted(_KEYS))}.",
        )
    return values


def _settings(root: Path, home: Path, values: dict[str, Any]) -> Settings:
    node, person, witness = (_name(values, key) for key in ("node", "person", "witness"))
    named = [key for key, one in (("node", node), ("person", person), ("witness", witness)) if one]
    if len(named) > 1:
        what = f"placet.toml names both a {' and a '.join(named)}."
        raise Invalid(what, kind="settings", mend="Keep one.")
    trust_root = _text(values, "trust_root")
    if trust_root is not None:
        trust_root = trust_root.removeprefix("sha256:")
        if not layout.is_sha256(trust_root):
            raise Invalid("trust_root is not a SHA-256 (64 hex digits).", kind="settings")
    key, ctrl = _text(values, "key"), _text(values, "ctrl")
    if re.match(r"[a-z+]+://[^/@:]*:[^/@]+@", ctrl or "", re.IGNORECASE):
        raise Invalid(
            "The setting ctrl holds a password.",
            kind="settings",
            why="It would be written to files, and be seen in the list of processes.",
            mend="Take it out, and give it to Git: see `git help credentials`.",
        )
    internal = values.get("internal", {})
    if isinstance(internal, str):
        internal = {node or "": internal}
    return Settings(
        root=root,
        home=home,
        node=node,
        person=person,
        witness=witness,
        ctrl=ctrl,
        trust_root=trust_root,
        key=key_of(root, key) if key else None,
        internal=_table("internal", internal),
        tiers=_table("tiers", values.get("tiers", {})),
        retraction=_table("retraction", values.get("retraction", {})),
        jobs=_jobs(values.get("jobs", 64)),
        gc=_gc(root, values.get("gc", {})),
        jobs_given="jobs" in values,
        **read_tables(values),
    )


def _text(values: Mapping[str, Any], key: str) -> str | None:
    value = values.get(key)
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise Invalid(f"The setting {key} must be a text.", kind="settings")
    return value


def _name(values: Mapping[str, Any], key: str) -> str | None:
    value = _text(values, key)
    if value is not None and not layout.is_name(value):
        raise Invalid(
            f"The setting {key} is {value!r}.",
            kind="settings",
            why="A name has lower-case letters, digits, '.', '_' and '-', at most 64.",
            mend=f"Write the name that the policy has to {SETTINGS}, or set PLACET_{key.upper()}.",
        )
    return value


def _table(key: str, value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise Invalid(f"The setting {key} must be a table of texts.", kind="settings")
    return value


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _path(root: Path, text: str) -> Path:
    try:
        return root / Path(text).expanduser()
    except RuntimeError as error:
        raise Invalid(
            f"The path {text!r} in the settings begins with nobody's home.", kind="settings"
        ) from error


def _gc(root: Path, value: object) -> GcSettings:
    known: dict[str, Callable[[object], bool]] = {
        "workspaces": _texts,
        "remotes": _texts,
        "cache": lambda one: isinstance(one, bool),
    }
    if not isinstance(value, dict) or not all(key in known and known[key](one) for key, one in value.items()):
        raise Invalid(
            "The setting gc cannot be used.",
            kind="settings",
            mend="It is a table of workspaces (folders), remotes (names), cache (true or false).",
        )
    return GcSettings(
        workspaces=tuple(_path(root, one) for one in value.get("workspaces", ())),
        remotes=tuple(one.lower() for one in value.get("remotes", ())),
        cache=value.get("cache", False),
    )


def _jobs(value: object) -> int:
    try:
        jobs = int(str(value))
    except ValueError:
        jobs = 0
    if not 1 <= jobs <= MAX_JOBS:
        raise Invalid(f"The setting jobs is {value!r}; it must be 1 to {MAX_JOBS}.", kind="settings")
    return jobs


def require_ctrl(settings: Settings) -> str:
    """The Ctrl repository's URL.

    Raises:
        NotFound: kind `no-ctrl`.
    """
    if settings.ctrl is None:
        raise NotFound(
            "No Ctrl repository is set.",
            kind="no-ctrl",
            mend=f'Write ctrl = "<URL>" to {settings.root / SETTINGS}, or set PLACET_CTRL.',
        )
    return settings.ctrl


def key_of(root: Path, text: str) -> Path | str:
    """What a `key` setting names: a file, relative to a folder, or `ssh-agent:...` or `pkcs11:...`.

    Raises:
        Invalid: kind `settings`: it holds a PIN, which belongs into no file of settings.
    """
    if "pin-value" in text:
        raise Invalid(
            "The setting key holds a PIN.", kind="settings", mend="Use PLACET_PIN or pin-source=file:..."
        )
    return text if text.startswith(_SCHEMES) else _path(root, text)


TEMPLATE = """\
# Settings of this party; each can be overridden by PLACET_<NAME>. See docs/reference/settings.md.
node = "CHANGE-ME"                    # this node's name in the policy (or: person = "...")
ctrl = "git@example.org:ctrl.git"     # the Ctrl repository
trust_root = "sha256:CHANGE-ME"       # as `placet init --ctrl` printed it, by another way than the repository
key = "node.key"                      # as made by `placet keygen`
internal = "internal-storage"         # the DVC remote that is this node's internal tier
"""
