"""Outputs of another Git branch: `checkout` without targets removes them, whoever placed them."""

import os
import pickle
import shutil
import sqlite3

import pytest
from stock import VERSIONS, fill

COMMANDS = {"dvc": ("add", "checkout"), "placet": ("track", "checkout")}


def begin(project, tool):
    """`one.txt` and `data` on branch `other`, nothing of them on `main`."""
    project.git("commit", "-qm", "begin", "--allow-empty")
    project.git("checkout", "-qb", "other")
    fill(project.root / "out" / "data")
    (project.root / "one.txt").write_text("1")
    project.run(tool, COMMANDS[tool][0], "-q", "out/data", "one.txt")
    project.git("add", "one.txt.dvc", "out/data.dvc", ".gitignore", "out/.gitignore")
    project.git("commit", "-qm", "data")


def there(project):
    return sorted(path.name for path in project.root.iterdir() if not path.name.startswith("."))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("adder", COMMANDS)
@pytest.mark.parametrize("remover", COMMANDS)
def test_what_one_placed_the_other_removes(new_project, version, adder, remover):
    project = new_project(stock=version)
    begin(project, adder)
    before = there(project)
    project.git("checkout", "-q", "main")
    assert "one.txt" in there(project)
    project.run(remover, "checkout", "-q")
    assert there(project) == [] or there(project) == ["out"]
    assert not (project.root / "out" / "data").exists()
    project.git("checkout", "-q", "other")
    project.run(remover, "checkout", "-q")
    assert there(project) == before
    assert "up to date" in project.dvc("status")
    project.git("checkout", "-q", "main")
    project.run(adder, "checkout", "-q")
    assert not (project.root / "one.txt").exists()
    assert not (project.root / "out" / "data").exists()


@pytest.mark.parametrize("adder", COMMANDS)
def test_what_changed_since_or_was_named_is_left(project, adder):
    begin(project, adder)
    project.git("checkout", "-q", "main")
    (project.root / "one.txt").write_text("2")
    (project.root / "kept").write_text("k")
    project.placet("track", "-q", "kept")
    project.placet("checkout", "kept")
    assert (project.root / "out" / "data" / "b.csv").exists()
    project.placet("checkout")
    assert (project.root / "one.txt").read_text() == "2"
    assert not (project.root / "out" / "data").exists()


@pytest.mark.parametrize("remover", COMMANDS)
def test_tracking_tells_also_what_status_has_read_before(project, remover):
    begin(project, "dvc")
    for name in ("one.txt", "out/data/b.csv"):
        os.utime(project.root / name, ns=(10**18, 10**18))
    project.placet("status")
    project.placet("track", "-q", "one.txt", "out/data")
    project.git("checkout", "-q", "main")
    project.run(remover, "checkout", "-q")
    assert not (project.root / "one.txt").exists()
    assert not (project.root / "out" / "data").exists()


def test_nothing_is_removed_that_nobody_else_has(project):
    begin(project, "placet")
    project.git("checkout", "-q", "main")
    shutil.rmtree(project.root / ".dvc" / "cache")
    assert "not in the cache" in project.placet("checkout", ok=False)
    assert "one.txt" in there(project)
    project.placet("checkout", "--force")
    assert "one.txt" not in there(project)


def test_a_list_of_another_users_making_does_no_harm(project, tmp_path):
    """It is never unpickled, and names nothing outside of the project or around its outputs."""
    begin(project, "placet")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x").write_text("x")
    (project.root / "way").symlink_to(tmp_path / "outside")
    database = project.hashes.parents[1] / "links" / "cache.db"

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "evil"),)

    def value(path):
        found = path.stat()
        return pickle.dumps((path.lstat().st_ino, str(round(found.st_mtime * 10**9))), protocol=4)

    (project.root / "file").write_text("f")
    rows = {
        "evil": pickle.dumps(Evil(), protocol=4),
        "../outside/x": value(tmp_path / "outside" / "x"),
        "way/x": value(tmp_path / "outside" / "x"),
        ".git/HEAD": value(project.root / ".git" / "HEAD"),
    }
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE Cache SET key = 'out' WHERE key = 'out/data'")
        for key, data in rows.items():
            connection.execute(
                "INSERT INTO Cache (key, raw, store_time, access_time, mode, value) VALUES (?, 1, 0, 0, 4, ?)",
                (key, data),
            )
    connection.close()
    project.placet("checkout")
    assert not (tmp_path / "evil").exists()
    assert (tmp_path / "outside" / "x").exists()
    assert (project.root / ".git" / "HEAD").exists()
    assert (project.root / "out" / "data" / "b.csv").exists()
    with sqlite3.connect(database) as connection:
        connection.execute(
            "INSERT INTO Cache (key, raw, store_time, access_time, mode, value) VALUES ('file', 1, 0, 0, 4, ?)",
            (value(project.root / "file"),),
        )
    connection.close()
    assert "not in the cache" in project.placet("checkout", ok=False)
    assert (project.root / "file").exists()
