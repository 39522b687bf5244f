"""DVC's own configuration of a project, all four levels, read by DVC's own class."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from placet.errors import Invalid

log = logging.getLogger(__name__)

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
