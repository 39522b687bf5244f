"""The README as written: its steps by hand and its program, on a real store and a real Git server."""

import re
import sys
from pathlib import Path

import pytest

from placet.demo import cast
from placet.demo.world import PUBLICATION, World, fresh_folder

README = (Path(__file__).parent.parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"<!-- run: ([a-z-]+)( workspace)? -->\n```sh\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    with World.start(fresh_folder(tmp_path_factory.mktemp("readme") / "stack")) as world:
        yield world


def test_the_steps_by_hand_work_as_written(stage):
    known = {
        "/srv/git/ctrl.git": str(stage.ctrl_path),
        "git://git.example.org/ctrl.git": stage.ctrl_url,
        "https://s3.example.org": stage.store.endpoint,
        "s3://internal/dvc": "s3://internal-site-a/dvc",
        **dict(zip(("JOB_KEY", "JOB_SECRET"), stage.store.credentials("site-a-job"), strict=True)),
        **dict(
            zip(("RESEARCHER_KEY", "RESEARCHER_SECRET"), stage.store.credentials("researcher"), strict=True)
        ),
    }
    done = []
    for name, inside, block in BLOCKS:
        text = block
        party = stage["site-a-agent" if name == "agent" else name]
        if "policy lint" in text:
            write_policy(stage)
        if name in {"alice", "bob"} and "approve" in text:
            settle_reviewer(stage, party)
        if name == "agent":
            settle_agent(stage, party)
        for old, new in known.items():
            text = text.replace(old, new)
        run = party.run("sh", "-e", "-c", text, cwd=party.folder / "workspace" if inside else None)
        done.append(name)
        if "keygen" in text:
            party.public = run.out.strip()
        if "init --ctrl" in text:
            stage.trust_root = re.search(r"sha256:([0-9a-f]{64})", run.out)[1]
            known["THE_DIGEST"] = stage.trust_root
        if "placet init\n" in text:
            settle_site(party, known)
        if "placet propose" in text:
            known["ID"] = run.out.strip().splitlines()[-1]
    assert done == [
        "dana",
        "alice",
        "bob",
        "site-a",
        "dana",
        "site-a",
        "site-a",
        "alice",
        "bob",
        "agent",
        "researcher",
    ]
    assert "Everything that is here is exactly what was approved." in run.out
    made = (stage["site-a"].folder / "workspace/outputs/summary.csv").read_bytes()
    assert (stage["researcher"].folder / "results/artifacts/site-a/outputs/summary.csv").read_bytes() == made


def test_the_program_works_as_written(stage):
    node = stage["site-a"]
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in program.splitlines() if line.strip()]) <= 10
    run = node.run(sys.executable, "-c", program, cwd=node.folder / "workspace")
    sha256, ident, state = run.out.split()
    assert (len(sha256), len(ident), state) == (64, 32, "PUBLISHED")


def write_policy(stage):
    for name in ("site-b",):
        stage[name].public = stage[name].placet("keygen", "site-b.key").json["public"]
    names = {
        name.replace("-", "_"): stage[name].public for name in ("dana", "alice", "bob", "site-a", "site-b")
    }
    text = cast._POLICY.format(**names, bucket=PUBLICATION, endpoint=stage.store.endpoint)
    (stage["dana"].folder / "policy.yaml").write_text(text)


def settle_site(party, known):
    (block,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    for old, new in known.items():
        block = block.replace(old, new)
    workspace = party.folder / "workspace"
    (workspace / "placet.toml").write_text(block)
    (workspace / "outputs").mkdir()
    (workspace / "outputs/summary.csv").write_text("measurement,n,mean\nbmi,221,26.4\n")


def settle_reviewer(stage, party):
    if not (party.folder / "placet.toml").exists():
        cast._person(stage, party)


def settle_agent(stage, party):
    remotes = {
        "internal-storage": stage.remote("internal-site-a", "site-a-promoter"),
        "publication-storage": stage.remote(PUBLICATION, "site-a-promoter"),
    }
    stage.project(party, party.folder, remotes, git=False)
    key = stage["site-a"].folder / "site-a.key"
    stage.settings(party.folder, ['node = "site-a"', f'key = "{key}"', 'internal = "internal-storage"'])
