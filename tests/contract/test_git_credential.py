"""A forge's token for Git and for the API: from its file, for its origin, and nobody else sees it."""

import os
import subprocess
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from placet import config
from placet.adapters import git_process
from placet.adapters.forge.gitea import GiteaForge
from placet.adapters.forge.plain import PlainForge
from placet.errors import Invalid, NotFound, PlacetError, Refused
from placet.wire import forge as forges
from placet.wire.data import SystemClock

ORIGIN = "https://git.example.org"


@pytest.fixture
def token(tmp_path):
    folder = tmp_path / 'it\'s a $(touch x) "folder"'
    folder.mkdir()
    return secret(folder / "forge.token", "tok3n-0123456789\n")


def secret(path, text, mode=0o600):
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, mode), "w") as stream:
        stream.write(text)
    return path


def ask(env, verb, host, tmp_path, **more):
    said = "".join(f"{key}={one}\n" for key, one in {"protocol": "https", "host": host, **more}.items())
    done = subprocess.run(
        ["git", "credential", verb],
        input=said,
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines()) if done.returncode == 0 else None


@pytest.fixture
def env(tmp_path, token):
    """With a helper of the user's own that tells what it is asked and told."""
    own = tmp_path / "own"
    (tmp_path / "config").write_text(
        f'[credential]\n\thelper = "!f() {{ echo $1 >> {own}; cat >> {own}; }}; f"\n'
    )
    known = {"PATH": os.defpath, "HOME": str(tmp_path), "GIT_CONFIG_GLOBAL": str(tmp_path / "config")}
    return {**git_process.environment(known), **git_process.credential(ORIGIN, token)}


def test_git_gets_the_token_of_a_file_for_one_origin(tmp_path, env):
    found = ask(env, "fill", "git.example.org", tmp_path)
    assert (found["username"], found["password"]) == ("x-access-token", "tok3n-0123456789")
    ask(env, "approve", "git.example.org", tmp_path, username="x-access-token", password="tok3n-0123456789")
    assert not (tmp_path / "own").exists(), "no other helper is asked, or told to keep it"
    assert ask(env, "fill", "evil.example.org", tmp_path) is None
    assert "tok3n" not in (tmp_path / "own").read_text()
    assert not (tmp_path / "x").exists()
    assert all("tok3n" not in one for one in env.values())


def settings(folder, text, ctrl=f"{ORIGIN}/study/ctrl.git"):
    (folder / "placet.toml").write_text(f'ctrl = "{ctrl}"\n{text}')
    return config.load_settings(folder, {"PLACET_HOME": str(folder)})


TABLE = '[forge]\nkind = "gitea"\ntoken = "forge.token"\n'


@pytest.mark.parametrize(
    ("ctrl", "more", "given"),
    [
        (f"{ORIGIN}/study/ctrl.git", "", True),
        ("https://me@git.example.org/study/ctrl.git", "", True),
        ("git@git.example.org:study/ctrl.git", f'url = "{ORIGIN}"\n', False),
        ("https://mirror.example.org/study/ctrl.git", f'url = "{ORIGIN}"\n', False),
        ("/srv/git/ctrl.git", f'url = "{ORIGIN}"\nrepository = "a/b"\n', False),
    ],
)
def test_git_gets_it_only_where_the_repository_is_on_the_forge(tmp_path, ctrl, more, given):
    secret(tmp_path / "forge.token", "tok3n\n")
    found = forges.git_credential(settings(tmp_path, TABLE + more, ctrl))
    assert bool(found) == given
    if given:
        assert found["GIT_CONFIG_KEY_0"] == f"credential.{ORIGIN}.helper"


@pytest.mark.parametrize(
    ("text", "mode", "error"),
    [(None, 0o600, NotFound), ("tok3n", 0o644, Refused), ("two words", 0o600, Invalid), ("", 0o600, Invalid),
     ("a\nb", 0o600, Invalid), ("tök3n", 0o600, Invalid)],
)  # fmt: skip
def test_a_token_that_cannot_be_used(tmp_path, text, mode, error):
    if text is not None:
        secret(tmp_path / "forge.token", text, mode)
    with ExitStack() as stack, pytest.raises(error) as caught:
        forges.open_forge(settings(tmp_path, TABLE), SystemClock(), stack)
    assert text is None or not text.strip() or text.strip() not in str(caught.value)


def test_the_forge_of_the_settings(tmp_path, monkeypatch):
    secret(tmp_path / "forge.token", "tok3n-0123456789\n")
    with ExitStack() as stack:
        assert isinstance(forges.open_forge(settings(tmp_path, ""), SystemClock(), stack), PlainForge)
        found = forges.open_forge(settings(tmp_path, TABLE + 'name = "ours"\n'), SystemClock(), stack)
        assert isinstance(found, GiteaForge)
        assert (found.name, found._repo, found._http.host) == ("ours", "repos/study/ctrl", "git.example.org")
        monkeypatch.setattr(forges, "find_spec", lambda _: None)
        with pytest.raises(PlacetError) as caught:
            forges.open_forge(settings(tmp_path, TABLE), SystemClock(), stack)
        assert caught.value.kind == "no-library"


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, None),
        ({"https_proxy": "http://proxy:3128"}, "http://proxy:3128"),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "example.org"}, None),
        ({"all_proxy": "http://proxy:3128", "no_proxy": "other.org"}, "http://proxy:3128"),
        ({"http_proxy": "http://proxy:3128"}, None),
    ],
)
def test_the_proxy_of_the_variables(environ, found):
    assert forges._proxy(f"{ORIGIN}/api/v1", environ) == found


def test_the_commission_of_a_policy():
    people = {"dana": {"gitea": 7}, "erin": {"github": 8}, "alice": {"gitea": 9}}
    people = {name: SimpleNamespace(forges=one) for name, one in people.items()}
    form = SimpleNamespace(tiers={"publication-storage": 1, "open": 2}, people=people)
    policy = SimpleNamespace(form=form, governors=lambda: frozenset({"dana", "erin"}))
    found = forges.commission(policy, "gitea", ["bot"], ["eye"], "https://agent/webhook", b"s3cret")
    assert (found.main, found.published, found.owners) == ("main", ("published", "published-*"), (7,))
    assert (found.agents, found.witnesses) == (("bot",), ("eye",))
    assert (found.hook, found.secret) == ("https://agent/webhook", "s3cret")
    form.tiers = {"open": 1}
    assert forges.commission(policy, "gitea").published == ("published-open", "published", "published-*")
