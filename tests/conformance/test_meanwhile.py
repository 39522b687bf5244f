"""Files that are edited or made while Placet works: never replaced, never removed."""

from dataclasses import replace

import pytest

from placet.engine import checkout as checking
from placet.engine import track as tracking
from placet.engine.checkout import checkout
from placet.engine.placed import tell_placed
from placet.engine.track import track
from placet.errors import Conflict

JOBS = 2


@pytest.mark.parametrize("kind", ["hardlink", "symlink"])
def test_an_edit_while_track_runs_is_kept(project, quiet, monkeypatch, kind):
    """All files are read before the first is linked."""
    workspace = replace(project.workspace(), link_types=(kind,))
    edited = project.root / "data" / "a"
    edited.parent.mkdir()
    edited.write_text("a")
    link = tracking._relink

    def edit(*argv):
        edited.write_text("edited")
        return link(*argv)

    monkeypatch.setattr(tracking, "_relink", edit)
    with pytest.raises(Conflict) as caught:
        track(workspace, ["data"], project.state(), JOBS, quiet)
    assert caught.value.kind == "changed-while-reading"
    assert edited.read_text() == "edited"


@pytest.mark.parametrize("what", ["replaced", "made", "removed"])
@pytest.mark.parametrize("force", [False, True])
def test_what_was_edited_after_planning_is_kept(project, quiet, monkeypatch, what, force):
    data = project.root / "data"
    data.mkdir()
    (data / "a").write_text("1")
    track(project.workspace(), ["data"], project.state(), JOBS, quiet)
    old = (project.root / "data.dvc").read_bytes()
    if what == "replaced":
        (data / "a").write_text("2")
    else:
        (data / "a").rename(data / "b")
    track(project.workspace(), ["data"], project.state(), JOBS, quiet)
    (project.root / "data.dvc").write_bytes(old)
    edited = data / ("b" if what == "removed" else "a")

    def edit(_):
        edited.unlink(missing_ok=True)
        edited.write_text("mine")

    monkeypatch.setattr(checking, "sweep", edit)
    if force:
        checkout(project.workspace(), [], project.state(), JOBS, quiet, force=True)
        assert [path.name for path in data.iterdir()] == ["a"]
        assert (data / "a").read_text() == "1"
        return
    with pytest.raises(Conflict) as caught:
        checkout(project.workspace(), [], project.state(), JOBS, quiet)
    assert caught.value.kind == "changed-while-reading"
    assert edited.read_text() == "mine"


def test_a_link_to_a_folder_is_never_emptied(project, quiet, tmp_path):
    """Though an earlier version placed it, or took it for placed."""
    (project.root / "kept").write_text("1")
    track(project.workspace(), ["kept"], project.state(), JOBS, quiet)
    (tmp_path / "far" / "empty").mkdir(parents=True)
    (tmp_path / "far" / "copy").write_text("1")
    (project.root / "link").symlink_to(tmp_path / "far")
    tell_placed(project.workspace(), ["link"], project.state())
    done = checkout(project.workspace(), [], project.state(), JOBS, quiet)
    assert (tmp_path / "far" / "copy").exists()
    assert (tmp_path / "far" / "empty").exists()
    assert done.gone == ()
