"""`.dir` objects and `.dvc` files that no careful writer makes: refused as a whole, nothing outside touched."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest
import voluptuous
from dvc.schema import COMPILED_SINGLE_STAGE_SCHEMA
from hypothesis import given
from hypothesis import strategies as st
from lab import Lab, spoil
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from placet.core.digest import digest
from placet.core.dirobject import decode_dir, encode_dir
from placet.core.dvcfile import read_metafile
from placet.engine.disk import Cache
from placet.errors import Invalid

A, B = "0cc175b9c0f1b6a831c399e269772661", "92eb5ffee6ae2fec3ad71c777531578f"  # MD5 of a and b


def listing(*paths: str) -> bytes:
    return encode_dir((path, A) for path in paths)


BAD = {
    "parent steps": listing("../../ESCAPED.txt"),
    "parent steps within": listing("a/../../../ESCAPED.txt"),
    "absolute": listing("/tmp/ESCAPED.txt"),
    "a drive": listing("C:\\ESCAPED.txt"),
    "Git's own": listing(".git/hooks/post-checkout"),
    "Git's own, otherwise": listing("sub/.GIT/config", "x"),
    "Git's own on Windows": listing("git~1/config"),
    "DVC's own": listing(".dvc/config.local"),
    "a metafile": listing("x.dvc"),
    "ours": listing(".placet/policy.yaml"),
    "empty part": listing("a//b"),
    "nothing": listing(""),
    "a dot": listing("./a"),
    "a line break": listing("a\nb"),
    "invisible": listing("a\u202eb"),
    "half a character": b'[{"md5": "%b", "relpath": "\\ud800"}]' % A.encode(),
    "duplicates": encode_dir([("a", A), ("a", B)]),
    "case": listing("Readme", "readme"),
    "normalisation": listing("caf\u00e9", "cafe\u0301"),
    "a file that is a folder": listing("a", "a/b"),
    "too long": listing("x" * 2000),
    "no JSON": b"[{",
    "no list": b'{"md5": "x"}',
    "a number": b"12",
    "other keys": json.dumps([{"md5": A, "relpath": "a", "size": 1}]).encode(),
    "no MD5": json.dumps([{"md5": "x", "relpath": "a"}]).encode(),
    "other spacing": json.dumps([{"md5": A, "relpath": "a"}], separators=(",", ":")).encode(),
    "other order": json.dumps([{"md5": A, "relpath": one} for one in "ba"]).encode(),
    "other escapes": b'[{"md5": "%b", "relpath": "\\u0061"}]' % A.encode(),
    "raw Unicode": '[{"md5": "%s", "relpath": "\u00e9"}]'.replace("%s", A).encode(),
    "something behind": listing("a") + b"\n",
    "deep": b"[" * 100_000,
    "no UTF-8": b'[{"md5": "\xff"}]',
}


def with_dir(lab: Lab, data: bytes, nfiles: int | None = 2, size: int = 2) -> Path:
    """A clone that trusts a `.dvc` file whose `.dir` object is this."""
    md5 = digest(data).md5
    path = lab.remote_path("main", f"files/md5/{md5[:2]}/{md5[2:]}.dir")
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    count = f"  nfiles: {nfiles}\n" if nfiles is not None else ""
    (lab.root / "data.dvc").write_text(
        f"outs:\n- md5: {md5}.dir\n  size: {size}\n{count}  hash: md5\n  path: data\n"
    )
    for md5 in (A, B):
        file = lab.remote_path("main", f"files/md5/{md5[:2]}/{md5[2:]}")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"a" if md5 == A else b"b")
    return path


@pytest.mark.parametrize("what", BAD)
def test_a_hostile_listing_is_refused(what):
    with pytest.raises(Invalid) as caught:
        decode_dir(BAD[what], max_entries=100, max_bytes=1 << 20)
    assert caught.value.kind == "dir-object"


@pytest.mark.parametrize("what", ["parent steps", "Git's own", "case", "no JSON"])
def test_a_hostile_listing_touches_nothing(local, what):
    """By the program: from a remote, and from a cache in which stock DVC may have put it."""
    path = with_dir(local, BAD[what])
    before = sorted(local.root.rglob("*"))
    local.fails("pull", code=2, kind="dir-object")
    fresh = set(local.root.rglob("*")) - set(before)
    assert not {one for one in fresh if one.is_file() and "tmp" not in one.parts}
    key = path.relative_to(local.remotes["main"]["url"])
    (local.cache / key).parent.mkdir(parents=True)
    (local.cache / key).write_bytes(path.read_bytes())
    for command in ("checkout", "push"):
        local.fails(command, code=2, kind="dir-object")
    assert not list(local.home.rglob("ESCAPED.txt"))
    assert not (local.root / "data").exists()


def test_a_million_entries_cost_bounded_memory_and_time(local):
    """85 MB of listing, by the whole command, in 1.8 GiB of address space and a minute of processor."""
    data = encode_dir((f"d{number % 100:02}/sub/file{number:07}.bin", A) for number in range(10**6))
    with_dir(local, data, 10**6, 10**6)
    limits = {resource.RLIMIT_AS: 1800 << 20, resource.RLIMIT_CPU: 60}
    fetched = local.placet("fetch", "--jobs", "2", limits=limits).json
    assert fetched["objects"] == 2


def test_a_listing_longer_than_its_metafile_says_is_cut_off(local):
    """Before it fills the memory: the metafile's number of files bounds it."""
    data = encode_dir((f"file{number:07}", A) for number in range(200_000))
    with_dir(local, data, nfiles=2)
    local.fails("fetch", code=13, kind="digest-mismatch")
    assert not (local.cache / "files").exists()


