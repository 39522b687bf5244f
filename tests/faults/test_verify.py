"""`fetch --verify`: a corrupt object is found, named, and fetched from whoever has it right."""

from __future__ import annotations

import shutil

import pytest
from lab import Lab, md5_key, spoil

from placet.dataplane import DataPlane
from placet.errors import NotFound
from placet.testing import twins
from placet.testing.trouble import Answer, CorruptAnswer, Reset, Rule


@pytest.fixture
def made(local: Lab) -> dict[str, bytes]:
    """In both remotes and in the cache."""
    made = local.fill()
    local.placet("track", "data")
    local.placet("push", "-r", "main")
    local.placet("push", "-r", "backup")
    return made


def victim(made: dict[str, bytes]) -> tuple[str, str]:
    name = sorted(made)[2]
    return f"data/{name}", md5_key(made[name])


def told(found: dict) -> list[tuple[str, str, list[tuple[str, str]], str | None]]:
    return [
        (one["path"], one["key"], [(at["name"], at["trouble"]) for at in one["places"]], one["healed_from"])
        for one in found["faults"]
    ]


def test_what_the_cache_has_wrong_comes_from_the_same_remote(local, made):
    path, key = victim(made)
    spoil(local.cache / key)
    assert told(local.placet("fetch", "--verify").json) == [(path, key, [("cache", "corrupt")], "main")]
    local.require_sound()
    again = local.placet("fetch", "--verify").json
    assert (again["objects"], again["faults"]) == (0, [])


@pytest.mark.parametrize("state", ["corrupt", "missing"])
@pytest.mark.parametrize("command", ["fetch", "pull"])
def test_what_the_remote_has_wrong_comes_from_another_one(local, made, state, command):
    path, key = victim(made)
    local.forget("data")
    there = local.remote_path("main", key)
    if state == "corrupt":
        spoil(there)
    else:
        there.unlink()
    bad = there.read_bytes() if there.exists() else None
    local.fails(command, code=13 if bad else 10, kind="digest-mismatch" if bad else "no-object")
    assert not (local.cache / key).exists()
    found = local.placet(command, "--verify").json
    fetched = found if command == "fetch" else found["fetched"]
    assert told(fetched) == [(path, key, [("main", state)], "backup")]
    assert not bad or there.read_bytes() == bad
    if command == "pull":
        assert local.tree() == made


def test_the_remote_that_is_named_comes_first(local, made):
    _, key = victim(made)
    spoil(local.cache / key)
    found = local.placet("fetch", "--verify", "-r", "backup").json
    assert [one["healed_from"] for one in found["faults"]] == ["backup"]


def test_what_is_right_nowhere_is_named_and_set_aside_and_the_rest_is_fetched(local, made):
    path, key = victim(made)
    local.forget()
    local.placet("fetch")
    for place in (local.cache / key, local.remote_path("main", key)):
        spoil(place)
    local.remote_path("backup", key).unlink()
    other = md5_key(made[sorted(made)[5]])
    spoil(local.cache / other)
    bad = (local.cache / key).read_bytes()
    error = local.fails("fetch", "--verify", code=13, kind="not-healed", words=path)
    assert "corrupt in the cache, corrupt in main, missing in backup" in error["why"]
    lost = next(one for one in told(error) if one[3] is None)
    assert lost == (path, key, [("cache", "corrupt"), ("main", "corrupt"), ("backup", "missing")], None)
    assert not (local.cache / key).exists()
    assert (local.cache / "placet" / "corrupt" / key.replace("/", "-")).read_bytes() == bad
    assert (local.cache / other).exists()
    person = local.end(local.start("fetch", "--verify"))
    assert (person.code, path in person.err) == (13, True)


def test_a_corrupt_listing_is_healed_too(local, made):
    key = local.out_key("data")
    spoil(local.cache / key)
    spoil(local.remote_path("main", key))
    found = local.placet("fetch", "--verify").json
    assert told(found) == [("data", key, [("cache", "corrupt"), ("main", "corrupt")], "backup")]
    for place in (local.cache / key, local.remote_path("backup", key)):
        spoil(place)
    local.fails("fetch", "--verify", code=13, kind="not-healed", words="data (files/md5/")
    assert not (local.cache / key).exists()


