"""The stage: data from a fixed seed, one SeaweedFS, a workspace a tool, each command a process."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from placet.testing.seaweed import Seaweed

BIN = Path(sys.executable).parent
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Spent:
    """What a command took: wall and CPU seconds, and the most memory one of its processes held, in MB."""

    wall: float
    cpu: float
    peak_mb: float

    def __str__(self) -> str:
        return f"{self.wall:8.2f} s  {self.cpu:8.2f} cpu-s  {self.peak_mb:6.0f} MB"

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.wall + other.wall, self.cpu + other.cpu, max(self.peak_mb, other.peak_mb))


def make_small(folder: Path, count: int, size: int) -> dict[str, str]:
    """`count` files of `size` random bytes in ten folders; path -> MD5."""
    rng, out = random.Random(count * size), {}
    for number in range(count):
        name = f"{number % 10}/{number:07d}.bin"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = rng.randbytes(size)
        path.write_bytes(data)
        out[name] = hashlib.md5(data).hexdigest()
    return out


def make_large(path: Path, size: int) -> str:
    """One file of random bytes; its MD5."""
    rng, md5 = random.Random(size), hashlib.md5()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        for _ in range(size // _CHUNK):
            data = rng.randbytes(_CHUNK)
            md5.update(data)
            out.write(data)
    return md5.hexdigest()


def md5_of(path: Path) -> str:
    """A file's MD5."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def md5s_of(folder: Path) -> dict[str, str]:
    """Path -> MD5 of all files below a folder."""
    files = (one for one in folder.rglob("*") if one.is_file())
    return {one.relative_to(folder).as_posix(): md5_of(one) for one in files}


class Spawner:
    """The process that runs what is measured; see `bench.spawn`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-E", str(Path(__file__).with_name("spawn.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Spent:
        """Run a command to its end and say what it took; dirty pages of earlier work are written out first.

        Raises:
            RuntimeError: it failed; with the end of what it said.
        """
        os.sync()
        log = cwd.parent / "last.log"
        words = [str(BIN / command[0]) if (BIN / command[0]).exists() else command[0], *command[1:]]
        task = {"command": words, "cwd": str(cwd), "env": dict(env), "log": str(log)}
        print(json.dumps(task), file=self._process.stdin, flush=True)
        found = json.loads(self._process.stdout.readline())
        if found.pop("code"):
            raise RuntimeError(f"{' '.join(command)} failed: {log.read_text()[-2000:]}")
        return Spent(**found)

    def close(self) -> None:
        """End it."""
        self._process.stdin.close()
        self._process.wait(timeout=60)


@dataclass(slots=True)
class Stage:
    """Where a benchmark happens; everything is below `root`, and nothing of the user's home is read."""

    root: Path
    server: Seaweed
    spawner: Spawner
    more: ExitStack = field(default_factory=ExitStack)
    buckets: set[str] = field(default_factory=set)
    _other: Stage | None = None

    def other(self) -> Stage:
        """The same with a server of its own, started at its first use."""
        if self._other is None:
            server = self.more.enter_context(Seaweed(self.root / "seaweed-2"))
            self._other = Stage(self.root, server, self.spawner)
        return self._other

    def environment(self, home: Path) -> dict[str, str]:
        """What a command sees; `home` holds its site cache and its configuration."""
        access, secret = self.server.credentials("admin")
        return {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(home),
            "DVC_SITE_CACHE_DIR": str(home / "site"),
            "DVC_NO_ANALYTICS": "1",
            "AWS_ACCESS_KEY_ID": access,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "GIT_AUTHOR_NAME": "bench", "GIT_AUTHOR_EMAIL": "bench@placet.invalid",
            "GIT_COMMITTER_NAME": "bench", "GIT_COMMITTER_EMAIL": "bench@placet.invalid",
            "LC_ALL": "C.UTF-8",
        }  # fmt: skip

    def bucket(self, name: str) -> str:
        """The bucket of a tool, made at its first use."""
        if name not in self.buckets:
            self.server.create_bucket(name)
            self.buckets.add(name)
        return name

    def stored(self, bucket: str, prefix: str) -> dict[str, int]:
        """Key below the prefix -> size, by a client that is neither tool's."""
        pages = self.server.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return {
            one["Key"].removeprefix(prefix): one["Size"] for page in pages for one in page.get("Contents", ())
        }

    def md5_stored(self, bucket: str, key: str) -> str:
        """The MD5 of an object, read whole."""
        body = self.server.client().get_object(Bucket=bucket, Key=key)["Body"]
        md5 = hashlib.md5()
        for chunk in iter(lambda: body.read(_CHUNK), b""):
            md5.update(chunk)
        return md5.hexdigest()


def git(cwd: Path, env: Mapping[str, str], *arguments: str) -> None:
    """Run Git; not timed."""
    subprocess.run(["git", *arguments], cwd=cwd, env=dict(env), check=True, capture_output=True)


def copy_tree(source: Path, target: Path) -> None:
    """A copy of data, not timed."""
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)
