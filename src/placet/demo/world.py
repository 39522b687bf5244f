"""The stage of the demo: object store, Git server, and parties with their own folders, keys, credentials."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from placet.testing.gitserver import GitServer
from placet.testing.seaweed import Identity, Seaweed

SITES = ("site-a", "site-b")
PUBLICATION = "publication"
_TIMEOUT_S = 300
_TOOLS = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Run:
    """A finished command: its exit code, its output, and the output as JSON if it is."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - JSON is any value
        """The output as the JSON object that it is."""
        return json.loads(self.out)


class Failed(Exception):
    """A step of the demo did not do what it must."""


@dataclass(slots=True)
class Party:
    """Somebody with a folder, a home, keys and credentials of their own; acts by processes only."""

    name: str
    folder: Path
    env: dict[str, str]
    public: str = ""

    def run(
        self, *argv: str, cwd: Path | None = None, expect: int | None = 0, env: dict[str, str] | None = None
    ) -> Run:
        """Run a command as this party.

        Raises:
            Failed: it ended with another exit code than `expect` (None: any will do).
        """
        began = time.monotonic()
        done = subprocess.run(
            argv,
            cwd=cwd or self.folder,
            env={**self.env, **(env or {})},
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        result = Run(argv, done.returncode, done.stdout, done.stderr)
        with (self.folder.parent / "commands.log").open("a") as log:
            shown = " ".join((Path(argv[0]).name, *argv[1:]))
            log.write(
                f"{time.monotonic() - began:6.2f} s  exit {done.returncode:<3} {self.name:<13} {shown}\n"
            )
        if expect is not None and result.code != expect:
            raise Failed(
                f"{self.name}: `{' '.join(argv)}` ended with {result.code}, not {expect}:\n"
                f"{result.out[-2000:]}\n{result.err[-2000:]}"
            )
        return result

    def kill(self, *argv: str, says: str) -> None:
        """Run a command as this party until it says this, then `kill -9` it.

        Raises:
            Failed: it ended before.
        """
        with subprocess.Popen(
            argv, cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        ) as started:
            try:
                said = started.stdout.readline().strip() if started.stdout else ""
            finally:
                started.kill()
        if said != says or started.returncode != -signal.SIGKILL:
            raise Failed(f"{self.name}: `{' '.join(argv)}` ended by itself, with {started.returncode}")

    def placet(
        self, *argv: str, cwd: Path | None = None, expect: int | None = 0, env: dict[str, str] | None = None
    ) -> Run:
        """Run `placet ... --json` as this party."""
        return self.run(str(_TOOLS / "placet"), *argv, "--json", cwd=cwd, expect=expect, env=env)

    def git(self, *argv: str, cwd: Path | None = None, expect: int | None = 0) -> Run:
        """Run stock Git as this party."""
        return self.run("git", *argv, cwd=cwd, expect=expect)

    def dvc(self, *argv: str, cwd: Path | None = None, expect: int | None = 0) -> Run:
        """Run stock DVC as this party."""
        return self.run(str(_TOOLS / "dvc"), *argv, cwd=cwd, expect=expect)


@dataclass(slots=True)
class World:
    """Everything that runs, and everybody who takes part."""

    root: Path
    store: Seaweed
    server: GitServer
    parties: dict[str, Party]
    trust_root: str = ""
    _stack: ExitStack = field(default_factory=ExitStack)

    @classmethod
    def start(cls, root: Path) -> Self:
        """Start the servers in an empty folder; nothing is left running if that fails."""
        with ExitStack() as stack:
            store = stack.enter_context(Seaweed(root / "store", identities=_identities()))
            (root / "ctrl").mkdir()
            server = stack.enter_context(GitServer(root / "ctrl"))
            names = ("dana", "alice", "bob", "researcher", *SITES, *(f"{one}-agent" for one in SITES))
            parties = {name: _party(root, name) for name in names}
            world = cls(root, store, server, parties)
            world._buckets()
            world._stack = stack.pop_all()
            return world

    def __enter__(self) -> Self:
        """The running world."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the servers."""
        self.close()

    def __getitem__(self, name: str) -> Party:
        """A party by name."""
        return self.parties[name]

    def close(self) -> None:
        """End the servers; may be called twice."""
        self._stack.close()

    @property
    def ctrl_path(self) -> Path:
        """Where the Ctrl repository is on the server."""
        return self.root / "ctrl" / "ctrl.git"

    @property
    def ctrl_url(self) -> str:
        """Where everybody reaches the Ctrl repository."""
        return self.server.url("ctrl.git")

    def remote(self, bucket: str, identity: str) -> dict[str, str]:
        """A DVC remote: a bucket with somebody's credentials."""
        access, secret = self.store.credentials(identity)
        return {
            "url": f"s3://{bucket}/dvc",
            "endpointurl": self.store.endpoint,
            "access_key_id": access,
            "secret_access_key": secret,
        }

    def project(self, party: Party, folder: Path, remotes: dict[str, dict[str, str]], *, git: bool) -> None:
        """Make a DVC project with these remotes; credentials go to `config.local`, which Git ignores."""
        folder.mkdir(parents=True, exist_ok=True)
        if git:
            party.git("init", "-q", "-b", "main", cwd=folder)
        party.dvc("init", "-q", *([] if git else ["--no-scm"]), cwd=folder)
        public, local = ["[core]", "    analytics = false"], []
        for name, remote in remotes.items():
            section = f"['remote \"{name}\"']"
            public += [section, *(f"    {key} = {remote[key]}" for key in ("url", "endpointurl"))]
            local += [
                section,
                *(f"    {key} = {remote[key]}" for key in ("access_key_id", "secret_access_key")),
            ]
        (folder / ".dvc" / "config").write_text("\n".join(public) + "\n")
        (folder / ".dvc" / "config.local").write_text("\n".join(local) + "\n")

    def settings(self, folder: Path, lines: Sequence[str]) -> None:
        """Write a party's `placet.toml`."""
        pinned = [f'ctrl = "{self.ctrl_url}"', f'trust_root = "sha256:{self.trust_root}"']
        (folder / "placet.toml").write_text("\n".join([*lines[:1], *pinned, *lines[1:]]) + "\n")

    def _buckets(self) -> None:
        for site in SITES:
            self.store.create_bucket(f"internal-{site}")
        self.store.create_bucket(PUBLICATION, versioned=True)
        self.store.deny(
            PUBLICATION, [one for one in _identities() if one != "admin"], hide_versions=["researcher"]
        )


def _identities() -> dict[str, Identity]:
    out = {
        "alice": Identity(actions=("Read:internal-site-a", "List:internal-site-a")),
        "bob": Identity(actions=("Read:internal-site-b", "List:internal-site-b")),
        "researcher": Identity(actions=(f"Read:{PUBLICATION}", f"List:{PUBLICATION}")),
    }
    for site in SITES:
        bucket = f"internal-{site}"
        reads = (f"Read:{bucket}", f"List:{bucket}")
        out[f"{site}-job"] = Identity(actions=(*reads, f"Write:{bucket}"))
        out[f"{site}-promoter"] = Identity(
            actions=(*reads, f"Read:{PUBLICATION}", f"List:{PUBLICATION}", f"Write:{PUBLICATION}")
        )
    return out


def _party(root: Path, name: str) -> Party:
    folder = root / name
    home = folder / "home"
    home.mkdir(parents=True)
    (home / ".gitconfig").write_text(
        f"[user]\n    name = {name}\n    email = {name}@demo.invalid\n[init]\n    defaultBranch = main\n"
        "[advice]\n    detachedHead = false\n"
    )
    env = {
        key: os.environ[key]
        for key in ("PATH", "LANG", "TMPDIR", "COVERAGE_PROCESS_START")
        if key in os.environ
    }
    env["PATH"] = f"{_TOOLS}{os.pathsep}{env.get('PATH', os.defpath)}"
    env |= {
        "HOME": str(home),
        "PLACET_HOME": str(home / "placet"),
        "DVC_SITE_CACHE_DIR": str(home / "dvc-site"),
        "DVC_GLOBAL_CONFIG_DIR": str(home / "dvc-global"),
        "DVC_SYSTEM_CONFIG_DIR": str(home / "dvc-system"),
        "DVC_NO_ANALYTICS": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
        "PYTHONWARNINGS": "ignore",
    }
    return Party(name, folder, env)


def fresh_folder(folder: Path) -> Path:
    """An empty folder of this name.

    Raises:
        Failed: it exists and is not a demo's.
    """
    if folder.exists():
        if any(folder.iterdir()) and not (folder / ".placet-demo").exists():
            raise Failed(f"{folder} exists and is not empty.")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / ".placet-demo").touch()
    return folder
