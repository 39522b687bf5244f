"""Bundles: the proof of one publication in one file, made from a repository and judged without one.

What goes in is recorded while the record is judged; what comes out is judged by the same code, on a
repository in memory that takes no commit whose id and changes do not follow from its bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from placet.core import layout
from placet.core.bundle import FORMAT, MAX_LISTS, Bundle, BundledCommit, text
from placet.core.digest import sha256_hex
from placet.core.guards import guard
from placet.core.predicates import Artifact, Checkpoint
from placet.core.statement import Signed, parse_time
from placet.core.sums import SumEntry, decode_sums
from placet.engine.checkpoint import signers
from placet.engine.ctrl import View, load
from placet.engine.published import Publication, Published
from placet.engine.rehash import Reading, folder_hash, sha256_of
from placet.engine.takenback import taken_back
from placet.engine.verify import Pin, Report, artifact_of, publication_of, report, verified
from placet.errors import Corrupt, Invalid, NotFound
from placet.ports import Commit, Repo

ListOf = Callable[[Artifact, str], bytes | None]


@dataclass(frozen=True, slots=True)
class Made:
    """A bundle as it was made, and what it could not take in."""

    bundle: Bundle
    entries: int
    checkpoint_by: tuple[str, ...]
    without_list: tuple[str, ...]


@dataclass(slots=True)
class _Recorder:
    """The published branch of one tier and nothing else of a repository; keeps what is read of it."""

    repo: Repo
    known: Mapping[str, str]
    blobs: dict[str, bytes] = field(default_factory=dict)
    too_large: str = ""

    def refs(self, prefix: str = "refs/") -> dict[str, str]:
        return {ref: commit for ref, commit in self.known.items() if ref.startswith(prefix)}

    def line(self, tip: str, after: str | None = None) -> Sequence[Commit]:
        return self.repo.line(tip, after)

    def read(self, blob: str, limit: int) -> bytes:
        try:
            data = self.repo.read(blob, limit)
        except Invalid as error:
            self.too_large = str(error)
            raise
        self.blobs[blob] = data
        return data


def make_bundle(
    view: View, published: Published, tier: str, list_of: ListOf, checkpoint: Signed[Checkpoint] | None
) -> Made:
    """The proof of a publication, with the state of its branch as it is now. Reads only.

    The same state gives the same bundle, but for the maker's checkpoint.

    Args:
        view: The repository, loaded.
        published: What is to be proven.
        tier: Its tier.
        list_of: The digest list of a directory, if it can be read.
        checkpoint: The maker's.

    Raises:
        Corrupt: kind `bundle-too-large`.
    """
    publication = publication_of(view, tier)
    ref = layout.published_ref(tier)
    recorder = _Recorder(view.repo, {ref: publication.tip})
    judged = load(recorder, view.history.trust_root, _time_of(publication), fetch=False, tiers=(tier,))  # type: ignore[arg-type]
    if recorder.too_large:
        raise Corrupt(
            "No bundle can be made: main holds a file that is too large to be judged.",
            kind="bundle-too-large",
            why=recorder.too_large,
        )
    lists, without = _lists(published, list_of)
    bundle = Bundle(
        format=FORMAT,
        repository=view.history.repository,
        trust_root=view.history.trust_root,
        tier=tier,
        proposal=published.case.id,
        published=publication.tip,
        main=tuple(_commit(view.repo, one) for one in judged.line),
        branch=tuple(_commit(view.repo, one) for one in view.repo.line(publication.tip)[1:]),
        blobs={ident: text(data) for ident, data in recorder.blobs.items()},
        lists=lists,
        checkpoint=text(checkpoint.envelope.to_bytes()) if checkpoint else None,
    )
    by = signers(view.history.policy, checkpoint) if checkpoint else ()
    return Made(bundle, len(publication.entries), tuple(by), tuple(without))


def judge_bundle(
    bundle: Bundle,
    view: View,
    checkpoint: Signed[Checkpoint] | None,
    data: Sequence[Path],
    *,
    now: datetime,
    how: Reading,
    pinned: Pin,
) -> Report:
    """Is everything in a bundle as approved, and is the data given that which it is about?

    Args:
        bundle: The bundle.
        view: Its repository, loaded from the trust root.
        checkpoint: Its checkpoint.
        data: Files and folders.
        now: For ages.
        how: How data is read.
        pinned: Where the trust root comes from; `none`: from the bundle itself, which proves nothing.

    Raises:
        Corrupt: the record does not recompute.
        NotFound: kind `not-published`: the bundle does not hold what it says it proves.
    """
    publication = publication_of(view, bundle.tier)
    published = publication.publications.get(bundle.proposal)
    if published is None or publication.tip != bundle.published:
        raise NotFound(
            f"The bundle does not hold the publication of {bundle.proposal}.", kind="not-published"
        )
    problems = [*unpinned(bundle, pinned), *checkpoint_problem(view, publication, checkpoint)]
    lists = _read_lists(bundle, published)
    given = {path: _find(path, published, lists, how) for path in data}
    problems += [f"{path}: {found.problem}" for path, found in given.items() if found.problem]
    problems += retracted(publication, published)
    whole = {found.metafile for found in given.values() if not found.problem}
    found = [
        verified(
            view,
            published,
            *artifact_of(published, metafile),
            data="verified" if metafile in whole else "not-pulled",
            problem="",
        )
        for metafile in sorted(published.case.metafiles())
    ]
    limits = _limits(view, publication, published, checkpoint)
    return report(view, publication, found, problems, now=now, pinned=pinned, limits=limits)


def retracted(publication: Publication, published: Published) -> list[str]:
    """What of a publication was taken back, and why: it was let out so, and is not to be used any more."""
    ident = published.case.id
    gone = ((path, taken_back(publication, ident, path)) for path in sorted(published.case.metafiles()))
    return [f"{path.removesuffix('.dvc')}: {why}" for path, why in gone if why]


@guard(11, 15)
def unpinned(bundle: Bundle, pinned: Pin) -> list[str]:
    """A trust root that comes from the bundle itself proves nothing: anybody can make one of their own."""
    if pinned != "none":
        return []
    words = f"no trust root was given. The bundle names sha256:{bundle.trust_root}: compare it with what the"
    return [f"{words} administrators published, and give it as --trust-root"]


@guard(14, 34)
def checkpoint_problem(
    view: View, publication: Publication, checkpoint: Signed[Checkpoint] | None
) -> list[str]:
    """What is wrong with the maker's checkpoint, if there is one and anything is."""
    if checkpoint is None:
        return []
    if not signers(view.history.policy, checkpoint):
        return ["its checkpoint is signed by nobody whom the policy knows"]
    last = publication.entries[-1]
    body = checkpoint.body
    said = (body.repository, body.branch, body.sequence, body.entry)
    if said != (view.history.repository, publication.branch, last.body.sequence, last.digest):
        return ["its checkpoint is of another ledger than the one it holds: a fork, or an older state"]
    return []