GOOD_OUT = {"md5": A, "size": 1, "hash": "md5", "path": "x"}
NO_METAFILES = {
    "no YAML": "outs: [\n",
    "no text": b"\xff\xfe\x00",
    "a list": "- outs\n",
    "a foreign key": "outs:\n- md5: %s\n  size: 1\n  hash: md5\n  path: x\n  govern: yes\n",
    "a misspelt key": "outs:\n- md5: %s\n  size: 1\n  hash: md5\n  path: x\n  pusj: false\n",
    "a foreign key above": "outs:\n- md5: %s\n  size: 1\n  hash: md5\n  path: x\nowner: me\n",
    "no path": "outs:\n- md5: %s\n  size: 1\n",
    "outs is a text": "outs: x\n",
    "a size in words": "outs:\n- md5: %s\n  size: many\n  hash: md5\n  path: x\n",
    "an object of Python": "outs: !!python/object/apply:os.system ['true']\n",
    "deep": "outs: " + "[" * 300,
}


@pytest.mark.parametrize("what", NO_METAFILES)
def test_a_metafile_that_is_none_is_refused_and_kept(local, what):
    text = NO_METAFILES[what]
    data = text if isinstance(text, bytes) else text.replace("%s", A).encode()
    (local.root / "x.dvc").write_bytes(data)
    (local.root / "x").write_bytes(b"mine")
    for command in (["status"], ["pull"], ["track", "x"]):
        local.fails(*command, code=2, kind="metafile")
    assert (local.root / "x.dvc").read_bytes() == data
    assert (local.root / "x").read_bytes() == b"mine"


@pytest.mark.parametrize("what", sorted(NO_METAFILES.keys() - {"no text", "no path"}))
def test_stock_dvc_refuses_the_same(what):
    try:
        tree = YAML(typ="safe", pure=True).load(NO_METAFILES[what].replace("%s", A))
    except (YAMLError, RecursionError):
        return
    with pytest.raises(voluptuous.Invalid):
        COMPILED_SINGLE_STAGE_SCHEMA(tree)


ALLOWED = {
    "outs": {
        "md5": A, "checksum": A, "etag": "E1x", "size": 1, "nfiles": 1, "isexec": True, "version_id": "v",
        "path": "x", "persist": True, "cloud": {"r": {"etag": "e12"}}, "hash": "md5", "cache": True,
        "remote": "r", "push": True, "files": [], "fs_config": {}, "desc": "d", "type": "t",
        "labels": ["l"], "meta": {"any": 1},
    },
    "stage": {
        "md5": A, "wdir": ".", "deps": [], "outs": [], "locked": True, "frozen": True, "meta": {"any": 1},
        "always_changed": True, "desc": "d",
    },
}  # fmt: skip


