"""Two agents of one node on the same work at once: both end, one commit, one receipt, whatever the order.

And ten agents of two nodes at once on one published branch.
"""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from crash.ends import Ends
from crash.stage import ALL, FILES, INTERNAL, LARGE, NODE, OTHER, key_of, objects_of
from crash.watch import git, missing, wrong_objects
from governance.test_promote import report
from placet.core.digest import digest

APPROVED = {key: digest(data).sha256 for key, data in objects_of(FILES | LARGE).items()}
PROMOTE = ("agent", "promote")


@pytest.fixture(scope="module")
def alone(ready):
    """The end when nobody else works."""
    ready.restore("landed")
    done = ready.run(*PROMOTE)
    assert done.code == 0, done
    return Ends(ready).end("agent"), len(done.names)


def require_one(ready, alone, *ended):
    assert [one.code for one in ended] == [0] * len(ended), ended
    ends = Ends(ready)
    assert ends.end("agent") == alone[0]
    assert ends.ledger() == ["genesis", "publish"]
    assert wrong_objects(ends.public.look(), APPROVED) == []
    assert missing(ready.ctrl, ends.public, ready.refs()["refs/heads/published"]) == []
    view = ready.lab.view()
    assert (view.broken, view.alarms) == ({}, [])


@pytest.mark.parametrize(
    "point",
    ["Repo.fetch>", "ObjectStore.copy_from<", "ObjectStore.put>", "Repo.push<"],
)
def test_one_does_it_all_while_the_other_waits(ready, alone, point):
    ready.restore("landed")
    with ready.held_at(point, *PROMOTE) as held:
        held.wait()
        other = ready.run(*PROMOTE, home="home-2", jobs=4)
        held.let_go()
        require_one(ready, alone, held.ended, other)


@pytest.mark.parametrize("point", ["ObjectStore.copy_from<", "Repo.push<"])
def test_both_are_at_the_same_call(ready, alone, point):
    ready.restore("landed")
    with ready.held_at(point, *PROMOTE) as one, ready.held_at(point, *PROMOTE, home="home-2") as two:
        one.wait()
        two.wait()
        one.let_go()
        two.let_go()
        require_one(ready, alone, one.ended, two.ended)


@pytest.mark.parametrize("seed", range(40 if ALL else 2))
def test_they_meet_anywhere(ready, alone, seed):
    """One is held at a random point until the other is at one of its own; the rest is the machine's chance."""
    first, second = (1 + random.Random(f"{seed} {who}").randrange(alone[1]) for who in "ab")
    ready.restore("landed")
    with ready.held_at(first, *PROMOTE) as one, ready.held_at(second, *PROMOTE, home=f"home-{seed}") as two:
        one.wait()
        two.wait()
        two.let_go()
        one.let_go()
        require_one(ready, alone, one.ended, two.ended)


def test_both_in_one_home(ready, alone):
    """They share the copy of the Ctrl repository and the trust memory, too."""
    ready.restore("landed")
    with ready.held_at("Repo.push<", *PROMOTE) as held:
        held.wait()
        other = ready.run(*PROMOTE)
        held.let_go()
        require_one(ready, alone, held.ended, other)


def test_ten_agents_push_at_once(ready):
    """Each wants to move the same branch; every push but one fails, and is made again on what won."""
    ready.restore("begun")
    for node in (NODE, OTHER):
        for number in range(3):
            data = f"{node} {number}".encode()
            ready.admin.put_object(Bucket=INTERNAL, Key=f"dvc/{key_of(data)}", Body=data)
            ready.lab.landed(f"outputs/of-{node}/{number}", data, node=node)
    folders = ["agent", "other"] * 5
    with ThreadPoolExecutor(len(folders)) as pool:
        runs = [pool.submit(ready.run, one, "promote", home=f"h{n}") for n, one in enumerate(folders)]
    ended = [run.result() for run in runs]
    assert [one.code for one in ended] == [0] * 10, ended
    ends = Ends(ready)
    assert ends.ledger() == ["genesis", *["publish"] * 6]
    tip = ready.refs()["refs/heads/published"]
    line = git(ready.ctrl, "rev-list", "--first-parent", tip).split()
    assert len(line) == 8  # the root, the genesis entry, and one commit a proposal
    assert missing(ready.ctrl, ends.public, tip) == []
    git(ready.ctrl, "fsck", "--full", "--strict")
    found = report(ready.lab)
    assert found.ok
    assert found.entries == 7
