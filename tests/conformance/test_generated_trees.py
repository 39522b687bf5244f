"""Generated trees: `placet track` leaves what `dvc add` leaves, to the byte; again after changes."""

import itertools
import os
import shutil
import unicodedata
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as some

from placet.core import layout


def examples_of(count):
    return settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # an example takes a second; hypothesis would shrink for an hour
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


PARTS = some.one_of(
    some.sampled_from(
        ["a", "A b", " lead", "it's", "dvc", "x.tmp", ".hidden", "-dash", "~", "#1", "[x]", "{y}", "%20", "&;", "null",
         "1e5", "e\u0301", "\u00e9", "\u1e9b\u0323", "Ω", "\U0001d518", "日本語", "n" * 200, "ü" * 100, "名" * 66]
    ),
    some.text(min_size=1, max_size=12).map(lambda text: unicodedata.normalize("NFD", text)),
    some.text(min_size=1, max_size=12),
)  # fmt: skip
PATHS = (
    some.lists(PARTS, min_size=1, max_size=4).map("/".join)
    | some.integers(10, 40).map(lambda depth: "/".join(["deep"] * depth + ["leaf"]))
).filter(lambda path: not any(map(layout.forbidden_in_directory, [path, *path.split("/")])))
CONTENTS = some.tuples(
    some.sampled_from([b"", b"same", b"line\r\nline\n", bytes(range(256)), b"\xff"])
    | some.binary(max_size=40),
    some.sampled_from([1, 1, 1, 1_048_576, 1_048_577]),
).map(lambda drawn: drawn if len(drawn[0]) == 1 else (drawn[0], 1))


@dataclass(frozen=True)
class Tree:
    """Files as (what, how often) and mode, empty folders, links (name -> the file or folder that it leads to)."""

    files: dict[str, tuple[tuple[bytes, int], int]]
    folders: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()

    def make(self, top):
        for path, ((unit, count), mode) in self.files.items():
            file = top / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)
            file.write_bytes(unit * count)
            file.chmod(mode)
        for path in self.folders:
            (top / path).mkdir(parents=True, exist_ok=True)
        for path, target in self.links:
            link = top / path
            link.unlink(missing_ok=True)
            link.symlink_to(os.path.relpath(top / target, link.parent))


FILES = some.dictionaries(
    PATHS, some.tuples(CONTENTS, some.sampled_from([0o644, 0o755, 0o600])), min_size=1, max_size=8
)


@some.composite
def trees(draw):
    files = draw(FILES)
    targets = sorted({*files, *(path.split("/")[0] for path in files)})
    links = [
        (f"link {number}", draw(some.sampled_from(targets))) for number in range(draw(some.integers(0, 2)))
    ]
    folders = [f"empty {number}/inner" for number in range(draw(some.integers(0, 2)))]
    return Tree(files, tuple(folders), tuple(links))


def sound(tree):
    """Names that are one on some machines are refused by Placet, and so not compared."""
    return layout.clash([*tree.files, *tree.folders, *(path for path, _ in tree.links)]) is None


TREES = trees().filter(sound)


def left(project):
    """Everything that tracking may write: metafiles and ignore files, and the cache with its modes."""
    cache = project.root / ".dvc" / "cache" / "files"
    files = [path for path in project.root.iterdir() if path.suffix == ".dvc" or path.name == ".gitignore"]
    objects = [path for path in cache.rglob("*") if path.is_file()]
    return {
        path.relative_to(project.root).as_posix(): (path.stat().st_mode, path.read_bytes())
        for path in [*(path for path in files if path.is_file()), *objects]
    }


def clean(project):
    """Every example begins with nothing, so that one that fails does not make others fail."""
    for path in project.root.iterdir():
        if path.name not in {".git", ".dvc", ".dvcignore"}:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    shutil.rmtree(project.root / ".dvc" / "cache", ignore_errors=True)


def same(ours, theirs, name):
    ours.placet("track", "--", name)
    theirs.dvc("add", "-q", "--", name)
    one, two = left(ours), left(theirs)
    assert one.keys() == two.keys()
    assert [path for path in one if one[path] != two[path]] == []
    assert "up to date" in ours.dvc("status", "--", f"{name}.dvc")


@pytest.mark.parametrize(("version", "examples"), [("dvc", 24), ("dvc-old", 5)])
def test_directories(new_project, version, examples):
    pair = ours, theirs = new_project("ours", version), new_project("theirs", version)
    numbers = itertools.count()

    @examples_of(examples)
    @given(TREES, some.data())
    def check(tree, data):
        name = f"tree {next(numbers)}"
        for project in pair:
            clean(project)
            tree.make(project.root / name)
        same(ours, theirs, name)
        gone = [path for path in tree.files if data.draw(some.booleans())][:-1]
        more = data.draw(FILES)
        after = Tree(
            {**{path: tree.files[path] for path in tree.files if path not in gone}, **more}, (), tree.links
        )
        if sound(after):
            for project in pair:
                for path in gone:
                    (project.root / name / path).unlink()
                Tree(more).make(project.root / name)
            if all(path.exists() for path in (ours.root / name).rglob("*")):
                same(ours, theirs, name)

    check()


@pytest.mark.parametrize(("version", "examples"), [("dvc", 20), ("dvc-old", 4)])
def test_files(new_project, version, examples):
    pair = ours, theirs = new_project("ours", version), new_project("theirs", version)

    @examples_of(examples)
    @given(
        PARTS, some.lists(some.tuples(CONTENTS, some.sampled_from([0o644, 0o755])), min_size=2, max_size=2)
    )
    def check(name, contents):
        clean(ours), clean(theirs)
        if layout.forbidden_in_directory(name) is not None or name[0] in "-~" or (ours.root / name).exists():
            return
        for content, mode in contents:
            for project in pair:
                Tree({name: (content, mode)}).make(project.root)
            same(ours, theirs, name)

    check()