@pytest.mark.parametrize(("level", "key"), [(level, key) for level, keys in ALLOWED.items() for key in keys])
def test_every_key_of_dvcs_schema_is_read(level, key):
    extra = {key: ALLOWED[level][key]}
    tree = {"outs": [{**GOOD_OUT, **extra}]} if level == "outs" else {"outs": [GOOD_OUT], **extra}
    COMPILED_SINGLE_STAGE_SCHEMA(json.loads(json.dumps(tree)))
    read_metafile(json.dumps(tree).encode())


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_any_bytes_are_a_metafile_or_a_refusal(data):
    try:
        found = read_metafile(data)
    except Invalid:
        return
    assert isinstance(found.outs, tuple)


@given(st.lists(st.tuples(st.text(max_size=12), st.sampled_from([A, B])), max_size=6), st.integers(0, 400))
def test_one_byte_more_or_less_is_no_listing(entries, at):
    """Whatever `decode_dir` takes is what `encode_dir` writes."""
    try:
        data = bytearray(encode_dir(entries))
    except UnicodeEncodeError:
        return
    if data:
        data[at % len(data)] ^= 1
    try:
        found = decode_dir(bytes(data), max_entries=10, max_bytes=10_000)
    except Invalid:
        return
    assert encode_dir((one.relpath, one.md5) for one in found) == bytes(data)


@pytest.mark.parametrize("name", ["z.dvc", "dvc.yaml", "sub/dvc.yaml"])
def test_a_metafile_that_is_a_device(local: Lab, name):
    (local.root / "sub").mkdir()
    (local.root / name).symlink_to("/dev/zero")
    local.fails("status", code=2, kind="metafile")


def test_a_lock_that_is_a_device(local: Lab):
    (local.root / "dvc.yaml").write_text("stages: {s: {cmd: x, outs: [o]}}\n")
    (local.root / "dvc.lock").symlink_to("/dev/zero")
    local.fails("status", code=2, kind="metafile")


def test_a_metafile_that_is_a_link(local: Lab):
    local.fill()
    local.placet("track", "data")
    (local.root / "data.dvc").rename(local.root / "kept")
    (local.root / "data.dvc").symlink_to("kept")
    assert local.placet("status").json["changes"] == []


@pytest.mark.parametrize("state", ["missing", "corrupt"])
def test_one_object_that_is_not_to_be_had_stops_no_other_output(local: Lab, state):
    made = local.fill("one"), local.fill("two")
    local.placet("track", "one", "two")
    local.placet("push")
    local.forget("one", "two")
    data = made[0]["part0/file0.bin"]
    path = local.remote_path("main", f"files/md5/{digest(data).md5[:2]}/{digest(data).md5[2:]}")
    spoil(path) if state == "corrupt" else path.unlink()
    kind = "digest-mismatch" if state == "corrupt" else "no-object"
    error = local.fails("pull", code=13 if state == "corrupt" else 3, kind=kind)
    assert list(error["failed"]) == ["one"]
    assert local.tree("two") == made[1]
    assert not (local.root / "one").exists()
    assert not (local.cache / local.out_key("one")).exists()
    local.require_sound() if state == "missing" else None
    local.fails("pull", "one", code=13 if state == "corrupt" else 10, kind=kind)


@pytest.mark.parametrize("how", [(), ("--verify",)])
def test_a_wrong_size_is_the_metafiles_fault(local: Lab, how):
    (local.root / "x").write_bytes(b"12345")
    local.placet("track", "x")
    local.placet("push")
    metafile = local.root / "x.dvc"
    metafile.write_text(metafile.read_text().replace("size: 5", "size: 4"))
    local.forget("x")
    local.fails("pull", *how, code=11, kind="size-mismatch", words="x.dvc says 4")
    spoil(local.remote_path("main", local.out_key("x")))
    local.fails("pull", code=13, kind="digest-mismatch")


def test_what_is_set_aside_is_never_overwritten(local: Lab):
    (local.root / "x").write_bytes(b"12345")
    local.placet("track", "x")
    key = local.out_key("x")
    right = (local.cache / key).read_bytes()
    cache = Cache(local.cache)
    for data in (b"first", b"second", b"third"):
        (local.cache / key).unlink(missing_ok=True)
        (local.cache / key).write_bytes(data)
        cache.set_aside(key)
    kept = sorted(path.read_bytes() for path in (local.cache / "placet" / "corrupt").iterdir())
    assert (right, kept) == (b"12345", [b"first", b"second", b"third"])
