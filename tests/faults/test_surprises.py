"""What a user has in the workspace meanwhile: links, edits, empty folders, odd names. Nothing of it is lost."""

from __future__ import annotations

import os
import subprocess

import pytest


def git(lab, *argv: str) -> None:
    subprocess.run(["git", "-C", str(lab.root), *argv], env=lab.env, check=True)


def make(lab, **files: str) -> None:
    for name, text in files.items():
        path = lab.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize("force", [False, True])
def test_nothing_is_written_through_a_linked_folder(local, force):
    make(local, **{"data/ssh/key": "theirs", "data/x": "x"})
    local.placet("track", "data")
    (local.home / "ssh").mkdir()
    (local.home / "ssh" / "key").write_text("mine")
    (local.root / "data" / "ssh" / "key").unlink()
    (local.root / "data" / "ssh").rmdir()
    (local.root / "data" / "ssh").symlink_to("../../ssh")
    options = ["--force"] if force else []
    local.fails("checkout", *options, code=2, kind="link-outside-workspace", words="data/ssh")
    assert (local.home / "ssh" / "key").read_text() == "mine"


def test_a_linked_top_is_not_tracked_emptied_or_written(local):
    make(local, **{"data/x": "x"})
    local.placet("track", "data")
    (local.root / "data").rename(local.home / "moved")
    (local.root / "data").symlink_to("../moved")
    local.fails("track", "data", code=2, kind="link-outside-workspace")
    (local.home / "moved" / "x").write_text("y")
    local.fails("checkout", "--force", code=2, kind="link-outside-workspace")
    (local.home / "moved" / "x").write_text("x")
    local.placet("track", "data/x", code=2)
    (local.root / "data.dvc").unlink()
    local.placet("checkout")
    assert (local.home / "moved" / "x").read_text() == "x"


def test_a_link_to_a_file_gives_way_to_a_folder(local):
    make(local, **{"data/a/b": "x", "c": "c"})
    local.placet("track", "data", "c")
    (local.root / "data" / "a" / "b").unlink()
    (local.root / "data" / "a").rmdir()
    (local.root / "data" / "a").symlink_to("../c")
    local.placet("checkout")
    assert (local.root / "data" / "a" / "b").read_text() == "x"
    assert (local.root / "c").read_text() == "c"


def test_outputs_that_are_gone_are_named(local):
    make(local, **{"data/x": "x"})
    local.placet("track", "data")
    local.placet("checkout")
    (local.root / "data.dvc").unlink()
    done = local.placet("checkout").json
    assert (done["removed"], done["gone"]) == (1, ["data"])
    assert not (local.root / "data").exists()


def test_what_git_tracks_now_is_not_removed(local):
    git(local, "init", "-q")
    make(local, **{"cfg.txt": "c", "other.txt": "o"})
    local.placet("track", "cfg.txt", "other.txt")
    for name in ("cfg.txt", "other.txt"):
        (local.root / f"{name}.dvc").unlink()
    git(local, "add", "-f", "cfg.txt")
    run = local.end(local.start("checkout"))
    assert run.code == 0
    assert "1 removed" in run.out
    assert "other.txt" in run.out
    assert (local.root / "cfg.txt").read_text() == "c"
    assert not (local.root / "other.txt").exists()


def test_an_empty_folder_gives_way_and_a_full_one_is_named(local):
    make(local, **{"data/x": "x", "y": "y", ".dvcignore": "*.log\n"})
    local.placet("track", "data", "y")
    for name in ("data/x", "y"):
        (local.root / name).unlink()
        (local.root / name).mkdir()
    local.placet("checkout")
    assert (local.root / "data" / "x").read_text() == "x"
    assert (local.root / "y").read_text() == "y"
    (local.root / "y").unlink()
    make(local, **{"y/kept.log": "k"})
    local.fails("checkout", code=1, kind="disk-error", words=str(local.root / "y"))
    assert (local.root / "y" / "kept.log").read_text() == "k"


def test_an_ignored_file_is_not_replaced(local):
    make(local, **{"data/a.log": "a", "data/b": "b"})
    local.placet("track", "data")
    make(local, **{"data/a.log": "mine", ".dvcignore": "*.log\n"})
    local.fails("checkout", code=11, kind="changed-while-reading", words="data/a.log")
    assert (local.root / "data" / "a.log").read_text() == "mine"


def test_the_execute_bit_comes_back(local):
    make(local, **{"run.sh": "exit"})
    (local.root / "run.sh").chmod(0o755)
    local.placet("track", "run.sh")
    (local.root / "run.sh").chmod(0o644)
    assert local.placet("checkout").json["files"] == 1
    assert os.access(local.root / "run.sh", os.X_OK)
    assert local.placet("checkout").json["files"] == 0


def test_ignore_files_that_are_no_utf8(local):
    git(local, "init", "-q")
    before = "# caf\xe9\n*.log\n".encode("latin-1")
    for name in (".gitignore", ".dvcignore"):
        (local.root / name).write_bytes(before)
    make(local, **{"data/x": "x", "data/y.log": "y"})
    assert local.placet("track", "data").json["artifacts"][0]["nfiles"] == 1
    assert (local.root / ".gitignore").read_bytes() == before + b"/data\n"


def test_a_link_to_itself_and_a_name_that_is_too_long(local):
    make(local, data="x")
    local.placet("track", "data")
    (local.root / "data").unlink()
    (local.root / "data").symlink_to("data")
    local.fails("status", code=1, kind="disk-error", words="data")
    local.fails("checkout", code=1, kind="disk-error", words="data")
    (local.root / "data").unlink()
    text = (local.root / "data.dvc").read_text()
    (local.root / "data.dvc").write_text(text.replace("path: data", "path: " + "d" * 300))
    assert local.placet("status").json["changes"][0]["state"] == "deleted"
    local.placet("checkout", code=1)


def test_a_pipe_inside_a_directory(local):
    make(local, **{"data/x": "x"})
    local.placet("track", "data")
    os.mkfifo(local.root / "data" / "pipe")
    assert local.placet("status").json["changes"] == []
    assert local.placet("checkout").json["present"] == 1
    local.fails("track", "data", code=2, kind="not-a-file", words="pipe")


def test_an_empty_directory_travels(local):
    (local.root / "nothing").mkdir()
    run = local.end(local.start("track", "nothing"))
    assert "nothing  0 files" in run.out
    local.placet("push")
    local.forget("nothing")
    assert local.placet("status").json["changes"][0]["state"] == "deleted"
    local.placet("pull")
    assert (local.root / "nothing").is_dir()
    assert local.placet("status").json["changes"] == []
