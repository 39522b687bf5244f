"""What keeps objects: metafiles of work trees, indexes and commits, and what is governed.

Everything is read; what cannot be read stops the reading. Nothing is decided here about what is removed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from placet.core import layout
from placet.core.mentions import claims, is_lock, is_metafile, paths_of, uncached
from placet.core.states import State
from placet.engine.ctrl import View
from placet.engine.disk import disk
from placet.engine.ignore import DvcIgnore
from placet.engine.workspace import Workspace
from placet.errors import Invalid, Refused
from placet.ports import Past

MAX_FILE = 1 << 28
_RELEASED = frozenset({State.DRAFT, State.RETURNED, State.REJECTED, State.WITHDRAWN, State.EXPIRED})
_PUBLISHED = "refs/heads/published"


@dataclass(frozen=True, slots=True)
class Mention:
    """Bytes that name objects.

    Attributes:
        path: Of the file.
        where: Where it is, for a person: a work tree, a commit, an index, a branch.
        data: The file's bytes.
        owned: False for another node's: a `.dir` object that it names may be out of reach.
    """

    path: str
    where: str
    data: bytes
    owned: bool = True


@dataclass(frozen=True, slots=True)
class Governed:
    """What the Ctrl repository keeps.

    Attributes:
        counts: What keeps, in words -> how many.
        objects: MD5, is it a directory, does it belong to this node, proposal.
        lists: SHA-256 of digest lists.
        files: Metafiles of published branches, and of branches that hold no readable proposal.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    objects: tuple[tuple[str, bool, bool, str], ...] = ()
    lists: frozenset[str] = frozenset()
    files: tuple[Mention, ...] = ()


@dataclass(frozen=True, slots=True)
class User:
    """A workspace that uses what is to be collected.

    Attributes:
        workspace: The DVC project.
        past: Its Git history, or None where it is in no Git repository.
        governed: What its Ctrl repository keeps.
        node: Its node name.
        in_ctrl: It is a clone of a Ctrl repository, with other nodes' metafiles.
    """

    workspace: Workspace
    past: Past | None
    governed: Governed = field(default_factory=Governed)
    node: str | None = None
    in_ctrl: bool = False

    def mentions(self, *, tips: bool) -> Iterator[Mention]:
        """All metafiles that keep objects for this workspace.

        Raises:
            Corrupt: kind `git-failed`: a commit cannot be read.
            Unavailable: the disk's.
        """
        yield from self._work_tree()
        yield from self._history(tips=tips)
        yield from self.governed.files

    def counts(self, *, tips: bool) -> Counter[str]:
        """What keeps, in words -> how many of them were looked at."""
        found = Counter(dict(self.governed.counts))
        found["metafiles of work trees"] += sum(1 for _ in self._work_tree())
        if self.past is not None:
            kinds = dict(self.past.kinds())
            if tips:
                del kinds["commits"]
            found.update(kinds)
        return found

    def needs_directory(self, mention: Mention, md5: str, *, tips: bool) -> bool:
        """Is the directory `md5`, whose `.dir` object is nowhere, an output that somebody could want back?"""
        if not mention.owned or not claims(mention.path, mention.data, md5):
            return False
        if not is_lock(mention.path):
            return True
        paths = set(paths_of(mention.path, mention.data, md5))
        without, with_cache = self._declared(mention, tips=tips)
        return not paths or not paths <= without - with_cache

    def _work_tree(self) -> Iterator[Mention]:
        for root in (self.workspace.root, *self._experiments()):
            with disk(root):
                for base, _, names in DvcIgnore(root).walk(str(root)):
                    for file in (root / base / name for name in names if is_metafile(name)):
                        path = file.relative_to(root).as_posix()
                        if file.is_file():
                            yield Mention(path, str(root), _metafile(file), self._owned(path))

    def _experiments(self) -> list[Path]:
        """The work trees of `dvc exp run --temp` and of DVC's queue: clones, here until they have ended."""
        exps = self.workspace.dvc_dir / "tmp" / "exps"
        return sorted(one.parent for depth in ("*/.git", "*/*/.git") for one in exps.glob(depth))

    def _history(self, *, tips: bool) -> Iterator[Mention]:
        if self.past is None:
            return
        files = [one for one in self.past.files((".dvc", "dvc.lock"), tips=tips) if is_metafile(one.path)]
        by_blob: dict[str, list[Mention]] = {}
        for one in files:
            where = f"commit {one.commit[:12]}" if one.commit else "the index"
            by_blob.setdefault(one.blob, []).append(Mention(one.path, where, b"", self._owned(one.path)))
        for blob, data in self.past.read(by_blob):
            yield from (replace(mention, data=data) for mention in by_blob[blob])

    def _owned(self, path: str) -> bool:
        theirs = path.startswith(layout.ARTIFACTS) and not path.startswith(f"{layout.ARTIFACTS}{self.node}/")
        return not (self.in_ctrl and theirs)

    def _declared(self, mention: Mention, *, tips: bool) -> tuple[set[str], set[str]]:
        """What the `dvc.yaml` beside a `dvc.lock` says, in all its versions."""
        beside = f"{mention.path.removesuffix('dvc.lock')}dvc.yaml"
        texts: list[bytes] = []
        here = self.workspace.root / beside
        if mention.where == str(self.workspace.root) and here.is_file():
            with disk(here):
                texts.append(here.read_bytes())
        elif self.past is not None:
            blobs = [one.blob for one in self.past.files(("dvc.yaml",), tips=tips) if one.path == beside]
            texts += [data for _, data in self.past.read(blobs)]
        found = [uncached(one) for one in texts]
        return set().union(*(one for one, _ in found)), set().union(*(one for _, one in found))


