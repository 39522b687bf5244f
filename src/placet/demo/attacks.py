"""What must not work: each attack tries for real, and returns its name and the words of the refusal.

The attacks that need somebody who can write the server's files work on a copy of the Ctrl repository, so
that the story can go on.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from placet.core import layout
from placet.core.digest import digest
from placet.demo import cast
from placet.demo.world import PUBLICATION, Failed, Party, Run, World
from placet.errors import PlacetError, Refused
from placet.ports import ObjectStore
from placet.testing import twins
from placet.wire.data import open_store


class Story(Protocol):
    """What an attack needs of the story that it is part of."""

    world: World
    ids: dict[str, str]

    def proposed(self, site: str, path: str, message: str) -> str:
        """Propose one output; returns the id."""
        ...

    def approve(self, ident: str, *names: str) -> None:
        """Approve as these people."""
        ...

    def expect(self, holds: bool, what: str) -> None:
        """Go on only if it holds."""
        ...


CALIBRATION = "outputs/calibration.bin"


def store_of(world: World, bucket: str, identity: str) -> ObjectStore:
    """A bucket with somebody's credentials."""
    return open_store(world.remote(bucket, identity))


def foreign_bucket(story: Story) -> tuple[str, str]:
    """The researcher's credentials on a hospital's internal bucket."""
    store = store_of(story.world, "internal-site-a", "researcher")
    try:
        list(store.list("files/"))
    except Refused as error:
        return "a researcher reads a hospital's internal bucket", str(error)
    raise Failed("the researcher could list the internal bucket")


def deletion(story: Story) -> tuple[str, str]:
    """Deletion in the publication bucket, by each who can reach it."""
    said = ""
    for identity in ("site-a-promoter", "site-a-job", "alice", "researcher"):
        store = store_of(story.world, PUBLICATION, identity)
        try:
            store.delete(layout.data_key("0" * 32))
        except PlacetError as error:
            said = str(error)
        else:
            raise Failed(f"{identity} could delete in the publication bucket")
    return "job, promoter, reviewer or researcher deletes what is published", said


def one_approval_too_few(story: Story) -> tuple[str, str]:
    """A merge with one approval of two, by Placet and by a hand-made push past it."""
    world = story.world
    path = cast.workspace(world["site-b"]) / CALIBRATION
    path.write_bytes(twins.A)
    ident = story.proposed("site-b", CALIBRATION, "Calibration constants")
    story.ids["calibration"] = ident
    story.approve(ident, "alice")
    said = world["alice"].placet("merge", ident, expect=12).json
    clone = _clone(world, world["bob"], "too-few")
    world["bob"].git("merge", "-q", "--no-ff", "-m", "merge by hand", f"origin/proposals/{ident}", cwd=clone)
    _refused(world["bob"].git("push", "-q", "origin", "HEAD:main", cwd=clone, expect=None))
    return "a proposal with one approval too few, merged or pushed by hand", f"{said['what']} {said['why']}"


def changed_metafile(story: Story) -> tuple[str, str]:
    """Another `.dvc` file under an approved proposal, pushed to its branch."""
    world, ident = story.world, story.ids["calibration"]
    story.approve(ident, "bob")
    clone = _clone(world, world["site-b"], "metafile")
    world["site-b"].git("switch", "-q", "-c", "work", f"origin/proposals/{ident}", cwd=clone)
    _change_metafile(clone)
    world["site-b"].git("commit", "-q", "-am", "small fix", cwd=clone)
    pushed = world["site-b"].git("push", "-q", "origin", f"HEAD:proposals/{ident}", cwd=clone, expect=None)
    return "a metafile changed after approval, pushed to the branch", _refused(pushed)


def changed_on_main(story: Story) -> tuple[str, str]:
    """The same, written into `main` by somebody who can write the server's files: the agent refuses."""
    world, ident = story.world, story.ids["calibration"]
    world["alice"].placet("merge", ident)
    copy = _copy_ctrl(world, "metafile")
    clone = _clone(world, world["site-b"], "metafile-main", url=str(copy))
    world["site-b"].git("switch", "-q", "main", cwd=clone)
    _change_metafile(clone)
    world["site-b"].git("commit", "-q", "-am", "small fix", cwd=clone)
    _bypass(world["site-b"], copy, clone)
    return "the same written into main past the gate", _agent_refuses(world, "site-b", copy, ident)


def changed_policy(story: Story) -> tuple[str, str]:
    """A policy without a second approval, written into `main` past the gate."""
    world, ident = story.world, story.ids["calibration"]
    clone = _clone(world, world["alice"], "policy")
    world["alice"].git("switch", "-q", "main", cwd=clone)
    policy = clone / layout.POLICY
    policy.write_text(policy.read_text().replace("count: 2", "count: 1"))
    world["alice"].git("commit", "-q", "-am", "one approval is enough", cwd=clone)
    _refused(world["alice"].git("push", "-q", "origin", "HEAD:main", cwd=clone, expect=None))
    copy = _copy_ctrl(world, "policy")
    _bypass(world["alice"], copy, clone)
    said = _agent_refuses(world, "site-b", copy, ident)
    return "a policy changed on main without approval, pushed or written past the gate", said


def swapped_object(story: Story) -> tuple[str, str]:
    """The approved object replaced by its MD5 twin in the internal bucket: DVC's hash cannot see it."""
    world, ident = story.world, story.ids["calibration"]
    _put(world, twins.B)
    done = world["site-b-agent"].placet("agent", "--once", expect=13).json["promotions"]
    said = next(one["error"]["what"] for one in done if one["id"] == ident)
    _nothing_published(world)
    return "an object swapped in the internal bucket after approval (same MD5)", said


