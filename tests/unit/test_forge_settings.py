"""The table [forge]: what it may hold, what it means, and that no secret is asked for where it could be seen."""

from pathlib import Path

import msgspec
import pytest

from placet import config
from placet.core.forgeform import ForgeForm, read_forge
from placet.errors import Invalid


@pytest.mark.parametrize(
    ("table", "ctrl", "origin", "place"),
    [
        ({"kind": "gitea"}, "https://git.example.org/team/ctrl.git", "https://git.example.org", ("team", "ctrl")),
        ({"kind": "gitea"}, "https://me@git.example.org:8443/team/ctrl", "https://git.example.org:8443", ("team", "ctrl")),
        ({"kind": "gitea", "url": "https://git.example.org/"}, "git@git.example.org:team/ctrl.git",
         "https://git.example.org", ("team", "ctrl")),
        ({"kind": "gitea", "url": "https://example.org/gitea"}, "https://example.org/gitea/team/ctrl.git",
         "https://example.org/gitea", ("team", "ctrl")),
        ({"kind": "forgejo", "url": "http://127.0.0.1:3000", "repository": "a/b"}, None, "http://127.0.0.1:3000", ("a", "b")),
        ({"kind": "github"}, "git@github.com:team/ctrl.git", "https://github.com", ("team", "ctrl")),
    ],
)  # fmt: skip
def test_where_a_forge_is_follows_from_little(table, ctrl, origin, place):
    form = read_forge(table)
    assert (form.origin(ctrl), form.place(ctrl)) == (origin, place)
    assert form.known_as == table["kind"]


@pytest.mark.parametrize(
    ("table", "ctrl"),
    [
        ({"kind": "gitea", "url": "http://git.example.org"}, None),
        ({"kind": "gitea"}, "http://git.example.org/team/ctrl.git"),
        ({"kind": "gitea", "url": "https://me:secret@git.example.org"}, None),
        ({"kind": "gitea", "url": "file:///etc"}, None),
        ({"kind": "gitea"}, "git@git.example.org:team/ctrl.git"),
        ({"kind": "gitea"}, None),
    ],
)
def test_a_token_is_sent_to_no_other_place(table, ctrl):
    with pytest.raises(Invalid) as caught:
        read_forge(table).origin(ctrl)
    assert caught.value.kind == "settings"


@pytest.mark.parametrize("repository", ["ctrl", "a/b/c", "../b", "a/..", "a/b?c", "a /b", ""])
def test_a_repository_is_owner_and_name(repository):
    with pytest.raises(Invalid):
        read_forge({"kind": "gitea", "repository": repository}).place(None)


@pytest.mark.parametrize(
    "table", [{"kind": "gitlab"}, {"token": 7}, {"tokens": "x"}, 7, {"app": 0}, {"name": "A"}]
)
def test_what_is_no_such_table_is_refused(table):
    with pytest.raises(Invalid) as caught:
        read_forge(table)
    assert caught.value.kind == "settings"


def test_plain_git_stays_as_it_was(tmp_path):
    file = tmp_path / "placet.toml"
    for text in ("", 'forge = "git"\n', '[forge]\nkind = "git"\n'):
        file.write_text(text)
        assert config.load_settings(tmp_path, {}).forge is None
    file.write_text('[forge]\nkind = "gitea"\ntoken = "t"\n')
    assert config.load_settings(tmp_path, {}).forge.token == "t"
    assert config.load_settings(tmp_path, {"PLACET_FORGE": "git"}).forge is None
    file.write_text('forge = "forgejo"\n')
    assert config.load_settings(tmp_path, {}).forge.kind == "forgejo"


def test_each_key_is_in_the_docs():
    page = (Path(__file__).parent.parent.parent / "docs/reference/settings.md").read_text()
    table = page.partition("## The table `[forge]`")[2]
    assert [key for key in msgspec.structs.fields(ForgeForm) if f"`{key.name}`" not in table] == []
