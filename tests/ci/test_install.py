"""What users' machines do and `make test` has no network for: installing the action, and the hooks; `make test-ci`."""

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
    job = Job(tmp_path / "job", {"server_url": "https://git.example.org", "repository": "x/y", "token": "x"})
    job.limit_s = 1800
    job.env["PIP_NO_CACHE_DIR"] = "1"
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
