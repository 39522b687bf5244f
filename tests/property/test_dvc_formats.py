from __future__ import annotations

import io
import json

from dvc.utils.serialize import dumps_yaml
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from placet.core import layout
from placet.core.dirobject import decode_dir, encode_dir
from placet.core.dvcfile import Output, encode_metafile, parse_canonical, read_metafile, update_metafile
from placet.core.sums import decode_sums, encode_sums
from placet.errors import Invalid

hexes = st.text("0123456789abcdef", min_size=32, max_size=32) | st.text(
    "0123456789e", min_size=32, max_size=32
)
names = st.text(min_size=1, max_size=40).filter(lambda text: layout.unsafe(text) is None)
paths = (
    st.lists(st.text(min_size=1, max_size=8).filter(lambda text: "/" not in text), min_size=1, max_size=3)
    .map("/".join)
    .filter(lambda path: layout.forbidden_in_directory(path) is None)
)
listings = st.dictionaries(paths, hexes, max_size=8).filter(lambda one: layout.clash(one) is None)


@given(names, hexes, st.integers(0, 10**15), st.none() | st.integers(1, 10**9))
def test_metafile_is_what_dvc_dumps(name, md5, size, nfiles):
    out = Output(name, md5, size, nfiles, is_dir=nfiles is not None)
    fields = {"md5": f"{md5}.dir" if nfiles else md5, "size": size}
    fields |= {"nfiles": nfiles} if nfiles else {}
    data = encode_metafile(out)
    assert data.decode() == dumps_yaml({"outs": [{**fields, "hash": "md5", "path": name}]})
    assert parse_canonical(data) == out
    assert read_metafile(data).outs == (out,)
    assert update_metafile(data, out) == data
    loaded = YAML(typ="safe").load(io.BytesIO(data))
    assert loaded["outs"][0]["path"] == name
    assert loaded["outs"][0]["md5"] == fields["md5"]


@given(st.binary(max_size=300))
def test_canonical_reads_only_what_it_writes(data):
    try:
        out = parse_canonical(data)
    except Invalid:
        return
    assert encode_metafile(out) == data


@settings(max_examples=200)
@given(st.data())
def test_no_changed_metafile_means_the_same(data):
    base = encode_metafile(Output("a b.txt", "0" * 32, 12))
    at = data.draw(st.integers(0, len(base)))
    changed = base[:at] + data.draw(st.binary(max_size=3)) + base[at + data.draw(st.integers(0, 2)) :]
    try:
        out = parse_canonical(changed)
    except Invalid:
        return
    assert changed == base or out != Output("a b.txt", "0" * 32, 12)


@given(listings)
def test_dir_object_is_what_dvc_encodes(listing):
    tree = Tree()
    for path, md5 in listing.items():
        tree.add(tuple(path.split("/")), None, HashInfo("md5", md5))
    data = encode_dir(listing.items())
    assert data == tree.as_bytes()
    found = decode_dir(data, max_entries=len(listing), max_bytes=len(data))
    assert {one.relpath: one.md5 for one in found} == listing


@given(
    st.lists(st.fixed_dictionaries({"md5": st.text(max_size=33), "relpath": st.text(max_size=9)}), max_size=4)
)
def test_dir_object_decodes_only_safe_and_canonical(listing):
    data = json.dumps(listing).encode()
    try:
        found = decode_dir(data, max_entries=4, max_bytes=9999)
    except Invalid:
        return
    assert encode_dir((one.relpath, one.md5) for one in found) == data
    assert all(layout.forbidden_in_directory(one.relpath) is None for one in found)


@given(st.dictionaries(paths, st.text("0123456789abcdef", min_size=64, max_size=64), max_size=8))
def test_digest_list_round_trip(sums):
    data = encode_sums(sums.items())
    found = decode_sums(data, max_entries=len(sums), max_bytes=len(data))
    assert {one.path: one.sha256 for one in found} == sums
    assert [one.path.encode() for one in found] == sorted(path.encode() for path in sums)


@given(st.binary(max_size=300))
def test_digest_list_reads_only_what_it_writes(data):
    try:
        found = decode_sums(data, max_entries=9, max_bytes=300)
    except Invalid:
        return
    assert encode_sums((one.path, one.sha256) for one in found) == data
