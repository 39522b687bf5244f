from __future__ import annotations

import hashlib
import json

import pytest

from placet.core.dirobject import DirEntry, decode_dir, encode_dir
from placet.core.dvcfile import (
    Output,
    encode_metafile,
    parse_canonical,
    read_lock,
    read_metafile,
    update_metafile,
)
from placet.core.metayaml import load_yaml
from placet.core.plan import listing_limit, missing, shards
from placet.core.sums import check_same_paths, decode_sums, dir_hash, encode_sums
from placet.errors import Invalid

MD5 = "d41d8cd98f00b204e9800998ecf8427e"
DIR = b"outs:\n- md5: d41d8cd98f00b204e9800998ecf8427e.dir\n  size: 12\n  nfiles: 3\n  hash: md5\n  path: d\n"
FILE = b"outs:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n  size: 0\n  hash: md5\n  path: a.txt\n"
SHA = "a" * 64


def decoded(data: bytes) -> tuple[DirEntry, ...]:
    return decode_dir(data, max_entries=100, max_bytes=10_000)


def test_canonical_bytes():
    assert encode_metafile(Output("a.txt", MD5, 0)) == FILE
    assert encode_metafile(Output("d", MD5, 12, 3, is_dir=True)) == DIR
    assert parse_canonical(FILE) == Output("a.txt", MD5, 0)
    assert parse_canonical(DIR) == Output("d", MD5, 12, 3, is_dir=True)


def test_canonical_leaves_the_execute_bit_out():
    assert encode_metafile(Output("a.txt", MD5, 0, isexec=True)) == FILE


@pytest.mark.parametrize(
    "md5", ["0" * 32, "1234567890" * 3 + "12", "12e45678901234567890123456789012", "0b" + "1" * 30]
)
def test_an_md5_that_yaml_takes_for_a_number_is_quoted(md5):
    data = encode_metafile(Output("a.txt", md5, 1))
    assert f"md5: '{md5}'".encode() in data
    assert parse_canonical(data).md5 == md5


@pytest.mark.parametrize(
    "path",
    ["true", "null", "1.5", "a b", "ä/ü.csv", "- x", "it's", "#x", "a" * 200, "w " * 60 + "x", "2026-01-02"],
)
def test_odd_paths_round_trip(path):
    assert parse_canonical(encode_metafile(Output(path, MD5, 1))).path == path


@pytest.mark.parametrize(
    "data",
    [
        b"",
        FILE + b"\n",
        FILE.replace(b"\n", b"\r\n"),
        FILE + b"meta: 1\n",
        FILE.replace(b"  hash: md5\n", b""),
        FILE.replace(b"size: 0", b"size: 00"),
        FILE.replace(b"size: 0", b"size: -1"),
        FILE.replace(b"size: 0", b"size: 0\n  remote: x"),
        FILE.replace(b"size: 0", b"size: 0\n  isexec: true"),
        FILE.replace(b"a.txt", b"'a.txt'"),
        FILE.replace(b"a.txt", b'"a.txt"'),
        FILE.replace(b"a.txt", b"a.txt # comment"),
        FILE.replace(b"a.txt", b"&x a.txt"),
        FILE.replace(b"a.txt", b"!!python/name:x a"),
        FILE.replace(b"a.txt", b"[" * 40_000),
        FILE.replace(b"a.txt", b"a\n  cache: false"),
        FILE.replace(b"a.txt", b"a.txt\n- md5: " + MD5.encode()),
        FILE + FILE,
        FILE.replace(b"a.txt", b"../a.txt"),
        FILE.replace(b"a.txt", b"/etc/passwd"),
        FILE.replace(b"a.txt", b"a" * 70_000),
        DIR.replace(b"  nfiles: 3\n", b""),
        FILE.replace(b"  hash", b"  nfiles: 1\n  hash"),
        FILE.replace(b"d41d", b"D41D"),
        b"\xef\xbb\xbf" + FILE,
        b"\xff" + FILE,
    ],
)
def test_canonical_refuses(data):
    with pytest.raises(Invalid) as caught:
        parse_canonical(data)
    assert caught.value.kind in {"metafile", "unsafe-path"}


