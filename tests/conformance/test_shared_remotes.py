"""Remotes that stock DVC and Placet share: what one pushes the other pulls."""

import os
import shutil

import pytest
from stock import fill

import servers
from placet.config import Settings
from placet.core.digest import digest
from placet.core.layout import data_key
from placet.dataplane import DataPlane
from placet.errors import NotFound, Refused

SERVERS = {"ssh": servers.sftp, "webdav": servers.webdav}


@pytest.fixture
def environment(new_project, monkeypatch):
    """A project's environment in this process too: our data plane reads DVC's configuration as stock DVC does."""

    def make(name):
        project = new_project(name)
        for key, value in project.env.items():
            monkeypatch.setenv(key, value)
        return project

    return make


def configure(project, remote):
    project.dvc("remote", "add", "-q", "-d", "far", remote["url"])
    for name in remote.keys() - {"url"}:
        project.dvc("remote", "modify", "-q", "--local", "far", name, remote[name])


def plane(project):
    return DataPlane(project.root, settings=Settings(root=project.root, home=project.root))


def make(project):
    fill(project.root / "data")
    (project.root / "model.bin").write_bytes(os.urandom(200_000))


def forget(project):
    """As in a fresh clone: metafiles only."""
    shutil.rmtree(project.root / ".dvc/cache", ignore_errors=True)
    shutil.rmtree(project.root / "data")
    (project.root / "model.bin").unlink()


def contents(project):
    paths = [project.root / "model.bin", *(project.root / "data").rglob("*")]
    return {path.relative_to(project.root).as_posix(): path.read_bytes() for path in paths if path.is_file()}


@pytest.mark.parametrize("scheme", SERVERS)
def test_what_one_pushes_the_other_pulls(environment, tmp_path, scheme):
    folder = tmp_path / "server"
    (folder / "data").mkdir(parents=True)
    project = environment("project")
    make(project)
    with SERVERS[scheme](folder) as remote, plane(project) as ours:
        configure(project, remote)
        ours.track([project.root / "data", project.root / "model.bin"])
        pushed = ours.push(remote="far")
        assert pushed.objects > 0
        assert ours.push(remote="far").objects == 0
        whole = contents(project)

        assert "in sync" in project.dvc("status", "-c")
        assert "up to date" in project.dvc("push")
        forget(project)
        project.dvc("pull")
        assert contents(project) == whole

        (project.root / "model.bin").unlink()
        (project.root / "model.bin").write_bytes(b"changed by stock DVC")
        project.dvc("add", "model.bin")
        project.dvc("push")
        whole = contents(project)
        forget(project)
        ours.pull(remote="far")
        assert contents(project) == whole
        assert not ours.status(remote="far").changes

        md5 = digest((project.root / "model.bin").read_bytes()).md5
        stored = folder / "data" / data_key(md5)
        stored.unlink()
        assert ours.push(remote="far").objects == 1
        assert stored.is_file()


def test_a_web_server_over_a_pushed_folder_is_pulled_from(environment, tmp_path):
    """Published data that everybody may read: DVC's `http` remotes."""
    project = environment("project")
    make(project)
    with servers.http(project.remote) as remote, plane(project) as ours:
        configure(project, remote)
        project.dvc("add", "-q", "data", "model.bin")
        project.dvc("push", "-q", "-r", "internal-storage")
        whole = contents(project)
        forget(project)
        ours.pull(remote="far")
        assert contents(project) == whole
        (project.root / "new.txt").write_text("new")
        ours.track([project.root / "new.txt"])
        with pytest.raises(Refused) as caught:
            ours.push(remote="far")
        assert caught.value.kind == "remote-read-only"
        forget(project)
        with pytest.raises(NotFound) as missing:
            ours.fetch([project.root / "new.txt"], remote="far")
        assert missing.value.kind == "no-object"


def test_a_folder_that_a_group_shares_looks_the_same(environment):
    project = environment("project")
    make(project)
    names = {"ours": project.root.parent / "ours", "theirs": project.root.parent / "theirs"}
    with plane(project) as ours:
        for name, folder in names.items():
            project.dvc("remote", "add", "-q", name, str(folder))
            project.dvc("remote", "modify", "-q", name, "shared", "group")
        ours.track([project.root / "model.bin"])
        ours.push(remote="ours")
        project.dvc("push", "-q", "-r", "theirs")

    def modes(folder):
        paths = (folder / "files").rglob("*")
        return {path.relative_to(folder).as_posix(): path.stat().st_mode for path in paths}

    assert modes(names["ours"]) == modes(names["theirs"])
    assert any(mode & 0o7777 == 0o2775 for mode in modes(names["ours"]).values())
