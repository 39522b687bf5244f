"""Ctrl-C and `kill -9` at any moment: nothing half under a name, and the same command ends the work.

When the signal comes is decided by the n-th request at the proxy, or by the n-th file that appears: no sleep
decides anything.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
from lab import Lab, Run, interrupt, md5_key

from placet.testing.trouble import Call, Hang, Rule, TroubleProxy

LINE = "interrupted; the same command goes on from here"
RANDOM = random.Random(7)


@pytest.fixture
def made(lab: Lab) -> dict[str, bytes]:
    made = lab.fill(files=60)
    lab.placet("track", "data")
    return made


def at_request(lab: Lab, proxy, command: str, number: int, what: int, method: str) -> tuple[int, str]:
    """Run a command that gets a signal with its n-th request of a method; exit code and stderr."""
    proxy.meet()
    process = lab.start(command, "--jobs", "4")
    proxy.meet(Rule(Call(interrupt(process, what)), method=method, skip=number, times=1))
    run = lab.end(process)
    return run.code, run.err


def at_file(lab: Lab, folder: Path, count: int, what: int, *command: str) -> tuple[int, str]:
    """The same with the n-th file that comes to a folder; it may have ended before."""
    most = count + sum(len(names) for _, _, names in os.walk(folder))
    process = lab.start(*command)
    while process.poll() is None:
        if sum(len(names) for _, _, names in os.walk(folder)) >= most:
            process.send_signal(what)
            break
    run = lab.end(process)
    return run.code, run.err


def require_interrupted(code: int, err: str, what: int) -> None:
    if what == signal.SIGKILL:
        assert code == -signal.SIGKILL
    else:
        assert (code, err.strip()) == (130, LINE)


SIGNALS = [signal.SIGINT, signal.SIGKILL]


@pytest.mark.parametrize("what", SIGNALS)
def test_push(lab, made, proxy, what):
    for number in sorted(RANDOM.sample(range(3, 15), 2)):
        code, err = at_request(lab, proxy, "push", number, what, "PUT")
        require_interrupted(code, err, what)
        there = lab.require_remote_sound()
        assert 0 < len(there) < len(made)
        assert lab.out_key("data") not in there
    proxy.meet()
    done = lab.placet("push").json
    assert done["present"] >= len(there)
    assert {md5_key(data) for data in made.values()} | {
        lab.out_key("data")
    } == lab.require_remote_sound().keys()


@pytest.mark.parametrize("what", SIGNALS)
@pytest.mark.parametrize("command", ["fetch", "pull"])
def test_fetch_and_pull(lab, made, proxy, what, command):
    lab.placet("push")
    lab.forget("data")
    for number in sorted(RANDOM.sample(range(3, 15), 2)):
        code, err = at_request(lab, proxy, command, number, what, "GET")
        require_interrupted(code, err, what)
        lab.require_sound()
        assert not (lab.root / "data").exists()
    proxy.meet()
    lab.placet("pull")
    assert lab.tree() == made


@pytest.mark.parametrize("what", SIGNALS)
def test_track(lab, what):
    made = lab.fill(files=400, size=30_000)
    for count in (20, 150):
        code, err = at_file(lab, lab.cache / "files", count, what, "track", "data")
        if code:
            require_interrupted(code, err, what)
            assert not (lab.root / "data.dvc").exists()
        lab.require_sound()
    lab.placet("track", "data")
    lab.require_sound()
    objects = [path for path in lab.cache.glob("files/md5/??/*") if path.suffix not in {".tmp", ".dir"}]
    assert {md5_key(data) for data in made.values()} == {str(path.relative_to(lab.cache)) for path in objects}
    assert lab.placet("status").json["changes"] == []


@pytest.mark.parametrize("what", SIGNALS)
@pytest.mark.parametrize("kind", ["copy", "hardlink"])
def test_checkout(lab, what, kind):
    """Half of the files are there in another version: each is the old or the new one, never a part."""
    lab.configure(type=kind)
    old = lab.fill(files=400, size=30_000)
    lab.placet("track", "data")
    before = (lab.root / "data.dvc").read_bytes()
    for name in old:
        (lab.root / "data" / name).unlink()
    new = lab.fill(files=200, size=30_000)
    lab.placet("track", "data")
    (lab.root / "data.dvc").write_bytes(before)
    for count in (20, 90):
        code, err = at_file(lab, lab.root / "data", count, what, "checkout")
        if code:
            require_interrupted(code, err, what)
        for name, data in lab.tree().items():
            assert data in {old.get(name), new.get(name)}, name
    lab.placet("checkout")
    assert lab.tree() == old
    lab.require_sound()


def test_a_workspace_file_is_replaced_at_once(lab):
    """A reader that has it open, or opens it at any moment, sees one version as a whole."""
    path = lab.root / "big.bin"
    versions = [bytes([number]) * (4 << 20) for number in (1, 2)]
    metafiles = []
    for data in versions:
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        lab.placet("track", "big.bin")
        metafiles.append((lab.root / "big.bin.dvc").read_bytes())
    (lab.root / "big.bin.dvc").write_bytes(metafiles[0])
    with path.open("rb") as held:
        process = lab.start("checkout")
        while process.poll() is None:
            assert path.read_bytes() in versions
        assert lab.end(process).code == 0
        assert held.read() == versions[1]
    assert path.read_bytes() == versions[0]


def test_an_interrupted_upload_by_parts_is_aborted(lab, proxy):
    (lab.root / "big.bin").write_bytes(os.urandom(80 << 20))
    lab.placet("track", "big.bin")
    code, err = at_request(lab, proxy, "push", 2, signal.SIGINT, "PUT")
    require_interrupted(code, err, signal.SIGINT)
    assert lab.uploads() == []
    assert lab.require_remote_sound() == {}
    code, _ = at_request(lab, proxy, "push", 2, signal.SIGKILL, "PUT")
    assert code == -signal.SIGKILL
    assert len(lab.uploads()) == 1, (
        "what a killed process leaves is not visible, and is for `promote` to clean"
    )
    assert lab.require_remote_sound() == {}
    proxy.meet()
    lab.placet("push")
    assert len(lab.require_remote_sound()) == 1


@pytest.mark.parametrize("command", ["push", "fetch"])
def test_it_is_prompt_where_the_network_hangs(lab, made, proxy, command):
    """Neither 60 seconds of patience nor five more tries hold Ctrl-C back."""
    lab.placet("push")
    if command == "fetch":
        lab.forget("data")
    process = lab.start(command)
    send = interrupt(process)
    proxy.meet(Rule(Call(send), skip=3, times=1), Rule(Hang(), skip=3))
    require_prompt(lab.end(process), proxy)
    lab.require_sound()


def test_a_second_ctrl_c_ends_it_at_once(lab, made, proxy):
    """While the first one waits for requests that hang."""
    process = lab.start("push")

    def hammer(_: object) -> None:
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.01)

    proxy.meet(Rule(Call(hammer), skip=1, times=1), Rule(Hang(), skip=1))
    require_prompt(lab.end(process), proxy)


def require_prompt(run: Run, proxy: TroubleProxy) -> None:
    """It said one line, and was gone before any of the requests that hang ran out of patience (60 s)."""
    require_interrupted(run.code, run.err, signal.SIGINT)
    asked = [(one.method, one.key, one.query) for one in proxy.asked]
    assert len(set(asked)) == len(asked)