@dataclass(frozen=True, slots=True)
class _Found:
    """What a file or folder is; `metafile` names the artifact that it is as a whole."""

    problem: str = ""
    metafile: str = ""


def _find(
    path: Path, published: Published, lists: Mapping[str, tuple[SumEntry, ...]], how: Reading
) -> _Found:
    """Which artifact, or which file of one, these bytes are; by content, whatever they are called."""
    artifacts = {metafile: artifact_of(published, metafile) for metafile in published.case.metafiles()}
    path = Path(os.path.realpath(path))
    if not path.exists():
        return _Found("is not there")
    if path.is_dir():
        folders = {key: one for key, one in artifacts.items() if one[0].dir is not None}
        most = max((artifact.files for artifact, _ in folders.values()), default=0)
        try:
            found, count = folder_hash(path, most, how)
        except (Invalid, NotFound) as error:
            return _Found(error.what)
        hits = [key for key, (_, sha256) in folders.items() if sha256 == found]
        return _Found("", hits[0]) if hits else _Found(f"its {count} files are not what was approved")
    try:
        found = sha256_of(path, how)
    except (Invalid, NotFound) as error:
        return _Found(error.what)
    hits = [key for key, (artifact, sha256) in artifacts.items() if artifact.dir is None and sha256 == found]
    if hits:
        return _Found("", hits[0])
    member = any(entry.sha256 == found for listed in lists.values() for entry in listed)
    return _Found() if member else _Found("its bytes are not what was approved")


def _read_lists(bundle: Bundle, published: Published) -> dict[str, tuple[SumEntry, ...]]:
    """The digest lists of the bundle that are those of the manifest."""
    wanted = {sha256: artifact for artifact, sha256 in _directories(published)}
    out = {}
    for sha256, listed in bundle.lists.items():
        data = listed.encode()
        if sha256 not in wanted or not is_list(data, sha256):
            raise Corrupt(
                f"The bundle holds a digest list {sha256[:12]} that is not one of it.", kind="bundle"
            )
        out[sha256] = decode_sums(data, max_entries=wanted[sha256].files, max_bytes=len(data))
    return out


@guard(2)
def is_list(data: bytes, sha256: str) -> bool:
    """Is this the digest list of that SHA-256?"""
    return sha256_hex(data) == sha256


def _directories(published: Published) -> list[tuple[Artifact, str]]:
    artifacts = (artifact_of(published, metafile) for metafile in sorted(published.case.metafiles()))
    return [(artifact, sha256) for artifact, sha256 in artifacts if artifact.dir is not None]


def _lists(published: Published, list_of: ListOf) -> tuple[dict[str, str], list[str]]:
    lists: dict[str, str] = {}
    without = []
    room = MAX_LISTS
    for artifact, sha256 in _directories(published):
        data = list_of(artifact, sha256)
        if data is None or len(data) > room or not is_list(data, sha256):
            without.append(artifact.path)
            continue
        room -= len(data)
        lists[sha256] = data.decode()
    return lists, without


def _commit(repo: Repo, commit: Commit) -> BundledCommit:
    changes = tuple((one.path, one.mode, one.blob) for one in commit.changes)
    return BundledCommit(object=text(repo.raw(commit.id)), changes=changes)  # type: ignore[arg-type]


def _time_of(publication: Publication) -> datetime:
    return parse_time(publication.entries[-1].body.time)


def _limits(
    view: View, publication: Publication, published: Published, checkpoint: Signed[Checkpoint] | None
) -> list[str]:
    """What a bundle alone cannot prove, in sentences."""
    last = publication.entries[-1].body
    by = f"{last.actor}'s signature of ledger entry {last.sequence}"
    if checkpoint is not None:
        who = ", ".join(signers(view.history.policy, checkpoint)) or "nobody known"
        by += f" and the checkpoint of {who} ({checkpoint.body.time})"
    out = [
        f"NOT shown: what came after {last.time} (retractions, newer versions, revoked keys).",
        f"That nobody was shown another history, and the order on main, rests on {by}.",
    ]
    standing = publication.standing(published.case.id)
    if standing == "superseded":
        out.insert(0, "A later publication stands in its place.")
    return out
