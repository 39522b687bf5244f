"""The demo asserts what it shows; here we assert that it showed everything that was promised."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PLACET = Path(sys.executable).parent / "placet"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path, subprocess.CompletedProcess]:
    folder = tmp_path_factory.mktemp("demo") / "stack"
    done = subprocess.run(
        [PLACET, "demo", "--json", "--folder", folder],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(done.stdout), folder, done


def test_every_step_was_told(told):
    facts, _, done = told
    assert len(facts["steps"]) == 8
    said = done.stderr.lower()
    for word in (
        "dagster",
        "propose",
        "approves",
        "landed",
        "git clone, dvc pull",
        "placet verify",
        "sha256sum",
        "placet bundle",
    ):
        assert word in said


def test_dagster_shows_what_was_made(told):
    facts, _, _ = told
    for site in ("site-a", "site-b"):
        assets = facts["assets"][site]
        assert {one["metadata"]["placet/path"] for one in assets} == {
            "outputs/model.pkl",
            "outputs/summary.csv",
            "outputs/replicates",
        }
        for one in assets:
            assert one["data_version"] == f"sha256:{one['metadata']['placet/sha256']}"
            assert one["metadata"]["placet/tier"] == "internal-storage"
            assert one["metadata"]["placet/metafile"] == f"{one['metadata']['placet/path']}.dvc"
            assert int(one["metadata"]["placet/size"]) > 0


def test_what_is_published_is_what_was_made(told):
    facts, folder, _ = told
    assert facts["files"] == 2 * (1000 + 2)
    artifacts = facts["verified"]["artifacts"]
    assert len(artifacts) == 8
    assert all(one["data"] == "verified" and len(one["approvals"]) == 2 for one in artifacts)
    for site in ("site-a", "site-b"):
        made = {one["metadata"]["placet/path"]: one["data_version"] for one in facts["assets"][site]}
        published = {one["path"]: one["sha256"] for one in artifacts if f"/{site}/" in one["path"]}
        for path, version in made.items():
            assert version == f"sha256:{published[f'artifacts/{site}/{path}']}"
    status = subprocess.run(
        ["git", "status", "--porcelain"],
        cwd=folder / "researcher" / "results",
        capture_output=True,
        check=True,
    )
    assert status.stdout == b""


def test_a_promotion_was_killed_and_finished(told):
    facts, _, done = told
    killed, (promoted,) = facts["killed"], facts["promoted"]["site-a"]
    objects = 1 + (1000 + 2) + 1  # a model, a folder with its two lists, a table
    assert 500 <= killed["objects"] < objects
    assert sum(one["objects"] for one in promoted["artifacts"]) == objects
    assert sum(one["found"] for one in promoted["artifacts"]) >= killed["objects"]
    assert "kill -9 with" in done.stderr


def test_everything_that_must_not_work_was_refused(told):
    facts, _, _ = told
    refused = {one["what"]: one["said"] for one in facts["refused"]}
    expected = {
        "a model that runs a command when it is loaded": "Check pickle",
        "a table with one row a patient": "Check rows",
        "an address in a message that everybody could read": "message",
        "a researcher reads a hospital's internal bucket": "403",
        "job, promoter, reviewer or researcher deletes what is published": "403",
        "a proposal with one approval too few, merged or pushed by hand": "1 of 2 approvals are missing",
        "a metafile changed after approval, pushed to the branch": "is refused",
        "the same written into main past the gate": "WITHDRAWN",
        "a policy changed on main without approval, pushed or written past the gate": "without approval",
        "an object swapped in the internal bucket after approval (same MD5)": "CORRUPT",
        "the same swap between the agent's check and its copy": "CORRUPT",
        "a branch forked from before a policy change": "STALE",
    }
    assert refused.keys() == expected.keys()
    for what, words in expected.items():
        assert words in refused[what], (what, refused[what])


def test_no_process_is_left(told):
    _, folder, _ = told
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:
            continue
        assert os.fsencode(folder) not in command, command


def test_ctrl_c_leaves_no_process_behind(tmp_path):
    folder = tmp_path / "stack"
    command = [PLACET, "demo", "--folder", folder]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    log = folder / "commands.log"
    try:
        while not log.exists():
            assert process.poll() is None
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
        process.send_signal(2)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.communicate()
    test_no_process_is_left(({}, folder, None))
