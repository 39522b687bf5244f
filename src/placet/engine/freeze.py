"""Which freezes stand: on `main`, on branches, and as they were seen before (design 4 "Freeze").

A freeze on `main` is judged by position: it counts if its signer might freeze where it came in, and until
`main` holds what two people signed to end it. One on a branch `freezes/<id>` counts for whoever sees it, by
the policy that is effective now. Nothing but the freeze is read of such a branch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from placet.core import layout
from placet.core.guards import guard
from placet.core.limits import FREEZE_BYTES
from placet.core.policy import Policy
from placet.core.predicates import Freeze, Manifest, Unfreeze
from placet.core.scope import covers
from placet.core.statement import Signed, parse, subject
from placet.errors import Conflict, Corrupt, Invalid, NotFound, Refused
from placet.ports import Commit, Repo

NEEDED = 2
"""So many people end a freeze."""
_UNREADABLE = (Conflict, Corrupt, Invalid, NotFound, Refused)
_REGULAR = "100644"
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Frozen:
    """A freeze as it was signed."""

    digest: str
    scope: str
    person: str
    reason: str
    time: str

    @property
    def id(self) -> str:
        """What its file and its branch are called."""
        return layout.freeze_id(self.digest)

    def __str__(self) -> str:
        reason = self.reason if len(self.reason) <= _SHOWN else f"{self.reason[:_SHOWN]}..."
        return f"{self.person} froze {self.scope} at {self.time} (freeze {self.id[:12]}): {reason}"


class Stops(Protocol):
    """What knows which freezes stand: a view, or the history of `main` alone."""

    @property
    def stops(self) -> Mapping[str, Frozen]:
        """Digest -> freeze, of all that stand."""
        ...


class Main(Protocol):
    """What is asked of `main` at a commit of its line: `placet.engine.history.History`."""

    repo: Repo
    trust_root: str
    tree: dict[str, tuple[str, str]]
    freezes: Freezes

    @property
    def policy(self) -> Policy:
        """The effective policy."""
        ...

    @property
    def repository(self) -> str:
        """The repository's identity."""
        ...


@guard(17, 18)
def frozen(seen: Stops, manifest: Manifest, tier: str) -> str:
    """Why a manifest is not published to a tier now, or empty; only publications are ever stopped (I7)."""
    if manifest.kind != "publish":
        return ""
    found = [one for one in seen.stops.values() if covers(one.scope, manifest, tier)]
    first = min(found, key=lambda one: (one.time, one.digest), default=None)
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return f"it is frozen: {first}{more}" if first else ""


@dataclass(slots=True)
class Freezes:
    """What `main` says of freezes, up to a commit of its first-parent line.

    Attributes:
        made: Digest -> freeze.
        lifted: Digest of a freeze -> who signed that it ends; also of one that `main` does not hold.
        files: Path -> blob, digest of the freeze that it is about, and who signed, of all that counts here.
    """

    made: dict[str, Frozen] = field(default_factory=dict)
    lifted: dict[str, frozenset[str]] = field(default_factory=dict)
    files: dict[str, tuple[str, str, frozenset[str]]] = field(default_factory=dict)

    def ended(self, digest: str) -> bool:
        """Did enough people end this freeze?"""
        return len(self.lifted.get(digest, ())) >= NEEDED

    def standing(self) -> dict[str, Frozen]:
        """Digest -> freeze, of all that nobody ended."""
        return {digest: one for digest, one in self.made.items() if not self.ended(digest)}

    def take(self, main: Main, touched: Iterable[str]) -> Iterator[str]:
        """Take in what the tip of `main` holds at the paths that it touched; what is wrong with it.

        What came in once counts, whatever becomes of its file.
        """
        for path in sorted(path for path in touched if path.startswith(layout.FREEZES)):
            mode, blob = main.tree.get(path, ("", ""))
            if path in self.files:
                if blob != self.files[path][0]:
                    yield f"{path} was changed or removed; what it said counts all the same"
                continue
            try:
                require_plain(path, mode)
                self._read(main, path, blob)
            except _UNREADABLE as error:
                yield str(error)

    def _read(self, main: Main, path: str, blob: str) -> None:
        data = main.repo.read(blob, FREEZE_BYTES)
        try:
            made = parse(data, Freeze)
        except Invalid:
            self._lift(main, path, blob, parse(data, Unfreeze))
            return
        one = admitted(made, path, main)
        self.made[one.digest] = one
        self.files[path] = (blob, one.digest, frozenset({one.person}))

    def _lift(self, main: Main, path: str, blob: str, signed: Signed[Unfreeze]) -> None:
        digest = signed.body.freeze
        people = lifters(main.policy, signed)
        require_named(signed, path, main, subject(layout.freeze_path(layout.freeze_id(digest)), digest))
        self.lifted[digest] = self.lifted.get(digest, frozenset()) | people
        self.files[path] = (blob, digest, people)