def swapped_between(story: Story) -> tuple[str, str]:
    """The same swap, between the agent's look at the object and its copy."""
    world, ident = story.world, story.ids["calibration"]
    _put(world, twins.A)
    agent = world["site-b-agent"]
    access, secret = world.store.credentials("site-b-job")
    race = agent.run(
        sys.executable, "-m", "placet.demo.race", ident, layout.data_key(digest(twins.A).md5),
        env={"RACE_KEY": access, "RACE_SECRET": secret, "RACE_URL": "s3://internal-site-b/dvc",
             "RACE_ENDPOINT": world.store.endpoint},
        expect=13,
    )  # fmt: skip
    _nothing_published(world)
    _put(world, twins.A)
    done = agent.placet("agent", "--once").json["promotions"]
    story.expect(
        [one["state"] for one in done] == ["PUBLISHED"], "with the approved bytes back, it is published"
    )
    return "the same swap between the agent's check and its copy", race.out.strip()


def malicious_model(story: Story) -> tuple[str, str]:
    """A model that runs a command when it is loaded: no reviewer ever sees it."""
    said = _not_proposed(story, "outputs/better-model.pkl", b"\x80\x04cos\nsystem\n(S'true'\ntR.")
    return "a model that runs a command when it is loaded", said


def patients(story: Story) -> tuple[str, str]:
    """A table with one row a patient, among the aggregates."""
    rows = "".join(
        f"P{number:06},{20 + number % 70},{18 + number % 17}.{number % 10}\n" for number in range(300)
    )
    said = _not_proposed(story, "outputs/cohort.csv", f"patient,age,bmi\n{rows}".encode())
    return "a table with one row a patient", said


def personal_message(story: Story) -> tuple[str, str]:
    """Personal data in what would go to Git."""
    message = "Corrected after a call with jane.doe@hospital-a.example"
    said = _not_proposed(story, "outputs/summary.csv", None, message)
    return "an address in a message that everybody could read", said


ATTACKS: tuple[Callable[[Story], tuple[str, str]], ...] = (
    malicious_model,
    patients,
    personal_message,
    foreign_bucket,
    deletion,
    one_approval_too_few,
    changed_metafile,
    changed_on_main,
    changed_policy,
    swapped_object,
    swapped_between,
)


def _not_proposed(story: Story, path: str, data: bytes | None, message: str = "More results") -> str:
    """The words with which a site's own Placet refuses to propose a file, before anything is pushed."""
    world = story.world
    workspace = cast.workspace(world["site-a"])
    if data is not None:
        (workspace / path).write_bytes(data)
    before = world["site-a"].git("ls-remote", world.ctrl_url, cwd=workspace).out
    said = world["site-a"].placet("propose", path, "-m", message, cwd=workspace, expect=12).json
    if world["site-a"].git("ls-remote", world.ctrl_url, cwd=workspace).out != before:
        raise Failed(f"something of {path} was pushed")
    return f"{said['what']} {said['why']}"


def _clone(world: World, party: Party, name: str, *, url: str = "") -> Path:
    clone = party.folder / f"attack-{name}"
    party.git("clone", "-q", url or world.ctrl_url, str(clone))
    return clone


def _refused(run: Run) -> str:
    if run.code == 0:
        raise Failed(f"`{' '.join(run.argv)}` was not refused")
    said = [
        line.removeprefix("remote:").strip() for line in run.err.splitlines() if line.startswith("remote:")
    ]
    text = " ".join(line.removeprefix("error:").strip() for line in said if line)
    if "is refused" not in text:
        raise Failed(f"refused, but not by the gate: {run.err}")
    return text


def _change_metafile(clone: Path) -> None:
    metafile = clone / layout.metafile("site-b", CALIBRATION)
    text = metafile.read_text()
    metafile.write_text(text.replace(digest(twins.A).md5, "0" * 32))


def _copy_ctrl(world: World, name: str) -> Path:
    copy = world.ctrl_path.with_name(f"{name}.git")
    shutil.copytree(world.ctrl_path, copy, ignore=shutil.ignore_patterns("tmp_objdir*"))
    return copy


def _bypass(party: Party, ctrl: Path, clone: Path) -> None:
    """Move `main` as somebody can who has the server's files: no hook runs."""
    party.git("--git-dir", str(ctrl), "fetch", "-q", str(clone), "HEAD:main")


def _agent_refuses(world: World, site: str, ctrl: Path, ident: str) -> str:
    agent = world[f"{site}-agent"]
    env = {"PLACET_CTRL": world.server.url(ctrl.name), "PLACET_HOME": str(agent.folder / f"home-{ctrl.stem}")}
    done = agent.placet("promote", ident, env=env, expect=12).json["promotions"]
    _nothing_published(world)
    return f"{done[0]['error']['what']} {done[0]['error']['why']}"


def _put(world: World, data: bytes) -> None:
    store = store_of(world, "internal-site-b", "site-b-job")
    store.put(layout.data_key(digest(twins.A).md5), [data], digest(data), overwrite=True)


def _nothing_published(world: World) -> None:
    store = store_of(world, PUBLICATION, "researcher")
    if store.head(layout.data_key(digest(twins.A).md5)) is not None:
        raise Failed("the researcher can see an object that was refused")
