"""Every kind of output and target: what we do with it, and what stock DVC does with the same project."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from many import many, objects
from stock import FolderStore, Project

from placet.adapters.git_worktree import WorkTree
from placet.adapters.objects.local import LocalStore
from placet.adapters.pipeline import resolve
from placet.core import layout
from placet.core.digest import digest
from placet.core.dvcfile import read_metafile
from placet.engine.artifact import load_artifact, require_whole
from placet.engine.checkout import checkout
from placet.engine.fetch import fetch
from placet.engine.push import push
from placet.engine.routes import Routes
from placet.engine.status import status
from placet.engine.track import track
from placet.engine.workspace import Workspace
from placet.errors import Invalid, NotFound, Partial, PlacetError, Refused

JOBS = 2
PIPELINE = """\
stages:
  make:
    cmd: sh make.sh
    outs:
    - o
    - unpushed: {push: false}
    - kept.txt: {cache: false}
    - r2.txt:
        remote: second
        persist: true
        desc: elsewhere
    metrics:
    - m.json: {cache: false}
    - n.json
    plots:
    - p.csv: {x: a}
  never:
    cmd: exit 1
    outs: [z]
"""
MAKE = """\
mkdir -p o/s; echo 1 > o/a; echo 2 > o/s/b; echo m > m.json; echo n > n.json
echo u > unpushed; echo k > kept.txt; echo r > r2.txt; echo p > p.csv
"""


def space(project: Project) -> Workspace:
    git = WorkTree(project.root, project.env)
    return replace(
        project.workspace(),
        git_ignores=git.ignores,
        git_ignored=git.ignored,
        resolve=lambda file: resolve(project.root, file),
    )


def routes(project: Project, named: str | None = None) -> Routes:
    stores = {None: project.remote, "internal-storage": project.remote, "second": second(project)}
    return Routes(lambda name: LocalStore(stores[name or named]), named)


def second(project: Project) -> Path:
    return project.root.parent / f"{project.root.name}-second"


def forget(project: Project) -> list[str]:
    """What DVC remembers of remotes, to be removed."""
    return [str(path) for path in Path(project.env["DVC_SITE_CACHE_DIR"]).glob("repo/*/index")]


def wipe(project: Project, *paths: str) -> None:
    for path in (".dvc/cache", *paths):
        target = project.root / path
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)


def files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not {".dvc", ".git"} & set(path.relative_to(root).parts)
    }


def states(text: str) -> dict[str, str]:
    """Output -> state, of `dvc status --json`."""
    found: dict[str, str] = {}
    for stage in json.loads(text).values():
        for one in stage:
            if isinstance(one, dict):
                found |= one.get("changed outs", {})
    return found


def ours(project: Project, *targets: str) -> dict[str, str]:
    found = status(space(project), None, targets, project.state(), JOBS)
    return {one.path: one.state.replace("-", " ") for one in found.changes}


def reasons(skipped) -> dict[str, str]:
    return {one.path: one.reason for one in skipped}


@pytest.fixture
def pipeline(project) -> Project:
    project.dvc("remote", "add", "-q", "second", str(second(project)))
    (project.root / "dvc.yaml").write_text(PIPELINE)
    (project.root / "make.sh").write_text(MAKE)
    data = project.root / "d"
    (data / "sub").mkdir(parents=True)
    for name in ("a", "sub/b", "sub/c"):
        (data / name).write_text(name)
    many(project, ["repro", "-q", "make"], ["add", "-q", "d"])
    with (project.root / "d.dvc").open("a") as metafile:
        metafile.write("frozen: true\n")
    return project


def test_targets_mean_what_they_mean_to_dvc(pipeline, quiet):
    targets = ["d", "d.dvc", "o", "make", "dvc.yaml", "dvc.yaml:make", ":make", "r2.txt", "n.json"]
    parts = ["d/sub", "d/sub/b", "o/s"]
    steps = []
    for target in [*targets, *parts]:
        clean = ["rm", str(pipeline.remote), str(second(pipeline)), *forget(pipeline)]
        steps += [clean, ["push", "-q", target], ["ls", str(pipeline.root.parent)]]
    steps.append(["rm", str(pipeline.remote), str(second(pipeline))])
    found = many(pipeline, ["push", "-q", "n.json"], *steps)[3::3]
    for target, listed in zip([*targets, *parts], found, strict=False):
        want = {one.partition("/")[2] for one in listed if one.startswith("project-")}
        wipe_remotes(pipeline)
        push(space(pipeline), routes(pipeline), [target], pipeline.state(), JOBS, quiet)
        got = objects(pipeline.remote) | objects(second(pipeline))
        if target in parts:
            want = {key for key in want if not key.endswith(".dir")}
        assert got == want, target
        assert want, target


def wipe_remotes(project: Project) -> None:
    shutil.rmtree(project.remote, ignore_errors=True)
    shutil.rmtree(second(project), ignore_errors=True)


def test_a_part_never_makes_a_listing_visible_before_its_files(pipeline, quiet):
    def pushed(*targets: str) -> set[str]:
        push(space(pipeline), routes(pipeline), targets, pipeline.state(), JOBS, quiet)
        return {key for key in objects(pipeline.remote) if key.endswith(".dir")}

    assert pushed("d/sub") == set()
    found = status(space(pipeline), routes(pipeline), ["d"], pipeline.state(), JOBS)
    assert [(one.path, one.state) for one in found.changes] == [("d", "new")]
    assert len(pushed("d/a")) == 1
    assert status(space(pipeline), routes(pipeline), ["d"], pipeline.state(), JOBS).changes == ()
    assert many(pipeline, ["push", "d"])[0][1].strip() == "Everything is up to date."


def test_outputs_of_stages_move_as_with_dvc(pipeline, quiet):
    named = push(space(pipeline), routes(pipeline, "internal-storage"), [], pipeline.state(), JOBS, quiet)
    assert reasons(named.skipped) == {
        "unpushed": "push: false",
        "kept.txt": "cache: false; Git keeps it",
        "m.json": "cache: false; Git keeps it",
        "r2.txt": "its remote is 'second'",
        "z": "dvc.lock has no hash of it; run `dvc repro dvc.yaml:never`",
    }
    assert not second(pipeline).exists()
    done = push(space(pipeline), routes(pipeline), [], pipeline.state(), JOBS, quiet)
    assert done.objects == 1
    by_us = objects(pipeline.remote), objects(second(pipeline))
    clean = ["rm", str(pipeline.remote), str(second(pipeline)), *forget(pipeline)]
    pushed, again = many(pipeline, ["push"], clean, ["push", "-q"])[::2]
    assert pushed == [0, "Everything is up to date.\n"]
    assert again[0] == 0
    assert (objects(pipeline.remote), objects(second(pipeline))) == by_us
    assert status(space(pipeline), routes(pipeline), [], pipeline.state(), JOBS).changes == ()


def test_outputs_of_stages_come_back_as_with_dvc(pipeline, quiet):
    push(space(pipeline), routes(pipeline), [], pipeline.state(), JOBS, quiet)
    made = ["o", "unpushed", "r2.txt", "n.json", "p.csv", "d"]
    wipe(pipeline, *made)
    (code, _), (_, text) = many(pipeline, ["pull"], ["status", "--json"])
    by_dvc = files(pipeline.root)
    assert code == 1  # for `unpushed` and `z`, which nobody can bring
    theirs = states(text)
    wipe(pipeline, *made)
    fetched = fetch(space(pipeline), routes(pipeline), [], pipeline.state(), JOBS, quiet)
    assert reasons(fetched.skipped)["unpushed"] == "push: false, and neither the cache nor the remote has it"
    done = checkout(space(pipeline), [], pipeline.state(), JOBS, quiet)
    assert reasons(done.skipped) == reasons(fetched.skipped)
    assert files(pipeline.root) == by_dvc
    (again, text), (_, cloud) = many(pipeline, ["status", "--json"], ["status", "-c", "--json"])
    assert (again, states(text)) == (0, theirs)
    assert theirs == {"unpushed": "not in cache", "z": "deleted"}
    assert ours(pipeline) == {"unpushed": "deleted", "z": "deleted"}
    assert json.loads(cloud) == {}


def test_status_of_outputs_that_git_keeps_or_nobody_made(pipeline):
    root = pipeline.root
    (root / "kept.txt").write_text("other")
    (root / "m.json").unlink()
    (root / "z").write_text("by hand")
    (root / "o" / "new").write_text("new")
    (text,) = [out for _, out in many(pipeline, ["status", "--json"])]
    want = {"kept.txt": "modified", "m.json": "deleted", "z": "modified", "o": "modified"}
    assert ours(pipeline) == states(text) == want
    assert ours(pipeline, "o/s") == {}
    assert ours(pipeline, "o/new") == {"o": "modified"}
    with pytest.raises(NotFound) as caught:
        ours(pipeline, "o/nothing")
    assert caught.value.kind == "not-tracked"


def test_a_part_is_checked_out_alone(pipeline, quiet):
    push(space(pipeline), routes(pipeline), [], pipeline.state(), JOBS, quiet)
    wipe(pipeline, "d", "o")
    many(pipeline, ["pull", "-q", "d/sub/b", "o/s"])
    by_dvc = files(pipeline.root), objects(pipeline.root / ".dvc" / "cache")
    assert "d/a" not in by_dvc[0]
    wipe(pipeline, "d", "o")
    targets = ["d/sub/b", "o/s"]
    fetch(space(pipeline), routes(pipeline), targets, pipeline.state(), JOBS, quiet)
    done = checkout(space(pipeline), targets, pipeline.state(), JOBS, quiet)
    assert done.files == 2
    assert (files(pipeline.root), objects(pipeline.root / ".dvc" / "cache")) == by_dvc
    fetch(space(pipeline), routes(pipeline), ["d/sub"], pipeline.state(), JOBS, quiet)
    mine = pipeline.root / "d" / "mine"
    mine.write_text("x")
    (pipeline.root / "d" / "sub" / "b").unlink()
    (pipeline.root / "d" / "sub" / "extra").write_text("x")
    with pytest.raises(Refused):
        checkout(space(pipeline), ["d/sub"], pipeline.state(), JOBS, quiet)
    done = checkout(space(pipeline), ["d/sub"], pipeline.state(), JOBS, quiet, force=True)
    assert (done.files, done.removed) == (2, 1)
    assert mine.exists()


def test_tracking_a_part_is_dvc_add_to_the_byte(new_project, quiet):
    mine, theirs = new_project("mine"), new_project("theirs")
    for project in (mine, theirs):
        (project.root / "d" / "sub").mkdir(parents=True)
        for name in ("a", "sub/b", "sub/c"):
            (project.root / "d" / name).write_text(name)
    track(mine.workspace(), ["d"], mine.state(), JOBS, quiet)
    many(theirs, ["add", "-q", "d"])

    def both(change, target: str) -> None:
        for project in (mine, theirs):
            change(project.root / target)
        many(theirs, ["add", "-q", target])
        track(mine.workspace(), [target], mine.state(), JOBS, quiet)
        assert (mine.root / "d.dvc").read_bytes() == (theirs.root / "d.dvc").read_bytes()
        extra = objects(theirs.root / ".dvc" / "cache") ^ objects(mine.root / ".dvc" / "cache")
        assert extra <= {key for key in objects(theirs.root / ".dvc" / "cache") if key.endswith(".dir")}

    both(lambda path: path.write_text("new"), "d/sub/new")
    both(lambda path: (path.mkdir(), (path / "x").write_text("x")), "d/more")
    both(lambda path: None, "d/sub")
    both(lambda path: path.write_text("changed"), "d/a")
    both(lambda path: path.unlink(), "d/sub/b")
    both(lambda path: None, "d")
    with pytest.raises(NotFound):
        track(mine.workspace(), ["d/sub/b"], mine.state(), JOBS, quiet)
    (mine.root / "d" / ".dvcignore").touch()
    with pytest.raises(Invalid) as caught:
        track(mine.workspace(), ["d/.dvcignore"], mine.state(), JOBS, quiet)
    assert caught.value.kind == "unsafe-path"
    (mine.root / "d" / ".dvcignore").unlink()
    for name in ("one", "two"):
        (mine.root / "d" / name).write_text(name)
    track(mine.workspace(), ["d/one", "d/two"], mine.state(), JOBS, quiet)
    assert status(mine.workspace(), None, [], mine.state(), JOBS).clean


SHARED = """\
# two outputs
wdir: data
desc: both
outs:
- path: one.txt # the first
  desc: the first
  labels: [x,   y]
