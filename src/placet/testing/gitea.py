"""Gitea itself, on a free loopback port, with its data in a folder: API and Git over HTTP, no pages.

    python -m placet.testing.gitea        (some minutes, once; needs Go 1.26 and a C compiler)

builds it from the Go module proxy and keeps it in the user's cache folder. A `gitea` on the path is not used:
its templates may be elsewhere.
"""

from __future__ import annotations

import getpass
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import platformdirs

from placet.testing.gitserver import free_port

VERSION = os.environ.get("PLACET_GITEA_VERSION", "v1.26.4")
"""Of the Go module: `PLACET_GITEA_VERSION=v1.27.3 make test-gitea` tries another one."""

_MODULE = "code.gitea.io/gitea"
_TAGS = "sqlite sqlite_unlock_notify"
_READY_S = 90.0
_SCOPES = ("write:repository", "write:issue", "read:user")
_SETTINGS = """\
RUN_MODE = prod
RUN_USER = {user}
WORK_PATH = {folder}/work
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {port}
ROOT_URL = http://127.0.0.1:{port}/
STATIC_ROOT_PATH = {source}
DISABLE_SSH = true
OFFLINE_MODE = true
[database]
DB_TYPE = sqlite3
PATH = {folder}/gitea.db
[security]
INSTALL_LOCK = true
PASSWORD_HASH_ALGO = pbkdf2$1000$50
[service]
DISABLE_REGISTRATION = true
[repository]
DEFAULT_BRANCH = main
[indexer]
ISSUE_INDEXER_TYPE = db
[session]
PROVIDER = memory
[cron]
ENABLED = false
[webhook]
ALLOWED_HOST_LIST = loopback
[log]
MODE = file
LEVEL = Warn
"""


def home() -> Path:
    """Where the program is kept."""
    return Path(platformdirs.user_cache_dir("placet")) / f"gitea-{VERSION}"


def lacking() -> str:
    """Why it cannot be started here, or nothing."""
    if (home() / "gitea").is_file():
        return ""
    return "Gitea was not built here: python -m placet.testing.gitea (needs Go)"


def build() -> Path:
    """Build it, if that was not done before; returns the program.

    Raises:
        RuntimeError: there is no Go, or it failed.
    """
    program = home() / "gitea"
    if program.is_file():
        return program
    if shutil.which("go") is None:
        raise RuntimeError("There is no Go on the path, so Gitea cannot be built.")
    said = _go("mod", "download", "-json", f"{_MODULE}@{VERSION}", cwd=None)
    home().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home().parent) as folder:
        made = Path(folder) / "made"
        shutil.copytree(json.loads(said)["Dir"], made)
        for one in (made, *made.rglob("*")):
            one.chmod(one.stat().st_mode | 0o200)
        version = f"-X main.Version={VERSION.removeprefix('v')} -s -w"
        _go("build", "-tags", _TAGS, "-ldflags", version, "-o", "gitea", ".", cwd=made)
        shutil.rmtree(home(), ignore_errors=True)
        made.rename(home())
    return program


def _go(*argv: str, cwd: Path | None) -> str:
    done = subprocess.run(["go", *argv], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"go {argv[0]} failed: {done.stderr[-2000:]}")
    return done.stdout


class Gitea:
    """A server; `root` is its administrator."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._passwords: dict[str, str] = {}
        self._tokens: dict[str, str] = {}
        self._clients: dict[str, httpx.Client] = {}
        self.url = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        """Start, wait until it answers, make the administrator."""
        self._folder.mkdir(parents=True, exist_ok=True)
        text = _SETTINGS.format(user=getpass.getuser(), folder=self._folder, port=self._port, source=home())
        (self._folder / "app.ini").write_text(text)
        self._command("migrate")
        self._start()
        try:
            self._wait()
            made = self._command(
                "admin", "user", "create", "--admin", "--username", "root", "--email", "root@placet.invalid",
                "--password", self._password("root"), "--must-change-password=false",
            )  # fmt: skip
            assert "root" in made
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.stop()

    def stop(self) -> None:
        """End it and its children; may be called twice."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        self.halt()

    def halt(self) -> None:
        """As a forge that goes down; `resume` starts it again with all that it had."""
        process, self._process = self._process, None
        if process is not None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def resume(self) -> None:
        """Start it again."""
        self._start()
        self._wait()

    def version(self) -> str:
        """What it says of itself."""
        with httpx.Client(trust_env=False) as client:
            return str(client.get(f"{self.url}/api/v1/version").json()["version"])

    def account(self, login: str, scopes: Sequence[str] = _SCOPES) -> int:
        """Somebody's id; made at the first use, with a token of these scopes."""
        if login not in self._passwords:
            made = {"username": login, "email": f"{secrets.token_hex(6)}@placet.invalid"}
            made |= {"password": self._password(login)}
            self.call("root", "POST", "admin/users", {**made, "must_change_password": False})
            self.token(login, scopes)
        return int(self.call(login, "GET", "user")["id"])

    def rename(self, login: str, fresh: str) -> None:
        """Give somebody another login; their token stays valid."""
        self.call("root", "POST", f"admin/users/{login}/rename", {"new_username": fresh})
        self._passwords[fresh] = self._passwords.pop(login)
        self._tokens[fresh] = self._tokens.pop(login)
        self._clients[fresh] = self._clients.pop(login)

    def token(self, login: str, scopes: Sequence[str] = _SCOPES) -> str:
        """An access token of somebody, the same each time."""
        if login not in self._tokens:
            everything = ["all"] if login == "root" else list(scopes)
            with httpx.Client(trust_env=False, auth=(login, self._password(login))) as client:
                path = f"{self.url}/api/v1/users/{login}/tokens"
                made = client.post(path, json={"name": "placet", "scopes": everything})
            assert made.status_code == httpx.codes.CREATED, made.text
            self._tokens[login] = made.json()["sha1"]
        return self._tokens[login]

    def call(self, login: str, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        """A request to the API as somebody; what it answers.

        Raises:
            AssertionError: the answer is an error.
        """
        if login not in self._clients:
            headers = {"authorization": f"token {self.token(login)}"}
            self._clients[login] = httpx.Client(headers=headers, trust_env=False, timeout=60)
        found = self._clients[login].request(method, f"{self.url}/api/v1/{path}", json=body)
        assert found.is_success, f"{method} {path}: {found.status_code} {found.text[:500]}"
        return found.json() if found.content else None

    def _password(self, login: str) -> str:
        return self._passwords.setdefault(login, f"A1-{secrets.token_hex(12)}")

    def _command(self, *argv: str) -> str:
        done = subprocess.run(
            [home() / "gitea", *argv, "--config", self._folder / "app.ini"],
            cwd=self._folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"gitea {argv[0]} failed: {done.stdout[-1000:]} {done.stderr[-1000:]}")
        return done.stdout

    def _environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "GITEA_"))}
        return {**kept, "HOME": str(self._folder)}

    def _start(self) -> None:
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [home() / "gitea", "web", "--config", self._folder / "app.ini"],
                cwd=self._folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _wait(self) -> None:
        deadline = time.monotonic() + _READY_S
        while True:
            if self._process is None or self._process.poll() is not None:
                said = (self._folder / "server.log").read_text(errors="replace")
                raise RuntimeError(f"Gitea ended: {said[-1500:]}")
            try:
                self.version()
                return
            except (httpx.HTTPError, ValueError, KeyError) as error:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"Gitea did not answer in {_READY_S:.0f} s") from error
            time.sleep(0.1)


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{build()}\n")
    except RuntimeError as problem:
        sys.exit(str(problem))
