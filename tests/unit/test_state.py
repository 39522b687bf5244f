from __future__ import annotations

import logging
import multiprocessing
import sqlite3

import pytest
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.state import State as DvcState
from dvc_objects.fs import LocalFileSystem

from placet.adapters.state import StateDb
from placet.core.digest import digest
from placet.engine.disk import stamp
from placet.ports import FileStamp

KNOWN = digest(b"abc")
AT = FileStamp("/x/ü", 2**63 + 5, 10**18 + 1, 3)


@pytest.fixture
def db(tmp_path):
    state = StateDb(tmp_path / "new" / "state.db")
    yield state
    state.close()


def test_remembers_by_the_whole_stamp(db):
    db.put_many([(AT, KNOWN)])
    assert db.get_many([AT]) == [KNOWN]
    for other in (
        FileStamp("/x/u", AT.inode, AT.mtime_ns, AT.size),
        FileStamp(AT.path, AT.inode + 1, AT.mtime_ns, AT.size),
        FileStamp(AT.path, AT.inode, AT.mtime_ns + 1, AT.size),
        FileStamp(AT.path, AT.inode, AT.mtime_ns, AT.size + 1),
    ):
        assert db.get_many([other, AT]) == [None, KNOWN]
    assert db.get_many([]) == []


def test_many_rows(db):
    rows = [(FileStamp(f"/{number}", number, number, 3), KNOWN) for number in range(5000)]
    db.put_many(rows)
    db.put_many(rows)
    assert db.get_many([at for at, _ in rows]) == [KNOWN] * 5000


def test_a_row_of_another_size_is_not_kept(db):
    db.put_many([(FileStamp("/y", 1, 1, 4), KNOWN)])
    assert db.get_many([FileStamp("/y", 1, 1, 4)]) == [None]


@pytest.mark.parametrize("junk", [b"this is no database" * 500, b"\x00" * 5000])
def test_a_broken_database_is_made_anew(tmp_path, caplog, junk):
    file = tmp_path / "state.db"
    file.write_bytes(junk)
    state = StateDb(file)
    with caplog.at_level(logging.WARNING):
        state.put_many([(AT, KNOWN)])
    assert "broken" in caplog.text
    assert state.get_many([AT]) == [KNOWN]
    state.close()


def test_a_database_of_the_future_is_made_anew(tmp_path):
    file = tmp_path / "state.db"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    state = StateDb(file)
    state.put_many([(AT, KNOWN)])
    assert state.get_many([AT]) == [KNOWN]
    state.close()


def test_an_unusable_place_costs_nothing_but_time(tmp_path, caplog):
    (tmp_path / "file").touch()
    state = StateDb(tmp_path / "file" / "state.db")
    state.put_many([(AT, KNOWN)])
    assert state.get_many([AT]) == [None]
    assert "was not used" in caplog.text


def _write(path: str, first: int) -> None:
    state = StateDb(path)
    for number in range(first, first + 200):
        state.put_many([(FileStamp(f"/{number}", number, number, 3), KNOWN)])
    state.close()


def test_several_processes_write_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_write, args=(tmp_path / "s.db", n * 1000)) for n in range(3)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
        assert one.exitcode == 0
    state = StateDb(tmp_path / "s.db")
    stamps = [FileStamp(f"/{n}", n, n, 3) for k in range(3) for n in range(k * 1000, k * 1000 + 200)]
    assert state.get_many(stamps) == [KNOWN] * 600
    state.close()


@pytest.mark.parametrize("made_by_dvc", [True, False])
def test_dvc_reads_what_it_is_told(tmp_path, made_by_dvc):
    file = tmp_path / "f ü.txt"
    file.write_bytes(b"abc")
    site, fs = tmp_path / "site", LocalFileSystem()
    folder = site / "repo" / "token"
    if made_by_dvc:
        theirs = DvcState(str(tmp_path), str(folder))
        theirs.save(str(file), fs, HashInfo("md5", "0" * 32))
        theirs.close()
    state = StateDb(tmp_path / "s.db", folder / "hashes" / "local")
    state.tell_dvc([(stamp(str(file)), KNOWN.md5)])
    theirs = DvcState(str(tmp_path), str(folder))
    _, found = theirs.get(str(file), fs)
    assert found == HashInfo("md5", KNOWN.md5)
    assert len(theirs.hashes) == 1
    theirs.close()
    if not made_by_dvc:
        assert site.stat().st_mode & 0o777 == 0o777


def test_a_broken_database_of_dvc_is_left_alone(tmp_path, caplog):
    folder = tmp_path / "hashes"
    folder.mkdir()
    (folder / "cache.db").write_bytes(b"junk" * 2000)
    StateDb(tmp_path / "s.db", folder).tell_dvc([(AT, KNOWN.md5)])
    assert "was not updated" in caplog.text
    assert (folder / "cache.db").read_bytes() == b"junk" * 2000
