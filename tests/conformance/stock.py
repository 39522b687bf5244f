"""Stock Git and DVC on a project of their own, and a store over a DVC local-path remote."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from placet.adapters.objects.local import LocalStore
from placet.adapters.state import StateDb, dvc_hashes
from placet.core.digest import Digests
from placet.engine.workspace import Workspace
from placet.ports import Fan, ObjectInfo


class Quiet:
    """A `Progress` that only counts."""

    def __init__(self) -> None:
        self.objects = 0

    def start(self, phase: str, objects: int | None = None, size: int | None = None) -> Quiet:
        return self

    def advance(self, objects: int = 0, size: int = 0) -> None:
        self.objects += objects

    def done(self) -> None:
        pass


@dataclass
class Project:
    """A Git repository with a DVC project and a local remote `internal-storage`, driven by stock tools."""

    root: Path
    env: dict[str, str]

    def run(self, *command: str, ok: bool = True) -> str:
        program = str(Path(sys.executable).parent / "dvc") if command[0] == "dvc" else command[0]
        done = subprocess.run(
            [program, *command[1:]], cwd=self.root, env=self.env, text=True, capture_output=True, check=False
        )
        assert not ok or done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def dvc(self, *command: str, ok: bool = True) -> str:
        return self.run("dvc", *command, ok=ok)

    def git(self, *command: str) -> str:
        return self.run("git", *command)

    @property
    def remote(self) -> Path:
        return self.root.parent / f"{self.root.name}-remote"

    @property
    def hashes(self) -> Path:
        return dvc_hashes(Path(self.env["DVC_SITE_CACHE_DIR"]), self.root, self.root / ".dvc" / "tmp")

    def workspace(self, *types: str) -> Workspace:
        def tracks(path: Path) -> bool:
            return bool(self.git("ls-files", "--", str(path)))

        return Workspace(
            root=self.root,
            dvc_dir=self.root / ".dvc",
            cache=self.root / ".dvc" / "cache",
            link_types=types or ("reflink", "copy"),
            git_tracks=tracks,
        )

    def state(self) -> StateDb:
        return StateDb(self.root / ".dvc" / "tmp" / "placet" / "state.db", self.hashes)


def fill(folder: Path) -> None:
    """A tree of everything that DVC treats in a way of its own."""
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "empty-folder").mkdir()
    (folder / "b.csv").write_text("a,b\n1,2\n")
    (folder / "a empty").touch()
    (folder / "sub" / "é ü.bin").write_bytes(bytes(range(256)) * 5000)
    (folder / "sub" / "deep" / "\U0001d518.txt").write_text("x\r\ny\r\n")
    (folder / "sub" / "same.csv").write_text("a,b\n1,2\n")
    tool = folder / "tool.sh"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    (folder / "link.csv").symlink_to("b.csv")


class FolderStore(LocalStore):
    """Counts its calls in `calls`, so that tests can tell what was asked."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.calls: list[tuple[str, str]] = []

    def head(self, key: str) -> ObjectInfo | None:
        self.calls.append(("head", key))
        return super().head(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self.calls.append(("list", prefix))
        return super().list(prefix)

    def get(self, key: str, *, version: str | None = None, fan: Fan = map) -> Iterator[bytes]:
        self.calls.append(("get", key))
        return super().get(key, version=version, fan=fan)

    def put(
        self, key: str, chunks: Iterable[bytes], want: Digests, *, overwrite: bool = False, fan: Fan = map
    ) -> bool:
        self.calls.append(("put", key))
        return super().put(key, chunks, want, overwrite=overwrite, fan=fan)