- path: two
  meta: {owner: me}
  type: table
  remote: second
  persist: true
meta:
  any: [thing]
"""


def test_shared_metafiles_keep_all_that_users_wrote(new_project, quiet):
    mine, theirs = new_project("mine"), new_project("theirs")
    for project in (mine, theirs):
        (project.root / "data" / "two").mkdir(parents=True)
        (project.root / "data" / "one.txt").write_text("1")
        (project.root / "data" / "two" / "x").write_text("2")
        (project.root / "both.dvc").write_text(SHARED)
    many(theirs, ["commit", "-q", "-f", "both.dvc"], ["remote", "add", "-q", "second", str(second(theirs))])
    (mine.root / "both.dvc").write_bytes((theirs.root / "both.dvc").read_bytes())
    shutil.copytree(theirs.root / ".dvc" / "cache", mine.root / ".dvc" / "cache")
    for project in (mine, theirs):
        (project.root / "data" / "two" / "y").write_text("more")
        (project.root / "data" / "one.txt").write_text("11")
    many(theirs, ["add", "-q", "data/two"])
    track(mine.workspace(), ["data/two"], mine.state(), JOBS, quiet)
    assert (mine.root / "both.dvc").read_bytes() == (theirs.root / "both.dvc").read_bytes()
    many(theirs, ["add", "-q", "data/one.txt"], ["push", "-q"])
    track(mine.workspace(), ["data/one.txt"], mine.state(), JOBS, quiet)
    assert (mine.root / "both.dvc").read_bytes() == (theirs.root / "both.dvc").read_bytes()
    push(space(mine), routes(mine), ["both.dvc"], mine.state(), JOBS, quiet)
    assert objects(mine.remote) == objects(theirs.remote)
    assert objects(second(mine)) == objects(second(theirs))
    wipe(mine, "data/two")
    fetch(space(mine), routes(mine), ["data"], mine.state(), JOBS, quiet)
    checkout(space(mine), [], mine.state(), JOBS, quiet)
    assert (mine.root / "data" / "two" / "y").read_text() == "more"
    with pytest.raises(Invalid) as caught:
        load_artifact(space(mine), "data/two", mine.state(), JOBS)
    assert caught.value.kind == "not-plain"


COMPUTED = """\
vars:
- where: out
- flags: {push: false}
stages:
  each:
    foreach: [x, y]
    do:
      cmd: mkdir -p ${where} && echo ${item} > ${where}/${item}.txt
      outs: ["${where}/${item}.txt"]
  grid:
    matrix: {n: [1, 2]}
    cmd: echo g${item.n} > g${item.n}
    outs:
    - g${item.n}: {persist: true}
  sub:
    wdir: w
    cmd: echo ${where} > s
    outs: [s]
