"""Stock Git and DVC on a project of their own, and a store over a DVC local-path remote."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forkserver import ForkServer
from placet.adapters.objects.local import LocalStore
from placet.adapters.state import StateDb, dvc_hashes
from placet.core.digest import Digests
from placet.engine.workspace import Workspace
from placet.ports import Fan, ObjectInfo

_ROOT = Path(__file__).parents[2]
VERSIONS = {"dvc": Path(sys.executable), "dvc-old": _ROOT / ".venv-dvc-old" / "bin" / "python"}
_OF_DVC = (
    "dvc.cli.parser dvc.repo.artifacts dvc.repo.brancher dvc.repo.datasets dvc.repo.index dvc.repo.metrics"
    " dvc.repo.open_repo dvc.repo.params dvc.repo.plots dvc.repo.stage dvc.repo.trie dvc.repo.worktree"
    " dvc.repo.graph dvc.repo.imp dvc.repo.reproduce dvc.stage.run dvc.cachemgr dvc.data_cloud dvc.dirs"
    " dvc.lock dvc.rwlock dvc.analytics dvc.utils.strictyaml dvc._debug dvc_data.index.checkout"
    " dvc_data.index.push dvc_data.index.fetch dvc_data.hashfile.db.index dvc_data.hashfile.db.local"
    " dvc_data.hashfile.status dvc_data.hashfile.gc dvc_data.hashfile._progress dvc_s3 s3fs"
    " aiobotocore.session botocore.signers scmrepo.git scmrepo.noscm dulwich.ignore dulwich.index"
    " dulwich.worktree fsspec.implementations.memory networkx rich.status platformdirs flufl.lock"
    " zc.lockfile psutil configobj flatten_dict ruamel.yaml.mergevalue"
)
_OF_PLACET = (
    "placet.cli.app placet.cli.data placet.dataplane placet.engine.push placet.engine.fetch"
    " placet.engine.checkout placet.engine.status placet.engine.track placet.adapters.git_worktree"
    " placet.adapters.objects.open placet.adapters.objects.s3 dvc.config diskcache pathspec"
    " ruamel.yaml zc.lockfile"
)
_servers: dict[str, ForkServer] = {}


def server(program: str) -> ForkServer:
    """What starts `placet`, `dvc`, or `dvc-old`: DVC as it was a year before."""
    if program not in _servers:
        python = VERSIONS.get(program, Path(sys.executable))
        assert python.exists(), f"there is no {python}: `make dvc-old` installs it"
        entry, modules = ("placet.cli:main", _OF_PLACET) if program == "placet" else ("dvc.cli:main", _OF_DVC)
        _servers[program] = ForkServer(python, entry, modules.split())
    return _servers[program]


def close_servers() -> None:
    while _servers:
        _servers.popitem()[1].close()


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
    """A Git repository with a DVC project and a local remote `internal-storage`, driven by real commands.

    `stock` is the version of DVC: a key of `VERSIONS`.
    """

    root: Path
    env: dict[str, str]
    stock: str = "dvc"

    def start(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run `dvc`, `placet` or another program to its end, whatever it ends with."""
        program, arguments = command[0], command[1:]
        if program in {"dvc", "placet"}:
            started = server(self.stock if program == "dvc" else program)
            return started.run(arguments, self.root, self.env)
        return subprocess.run(
            command, cwd=self.root, env=self.env, text=True, capture_output=True, check=False
        )

    def run(self, *command: str, ok: bool = True) -> str:
        """Output and errors of a command, which must succeed unless `ok` is false."""
        done = self.start(*command)
        said = done.stdout + done.stderr
        assert not ok or done.returncode == 0, f"{command} ended with {done.returncode}:\n{said}"
        return said

    def dvc(self, *command: str, ok: bool = True) -> str:
        return self.run("dvc", *command, ok=ok)

    def placet(self, *command: str, ok: bool = True) -> str:
        return self.run("placet", *command, ok=ok)

    def git(self, *command: str) -> str:
        return self.run("git", *command)

    def commit(self) -> None:
        """Commit every metafile, ignore file and DVC's configuration."""
        self.git("add", "-A")
        self.git("commit", "-qm", "step")

    def clone(self, name: str) -> Project:
        """Another workspace of this project, with a cache of its own; `git pull` gets what is committed here."""
        root = self.root.parent / name
        self.git("clone", "-q", str(self.root), str(root))
        other = Project(root, self.env, self.stock)
        local = self.root / ".dvc" / "config.local"
        if local.exists():
            (root / ".dvc" / "config.local").write_bytes(local.read_bytes())
        for key in ("email", "name"):
            other.git("config", f"user.{key}", "t@placet.invalid")
        return other

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


class S3Remote:
    """The remote `internal-storage` of a project, moved to a prefix of a bucket; `seaweed` as in tests/conftest."""

    def __init__(self, project: Project, seaweed: Any) -> None:
        options = seaweed.remote("source")
        self._client = seaweed.server.client()
        self._bucket, _, self._prefix = options["url"].removeprefix("s3://").partition("/")
        for name, value in options.items():
            local = [] if name == "url" else ["--local"]
            project.dvc("remote", "modify", "-q", *local, "internal-storage", name, value)

    def objects(self) -> dict[str, bytes]:
        """Key -> bytes of DVC's objects there."""
        got = {key: self._client.get_object(Bucket=self._bucket, Key=self._full(key)) for key in self.sizes()}
        return {key: one["Body"].read() for key, one in got.items()}

    def sizes(self) -> dict[str, int]:
        """Key -> size of DVC's objects there."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._full("files/")
        )
        found = [one for page in pages for one in page.get("Contents", ())]
        return {one["Key"].removeprefix(self._full("")): one["Size"] for one in found}

    def delete(self, key: str) -> None:
        """Remove one object behind everybody's back."""
        self._client.delete_object(Bucket=self._bucket, Key=self._full(key))

    def _full(self, key: str) -> str:
        return f"{self._prefix}/{key}"


class LocalRemote:
    """The same for the folder that every project has as its remote."""

    def __init__(self, project: Project) -> None:
        self._root = project.remote

    def objects(self) -> dict[str, bytes]:
        """Key -> bytes of DVC's objects there."""
        files = (path for path in (self._root / "files").rglob("*") if path.is_file())
        return {path.relative_to(self._root).as_posix(): path.read_bytes() for path in files}

    def delete(self, key: str) -> None:
        """Remove one object behind everybody's back."""
        (self._root / key).unlink()


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
