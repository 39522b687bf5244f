"""The how-to pages, as they are written."""

import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ci.manifests import problems
from ci.runner import ROOT, YAML
from ci.test_hooks import ENV, git, stage
from governance.lab import MAIN, Lab, MemoryLab

BIN = Path(sys.executable).parent
PAGES = ROOT / "docs" / "how-to"


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", (PAGES / page).read_text(), re.DOTALL)


def sh(script, folder, expect=0, **env):
    done = subprocess.run(
        ["sh", "-ec", script], cwd=folder, env=ENV | env, capture_output=True, text=True, check=False
    )
    assert done.returncode == expect, (script, done.stdout, done.stderr)
    return done.stdout + done.stderr


@pytest.fixture
def repo(tmp_path):
    git(tmp_path, "init", "-q", "-b", "main", ".")
    subprocess.run([BIN / "dvc", "init", "-q"], cwd=tmp_path, env=ENV, check=True)
    return tmp_path


def test_pre_commit_as_written(repo, tmp_path_factory):
    online, local = blocks("pre-commit.md", "yaml")
    install, plain = blocks("pre-commit.md", "sh")
    known = {one["id"] for one in YAML(typ="safe").load(ROOT / ".pre-commit-hooks.yaml")}
    (source,) = YAML(typ="safe").load(online)["repos"]
    assert {one["id"] for one in source["hooks"]} == known
    home = str(tmp_path_factory.mktemp("pre-commit"))
    stage(repo, {".pre-commit-config.yaml": local, "tests/a.csv": "a\n", "a.py": "x\n"})
    assert "Passed" in sh(install, repo, PRE_COMMIT_HOME=home)
    assert "Passed" in git(repo, "commit", "-m", "good")
    (repo / "l").symlink_to("/srv/cache/files/md5/0c/c175b9c0f1b6a831c399e269772661")
    git(repo, "add", "-f", "l")
    assert "l: it is a link into DVC's cache" in git(repo, "commit", "-m", "x", expect=1)
    git(repo, "rm", "-q", "--cached", "l")
    stage(repo, {"patients.csv": "a\n"})
    assert "patients.csv: *.csv holds data" in git(repo, "commit", "-m", "x", expect=1)
    sh(re.search(r"```text\n(git rm.*?)```", (PAGES / "pre-commit.md").read_text(), re.DOTALL)[1], repo)
    git(repo, "add", "patients.csv.dvc")
    assert "Passed" in git(repo, "commit", "-m", "tracked")
    odd = (repo / "patients.csv.dvc").read_text().replace("patients", "odd").replace("\n  ", "\n    ")
    stage(repo, {"odd.csv.dvc": odd.replace("- md5", "-   md5")})
    assert "It was rewritten" in git(repo, "commit", "-m", "x", expect=1)
    git(repo, "add", "odd.csv.dvc")
    assert "Passed" in git(repo, "commit", "-m", "rewritten")
    assert git(repo, "log", "--format=%s").split() == ["rewritten", "tracked", "good"]
    git(repo, "config", "--unset-all", "core.hooksPath", expect=5)
    sh(plain, repo)
    stage(repo, {"more.parquet": "x"})
    assert "more.parquet" in git(repo, "commit", "-m", "x", expect=1)


def test_the_check_without_an_action_as_written(tmp_path):
    lab = Lab.make(tmp_path)
    lab.clock.time = datetime.now(UTC)
    ident = lab.decide(lab.propose(), "alice", "bob")
    (block, _) = blocks("ci.md", "sh")
    for old, new in (
        ("https://git.example.org/hospital/ctrl.git", str(tmp_path / "ctrl.git")), ("THE_DIGEST", lab.trust_root),
        ("ID", ident), ("COMMIT", lab.branch(ident)),
    ):  # fmt: skip
        assert old in block
        block = block.replace(old, new)
    assert "Looked at: the report" in sh(block, tmp_path, PLACET_HOME=str(tmp_path / "home"))
    lab.merge(ident)
    assert "It is not open." in sh(block, tmp_path, expect=11, PLACET_HOME=str(tmp_path / "home"))
    lab.repo.close()


@pytest.mark.parametrize(
    ("path", "odd"),
    [
        (".github/workflows/placet.yml", False), (".gitea/workflows/placet.yaml", False),
        (".github/CODEOWNERS", False), (".github/workflows/x.sh", True), (".github/workflows/a/x.yml", True),
        (".github/actions/x/action.yml", True), ("sub/.github/workflows/x.yml", True),
    ],
)  # fmt: skip
def test_workflows_and_owners_on_main_are_no_alarm_and_nothing_else_is_let_by(tmp_path, path, odd):
    lab = MemoryLab.make(tmp_path)
    lab.force(MAIN, lab.commit(lab.view().main, {path: b"on: push\n"}))
    assert any(path in one.text for one in lab.view().alarms) is odd


def test_the_promotion_of_the_page_is_the_workflows():
    _, block = blocks("ci.md", "sh")
    script = (ROOT / ".github" / "workflows" / "promote.yml").read_text()
    folder, command = block.splitlines()
    assert folder == "cd /srv/placet/agent" and f"{command} ||" in script


def test_argo_as_written(tmp_path):
    build, tried = blocks("argo.md", "sh")
    (tmp_path / "placet").symlink_to(ROOT)
    if shutil.which("kubectl") is None:
        build = "\n".join(line for line in build.splitlines() if not line.startswith("kubectl"))
    sh(build, tmp_path, EDITOR="true")
    if shutil.which("kubectl"):
        found = list(YAML(typ="safe").load_all((tmp_path / "all.yaml").read_text()))
        assert len(found) > 10 and not [one for document in found for one in problems(document)]
    text = (ROOT / "integrations" / "argo" / "base" / "workflows.yaml").read_text()
    for line in tried.splitlines():
        assert all(word.partition("=")[0] in text for word in line.split()[1:] if word.startswith("--"))
