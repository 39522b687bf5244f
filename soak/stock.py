"""The other judges: stock `git` and stock `dvc`, as a researcher runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from soak.evidence import METAFILE
from soak.town import TIERS, Town


def pull(town: Town, sample: int, gone: dict[str, set[tuple[str, str]]]) -> int:
    """Clone each published branch, check out commits of it, pull all: complete, and clean. How many commits.

    `gone`: tier -> metafile and blob of what was taken back since, which nobody can pull any more.
    """
    done = 0
    for tier, bucket in TIERS.items():
        branch = "published" if tier == "publication-storage" else f"published-{tier}"
        clone = town.folder / f"clone-{bucket}"
        _run(town.folder, "git", "clone", "-q", "--branch", branch, str(town.ctrl), str(clone))
        access, secret = town.store.credentials("researcher")
        lines = [
            f"['remote \"{tier}\"']",
            f"    access_key_id = {access}",
            f"    secret_access_key = {secret}",
        ]
        (clone / ".dvc" / "config.local").write_text("\n".join(lines) + "\n")
        line = _run(clone, "git", "rev-list", "--first-parent", branch).split()
        chosen = {line[0], *town.random.sample(line[1:], min(sample - 1, len(line) - 1))}
        for commit in sorted(chosen):
            _run(clone, "git", "checkout", "-q", "--detach", commit)
            wanted = [path for path, blob in _metafiles(clone) if (path, blob) not in gone[tier]]
            if not wanted:
                continue
            _run(clone, str(Path(sys.executable).parent / "dvc"), "pull", "-q", "-r", tier, *wanted)
            _require_whole(clone, commit, wanted)
            done += 1
    return done


def _metafiles(clone: Path) -> list[tuple[str, str]]:
    rows = (row.split("\t") for row in _run(clone, "git", "ls-tree", "-r", "HEAD", "artifacts/").splitlines())
    return [(path, about.split()[2]) for about, path in rows if path.endswith(".dvc")]


def _require_whole(clone: Path, commit: str, wanted: list[str]) -> None:
    for file in (clone / path for path in wanted):
        match = METAFILE.fullmatch(file.read_text())
        assert match, file
        out = file.with_suffix("")
        found = [one for one in out.rglob("*") if one.is_file()] if out.is_dir() else [out]
        assert len(found) == int(match["files"] or 1), f"{out} of {commit[:8]} is not whole"
        assert sum(one.stat().st_size for one in found) == int(match["size"]), f"{out} of {commit[:8]}"
    assert not _run(clone, "git", "status", "--porcelain"), f"the clone of {commit[:8]} is not clean"


def _run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr[-800:]}"
    return done.stdout