def _metafile(file: Path) -> bytes:
    with disk(file):
        if file.stat().st_size > MAX_FILE:
            raise Invalid(
                f"{file} is too large for a metafile.",
                kind="metafile",
                mend="If it is data, name it in .dvcignore.",
            )
        return file.read_bytes()


def governed(view: View, now: datetime, node: str | None) -> Governed:
    """What the Ctrl repository keeps: from PROPOSED on until it is let go, and everything ever published.

    Raises:
        Refused: kind `ctrl-broken`: a published branch does not recompute, so what it needs is not known.
    """
    for tier, error in sorted(view.broken.items()):
        raise Refused(
            f"The published branch of tier {tier} cannot be verified; nothing is removed.",
            kind="ctrl-broken",
            why=error.what,
            mend="See docs/how-to/alarms.md.",
        ) from error
    counts: Counter[str] = Counter()
    objects: list[tuple[str, bool, bool, str]] = []
    lists: set[str] = set()
    for ident, case in sorted(view.cases().items()):
        state = view.state(case, now)
        body = case.manifest.body
        if body.kind != "publish" or not _holds(view, state, ident):
            continue
        counts[f"proposals {state}"] += 1
        for artifact, subject in zip(body.artifacts, case.manifest.subjects, strict=True):
            objects.append((artifact.md5, artifact.dir is not None, body.node == node, ident))
            if artifact.dir is not None:
                lists.add(subject.value)
    files = [
        Mention(path, where, view.repo.read(blob, MAX_FILE), _own(path, node))
        for path, blob, where in sorted(set(_files(view)))
    ]
    counts["metafiles of published branches"] += len(files)
    return Governed(dict(counts), tuple(objects), frozenset(lists), tuple(files))


def _holds(view: View, state: State, ident: str) -> bool:
    if state is State.RETRACTED:  # what an emergency hides may come back
        every = (one for each in view.publications.values() for one in each.gone())
        return any(edition.proposal == ident and known.open for edition, known in every)
    if state is State.SUPERSEDED:
        return any(ident in one.publications for one in view.publications.values())
    return state not in _RELEASED


def _files(view: View) -> Iterator[tuple[str, str, str]]:
    """Path, blob and branch of metafiles: published ever, or on a proposal's branch that cannot be read."""
    heads = view.repo.refs("refs/heads/")
    erased = _erased(view)
    for ref, tip in sorted(heads.items()):
        for commit in view.repo.line(tip) if ref.startswith(_PUBLISHED) else ():
            for one in commit.changes:
                if _counts(one.path, one.blob) and (ref, one.path, one.blob) not in erased:
                    yield one.path, one.blob, ref
    known = {*view.open, *view.history.cases}
    for ref, tip in sorted(view.repo.refs(layout.PROPOSAL_BRANCHES).items()):
        if ref.removeprefix(layout.PROPOSAL_BRANCHES) not in known:
            tree = view.repo.tree(tip, layout.ARTIFACTS)
            yield from ((path, one.blob, ref) for path, one in tree.items() if _counts(path, one.blob))


def _erased(view: View) -> set[tuple[str, str, str]]:
    """Branch, path and blob of metafiles whose objects were erased, and that nothing published has still."""
    out: set[tuple[str, str, str]] = set()
    for one in view.publications.values():
        ref = layout.published_ref(one.tier)
        out |= {(ref, edition.metafile, edition.blob) for edition, known in one.gone() if not known.open}
        out -= {(ref, edition.metafile, edition.blob) for edition in one.kept()}
    return out


def _counts(path: str, blob: str) -> bool:
    return bool(blob) and path.startswith(layout.ARTIFACTS) and path.endswith(".dvc")


def _own(path: str, node: str | None) -> bool:
    return path.startswith(f"{layout.ARTIFACTS}{node}/")


def total(users: Iterable[User], *, tips: bool) -> dict[str, int]:
    """All that keeps, in words -> how many, for all users together."""
    found: Counter[str] = Counter()
    for one in users:
        found += one.counts(tips=tips)
    return dict(sorted(found.items()))
