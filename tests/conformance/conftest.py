from __future__ import annotations

import os
from pathlib import Path

import pytest
from stock import LocalRemote, Project, Quiet, S3Remote, close_servers


@pytest.fixture(scope="session", autouse=True)
def _servers():
    yield
    close_servers()


@pytest.fixture
def quiet() -> Quiet:
    return Quiet()


@pytest.fixture
def new_project(tmp_path):
    def make(name: str = "project", stock: str = "dvc") -> Project:
        root = (tmp_path / name).resolve()
        root.mkdir()
        env = {
            key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "GIT_", "AWS_"))
        }
        env |= {
            "DVC_SITE_CACHE_DIR": str(tmp_path / "site"),
            "DVC_GLOBAL_CONFIG_DIR": str(tmp_path / "global"),
            "DVC_SYSTEM_CONFIG_DIR": str(tmp_path / "system"),
            "DVC_NO_ANALYTICS": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "HOME": str(tmp_path),
            "LC_ALL": "C.UTF-8",
        }
        own = Path(env["DVC_GLOBAL_CONFIG_DIR"]) / "config"
        own.parent.mkdir(exist_ok=True)
        own.write_text("[core]\n    check_update = false\n")
        project = Project(root, env, stock)
        project.git("init", "-q", "-b", "main")
        project.git("config", "user.email", "t@placet.invalid")
        project.git("config", "user.name", "t")
        project.dvc("init", "-q")
        project.dvc("remote", "add", "-q", "-d", "internal-storage", str(project.remote))
        return project

    return make


@pytest.fixture
def project(new_project) -> Project:
    return new_project()


@pytest.fixture(params=["local", "s3"])
def remote_of(request):
    """Gives a project's remote, in a folder or on a real S3 server."""
    if request.param == "local":
        return LocalRemote
    seaweed = request.getfixturevalue("seaweed")
    return lambda project: S3Remote(project, seaweed)