def on_branches(repo: Repo, main: Main) -> tuple[dict[str, Frozen], list[tuple[str, str]]]:
    """The freezes that stand on branches, by digest; and the branches that hold none, with the reason.

    What `main` holds already is not read again.
    """
    found: dict[str, Frozen] = {}
    bad: list[tuple[str, str]] = []
    landed = {layout.freeze_id(digest) for digest in main.freezes.made}
    for prefix in (layout.FREEZE_BRANCHES, layout.FREEZE_TRACKING):
        for ref, commit in sorted(repo.refs(prefix).items()):
            ident = ref.removeprefix(prefix)
            if ident in landed:
                continue
            try:
                one = read_branch(repo, main, ident, commit)
            except _UNREADABLE as error:
                bad.append((commit, f"branch {ref[:200]!a} is no freeze: {error}"))
                continue
            if not main.freezes.ended(one.digest):
                found[one.digest] = one
    return found, bad


def landed_since(main: Main, commits: Iterable[Commit]) -> dict[str, Frozen]:
    """The freezes that these commits bring, which come next on `main`; judged by the policy before them."""
    found: dict[str, Frozen] = {}
    for change in (one for commit in commits for one in commit.changes):
        if change.path.startswith(layout.FREEZES) and change.blob:
            with contextlib.suppress(*_UNREADABLE):
                require_plain(change.path, change.mode)
                made = parse(main.repo.read(change.blob, FREEZE_BYTES), Freeze)
                found[made.digest] = admitted(made, change.path, main)
    return found


def read_branch(repo: Repo, main: Main, ident: str, commit: str) -> Frozen:
    """The freeze of a branch, judged by the policy that is effective at the tip of `main`.

    Raises:
        Invalid, Corrupt, NotFound: it holds none of its name that somebody signed who may freeze.
    """
    if not layout.is_id(ident):
        raise Invalid(f"{ident[:80]!a} is not the id of a freeze.", kind="freeze")
    path = layout.freeze_path(ident)
    entry = repo.tree(commit, path).get(path)
    require_plain(path, entry.mode if entry else "")
    return admitted(parse(repo.read(entry.blob if entry else "", FREEZE_BYTES), Freeze), path, main)


def admitted(signed: Signed[Freeze], path: str, main: Main) -> Frozen:
    """A freeze that is well-formed, at its place, and signed by one whom the effective policy lets freeze.

    Raises:
        Invalid: kind `freeze`.
        Corrupt: kind `freeze-signature`.
    """
    body = signed.body
    require_named(signed, path, main, subject(layout.POLICY, main.trust_root))
    require_freezer(main.policy, signed)
    return Frozen(signed.digest, body.scope, body.person, body.reason, body.time)


@guard(16)
def require_named(signed: Signed[Freeze] | Signed[Unfreeze], path: str, main: Main, about: object) -> None:
    """Is a statement of this repository, about what it must be about, and in the file of its name?

    Raises:
        Invalid: kind `freeze`.
    """
    named = signed.body.repository == main.repository and signed.subjects == (about,)
    if not named or path != layout.freeze_path(layout.freeze_id(signed.digest)):
        raise Invalid(f"{path[:200]!a} does not hold the statement of its name.", kind="freeze")


@guard(18, 20, 38)
def require_freezer(policy: Policy, signed: Signed[Freeze]) -> None:
    """Is a freeze signed by its person, and may they freeze?

    Raises:
        Corrupt: kind `freeze-signature`.
    """
    person = signed.body.person
    if person not in policy.freezers() or not signed.envelope.signed_by(policy.person_keys(person)):
        raise _unsigned(f"A freeze of {person}")


@guard(18, 20, 38)
def lifters(policy: Policy, signed: Signed[Unfreeze]) -> frozenset[str]:
    """The people among those who may freeze that signed its end: people, not keys (I9).

    Raises:
        Corrupt: kind `freeze-signature`: nobody did.
    """
    people = policy.freezers()
    found = frozenset(one for one in people if signed.envelope.signed_by(policy.person_keys(one)))
    if not found:
        raise _unsigned("An unfreeze")
    return found


@guard(5)
def require_plain(path: str, mode: str) -> None:
    """Only a regular file is one.

    Raises:
        Invalid: kind `freeze`.
    """
    if mode != _REGULAR:
        raise Invalid(f"There is no regular file {path[:200]!a}.", kind="freeze")


def _unsigned(what: str) -> Corrupt:
    return Corrupt(
        f"{what} is signed by nobody whom the effective policy lets freeze.", kind="freeze-signature"
    )