def test_another_remote_that_cannot_be_opened_is_passed_over(local, made):
    path, key = victim(made)
    local.add_remote("aside", {"url": "s3://nowhere/x", "endpointurl": "http://127.0.0.1:9"})
    local.remotes = {name: local.remotes[name] for name in ("main", "aside", "backup")}
    local.configure()
    spoil(local.remote_path("main", key))
    spoil(local.cache / key)
    places = [("cache", "corrupt"), ("main", "corrupt"), ("aside", "unusable")]
    assert told(local.placet("fetch", "--verify").json) == [(path, key, places, "backup")]


def test_a_twin_in_the_cache_is_found_by_its_sha256(local):
    """The same MD5 and size: only the digest list tells, and another remote has the right one."""
    (local.root / "data").mkdir()
    (local.root / "data" / "x").write_bytes(twins.A)
    local.placet("track", "data")
    local.placet("push", "-r", "backup")
    cached = local.cache / md5_key(twins.A)
    for place in (cached, local.remote_path("main", md5_key(twins.A))):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.write_bytes(twins.B)
    found = local.placet("fetch", "--verify").json
    assert [one["healed_from"] for one in found["faults"]] == ["backup"]
    assert cached.read_bytes() == twins.A


def test_the_other_path_for_python(local, made, monkeypatch):
    for name, value in local.env.items():
        monkeypatch.setenv(name, value)
    _, key = victim(made)
    spoil(local.cache / key)
    with DataPlane(local.root) as plane:
        (fault,) = plane.fetch(verify=True).faults
        assert "corrupt in the cache; fetched right from main" in str(fault)
        for name in ("main", "backup"):
            shutil.rmtree(local.remote_path(name, key).parent)
        (local.cache / key).unlink()
        with pytest.raises(NotFound) as caught:
            plane.fetch(verify=True)
        assert caught.value.kind == "no-object"
    local.require_sound()


def test_on_seaweedfs(lab, proxy):
    """A corrupt answer, and a remote that is down, behind a real service."""
    made = lab.fill(files=5)
    lab.placet("track", "data")
    lab.placet("push", "-r", "main")
    lab.placet("push", "-r", "backup")
    lab.forget("data")
    path, key = victim(made)
    proxy.meet(Rule(CorruptAnswer(9), method="GET", key=f"/main/{key}"))
    found = lab.placet("pull", "--verify").json["fetched"]
    assert told(found) == [(path, key, [("main", "corrupt")], "backup")]
    assert lab.tree() == made
    lab.forget("data")
    proxy.meet(Rule(Answer(403, "ExpiredToken"), key="/main/"))
    found = lab.placet("pull", "--verify").json["fetched"]
    assert {one["healed_from"] for one in found["faults"]} == {"backup"}
    assert lab.tree() == made
    lab.forget("data")
    proxy.meet(Rule(Answer(403, "ExpiredToken"), key="/main/"), Rule(Reset(), key="/backup/"))
    lab.fails("pull", "--verify", code=12, kind="credential-expired")
    assert not (lab.root / "data").exists()


def test_push_repairs_a_remote_whose_files_are_missing_behind_a_present_dir(lab, proxy):
    """Which stock DVC cannot: it takes the `.dir` object as proof."""
    made = lab.fill(files=5)
    lab.placet("track", "data")
    lab.placet("push")
    _, key = victim(made)
    lab.bucket.delete_object(Bucket="target", Key=f"{lab.prefix}/main/{key}")
    assert key not in lab.require_remote_sound()
    assert lab.out_key("data") in lab.require_remote_sound()
    proxy.meet()
    assert lab.placet("push").json["objects"] == 1
    assert key in lab.require_remote_sound()
    assert proxy.count("PUT", "/files/|/sums/") == 1
