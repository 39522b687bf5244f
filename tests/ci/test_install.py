"""What users' machines do and `make test` has no network for: installing the action, and the hooks; `make test-ci`."""

import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from ci.runner import ROOT, Job, run_action
from ci.test_hooks import ENV, git, stage
from ci.test_howto import BIN, blocks
from governance.lab import Lab

pytestmark = pytest.mark.install


def test_the_action_installs_itself_by_hash(tmp_path):
    lab = Lab.make(tmp_path)
    lab.clock.time = datetime.now(UTC)
    ident = lab.propose()
    (tmp_path / "job").mkdir()
    job = Job(tmp_path / "job", {"server_url": "https://git.example.org", "repository": "x/y", "token": "x"})
    job.limit_s = 1800
    job.env["PIP_NO_CACHE_DIR"] = "1"
    for name in ("venv", "pip"):  # as from a pull request that was checked out
        (job.folder / f"{name}.py").write_text("raise SystemExit('evil')\n")
    job.github |= {
        "head_ref": f"proposals/{ident}",
        "event": {"pull_request": {"head": {"sha": lab.branch(ident)}}},
    }
    given = {
        "trust_root": f"sha256:{lab.trust_root}",
        "ctrl": str(tmp_path / "ctrl.git"),
        "python": sys.executable,
    }
    assert run_action(job, "integrations/ci/check", **given) == 0, job.out
    assert "Placet**: passed" in job.summary
    lab.repo.close()


WORKFLOW = """\
on: pull_request
jobs:
  check:
    runs-on: ubuntu-24.04
    steps:
      - run: |
          cp -r {root}/integrations "$GITHUB_WORKSPACE"
          mkdir -p "$RUNNER_TEMP/placet/bin"
          ln -sf {placet} "$RUNNER_TEMP/placet/bin/placet"
      - uses: ./integrations/ci/check
        with:
          trust-root: sha256:{trust_root}
          ctrl: {ctrl}
          approved: true
"""


def test_the_action_runs_in_act_which_gitea_is_built_on(tmp_path):
    act = shutil.which("act")
    if act is None:
        pytest.skip("act is not installed here; `make test-ci` builds it where Go is at hand")
    lab = Lab.make(tmp_path)
    lab.clock.time = datetime.now(UTC)
    ident = lab.decide(lab.propose(message="m\n::error::x\n::add-path::/evil"), "alice", "bob")
    text = WORKFLOW.format(
        root=ROOT, placet=BIN / "placet", trust_root=lab.trust_root, ctrl=tmp_path / "ctrl.git"
    )
    git(tmp_path, "init", "-q", "-b", "main", "work")
    git(tmp_path / "work", "remote", "add", "origin", "https://github.com/hospital/ctrl.git")
    stage(tmp_path / "work", {".github/workflows/check.yml": text})
    git(tmp_path / "work", "commit", "-qm", "x")
    env = ENV | {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    for commit, code in ((lab.branch(ident), 0), ("0" * 40, 1)):
        head = {"ref": f"proposals/{ident}", "sha": commit}
        event = tmp_path / "event.json"
        event.write_text(json.dumps({"pull_request": {"head": head, "base": {"ref": "main"}}}))
        argv = [
            act,
            "pull_request",
            "-P",
            "ubuntu-24.04=-self-hosted",
            "-e",
            event,
            "-s",
            "GITHUB_TOKEN=no-token",
        ]
        done = subprocess.run(
            [*argv, "--no-cache-server"],
            cwd=tmp_path / "work",
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode == code, said
        assert ("Placet**: passed" in said) is (code == 0) and "  | ::error::x" in said
        obeyed = re.findall(r"[❗⚙] +(.*)", said)
        assert all(re.match(r"::stop-commands::|::[0-9a-f]{32}::$|Summary", one) for one in obeyed), obeyed
    lab.repo.close()


def test_pre_commit_makes_placets_environment(tmp_path):
    git(tmp_path, "clone", "-q", str(ROOT), "placet")
    commit = git(tmp_path / "placet", "rev-parse", "HEAD").strip()
    text = blocks("pre-commit.md", "yaml")[0]
    text = text.replace("https://git.example.org/OWNER/placet", str(tmp_path / "placet")).replace(
        "0" * 40, commit
    )
    git(tmp_path, "init", "-q", "-b", "main", "work")
    stage(tmp_path / "work", {".pre-commit-config.yaml": text, "a.csv": "a\n", "tests/b.csv": "b\n"})
    env = ENV | {"PRE_COMMIT_HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    argv = [BIN / "pre-commit", "run", "--all-files"]
    done = subprocess.run(argv, cwd=tmp_path / "work", env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "a.csv: *.csv holds data" in done.stdout, done.stdout + done.stderr
    assert "tests/b.csv" not in done.stdout
    shutil.rmtree(tmp_path / "home")