def test_encode_refuses_what_is_not_plain():
    for out in (
        Output("a", MD5, None),
        Output("a", MD5, 1, hash="md5-dos2unix"),
        Output("a", MD5, 1, is_dir=True),
        Output("a", MD5, 1, 2),
        Output("a", "xyz", 1),
    ):
        with pytest.raises(Invalid, match="metafile"):
            encode_metafile(out)


def test_reads_what_dvc_takes():
    data = b"""# keep
frozen: true
desc: x
outs:
- path: sub/model.pkl
  md5: D41D8CD98F00B204E9800998ECF8427E
  remote: pub
  push: false
  cache: false
  persist: true
  isexec: true
  meta: {any: [thing]}
"""
    found = read_metafile(data)
    assert found.frozen
    assert not found.has_deps
    (out,) = found.outs
    assert (out.md5, out.size, out.remote, out.push, out.cache) == (MD5, None, "pub", False, False)
    assert out.persist
    assert out.isexec
    assert out.legacy
    assert read_metafile(FILE).outs == (Output("a.txt", MD5, 0),)
    assert read_metafile(b"outs:\n- path: x\n").outs[0].md5 == ""
    assert read_metafile(b"deps:\n- path: y\nouts:\n- path: x\n").has_deps


@pytest.mark.parametrize(
    "data", [b"[", b"- a", b"outs: 1", b"outs:\n- 1", b"outs:\n- size: 1", b"\xff", b"[" * 5000]
)
def test_unreadable_metafiles(data):
    with pytest.raises(Invalid) as caught:
        read_metafile(data)
    assert caught.value.kind == "metafile"


def test_reads_a_lock_file():
    data = f"stages: {{s: {{cmd: c, outs: [{{path: o, hash: md5, md5: {MD5}.dir, size: 1, nfiles: 1}}]}}}}"
    assert read_lock(data.encode()) == (Output("o", MD5, 1, 1, is_dir=True),)


def test_update_keeps_what_users_wrote():
    old = f"""# about
outs:
- md5: {"0" * 32} # why
  size: 1
  hash: md5
  path: a.txt
  desc: My file
  meta:
    owner: me   # person
  remote: pub
  cloud: {{x: 1}}
meta: {{note: 1}}
""".encode()
    new = update_metafile(old, Output("a.txt", MD5, 7))
    for kept in (b"# about", b"# why", b"desc: My file", b"# person", b"remote: pub", b"note: 1"):
        assert kept in new
    assert b"cloud" not in new
    assert read_metafile(new).outs[0].md5 == MD5
    assert update_metafile(new, Output("a.txt", MD5, 7)) == new
    assert update_metafile(FILE, Output("a.txt", MD5, 0)) == FILE


def test_update_refuses_imports_and_stages():
    for old in (b"deps:\n- path: x\nouts:\n- path: a.txt\n", b"outs:\n- path: a\n- path: b\n"):
        with pytest.raises(Invalid) as caught:
            update_metafile(old, Output("a.txt", MD5, 7))
        assert caught.value.kind == "not-added"


def test_dir_object_is_what_dvc_writes():
    data = encode_dir([("é/z", MD5), ("a", "0" * 32)])
    assert data == (
        b'[{"md5": "00000000000000000000000000000000", "relpath": "a"}, '
        b'{"md5": "d41d8cd98f00b204e9800998ecf8427e", "relpath": "\\u00e9/z"}]'
    )
    assert decoded(data) == (DirEntry("a", "0" * 32), DirEntry("é/z", MD5))
    assert encode_dir([]) == b"[]"


def one(path: object, md5: object = MD5, **more: object) -> bytes:
    return json.dumps([{"md5": md5, "relpath": path, **more}]).encode()


