"""Which objects a metafile names: nothing may be missed, whatever its form."""

import random

import pytest

from placet.core import layout
from placet.core.digest import md5_hex
from placet.core.dirobject import encode_dir
from placet.core.dvcfile import Output, encode_metafile
from placet.core.mentions import Md5Set, claims, is_metafile, mentioned, paths_of, uncached

A, B = "a" * 32, "0123456789" * 3 + "01"


@pytest.mark.parametrize(
    "data",
    [
        encode_metafile(Output("x", A, 1)),
        f"outs: [{{path: x, md5: '{A}'}}]".encode(),
        f'{{"outs": [{{"md5":"{A}"}}]}}'.encode(),
        f"outs:\r\n- md5: {A.upper()}\r\n".encode(),
        f"<<<<<<< HEAD\n- md5: {A}\n=======\n".encode(),
        f"outs:\n- files:\n  - relpath: x\n    md5: {A}".encode(),
        A.encode(),
    ],
)
def test_every_form_names_its_object(data):
    assert set(mentioned(data)) == {(A, False)}


def test_directories_are_told_from_files():
    data = f"outs:\n- md5: {A}.dir\n- md5: {B}\n".encode()
    assert list(mentioned(data)) == [(A, True), (B, False)]


def test_longer_digests_are_no_md5():
    assert not list(mentioned(f"{A}{A} x{A} {A}f".encode()))


def test_a_listing_names_its_files():
    listing = encode_dir([("a", A), ("b/c", B)])
    assert set(mentioned(listing)) == {(A, False), (B, False)}


LEGACY = f"outs:\n- md5: {A}.dir\n  path: x\n"
PLAIN = f"outs:\n- md5: {A}.dir\n  hash: md5\n  path: x\n"


@pytest.mark.parametrize(
    ("name", "text", "claimed"),
    [
        ("x.dvc", PLAIN, True),
        ("x.dvc", PLAIN + "  cache: false\n", False),
        ("x.dvc", LEGACY, False),
        ("x.dvc", PLAIN.replace(A, B), False),
        ("x.dvc", PLAIN.replace(".dir", ""), False),
        ("x.dvc", PLAIN + "deps:\n- path: http://x\n", True),
        ("x.dvc", PLAIN + "deps:\n- path: x\n  repo:\n    url: u\n    rev_lock: r\n", False),
        ("x.dvc", f"<<<<<<<\n{PLAIN}", True),
        (
            "dvc.lock",
            f"stages:\n  s:\n    deps:\n    - path: x\n      md5: {A}.dir\n      hash: md5\n",
            False,
        ),
        (
            "a/dvc.lock",
            f"stages:\n  s:\n    outs:\n    - path: x\n      md5: {A}.dir\n      hash: md5\n",
            True,
        ),
        ("a/dvc.lock", f"[{A}.dir", True),
    ],
)
def test_who_claims_a_directory(name, text, claimed):
    assert claims(name, text.encode(), A) is claimed


def test_the_paths_of_a_lock():
    text = f"stages:\n  s:\n    outs:\n    - {{path: p/q, md5: {A}.dir, hash: md5}}\n"
    assert paths_of("dvc.lock", text.encode(), A) == ["p/q"]
    assert paths_of("dvc.lock", b"[", A) == []


def test_what_a_pipeline_does_not_cache():
    text = """\
stages:
  one:
    outs: [kept, {loose: {cache: false}}, {desc: {desc: x}}]
    metrics: [{m.json: {cache: false}}]
  many:
    foreach: [1]
    do:
      plots:
      - p${item}: {cache: false}
"""
    assert uncached(text.encode()) == ({"loose", "m.json", "p${item}"}, {"kept", "desc"})
    assert uncached(b"[") == uncached(b"\xff") == uncached(b"x") == (set(), set())


def test_which_files_are_read():
    assert [
        one for one in ("a/x.dvc", "dvc.lock", "a/dvc.lock", "xdvc.lock", "dvc.yaml", "x") if is_metafile(one)
    ] == [
        "a/x.dvc",
        "dvc.lock",
        "a/dvc.lock",
    ]


def test_a_set_of_md5s_is_a_set():
    numbers = random.Random(1)
    want = {md5_hex(str(numbers.randrange(3000)).encode()) for _ in range(2000)}
    found = Md5Set()
    for _ in range(20):
        for one in want:
            found.add(one)
    assert (len(found), list(found)) == (len(want), sorted(want))
    assert {one.hex() for one in found.shard(7)} == {one for one in want if one.startswith("07")}
    assert sum(map(len, found._shards)) == 16 * len(want)


@pytest.mark.parametrize(
    ("key", "found"),
    [
        (layout.data_key(A), (A, False)),
        (layout.data_key(A, is_dir=True), (A, True)),
        (layout.sums_pointer(A), (A, False)),
        (layout.sums_key(A + A), (A + A, False)),
        (layout.sums_pointer(A) + ".dir", None),
        (layout.sums_key(A + A) + ".dir", None),
        ("files/md5/AA/" + "a" * 30, None),
        ("files/md5/aa/" + "a" * 62, None),
        ("placet/sums/aa/" + "a" * 30, None),
        ("aa/" + "a" * 30, None),
        ("x/" + layout.data_key(A), None),
        (layout.data_key(A) + "\n", None),
    ],
)
def test_the_hash_of_a_key(key, found):
    assert layout.hash_of(key) == found
