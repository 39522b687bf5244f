"""A DVC project of its own, made by hand (starting stock DVC takes a second), and the real program on it."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from placet.core import layout
from placet.core.digest import digest
from placet.core.dvcfile import read_metafile

PLACET = str(Path(sys.executable).parent / "placet")
LIMIT_S = 120


@dataclass
class Run:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out)


@dataclass
class Lab:
    root: Path
    bucket: Any = None
    prefix: str = ""
    remotes: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.root / ".dvc").mkdir(parents=True)
        self.home = self.root.parent
        self.configure()

    def add_remote(self, name: str, options: dict[str, str]) -> None:
        self.remotes[name] = options
        self.configure()

    def configure(self, **cache: str) -> None:
        lines = [
            "[core]",
            "    remote = main",
            "[cache]",
            *(f"    {key} = {one}" for key, one in cache.items()),
        ]
        for name, options in self.remotes.items():
            lines += [f"['remote \"{name}\"']", *(f"    {key} = {one}" for key, one in options.items())]
        (self.root / ".dvc" / "config").write_text("\n".join(lines) + "\n")

    @property
    def env(self) -> dict[str, str]:
        kept = {
            key: one for key, one in os.environ.items() if not key.startswith(("DVC_", "AWS_", "PLACET_"))
        }
        return kept | {
            "HOME": str(self.home),
            "DVC_SITE_CACHE_DIR": str(self.home / "site"),
            "DVC_GLOBAL_CONFIG_DIR": str(self.home / "global"),
            "DVC_SYSTEM_CONFIG_DIR": str(self.home / "system"),
        }

    def start(self, *argv: str, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*options.pop("before", ()), PLACET, *argv], cwd=self.root, env=self.env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
        )  # fmt: skip

    def end(self, process: subprocess.Popen[str]) -> Run:
        try:
            out, err = process.communicate(timeout=LIMIT_S)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        return Run(process.returncode, out, err)

    def placet(
        self,
        *argv: str,
        code: int = 0,
        limits: dict[int, int] | None = None,
        before: Sequence[str] = (),
    ) -> Run:
        """Run it with `--json`; the exit code must be this one, and no traceback may be seen."""

        def limit() -> None:
            for what, most in (limits or {}).items():
                resource.setrlimit(what, (most, most))

        run = self.end(self.start(*argv, "--json", preexec_fn=limit if limits else None, before=before))
        assert run.code == code, (run.code, run.out, run.err)
        assert "Traceback" not in run.err + run.out
        return run

    def fails(self, *argv: str, code: int, kind: str, words: str = "", **options: Any) -> dict[str, Any]:
        """The error as an object; a person sees it without a traceback, too."""
        error = self.placet(*argv, code=code, **options).json
        assert (error["kind"], error["exit_code"]) == (kind, code), error
        assert error["what"].endswith(".")
        assert words in f"{error['what']} {error['why']} {error['mend']}", error
        return error

    def fill(self, name: str = "data", files: int = 12, size: int = 1000) -> dict[str, bytes]:
        """A directory of files of random bytes, by name; sizes differ."""
        folder = self.root / name
        made = {}
        for number in range(files):
            path = folder / f"part{number % 3}" / f"file{number}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(size + number))
            made[path.relative_to(folder).as_posix()] = path.read_bytes()
        return made

    def tree(self, name: str = "data") -> dict[str, bytes]:
        folder = self.root / name
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    @property
    def cache(self) -> Path:
        return self.root / ".dvc" / "cache"

    def forget(self, *names: str, workspace: bool = True) -> None:
        """As a fresh clone: no cache, no state, no data."""
        shutil.rmtree(self.cache, ignore_errors=True)
        shutil.rmtree(self.root / ".dvc" / "tmp", ignore_errors=True)
        for name in names if workspace else ():
            path = self.root / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def out_key(self, name: str) -> str:
        return read_metafile((self.root / f"{name}.dvc").read_bytes()).outs[0].key

    def remote_path(self, name: str, key: str) -> Path:
        return Path(self.remotes[name]["url"]) / key

    def require_sound(self) -> None:
        """Whatever stands under a content address is what its name says: in the cache and in local remotes."""
        folders = [
            self.cache,
            *(Path(one["url"]) for one in self.remotes.values() if "://" not in one["url"]),
        ]
        for folder in folders:
            objects = (path for path in folder.glob("files/md5/??/*") if not path.name.endswith(".tmp"))
            for path in objects:
                name = path.parent.name + path.name
                assert digest(path.read_bytes()).md5 == name.removesuffix(".dir"), path

    def require_remote_sound(self, remote: str = "main") -> dict[str, int]:
        """The same for a remote in SeaweedFS, looked at behind Placet's back; DVC's keys -> size."""
        found = {}
        prefix = f"{self.prefix}/{remote}/"
        pages = self.bucket.get_paginator("list_objects_v2").paginate(Bucket="target", Prefix=prefix)
        for one in (one for page in pages for one in page.get("Contents", [])):
            key = one["Key"].removeprefix(prefix)
            if key.startswith("files/md5/"):
                body = self.bucket.get_object(Bucket="target", Key=one["Key"])["Body"].read()
                assert digest(body).md5 == key.removeprefix("files/md5/").replace("/", "").removesuffix(
                    ".dir"
                )
                found[key] = one["Size"]
        return found

    def uploads(self) -> list[dict[str, Any]]:
        """Unfinished multipart uploads of this lab."""
        listed = self.bucket.list_multipart_uploads(Bucket="target", Prefix=f"{self.prefix}/")
        return list(listed.get("Uploads", []))


def interrupt(process: subprocess.Popen[str], number: int = signal.SIGINT) -> Callable[[object], None]:
    """What the proxy calls to send a signal."""

    def send(_: object) -> None:
        process.send_signal(number)

    return send


def spoil(path: Path) -> None:
    """Change one bit as a disk would: size, mode and time stay."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(before.st_mode & 0o777)


def md5_key(data: bytes) -> str:
    return layout.data_key(digest(data).md5)
