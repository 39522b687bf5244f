"""The only place that reads the environment and files of settings; everybody else gets values.

`placet.toml` is looked for in the working directory and its parents; each key can be overridden by a
variable `PLACET_*`. DVC's own configuration, all four levels, is read by DVC's own class.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from placet.core import layout
from placet.errors import Invalid, NotFound

if TYPE_CHECKING:
    from placet.core.agentform import AgentForm
    from placet.core.forgeform import ForgeForm
    from placet.core.lineageform import LineageForm
    from placet.core.mlflowform import MlflowForm
    from placet.core.notifyform import NotifyForm

log = logging.getLogger(__name__)

SETTINGS = "placet.toml"
_DVC_PLACES = (
    "HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR",
)  # fmt: skip
_PLAIN_OPTIONS = frozenset(
    {
        "url", "endpointurl", "region", "profile", "credentialpath", "configpath", "use_ssl", "ssl_verify",
        "verify", "jobs", "checksum_jobs", "read_timeout", "connect_timeout", "allow_anonymous_login", "type",
        "shared", "listobjects", "protected", "slow_link_warning", "no_traverse", "cache_regions", "sse",
        "sse_kms_key_id", "acl", "version_aware", "worktree", "projectname", "account_name", "user", "port",
        "keyfile",
    }
)  # fmt: skip
_TABLES = frozenset({"internal", "tiers", "retraction", "gc", "agent", "lineage", "mlflow", "notify"})
_KEYS = frozenset({"node", "person", "witness", "ctrl", "trust_root", "forge", "key", "jobs"}) | _TABLES
_AGENT = "PLACET_AGENT_"
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
class Settings:
    """What one party has set, on its own machine; never taken from the Ctrl repository.

    Attributes:
        root: The folder of `placet.toml`, or the working directory.
        node: This node's name, if this is a node.
        person: This person's name, if this is a reviewer or an administrator.
        witness: This witness's name, if this is one.
        ctrl: URL of the Ctrl repository.
        trust_root: SHA-256 of policy 0.
        forge: The hosted forge that the Ctrl repository is on; None for plain Git.
        key: The signing key: its file, or `ssh-agent:<which>`, or a `pkcs11:` URI.
        internal: Node -> DVC remote of its internal tier; a node's own is the only one it needs.
        tiers: Publication tier -> DVC remote; the tier's own name if it is not here.
        retraction: Publication tier -> DVC remote with the credential that may delete there; used for
            retractions alone.
        jobs: Transfers at once.
        gc: Who uses what may be collected.
        agent: How the agent runs, if anything was set.
        lineage: Which OpenLineage backend is told of publications, if one is.
        notify: Who is told what, if anybody is.
        mlflow: Which MLflow server is kept true to the ledger, if one is.
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
    forge: ForgeForm | None = None
    key: Path | str | None = None
    internal: Mapping[str, str] = field(default_factory=dict)
    tiers: Mapping[str, str] = field(default_factory=dict)
    retraction: Mapping[str, str] = field(default_factory=dict)
    jobs: int = 64
    gc: GcSettings = GcSettings()
    agent: AgentForm | None = None
    lineage: LineageForm | None = None
    notify: NotifyForm | None = None
    mlflow: MlflowForm | None = None
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
    for key in _KEYS - _TABLES:
        if f"PLACET_{key.upper()}" in env:
            values[key] = env[f"PLACET_{key.upper()}"]
    told = {key.removeprefix(_AGENT).lower(): one for key, one in env.items() if key.startswith(_AGENT)}
    if told:
        table = values.get("agent", {})
        values["agent"] = {**table, **told} if isinstance(table, dict) else table
    home = env.get("PLACET_HOME")
    return _settings(root or folder, Path(home) if home else _home(), values)


def environment() -> dict[str, str]:
    """The process's environment, for Git and for AWS's credential chain."""
    return dict(os.environ)


def find_dvc(root: Path) -> Path | None:
    """The root of the DVC project at or above a folder."""
    folder = root.resolve()
    return next((one for one in (folder, *folder.parents) if (one / ".dvc").is_dir()), None)


