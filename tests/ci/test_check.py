"""The action `check`: its steps as they stand, on a Ctrl repository that is served as a forge serves one."""

import os
import re
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ci.githttp import git_http
from ci.runner import Job, load, run_action
from governance.lab import Lab

ACTION = "integrations/ci/check"
HOSTILE = "means\n::add-path::/evil\n  ::error::x\n##[group]y\n```\n<img src=x> @org/team\r<b>y\x0b\u2028z"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    made = Lab.make(tmp_path_factory.mktemp("lab"))
    made.clock.time = datetime.now(UTC)
    (made.folder / "hospital").mkdir()
    (made.folder / "hospital" / "ctrl.git").symlink_to(made.folder / "ctrl.git")
    yield made
    made.repo.close()


@pytest.fixture(scope="module")
def forge(lab):
    token = secrets.token_hex(20)
    with git_http(lab.folder, token) as (url, refused):
        yield url, token, refused


@pytest.fixture(scope="module")
def proposal(lab):
    return lab.propose(message=HOSTILE)


@pytest.fixture
def job(forge, tmp_path):
    """A job of a pull request's workflow, on a runner where the action was installed before."""
    url, token, _ = forge
    job = Job(tmp_path, {"server_url": url, "repository": "hospital/ctrl", "token": token})
    (job.temp / "placet" / "bin").mkdir(parents=True)
    (job.temp / "placet" / "bin" / "placet").symlink_to(Path(sys.executable).parent / "placet")
    return job


def check(job, lab, branch, commit, **inputs):
    job.github |= {"head_ref": branch, "event": {"pull_request": {"head": {"sha": commit}}}}
    inputs.setdefault("trust_root", f"sha256:{lab.trust_root}")
    return run_action(job, ACTION, **inputs)


def test_a_proposal_is_checked_and_shown_and_nothing_of_it_is_obeyed(job, lab, proposal, forge):
    code = check(job, lab, f"proposals/{proposal}", lab.branch(proposal))
    assert code == 0, job.out
    first, blank, *rest = job.summary.splitlines()
    assert (first, blank) == ("**Placet**: passed", "")
    assert rest[0].startswith(f"    {proposal}  PROPOSED") and all(one.startswith("    ") for one in rest)
    assert "/hospital/ctrl.git/info/refs?service=git-upload-pack" in forge[2][0]
    before, _, said, after = re.fullmatch(
        r"(.*)::stop-commands::([0-9a-f]{32})\n(.*)::\2::\n(.*)", job.out, re.DOTALL
    ).groups()
    assert "::add-path::/evil" in said and "::" not in before + after


def test_approval_is_asked_for_by_signatures_only(job, lab, proposal):
    branch = f"proposals/{proposal}"
    assert check(job, lab, branch, lab.branch(proposal), approved="true") == 12
    assert "2 of 2 approvals are missing" in job.out and "not passed, exit code 12" in job.summary
    old = lab.branch(proposal)
    lab.decide(proposal, "alice", "bob")
    assert check(job, lab, branch, old, approved="true") == 11
    assert check(job, lab, branch, lab.branch(proposal), approved="true") == 0, job.out
    assert "APPROVED" in job.summary


@pytest.mark.parametrize(
    "branch",
    [
        "",
        "proposals/{short}",
        "--help",
        "$(touch evil)",
        "proposals/{id}\n",
        "refs/heads/proposals/{id}",
        "{other}",
    ],
)
def test_only_a_proposals_own_branch_gets_its_answer(job, lab, proposal, branch):
    name = branch.format(id=proposal, short=proposal[:8], other="0" * 32)
    code = check(job, lab, name, lab.branch(proposal))
    assert code in {2, 10}, job.out
    assert proposal not in job.summary
    assert not list(job.folder.rglob("evil"))


def test_a_branch_that_carries_more_than_its_proposal_fails(job, lab):
    ident = lab.propose("outputs/more.csv", b"c\n3\n")
    tip = lab.commit(lab.branch(ident), {".github/workflows/x.yml": b"on: push\n"})
    lab.repo.push([_update(ident, lab.branch(ident), tip)])
    assert check(job, lab, f"proposals/{ident}", lab.branch(ident)) == 12
    assert "is refused" in job.out


def _update(ident, old, new):
    from placet.ports import RefUpdate

    return RefUpdate(f"refs/heads/proposals/{ident}", old, new)


def test_another_trust_root_fails(job, lab, proposal):
    found = check(job, lab, f"proposals/{proposal}", lab.branch(proposal), trust_root=f"sha256:{'0' * 64}")
    assert found == 13 and "not passed" in job.summary


def test_without_a_trust_root_nothing_is_believed(job, lab, proposal):
    assert check(job, lab, f"proposals/{proposal}", lab.branch(proposal), trust_root="") == 2


@pytest.mark.parametrize("approved", ["", "True"])
def test_what_is_not_true_or_false_is_refused(job, lab, proposal, approved):
    assert check(job, lab, f"proposals/{proposal}", lab.branch(proposal), approved=approved) == 2


def test_the_token_goes_to_its_own_forge_only_and_is_never_said(job, lab, proposal, forge):
    _url, token, _ = forge
    with git_http(lab.folder, token) as (other, refused):
        elsewhere = f"{other}/hospital/ctrl.git"
        code = check(job, lab, f"proposals/{proposal}", lab.branch(proposal), ctrl=elsewhere)
        assert code == 12 and refused
    assert token not in job.out + job.summary
    assert not any(token.encode() in one.read_bytes() for one in job.folder.rglob("*") if one.is_file())


def test_an_unreachable_forge_fails(job, lab, proposal):
    code = check(job, lab, f"proposals/{proposal}", lab.branch(proposal), ctrl="http://127.0.0.1:9/x.git")
    assert code == 1


def test_installing_takes_everything_by_hash_from_the_actions_own_commit():
    steps = load(f"{ACTION}/action.yml")["runs"]["steps"]
    (install,) = [one["run"] for one in steps if one["name"] == "Install Placet"]
    for line in re.sub(r"\\\n\s*", "", install).splitlines():
        if "pip install" in line:
            assert "--no-deps" in line and ("--require-hashes" in line or "--no-index" in line)
            assert "$source" in line
    assert set(re.findall(r'(?:PYTHON|python)" (.*?) -m', install)) == {"-I"}
    assert os.path.normpath(f"/a/{ACTION}/../../..") == "/a"