@pytest.mark.parametrize(
    "path",
    [
        *("../x", "/x", "", ".", "a/../b", "a//b", "a\\b", "C:x", "a\x00", "a\nb", ".git/config", "x/.DVC/y"),
        *("a.dvc", "dvc.yaml", "s/.gitignore", ".dvcignore", "a/", "con", "x" * 300, "\ud800", "a\u202eb"),
        7,
        None,
    ],
)
def test_dir_object_refuses_paths(path):
    with pytest.raises(Invalid) as caught:
        decoded(one(path))
    assert caught.value.kind == "dir-object"


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"nope",
        b"[" * 9000,
        b"[1]",
        one("a", size=1),
        one("a", MD5.upper()),
        one("a", "12"),
        one("a") + b"\n",
        one("a").replace(b": ", b":"),
        json.dumps([{"relpath": "a", "md5": MD5}]).encode(),
        encode_dir([("a", MD5), ("b", MD5)]).replace(b'"a"', b'"c"'),
        encode_dir([("a", MD5), ("a", MD5)]),
        encode_dir([("a", MD5), ("a/b", MD5)]),
        encode_dir([("README", MD5), ("readme", MD5)]),
        encode_dir([("\u00e9", MD5), ("e\u0301", MD5)]),
        '[{"md5": "d41d8cd98f00b204e9800998ecf8427e", "relpath": "é"}]'.encode(),
        encode_dir((f"f{n}", MD5) for n in range(101)),
        encode_dir([("a" * 200, MD5)] * 60),
    ],
)
def test_dir_object_refuses(data):
    with pytest.raises(Invalid) as caught:
        decoded(data)
    assert caught.value.kind == "dir-object"


def test_digest_list_is_what_sha256sum_reads(tmp_path):
    files = {"b": b"1", "a b": b"2", "é": b""}
    pairs = [(name, hashlib.sha256(data).hexdigest()) for name, data in files.items()]
    data = encode_sums(pairs)
    assert [line.split("  ", 1)[1] for line in data.decode().splitlines()] == ["a b", "b", "é"]
    assert {one.path: one.sha256 for one in decode_sums(data, max_entries=3, max_bytes=999)} == dict(pairs)
    assert dir_hash(pairs) == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("path", ["a\nb", "a\rb", "a\\b", "", "./a", "\ud800"])
def test_digest_list_refuses_paths(path):
    with pytest.raises(Invalid) as caught:
        encode_sums([(path, SHA)])
    assert caught.value.kind == "digest-list"


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        f"{SHA}  b\n{SHA}  a\n".encode(),
        f"{SHA}  a\n{SHA}  a\n".encode(),
        f"{SHA}  a".encode(),
        f"{SHA} *a\n".encode(),
        f"{SHA.upper()}  a\n".encode(),
        f"{SHA}  a\n\n".encode(),
        f"{SHA}  a\r\n".encode(),
        b"\xff\n",
        f"{SHA}  a\n{SHA}  b\n{SHA}  c\n".encode(),
    ],
)
def test_digest_list_refuses(data):
    with pytest.raises(Invalid) as caught:
        decode_sums(data, max_entries=2, max_bytes=1000)
    assert caught.value.kind == "digest-list"


def test_lists_must_name_the_same_files():
    listing = decoded(encode_dir([("a", MD5), ("b", MD5)]))
    same = decode_sums(encode_sums([("b", SHA), ("a", SHA)]), max_entries=9, max_bytes=999)
    check_same_paths(listing, same)
    for other in (same[:1], (*same, same[0])):
        with pytest.raises(Invalid, match="same files"):
            check_same_paths(listing, other)


def test_plan():
    assert missing({"a": 1, "b": None, "c": 2, "d": 3}, {"a": 1, "b": 9, "c": 1}) == ["c", "d"]
    assert shards(["files/md5/ab/1", "files/md5/ab/2", "x"]) == {
        "files/md5/ab/": ["files/md5/ab/1", "files/md5/ab/2"],
        "": ["x"],
    }
    assert listing_limit(10) == 0
    assert listing_limit(2560) == 10_000


def test_yaml_may_merge_and_nest_but_not_without_end():
    plain = b"a: &a {x: 1}\nb: &b {<<: *a, y: 2}\nc: {<<: [*a, *b], z: 3}\n"
    assert load_yaml(plain)["c"] == {"x": 1, "y": 2, "z": 3}
    assert load_yaml(b"a: " + b"[" * 100 + b"]" * 100)["a"]
    many = b"a: [" + b"{b: 1}, " * 400 + b"]"
    assert len(load_yaml(many)["a"]) == 400
    grown = b"a: &a {x: 1}\n" + b"".join(
        b"%c: &%c {<<: [%s]}\n" % (98 + n, 98 + n, b",".join([b"*%c" % (97 + n)] * 9)) for n in range(9)
    )
    for bad in (b"[" * 300 + b"]" * 300, grown):
        with pytest.raises(Invalid):
            load_yaml(bad)
