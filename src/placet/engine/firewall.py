"""The DVC firewall (invariant I6): what a proposal may carry, and nothing else passes.

One allow-list, asked whenever a view reads a proposal's branch (so before `list`, `show`, `diff`, `check`,
`approve` or anybody else sees it), by the forge's hook before a push is taken, and for what has landed again
before it is promoted. A proposal's branch is all that its own commits change, as they stand behind `main`:
every change is a new regular file, at a path that is this proposal's, with exactly the bytes that follow from
its manifest. What is not on the list is refused by its name; the other proposals are not touched by that.

The files of a directory artifact are `placet.engine.contents`' part, a researcher's clone is
`placet.engine.clone`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from placet.core import layout
from placet.core.digest import sha256_hex
from placet.core.dvcfile import MAX_METAFILE, parse_canonical
from placet.core.guards import guard
from placet.core.layout import Occupied
from placet.core.limits import Bounds
from placet.core.policy import MAX_POLICY, parse_policy
from placet.engine.cases import Case, canonical_metafile
from placet.engine.history import Alarm, History
from placet.engine.published import Publication
from placet.errors import Conflict, Corrupt, Invalid, NotFound, Refused
from placet.ports import Change, Commit

NOT_ADMITTED = (Conflict, Corrupt, Invalid, NotFound, Refused)
"""What `admit` raises: the branch is none of a proposal, or not all of it is here."""
REGULAR = "100644"
BOUNDS = Bounds()
_SHOWN = 5


def admit(history: History, proposal: str, tip: str, taken: Occupied | None = None) -> Case:
    """A proposal as its branch holds it, judged by the policy that is effective now.

    Args:
        history: `main`.
        proposal: Its id, as the branch's name says.
        tip: The branch's last commit.
        taken: The paths that are taken (`taken`); None where it does not matter any more.

    Raises:
        Invalid, Corrupt, Conflict, Refused: the branch does not hold exactly this proposal.
    """
    if not layout.is_id(proposal):
        raise Invalid(f"{proposal[:80]!r} is not a proposal id.", kind="proposal-id")
    carried = _carried(own_commits(history, tip))
    manifest = carried.get(layout.manifest_path(proposal))
    if manifest is None:
        raise Invalid(f"The branch adds no manifest of {proposal}.", kind="proposal-files")
    require_plain(manifest)
    case = history.read_case(proposal, manifest.blob, None)
    for change in carried.values():
        if not _taken_back(case, change):
            require_own(case, change)
            require_plain(change)
    for path, change in sorted(carried.items()):
        _record(history, case, path, change.blob)
    files = _files(history, case, tip, carried)
    if case.manifest.body.kind == "policy":
        require_derived(history, case, files)
    elif case.manifest.body.kind == "publish":
        require_canonical(history, case, files)
    if taken is not None:
        require_free(case, taken)
    case.stale = history.stale(case, history.policy)
    return case


def require_landed(history: History, case: Case, publication: Publication) -> None:
    """Admit what has landed once more, as `main` holds it now, before its objects are touched.

    Raises:
        Corrupt: kind `metafile-changed`.
        Conflict: kind `path-clash`: with what stands published.
    """
    require_canonical(history, case, {path: history.tree.get(path, ("", "")) for path in case.metafiles()})
    require_free(case, publication.occupied)


def taken(history: History, publications: Iterable[Publication]) -> Occupied:
    """The artifact paths that stand on `main` or on a published branch."""
    standing = {path for path in history.tree if path.startswith(layout.ARTIFACTS)}
    standing.update(path for one in publications for path in one.current)
    return Occupied(map(_data, standing))


def foreign(history: History) -> list[Alarm]:
    """What stands on `main` and no proposal may carry: it binds nobody, and somebody should look at it."""
    odd = sorted(history.odd)
    if not odd:
        return []
    more = f" and {len(odd) - _SHOWN} more" if len(odd) > _SHOWN else ""
    named = ", ".join(map(_shown, odd[:_SHOWN]))
    return [Alarm(history.tip or "", f"main holds what no proposal may carry: {named}{more}")]


@guard(26)
def own_commits(history: History, tip: str) -> Sequence[Commit]:
    """The commits of a branch behind `main`, read within bounds.

    Raises:
        Conflict: kind `not-on-line`: the branch does not begin on main.
        Invalid: kind `too-large`.
    """
    return history.repo.branch(tip, history.positions, BOUNDS)


def _taken_back(case: Case, change: Change) -> bool:
    """Does a retraction remove one of the metafiles that it takes back? Nothing else is ever removed."""
    return not change.blob and change.path in dict(case.takes())


@guard(5)
def require_plain(change: Change) -> None:
    """Only new regular files: no symlink, no submodule, no executable, nothing removed.

    Raises:
        Refused: kind `not-a-plain-file`.
    """
    if change.mode != REGULAR or not change.blob:
        what = {"120000": "a symbolic link", "160000": "a submodule", "": "removed"}.get(change.mode)
        raise Refused(
            f"{_shown(change.path)} on the branch is {what or f'of mode {change.mode}'}.",
            kind="not-a-plain-file",
            why="A proposal adds regular files only.",
        )


@guard(7, 11, 12)
def require_own(case: Case, change: Change) -> None:
    """Only the proposal's own files: its records, its metafiles; of a policy the files that follow from it.

    Raises:
        Refused: kind `foreign-change`.
    """
    records = {layout.manifest_path(case.id), layout.withdrawal_path(case.id)}
    own = case.metafiles().keys() | records
    if case.manifest.body.kind == "policy":
        own |= set(layout.POLICY_FILES)
    if change.path not in own and not _is_record(case.id, change.path):
        raise Refused(
            f"The branch changes {_shown(change.path)}, which is not part of proposal {case.id}.",
            kind="foreign-change",
            why="A proposal touches its own metafiles and its own folder, nothing else.",
        )


@guard(6, 10, 27, 36)
def require_canonical(history: History, case: Case, files: dict[str, tuple[str, str]]) -> None:
    """Each metafile is, byte for byte, the one that Placet would write for what the manifest says.

    Args:
        history: For reading.
        case: The proposal.
        files: Path -> (mode, blob), as a commit holds them.

    Raises:
        Corrupt: kind `metafile-changed`.
    """
    node = case.manifest.body.node or ""
    for artifact in case.manifest.body.artifacts:
        path = layout.metafile(node, artifact.path)
        mode, blob = files.get(path, ("", ""))
        data = _read(history, mode, blob, MAX_METAFILE)
        if data is None or data != canonical_metafile(artifact) or sha256_hex(data) != artifact.metafile:
            raise Corrupt(
                f"{path} is not what the manifest of {case.id} says.",
                kind="metafile-changed",
                why="It must be a regular file in the one canonical form.",
            )
        parse_canonical(data)


@guard(7, 8, 11)
def require_derived(history: History, case: Case, files: dict[str, tuple[str, str]]) -> None:
    """A policy proposal holds the policy that was signed, and what follows from it byte for byte.

    Raises:
        Corrupt: kind `metafile-changed`.
        Invalid: kind `policy`: it cannot be read.
    """
    data = _read(history, *files.get(layout.POLICY, ("", "")), MAX_POLICY)
    if data is None or sha256_hex(data) != case.manifest.subjects[0].value:
        raise Corrupt(f"{layout.POLICY} is not the policy of {case.id}.", kind="metafile-changed")
    for path, wanted in parse_policy(data).derived().items():
        if _read(history, *files.get(path, ("", "")), MAX_POLICY) != wanted:
            raise Corrupt(
                f"{path} does not follow from the policy of {case.id}.",
                kind="metafile-changed",
                mend="Propose it with `placet policy propose`, which writes these files.",
            )


@guard(4)
def require_free(case: Case, occupied: Occupied) -> None:
    """No artifact equals, contains or lies in another one, whatever the case or Unicode form of its letters.

    Raises:
        Conflict: kind `path-clash`.
    """
    for path in map(_data, case.metafiles()) if case.manifest.body.kind == "publish" else ():
        other = occupied.clash(path)
        if other is not None:
            raise Conflict(
                f"{path} and {other} clash: one equals or contains the other.",
                kind="path-clash",
                why="A nested pair of outputs breaks every stock `dvc pull`.",
                mend="Choose another path.",
            )


def _carried(commits: Sequence[Commit]) -> dict[str, Change]:
    """Path -> the change of it."""
    out: dict[str, Change] = {}
    for change in (one for commit in commits for one in commit.changes):
        require_new(change, out)
        out[change.path] = change
    return out


@guard(10)
def require_new(change: Change, before: Mapping[str, Change]) -> None:
    """Each path is written once: nothing that was proposed or decided is changed again.

    Raises:
        Refused: kind `foreign-change`.
    """
    if change.path in before:
        raise Refused(
            f"The branch changes or removes {_shown(change.path)}, which it had added.",
            kind="foreign-change",
            why="What was proposed never changes: a new version is a new proposal.",
        )


def _record(history: History, case: Case, path: str, blob: str) -> None:
    if path == layout.withdrawal_path(case.id):
        history.record_withdrawal(case, path, blob, case.policy)
    elif layout.is_observation(path):
        history.record_observation(case, path, blob, (case.policy,))
    elif _is_record(case.id, path):
        history.record_decision(case, path, blob, (case.policy,))


def _files(history: History, case: Case, tip: str, carried: dict[str, Change]) -> dict[str, tuple[str, str]]:
    """Path -> (mode, blob) of the proposal's files at the tip; those that it leaves as they were included."""
    files = {path: (one.mode, one.blob) for path, one in carried.items()}
    is_policy = case.manifest.body.kind == "policy"
    left = set(layout.POLICY_FILES if is_policy else case.metafiles()) - files.keys()
    folders = left if is_policy or not left else {f"{layout.ARTIFACTS}{case.manifest.body.node}/"}
    for folder in folders:
        tree = history.repo.tree(tip, folder)
        files |= {path: (tree[path].mode, tree[path].blob) for path in left & tree.keys()}
    return files


def _read(history: History, mode: str, blob: str, limit: int) -> bytes | None:
    """A regular file's bytes; None if it is none, or larger."""
    if mode != REGULAR or not blob:
        return None
    try:
        return history.repo.read(blob, limit)
    except Invalid:
        return None


def _is_record(proposal: str, path: str) -> bool:
    """A decision or an observation of this proposal?"""
    found = layout.proposal_of(path)
    if found is None or found[0] != proposal:
        return False
    return layout.decision_of(found[1]) is not None or layout.observation_of(found[1]) is not None


def _shown(path: str) -> str:
    """A foreign path for a person: bounded, nothing in it that a terminal obeys."""
    return ascii(path[:200])


def _data(path: str) -> str:
    return path.removesuffix(".dvc")
