"""Killed at a point of its run, and run again: the end is the same, and nobody saw anything wrong meanwhile.

`make test` takes, of each method of a port that changes something, the point before its first and after its last
call, and a seeded sample of all; `make test-crash` takes all. A state that another point has left too, and that was led to its end already, is not led
there again: what is to be done follows from the state alone (invariant I4).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from crash import watch
from crash.ends import Ends, wrong_names
from crash.stage import ALL, FILES, FOLDER, LARGE, NODE, RETRACTOR, SMALL, objects_of
from placet.core.digest import digest

SEED = 22
APPROVED = FILES | LARGE
SHA256 = {key: digest(data).sha256 for key, data in objects_of(APPROVED).items()}


CHANGING = (
    "ObjectStore.put", "ObjectStore.copy_from", "ObjectStore.delete", "ObjectStore.traits", "Repo.fetch",
    "Repo.commit", "Repo.push", "TrustMemory.update", "State.put_many", "State.tell_dvc", "Signer.sign",
)  # fmt: skip


@dataclass(frozen=True)
class Flow:
    """A command that is killed.

    Attributes:
        snapshot: The stage that it begins on.
        folder: Where it runs.
        argv: What runs.
        sample: So many points, beside the first and the last of what changes something, are taken by `make test`.
        requests: And so many of its HTTP requests.
        ledger: The kinds of all entries that the published branch has at the end.
        ends: The calls before whose first and after whose last it is killed by `make test` too.
        gone: Of these outputs no version of any object is left at the end.
    """

    snapshot: str
    folder: str
    argv: tuple[str, ...]
    sample: int
    requests: int
    ledger: tuple[str, ...]
    ends: tuple[str, ...] = CHANGING
    gone: Mapping[str, object] = field(default_factory=dict)


FLOWS = {
    "promote": Flow("landed", "agent", ("promote",), 6, 3, ("genesis", "publish")),
    "agent": Flow("landed", "agent", ("agent", "--once"), 2, 1, ("genesis", "publish"), ends=()),
    "retract": Flow(
        "published", RETRACTOR, ("retract", f"artifacts/{NODE}/outputs/folder", "-m", "m"), 2, 1,
        ("genesis", "publish", "retract", "erased"), ends=("ObjectStore.delete", "Repo.push"), gone={"outputs/folder": FOLDER},
    ),
    "propose": Flow("landed", "desk", ("propose", *SMALL, "-m", "m"), 3, 1, ("genesis",)),
}  # fmt: skip


def chosen(names: Sequence[str], sample: int, ends: Sequence[str] = ()) -> list[int]:
    """Points by number, from 1: all; or before the first and after the last call of what changes something, and
    a sample of all."""
    numbers = range(1, len(names) + 1)
    if ALL:
        return list(numbers)
    out = set(random.Random(SEED).sample(numbers, min(sample, len(names))))
    out |= {names.index(f"{one}<") + 1 for one in ends if f"{one}<" in names}
    out |= {len(names) - names[::-1].index(f"{one}>") for one in ends if f"{one}>" in names}
    return sorted(out)


@dataclass
class Killing:
    """One flow on a stage: how it ends when nobody kills it, and what must be so whenever somebody does."""

    stage: object
    flow: Flow

    def __post_init__(self) -> None:
        self.ends = Ends(self.stage)
        self.settled: set = set()
        self.stage.restore(self.flow.snapshot)
        self.stage.proxy.meet()
        done = self.stage.run(self.flow.folder, *self.flow.argv)
        assert done.code == 0, done
        self.names, self.requests = done.names, len(self.stage.proxy.asked)
        self.end = self.ends.end(self.flow.folder)
        assert tuple(self.ends.ledger()) == self.flow.ledger
        needed = objects_of(self.flow.gone).keys()
        assert not self.end["versions"] & needed
        assert self.end["public"].keys() == self.end["versions"]
        if self.flow.gone:
            assert self.end["public"].keys() == SHA256.keys() - needed

    def kill(self, how, number: int) -> None:
        """Kill it there, look, run it again, and look again."""
        self.stage.restore(self.flow.snapshot)
        how(number, self.flow.folder, *self.flow.argv)
        self.look()
        before = self.ends.durable()
        if before in self.settled:
            return
        again = self.stage.run(self.flow.folder, *self.flow.argv, jobs=4)
        assert again.code == 0, again
        self.look()
        assert self.ends.end(self.flow.folder) == self.end
        assert tuple(self.ends.ledger()) == self.flow.ledger
        left = [key for key in self.stage.uploads() if "/placet/probe/" not in key]  # 12 bytes, for an hour
        assert left == []
        view = self.stage.lab.view()
        assert (view.broken, view.alarms) == ({}, [])
        self.settled.add(before)

    def look(self) -> None:
        """No wrong byte for a researcher, nothing published that is not there, no wrong object in the cache."""
        assert watch.wrong_objects(self.ends.public.look(), SHA256) == []
        tip = self.stage.refs()["refs/heads/published"]
        assert watch.missing(self.stage.ctrl, self.ends.public, tip) == []
        assert wrong_names(self.stage.live / self.flow.folder / ".dvc" / "cache") == []


@pytest.mark.parametrize("name", FLOWS)
def test_killed_at_every_point(ready, name):
    with ready.watched(APPROVED) as seen:
        killing = Killing(ready, FLOWS[name])
        points = chosen(killing.names, killing.flow.sample, killing.flow.ends)
        for point in points:
            killing.kill(ready.kill_at, point)
        requests = chosen(["request"] * killing.requests, killing.flow.requests)
        for number in requests:
            killing.kill(ready.kill_at_request, number - 1)
    assert seen["wrong"] == []
    assert seen["looks"] > 0
    assert (seen["tips"] > 0) == ("publish" in killing.flow.ledger)
    print(
        f"{name}: killed at {len(points)} of {len(killing.names)} points and {len(requests)} of"
        f" {killing.requests} requests; {len(killing.settled)} different states; {seen}"
    )
