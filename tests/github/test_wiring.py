"""GitHub by the settings: an account or an App, for the API and for Git."""

import os
import stat
import subprocess
import time
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest

from github.scene import app_key, pem
from github.server import GitHubOnGit, serving
from placet import config
from placet.adapters import git_process
from placet.adapters.forge.github import GitHubForge
from placet.errors import Invalid, NotFound, PlacetError, Refused
from placet.wire import forge as forges
from placet.wire.data import SystemClock

APP = '[forge]\nkind = "github"\napp = 77\napp_key = "app.pem"\n'
TOKEN = '[forge]\nkind = "github"\ntoken = "forge.token"\n'


@pytest.fixture
def hub(tmp_path):
    made = GitHubOnGit(tmp_path / "ctrl.git")
    made.app_key = app_key().public_key()
    made.now = lambda: datetime.now(UTC)
    with serving(made) as made.pages:
        yield made


def secret(path, data, mode=0o600):
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, mode), "wb") as stream:
        stream.write(data)


def settings(folder, table, ctrl):
    (folder / "placet.toml").write_text(f'ctrl = "{ctrl}"\n{table}')
    return config.load_settings(folder, {"PLACET_HOME": str(folder / "home")})


def opened(folder, table, ctrl="https://github.com/clinic/ctrl.git"):
    with ExitStack() as stack:
        return forges.open_forge(settings(folder, table, ctrl), SystemClock(), stack)


@pytest.mark.parametrize(
    ("ctrl", "more", "base"),
    [
        ("https://github.com/clinic/ctrl.git", "", "https://api.github.com"),
        ("git@github.com:clinic/ctrl.git", 'name = "hub"\n', "https://api.github.com"),
        (
            "git@git.clinic.example:clinic/ctrl",
            'url = "https://git.clinic.example"\n',
            "https://git.clinic.example/api/v3",
        ),
    ],
)
def test_the_forge_of_the_settings(tmp_path, ctrl, more, base):
    secret(tmp_path / "forge.token", b"ghp_0123456789\n")
    found = opened(tmp_path, TOKEN + more, ctrl)
    assert isinstance(found, GitHubForge)
    assert (found._http._place.base, found._given) == (base, "clinic/ctrl")
    assert found.name == ("hub" if "name" in more else "github")


@pytest.mark.parametrize(
    ("table", "key", "mode", "error"),
    [
        (APP, None, 0o600, NotFound),
        (APP, pem(app_key()), 0o640, Refused),
        (APP, b"no key", 0o600, Invalid),
        (APP.replace('app_key = "app.pem"\n', ""), pem(app_key()), 0o600, Invalid),
        (APP + 'token = "forge.token"\n', pem(app_key()), 0o600, Invalid),
        ('[forge]\nkind = "github"\n', None, 0o600, Invalid),
    ],
)
def test_a_credential_that_cannot_be_used(tmp_path, table, key, mode, error):
    if key is not None:
        secret(tmp_path / "app.pem", key, mode)
    with pytest.raises(error) as caught:
        opened(tmp_path, table)
    assert "PRIVATE" not in str(caught.value.to_dict())


def ask_git(env, hub, folder):
    host = hub.pages.removeprefix("http://")
    done = subprocess.run(
        ["git", "credential", "fill"], input=f"protocol=http\nhost={host}\n", env=env, cwd=folder,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return dict(line.split("=", 1) for line in done.stdout.splitlines()), done.stderr


def test_git_gets_an_apps_token_and_a_new_one_in_time(tmp_path, hub):
    secret(tmp_path / "app.pem", pem(app_key()))
    found = settings(tmp_path, APP, f"{hub.pages}/clinic/ctrl.git")
    kept = {"PATH": os.defpath, "HOME": str(tmp_path), "PLACET_HOME": str(tmp_path / "home")}
    env = {**git_process.environment(kept), **forges.git_credential(found)}
    assert hub.app_tokens == {}
    first, _ = ask_git(env, hub, tmp_path)
    assert (first["username"], first["password"]) == ("x-access-token", "ghs_installation_0")
    [file] = (tmp_path / "home/forge").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert ask_git(env, hub, tmp_path)[0] == first
    past = time.time() - 46 * 60
    os.utime(file, (past, past))
    assert ask_git(env, hub, tmp_path)[0]["password"] == "ghs_installation_1"
    assert list(hub.app_tokens) == ["ghs_installation_0", "ghs_installation_1"]
    os.utime(file, (past, past))
    hub.app_key = None
    hub.instead.append(refused())
    given, said = ask_git(env, hub, tmp_path)
    assert "password" not in given
    assert "ghs_" not in said
    assert hub.mistakes == []


def refused():
    from github.fake import Reply

    return Reply(401, {"message": "A JSON web token could not be decoded"})


def test_only_an_app_has_a_token_to_renew(tmp_path):
    secret(tmp_path / "forge.token", b"ghp_0123456789\n")
    with pytest.raises(PlacetError) as caught:
        forges.renew_app_token(settings(tmp_path, TOKEN, "https://github.com/clinic/ctrl.git"), SystemClock())
    assert caught.value.kind == "settings"
