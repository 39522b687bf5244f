"""Outputs of DVC 2 (`md5-dos2unix`), as DVC 3 keeps them beside its own."""

from __future__ import annotations

import json
import shutil

import pytest
from dvc_data.hashfile.hash import file_md5
from dvc_objects.fs import localfs
from hypothesis import given
from hypothesis import strategies as st
from many import many, objects
from stock import FolderStore, Project

from placet.core.digest import digest, digest_legacy
from placet.core.dirobject import encode_dir
from placet.engine.artifact import load_artifact
from placet.engine.checkout import checkout
from placet.engine.fetch import fetch
from placet.engine.push import push
from placet.engine.status import status
from placet.engine.track import track
from placet.errors import Corrupt, Invalid, Refused

JOBS = 2
FILES = {
    "crlf.csv": b"a,b\r\n1,2\r\n",
    "lf.csv": b"a;b\n1;2\n",
    "binary": b"\0\r\n" * 700,
    "empty": b"",
    "sub/long.txt": b"0123456789abcde\r\n" * 200_000,
    "sub/turns.bin": b"text\r\n" * 180_000 + b"\0\r\n" * 400_000,
}
LF = FILES["crlf.csv"].replace(b"\r\n", b"\n")


@pytest.fixture
def legacy(project) -> Project:
    """A project as a clone of one that DVC 2 made: metafiles, and a remote that holds the objects."""
    names = {}
    for name, data in FILES.items():
        names[name] = put(project, data)
    listing = encode_dir(names.items())
    top = digest(listing).md5
    path = project.remote / top[:2] / f"{top[2:]}.dir"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(listing)
    total = sum(map(len, FILES.values()))
    (project.root / "d.dvc").write_text(
        f"outs:\n- md5: {top}.dir\n  size: {total}\n  nfiles: {len(FILES)}\n  path: d\n"
    )
    size = len(LF)
    (project.root / "one.csv.dvc").write_text(
        f"outs:\n- md5: '{names['crlf.csv']}'\n  size: {size}\n  path: one.csv\n"
    )
    return project


