"""Git's hooks on the side of who commits: what the index holds, judged, and metafiles rewritten."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from placet import config
from placet.adapters.git_index import Index
from placet.core import layout
from placet.core.outputs import Tracking
from placet.core.staged import Objection, Owner, Read, Rewritten, data_in, metafiles_in
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
        with _owners(folder, index.root) as owner:
            found = data_in(files, index.read, owner, most=most, allow=allow, governed=governed)
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


@contextmanager
def _owners(folder: Path, root: Path) -> Iterator[Owner]:
    """Which output a file of the work tree belongs to: of the DVC project that is nearest above it."""
    known: dict[Path, Outputs] = {}
    with ExitStack() as stack:

        def owner(path: str) -> Tracking | None:
            full = root / path
            project = config.find_dvc(full.parent)
            if project is None or not (project.is_relative_to(root) and full.is_relative_to(project)):
                return None
            if project not in known:
                wire = DataWire(config.Settings(project, project), folder, None)
                wire.project = project
                stack.callback(wire.close)
                known[project] = wire.workspace.outputs()
            return known[project].owner(full.relative_to(project).as_posix())

        yield owner
