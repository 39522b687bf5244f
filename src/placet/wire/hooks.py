"""Git's hooks on the side of who commits: what the index holds, judged, and metafiles rewritten."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from placet import config
from placet.adapters.git_index import Index
from placet.core import layout
from placet.core.digest import md5_hex
from placet.core.outputs import Tracking
from placet.core.staged import Objection, Read, Rewritten, data_in, metafiles_in
from placet.engine.disk import disk
from placet.engine.outputs import Outputs
from placet.wire.data import DataWire


@dataclass(frozen=True, slots=True)
class Judged:
    """What a hook found: how many files it looked at, what must not be committed, what it rewrote."""

    files: int
    objections: tuple[Objection, ...]
    rewritten: tuple[str, ...] = ()


def judge_data(folder: Path, names: Sequence[str], *, most: int, allow: Sequence[str]) -> Judged:
    """What must not be committed because it is data, or a credential.

    Args:
        folder: Where the user is.
        names: The files to look at, as the index holds them; none = what the next commit changes.
        most: Bytes that a file in Git has at most.
        allow: Globs of files that may be of any size and kind.

    Raises:
        NotFound: kinds `no-git`, `no-git-repository`.
    """
    with Index(folder, config.environment()) as index:
        files = index.named(names) if names else index.changed()
        governed = _governed(index.root)
        with ExitStack() as stack:
            of = _Projects(folder, index.root, stack)
            found = data_in(files, index.read, of.owner, of.same, most=most, allow=allow, governed=governed)
    return Judged(len(files), tuple(found))


def judge_metafiles(folder: Path, names: Sequence[str], *, rewrite: bool) -> Judged:
    """What is wrong with the `.dvc` files of the next commit. Raises as `judge_data`.

    Args:
        folder: Where the user is.
        names: The files to look at; none = what the next commit changes.
        rewrite: Bring those that are right into DVC's form, in the work tree.
    """
    with Index(folder, config.environment()) as index:
        files = index.named(names) if names else index.changed()
        wrong, odd = metafiles_in(files, index.read, governed=_governed(index.root))
        done = [one for one in odd if rewrite and _rewrite(index.root, one, index.read)]
    for one in odd:
        mend = _mend(one.file.path, fixed=one in done, tried=rewrite)
        wrong.append(Objection(one.file.path, "DVC would write it in another form", mend))
    return Judged(len(files), tuple(wrong), tuple(one.file.path for one in done))


def _governed(root: Path) -> bool:
    return (root / layout.POLICY).is_file()


def _mend(path: str, *, fixed: bool, tried: bool) -> str:
    if fixed:
        return f"It was rewritten: git add -- {path}"
    if tried:
        return f"It has changes that are not staged: git add -- {path}, and again"
    return f"placet hook metafiles --fix {path}"


def _rewrite(root: Path, one: Rewritten, read: Read) -> bool:
    """Rewrite a file of the work tree, if it is what the index holds."""
    path = root / one.file.path
    with disk(path):
        here = path.read_bytes() if path.is_file() and path.resolve() == path else None
        if here != read(one.file, one.file.size):
            return False
        path.write_bytes(one.data)
    return True


class _Projects:
    """The outputs of the DVC projects in a work tree; for a file, of the project that is nearest above it."""

    def __init__(self, folder: Path, root: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._root = root
        self._stack = stack
        self._known: dict[Path, Outputs] = {}
        self._by_md5: dict[Path, dict[str | None, Tracking]] = {}

    def owner(self, path: str) -> Tracking | None:
        """The output that is at a path of the work tree, or around it."""
        project = self._above(path)
        if project is None:
            return None
        return self._outputs(project).owner((self._root / path).relative_to(project).as_posix())

    def same(self, path: str, content: bytes) -> Tracking | None:
        """The output that is one file with this content."""
        project = self._above(path)
        if project is None:
            return None
        if project not in self._by_md5:
            every = self._outputs(project).every()
            self._by_md5[project] = {one.out.md5: one for one in reversed(every)}
        return self._by_md5[project].get(md5_hex(content))

    def _above(self, path: str) -> Path | None:
        full = self._root / path
        project = config.find_dvc(full.parent)
        inside = project and project.is_relative_to(self._root) and full.is_relative_to(project)
        return project if inside else None

    def _outputs(self, project: Path) -> Outputs:
        if project not in self._known:
            wire = DataWire(config.Settings(project, project), self._folder, None)
            wire.project = project
            self._stack.callback(wire.close)
            self._known[project] = wire.workspace.outputs()
        return self._known[project]