"""


def test_computed_outputs_are_what_dvc_computes(project, quiet):
    (project.root / "w").mkdir()
    (project.root / "dvc.yaml").write_text(COMPUTED)
    many(project, ["repro", "-q"], ["push", "-q"])
    by_dvc = objects(project.remote)
    shutil.rmtree(project.remote)
    each = space(project).select(["each"])
    assert [one.path for one in each] == ["out/x.txt", "out/y.txt"]
    assert [one.path for one in space(project).select(["grid@2"])] == ["g2"]
    assert [one.path for one in space(project).select(["w/s"])] == ["w/s"]
    push(space(project), routes(project), [], project.state(), JOBS, quiet)
    assert objects(project.remote) == by_dvc
    with pytest.raises(Invalid) as caught:
        replace(space(project), resolve=None).select([])
    assert caught.value.kind == "computed-outputs"
    (project.root / "dvc.yaml").write_text(COMPUTED.replace("${where}/${item}.txt", "${nowhere}"))
    with pytest.raises(Invalid) as caught:
        space(project).select([])
    assert caught.value.kind == "metafile"


def test_plain_projects_load_neither_dvc_nor_a_yaml_library(project, quiet):
    (project.root / "a.bin").write_text("a")
    track(project.workspace(), ["a.bin"], project.state(), JOBS, quiet)
    program = (
        "import sys; from pathlib import Path; from placet.engine.workspace import Workspace\n"
        "root = Path.cwd().resolve(); space = Workspace(root, root / '.dvc', root / '.dvc/cache')\n"
        "assert [one.path for one in space.select()] == ['a.bin'] == [space.outputs().owner('a.bin').path]\n"
        "print([one for one in sys.modules if one.split('.')[0] in {'dvc', 'ruamel'}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=project.root, env=project.env, capture_output=True, check=True
    )
    assert done.stdout == b"[]\n"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("wdir: ../..\nouts:\n- path: x\n", "../../x"),
        ("outs:\n- path: /etc/passwd\n", "/etc/passwd"),
        ("wdir: .git\nouts:\n- path: hooks/x\n", ".git/hooks/x"),
        ("wdir: .dvc\nouts:\n- path: config\n", ".dvc/config"),
        ("wdir: away\nouts:\n- path: x\n", "away/x"),
    ],
)
def test_outputs_outside_of_the_workspace_are_never_touched(project, quiet, tmp_path, text, path):
    (tmp_path / "elsewhere").mkdir()
    (project.root / "away").symlink_to(tmp_path / "elsewhere")
    (project.root / "bad.dvc").write_text(
        text.replace("- path", "- md5: d41d8cd98f00b204e9800998ecf8427e\n  hash: md5\n  path")
    )
    work = space(project)
    (project.remote / "files/md5/d4").mkdir(parents=True)
    (project.remote / "files/md5/d4/1d8cd98f00b204e9800998ecf8427e").touch()
    want = {path: "its path leads out of the workspace"}
    assert reasons(fetch(work, routes(project), [], project.state(), JOBS, quiet).skipped) == want
    assert reasons(checkout(work, [], project.state(), JOBS, quiet, force=True).skipped) == want
    assert reasons(push(work, routes(project), [], project.state(), JOBS, quiet).skipped) == want
    assert reasons(status(work, None, [], project.state(), JOBS).skipped) == want
    assert not list((tmp_path / "elsewhere").iterdir())
    assert not (project.root / ".git" / "hooks" / "x").exists()


def test_what_dvc_does_not_see_is_not_there(project, quiet):
    root = project.root
    for name in ("seen/a", "inner/b", "ignored/c", "skipped/d"):
        (root / name).parent.mkdir()
        (root / name).write_text(name)
    track(project.workspace(), ["seen/a", "inner/b", "ignored/c", "skipped/d"], project.state(), JOBS, quiet)
    (root / ".dvcignore").write_text("skipped\n")
    (root / ".gitignore").write_text("/ignored/\n")
    (root / "inner" / ".dvc").mkdir()
    for name in ("seen/a", "inner/b", "ignored/c", "skipped/d"):
        (root / name).write_text("changed")
    ((_, text),) = many(project, ["status", "--json"])
    assert states(text) == {"seen/a": "modified"} == ours(project)
    assert [one.path for one in space(project).select([])] == ["seen/a"]
    assert [one.path for one in space(project).select(["ignored/c"])] == ["ignored/c"]


def test_a_metafile_that_nobody_would_see_is_not_written(project, quiet):
    (project.root / ".gitignore").write_text("/ignored/\n")
    (project.root / "ignored").mkdir()
    (project.root / "ignored" / "x").touch()
    with pytest.raises(Refused) as caught:
        track(space(project), ["ignored/x"], project.state(), JOBS, quiet)
    assert caught.value.kind == "metafile-ignored"
    assert not (project.root / "ignored" / "x.dvc").exists()
    assert many(project, ["add", "-q", "ignored/x"])[0][0] != 0


def test_stages_are_named_from_where_the_user_is(project, quiet):
    root = project.root
    (root / "sub" / "in").mkdir(parents=True)
    (root / "sub" / "dvc.yaml").write_text(
        "stages:\n  train:\n    wdir: in\n    cmd: echo m > m\n    outs: [m]\n"
        "  more:\n    cmd: mkdir train && echo t > train/t\n    outs: [train]\n"
    )
    many(project, ["repro", "-q", "sub/dvc.yaml"])
    (root / "sub" / "dvc.yaml.dvc").write_text("outs: []\n")

    def chosen(base: str, *targets: str) -> list[str]:
        work = replace(space(project), base=root / base)
        return [f"{one.path} {one.inside}" for one in work.select(targets)]

    both = ["sub/in/m ()", "sub/train ()"]
    assert chosen("sub", "train") == chosen("", "sub/dvc.yaml:train") == both[:1]
    assert chosen("sub", ":more") == chosen("sub/in", "../train") == both[1:]
    assert chosen("", "sub/train/t", "sub/train/u") == ["sub/train ('t', 'u')"]
    assert chosen("", "sub/train/t", "sub/train") == both[1:]
    assert chosen("", "sub") == chosen("sub", ".") == chosen("sub/in") == both
    assert chosen("sub", "dvc.yaml") == chosen("", "sub/dvc.yaml") == both
    assert chosen("", "sub/in") == both[:1]
    for target in ("sub/dvc.yaml:none", "train", "none"):
        with pytest.raises(NotFound):
            chosen("", target)
    (root / "sub" / "train" / "t").write_text("changed")
    replies = many(project, ["status", "--json", "sub/train"], ["status", "--json", "sub/dvc.yaml:train"])
    assert [states(text) for _, text in replies] == [{"sub/train": "modified"}, {}]
    assert ours(project, "sub/train") == {"sub/train": "modified"}
    assert ours(project, "sub/dvc.yaml:train") == {}


def test_overlapping_outputs_are_refused_as_by_dvc(project, quiet):
    (project.root / "a" / "b").mkdir(parents=True)
    (project.root / "a" / "b" / "x").write_text("x")
    (project.root / "dvc.yaml").write_text("stages:\n  s:\n    cmd: 'true'\n    outs: [a/b]\n")
    with pytest.raises(Refused) as refused:
        track(space(project), ["a/b/x"], project.state(), JOBS, quiet)
    assert refused.value.kind == "pipeline-output"
    with pytest.raises(Invalid) as caught:
        track(space(project), ["a"], project.state(), JOBS, quiet)
    assert caught.value.kind == "overlapping-outputs"
    (project.root / "z.dvc").write_text("wdir: a\nouts:\n- path: b\n")
    with pytest.raises(Invalid) as caught:
        status(space(project), None, [], project.state(), JOBS)
    assert caught.value.kind == "overlapping-outputs"
    (project.root / "new").touch()
    assert many(project, ["add", "-q", "new"])[0][0] != 0


def test_only_what_was_tracked_as_a_whole_can_be_governed(pipeline):
    def kind(call) -> str:
        with pytest.raises(PlacetError) as caught:
            call()
        return caught.value.kind

    work = space(pipeline)
    assert load_artifact(work, "d", pipeline.state(), JOBS).tracked.path == "d"
    assert kind(lambda: load_artifact(work, "o", pipeline.state(), JOBS)) == "not-plain"
    assert kind(lambda: load_artifact(work, "d/sub", pipeline.state(), JOBS)) == "not-plain"
    assert kind(lambda: require_whole(work, ["d", "d/sub"])) == "overlapping-outputs"
    require_whole(work, ["d", "new"])


def test_imports(new_project, quiet, tmp_path):
    source = new_project("source")
    (source.root / "lib").write_text("from a repository")
    many(source, ["add", "-q", "lib"], ["push", "-q"])
    source.git("add", "-A")
    source.git("commit", "-qm", "x")
    project = new_project("project")
    (tmp_path / "raw").write_text("from a URL")
    many(
        project,
        ["import", "-q", str(source.root), "lib"],
        ["import-url", "-q", str(tmp_path / "raw"), "raw"],
        ["import-url", "-q", "--no-download", str(tmp_path / "raw"), "later"],
        ["push", "-q"],
    )
    by_dvc = objects(project.remote)
    assert len(by_dvc) == 1
    shutil.rmtree(project.remote)
    pushed = push(space(project), routes(project), [], project.state(), JOBS, quiet)
    assert objects(project.remote) == by_dvc
    later = "imported without its data; run `dvc update later.dvc`"
    assert reasons(pushed.skipped) == {
        "lib": "imported from another repository, which keeps it",
        "later": later,
    }
    for target in ("lib", "raw"):
        with pytest.raises(Invalid) as caught:
            track(project.workspace(), [target], project.state(), JOBS, quiet)
        assert caught.value.kind == "not-added"
    wipe(project, "lib", "raw")
    fetched = fetch(space(project), routes(project), [], project.state(), JOBS, quiet)
    why = "only DVC brings an import from where it is kept: dvc pull lib.dvc"
    assert reasons(fetched.skipped) == {"lib": why, "later": later}
    done = checkout(space(project), [], project.state(), JOBS, quiet)
    assert reasons(done.skipped) == {"lib": why, "later": later}
    assert (project.root / "raw").read_text() == "from a URL"
    program = str(Path(sys.executable).parent / "placet")
    project.dvc("remote", "remove", "-q", "internal-storage")
    found = subprocess.run(
        [program, "pull", "lib"],
        cwd=project.root,
        env=project.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, why in found.stdout) == (0, True), found.stderr
    many(project, ["fetch", "-q", "lib.dvc"])
    assert checkout(space(project), ["lib"], project.state(), JOBS, quiet).files == 1
    assert (project.root / "lib").read_text() == "from a repository"
    assert ours(project, "lib", "raw") == {}


def test_json_and_text_give_the_reason(pipeline):
    def run(*words: str) -> str:
        done = subprocess.run(
            [str(Path(sys.executable).parent / "placet"), *words],
            cwd=pipeline.root,
            env=pipeline.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert {"path": "unpushed", "reason": "push: false"} in json.loads(run("push", "--json"))["skipped"]
    assert "skipped         unpushed  (push: false)" in run("push")
    assert run("status", "-c", "d", "o").splitlines()[0] == "Everything is up to date."
    wipe(pipeline, "r2.txt")
    found = json.loads(run("pull", "--json", "-r", "internal-storage"))
    assert {"path": "r2.txt", "reason": "its remote is 'second'"} in found["checked_out"]["skipped"]
    run("pull", "r2.txt")
    assert (pipeline.root / "r2.txt").read_text() == "r\n"
    named = pipeline.root / "dvc.yaml"
    named.write_text(PIPELINE.replace("remote: second", "remote: Second"))
    assert run("status", "-c", "r2.txt").strip() == "Everything is up to date."
    store = FolderStore(pipeline.remote)
    assert reasons(push(space(pipeline), store, ["r2.txt"], pipeline.state(), 1, NoProgress()).skipped)


class NoProgress:
    def start(self, phase, objects=None, size=None):
        return self

    def advance(self, objects=0, size=0):
        pass

    def done(self):
        pass


def test_a_push_needs_only_the_keys_of_what_the_remote_has(pipeline, quiet):
    """As DVC: an output that was never pulled stops nothing; one that is nowhere is told of at the end."""
    push(space(pipeline), routes(pipeline), [], pipeline.state(), JOBS, quiet)
    shutil.rmtree(pipeline.root / ".dvc" / "cache")
    (pipeline.root / "fresh").write_text("fresh")
    track(space(pipeline), ["fresh"], pipeline.state(), JOBS, quiet)
    assert push(space(pipeline), routes(pipeline), [], pipeline.state(), JOBS, quiet).objects == 1
    (pipeline.root / "other").write_text("other")
    track(space(pipeline), ["other"], pipeline.state(), JOBS, quiet)
    key = layout.data_key(digest(b"1\n").md5)
    (pipeline.remote / key).unlink()
    with pytest.raises(Partial) as partly:
        push(space(pipeline), routes(pipeline), [], pipeline.state(), JOBS, quiet)
    assert partly.value.details == {"lacking": {"o": [key]}}
    assert layout.data_key(digest(b"other").md5) in objects(pipeline.remote)
    with pytest.raises(NotFound) as nothing:
        push(space(pipeline), routes(pipeline), ["o"], pipeline.state(), JOBS, quiet)
    assert (nothing.value.kind, partly.value.kind) == ("not-in-cache", "not-in-cache")


@pytest.mark.parametrize("by", ["placet", "dvc"])
def test_a_part_is_tracked_and_pushed_without_the_rest(pipeline, quiet, by):
    push(space(pipeline), routes(pipeline), [], pipeline.state(), JOBS, quiet)
    wipe(pipeline, "d")
    fetch(space(pipeline), routes(pipeline), ["d/sub"], pipeline.state(), JOBS, quiet)
    checkout(space(pipeline), ["d/sub"], pipeline.state(), JOBS, quiet)
    (pipeline.root / "d" / "sub" / "new").write_text("new")
    if by == "dvc":
        many(pipeline, ["add", "-q", "d/sub/new"])
    else:
        (tracked,) = track(space(pipeline), ["d/sub/new"], pipeline.state(), JOBS, quiet)
        assert tracked.digests.sha256 == ""
    lost = next(key for key in objects(pipeline.remote) if key == layout.data_key(digest(b"a").md5))
    assert not (pipeline.root / ".dvc" / "cache" / lost).exists()
    (pipeline.remote / lost).rename(pipeline.remote / "away")
    with pytest.raises(NotFound):
        push(space(pipeline), routes(pipeline), ["d"], pipeline.state(), JOBS, quiet)
    listing = read_metafile((pipeline.root / "d.dvc").read_bytes()).outs[0].key
    assert not (pipeline.remote / listing).exists()
    (pipeline.remote / "away").rename(pipeline.remote / lost)
    assert push(space(pipeline), routes(pipeline), ["d"], pipeline.state(), JOBS, quiet).objects == 1
    assert (pipeline.remote / listing).exists()
    wipe(pipeline, "d")
    many(pipeline, ["pull", "-q", "d"])
    assert sorted(files(pipeline.root / "d")) == ["a", "sub/b", "sub/c", "sub/new"]


LINUX = ["12:00.csv", "what?.txt", "con.txt", "space ", "dot.", ".gitignore", ".gitattributes", "z\u200dw"]


def test_names_of_linux_are_moved_but_never_governed(new_project, quiet):
    mine, theirs = new_project("mine"), new_project("theirs")
    for project in (mine, theirs):
        (project.root / "d").mkdir()
        for name in LINUX:
            (project.root / "d" / name).write_text(name)
    many(theirs, ["add", "-q", "d"], ["push", "-q"])
    track(mine.workspace(), ["d"], mine.state(), JOBS, quiet)
    assert (mine.root / "d.dvc").read_bytes() == (theirs.root / "d.dvc").read_bytes()
    push(mine.workspace(), routes(mine), [], mine.state(), JOBS, quiet)
    assert objects(mine.remote) >= objects(theirs.remote)
    wipe(mine, "d")
    fetch(mine.workspace(), routes(mine), [], mine.state(), JOBS, quiet)
    checkout(mine.workspace(), [], mine.state(), JOBS, quiet)
    assert files(mine.root / "d") == {name: name.encode() for name in LINUX}
    assert status(mine.workspace(), None, [], mine.state(), JOBS).clean
    with pytest.raises(Invalid) as caught:
        load_artifact(mine.workspace(), "d", mine.state(), JOBS)
    assert caught.value.kind == "unsafe-path"
    (mine.root / "a:b").write_text("x")
    track(mine.workspace(), ["a:b"], mine.state(), JOBS, quiet)
    with pytest.raises(Invalid) as caught:
        load_artifact(mine.workspace(), "a:b", mine.state(), JOBS)
    assert caught.value.kind == "unsafe-path"
