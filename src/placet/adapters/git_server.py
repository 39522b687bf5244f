"""A server's bare repository: its settings, and the hook that judges every push."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from placet.adapters import git_process as process


def init_bare(path: Path, *, default_branch: str, max_input_bytes: int, environ: Mapping[str, str]) -> None:
    """A bare repository for the plain forge; idempotent. The hook is installed by `install_hook`."""
    env = process.environment(environ)
    process.check(
        process.run(["init", "-q", "--bare", "-b", default_branch, "--", str(path)], environ=env), "init"
    )
    settings = {
        "receive.fsckObjects": "true",
        "receive.denyNonFastForwards": "true",
        "receive.maxInputSize": str(max_input_bytes),
        "receive.advertiseAtomic": "true",
        "uploadpack.allowFilter": "true",
        "gc.auto": "0",
    }
    for key, value in settings.items():
        process.check(process.run(["config", key, value], environ=env, git_dir=path), "config")


def install_hook(path: Path, text: str) -> None:
    """Put the `pre-receive` hook in place, atomically."""
    hooks = path / "hooks"
    hooks.mkdir(exist_ok=True)
    fresh = hooks / f".pre-receive.{os.getpid()}"
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(0o755)
    fresh.replace(hooks / "pre-receive")