def dvc_config(project: Path) -> dict[str, Any]:
    """DVC's configuration of a project, merged from all four levels by DVC's own class.

    That class takes 0.1 s to load, so its answer is kept in `.dvc/tmp` for as long as the files that it read
    are the same; never if it holds anything that could be a secret.

    Raises:
        Invalid: kind `dvc-config`.
    """
    memo = project / ".dvc" / "tmp" / "placet" / "config.json"
    surroundings = {name: os.environ.get(name) for name in _DVC_PLACES}
    dvc = importlib.util.find_spec("dvc")
    surroundings["dvc"] = str(_stamp(str(dvc.origin))) if dvc is not None else None
    try:
        kept = json.loads(memo.read_bytes())
        if kept["in"] == surroundings and all(_stamp(file) == seen for file, seen in kept["files"].items()):
            return dict(kept["config"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        log.debug("no usable memo of DVC's configuration at %s", memo)
    found, files = _read_dvc_config(project)
    if _keepable(found):
        _keep(memo, json.dumps({"in": surroundings, "files": files, "config": found}))
    return found


def _keep(memo: Path, text: str) -> None:
    """Write the memo; where the disk does not take it, the next start reads DVC's files again."""
    temp = memo.with_name(f".{os.urandom(8).hex()}.tmp")
    try:
        memo.parent.mkdir(parents=True, exist_ok=True)
        temp.write_text(text, encoding="utf-8")
        temp.replace(memo)
    except OSError as error:
        log.debug("DVC's configuration was not kept at %s: %s", memo, error)
        with contextlib.suppress(OSError):
            temp.unlink(missing_ok=True)


def _read_dvc_config(project: Path) -> tuple[dict[str, Any], dict[str, list[int] | None]]:
    from dvc.config import Config, ConfigError

    try:
        first = Config(str(project / ".dvc"))
        files = {file: _stamp(file) for file in first.files.values()}
        return dict(Config(str(project / ".dvc"))), files
    except ConfigError as error:
        raise Invalid(f"DVC's configuration cannot be read: {error}", kind="dvc-config") from error


def _stamp(file: str) -> list[int] | None:
    try:
        found = os.stat(file)  # noqa: PTH116 - of every start
    except OSError:
        return None
    return [found.st_ino, found.st_mtime_ns, found.st_size]


def _keepable(found: dict[str, Any]) -> bool:
    remotes = found.get("remote", {}).values()
    known = all(_PLAIN_OPTIONS.issuperset(one) and "@" not in str(one.get("url", "")) for one in remotes)
    return known and json.loads(json.dumps(found, default=str)) == found


def site_cache(dvc: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Path:
    """Where DVC keeps its state databases (dvc/repo/__init__.py, `_get_site_cache_dir`)."""
    env = os.environ if environ is None else environ
    own = dvc.get("core", {}).get("site_cache_dir")
    return Path(env.get("DVC_SITE_CACHE_DIR") or own or "/var/tmp/dvc")  # noqa: S108 - DVC's own default


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
        forge=_forge(values["forge"]) if values.get("forge", "git") != "git" else None,
        key=key_of(root, key) if key else None,
        internal=_table("internal", internal),
        tiers=_table("tiers", values.get("tiers", {})),
        retraction=_table("retraction", values.get("retraction", {})),
        jobs=_jobs(values.get("jobs", 64)),
        gc=_gc(root, values.get("gc", {})),
        agent=_agent(values["agent"]) if "agent" in values else None,
        lineage=_lineage(values["lineage"]) if "lineage" in values else None,
        notify=_notify(values["notify"]) if "notify" in values else None,
        mlflow=_mlflow(values["mlflow"]) if "mlflow" in values else None,
        jobs_given="jobs" in values,
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


def _agent(value: object) -> AgentForm:
    from placet.core.agentform import read_agent

    return read_agent(value)


def _lineage(value: object) -> LineageForm:
    from placet.core.lineageform import read_lineage

    return read_lineage(value)


def _notify(value: object) -> NotifyForm:
    from placet.core.notifyform import read_notify

    return read_notify(value)


def _forge(value: object) -> ForgeForm | None:
    from placet.core.forgeform import read_forge

    found = read_forge(value)
    return found if found.kind != "git" else None


def _mlflow(value: object) -> MlflowForm:
    from placet.core.mlflowform import read_mlflow

    return read_mlflow(value)


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


def secret(name: str) -> str | None:
    """A secret of the environment (PLACET_PASSPHRASE, PLACET_PIN), if it is set and not empty."""
    return os.environ.get(name) or None


def ask(prompt: str) -> str | None:
    """What a person types on the terminal, unseen; None where nobody sits there."""
    import getpass

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    return getpass.getpass(prompt)


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


def complete_policy(data: bytes) -> bytes:
    """A policy (YAML or JSON) with what `init --ctrl` adds: `repository` (random), `number`, `previous`."""
    lines = {"repository": f'"{os.urandom(16).hex()}"', "number": "0", "previous": "null"}
    with contextlib.suppress(ValueError, RecursionError):
        if isinstance(given := json.loads(data), dict):
            lacking = [f'"{key}": {value}, ' for key, value in lines.items() if key not in given]
            return data.replace(b"{", b"{" + "".join(lacking).encode(), 1)
    lacking = [
        f"{key}: {value}\n"
        for key, value in lines.items()
        if not re.search(rf"""(?m)^(["']?){key}\1\s*:""".encode(), data)
    ]
    return data.rstrip(b"\n") + b"\n" + "".join(lacking).encode() if lacking else data


TEMPLATE = """\
# Settings of this party; each can be overridden by PLACET_<NAME>. See docs/reference/settings.md.
node = "CHANGE-ME"                    # this node's name in the policy (or: person = "...")
ctrl = "git@example.org:ctrl.git"     # the Ctrl repository
trust_root = "sha256:CHANGE-ME"       # as `placet init --ctrl` printed it, by another way than the repository
key = "node.key"                      # as made by `placet keygen`
internal = "internal-storage"         # the DVC remote that is this node's internal tier
"""