def put(project: Project, data: bytes) -> str:
    temp = project.root.parent / "object"
    temp.write_bytes(data)
    md5 = file_md5(str(temp), localfs, name="md5-dos2unix")
    path = project.remote / md5[:2] / md5[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return md5


def bring(project: Project, quiet, *targets: str) -> None:
    fetch(project.workspace(), FolderStore(project.remote), targets, project.state(), JOBS, quiet)
    checkout(project.workspace(), targets, project.state(), JOBS, quiet)


def found(project: Project) -> dict[str, bytes]:
    names = {name: project.root / "d" / name for name in FILES} | {"one.csv": project.root / "one.csv"}
    return {name: path.read_bytes() for name, path in names.items() if path.exists()}


def changes(project: Project) -> dict[str, str]:
    return {
        one.path: one.state for one in status(project.workspace(), None, [], project.state(), JOBS).changes
    }


@given(st.lists(st.sampled_from([b"text", b"\r\n", b"\n", b"\r", b"\0", b"\xff" * 200, b"x" * 300_000])))
def test_the_hash_is_dvcs(tmp_path_factory, pieces):
    path = tmp_path_factory.getbasetemp() / "piece"
    path.write_bytes(b"".join(pieces))
    want = file_md5(str(path), localfs, name="md5-dos2unix")
    assert digest_legacy(pieces)[1] == want
    assert digest_legacy([b"".join(pieces)]) == (digest(b"".join(pieces)), want)


def test_comes_as_with_dvc(legacy, quiet):
    bring(legacy, quiet)
    want = FILES | {"one.csv": FILES["crlf.csv"]}
    assert found(legacy) == want
    cache = objects(legacy.root / ".dvc" / "cache")
    assert cache == {key for key in objects(legacy.remote) if not key.startswith("files/")}
    (_, local), (_, cloud) = many(legacy, ["status", "--json"], ["status", "-c", "--json"])
    assert json.loads(local) == json.loads(cloud) == {}
    assert changes(legacy) == {}
    store = FolderStore(legacy.remote)
    assert status(legacy.workspace(), store, [], legacy.state(), JOBS).clean
    shutil.rmtree(legacy.root / ".dvc" / "cache")
    shutil.rmtree(legacy.root / "d")
    many(legacy, ["pull", "-q"])
    assert objects(legacy.root / ".dvc" / "cache") == cache
    assert found(legacy) == want
    assert changes(legacy) == {}


def test_line_ends_do_not_count_and_all_else_does(legacy, quiet):
    bring(legacy, quiet)
    (legacy.root / "one.csv").write_bytes(LF)
    (legacy.root / "d" / "binary").write_bytes(FILES["binary"].replace(b"\r\n", b"\n"))
    ((_, text),) = many(legacy, ["status", "--json"])
    assert json.loads(text) == {"d.dvc": [{"changed outs": {"d": "modified"}}]}
    assert changes(legacy) == {"d": "modified"}
    with pytest.raises(Refused) as refused:
        checkout(legacy.workspace(), [], legacy.state(), JOBS, quiet)
    assert refused.value.kind == "would-overwrite"
    assert checkout(legacy.workspace(), [], legacy.state(), JOBS, quiet, force=True).files == 1
    assert changes(legacy) == {}


def test_a_part_comes_alone(legacy, quiet):
    bring(legacy, quiet, "d/sub")
    assert set(found(legacy)) == {"sub/long.txt", "sub/turns.bin"}


def test_is_pushed_to_where_dvc_pushes_it(legacy, quiet):
    want = objects(legacy.remote)
    bring(legacy, quiet)
    shutil.rmtree(legacy.remote)
    store = FolderStore(legacy.remote)
    push(legacy.workspace(), store, [], legacy.state(), JOBS, quiet)
    keys = [key for kind, key in store.calls if kind == "put"]
    assert (set(keys), keys[-1].endswith(".dir")) == (want, True)
    assert many(legacy, ["push"])[0] == [0, "Everything is up to date.\n"]
    victim = next((legacy.root / ".dvc" / "cache").glob("[0-9a-f][0-9a-f]/*[0-9a-f]"))
    victim.chmod(0o644)
    victim.write_bytes(b"x")
    victim.chmod(0o444)
    with pytest.raises(Corrupt):
        push(legacy.workspace(), store, [], legacy.state(), JOBS, quiet)
    shutil.rmtree(legacy.root / "d")
    (legacy.root / "one.csv").unlink()
    with pytest.raises(Corrupt) as caught:
        checkout(legacy.workspace(), [], legacy.state(), JOBS, quiet)
    assert caught.value.kind == "cache-corrupt"


def test_a_wrong_byte_never_enters_the_cache(legacy, quiet):
    for victim in legacy.remote.rglob("*"):
        if victim.is_file() and victim.suffix != ".dir" and victim.stat().st_size == len(FILES["crlf.csv"]):
            victim.write_bytes(FILES["crlf.csv"].replace(b"1", b"9"))
    with pytest.raises(Corrupt) as caught:
        bring(legacy, quiet, "one.csv")
    assert caught.value.kind == "digest-mismatch"
    assert objects(legacy.root / ".dvc" / "cache") == set()


def test_the_way_to_migrate_is_named_and_works(legacy, quiet):
    bring(legacy, quiet)
    with pytest.raises(Invalid) as caught:
        track(legacy.workspace(), ["one.csv"], legacy.state(), JOBS, quiet)
    assert caught.value.kind == "legacy-output"
    assert "dvc cache migrate --dvc-files" in caught.value.mend
    with pytest.raises(Invalid) as caught:
        load_artifact(legacy.workspace(), "d", legacy.state(), JOBS)
    assert caught.value.kind == "not-plain"
    assert many(legacy, ["cache", "migrate", "--dvc-files"])[0][0] == 0
    track(legacy.workspace(), ["one.csv", "d"], legacy.state(), JOBS, quiet)
    assert load_artifact(legacy.workspace(), "d", legacy.state(), JOBS).tracked.nfiles == len(FILES)
    ((_, text),) = many(legacy, ["status", "--json"])
    assert json.loads(text) == {}
