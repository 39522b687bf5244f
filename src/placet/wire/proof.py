"""The parts of bundles and checkpoints: where digest lists are read, and the repository that a bundle is."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from placet.adapters.gitmemory import MemoryRepo, MemoryServer
from placet.core import layout
from placet.core.bundle import MAX_LISTS, Bundle, decode_bundle, encode_bundle, raw
from placet.core.digest import sha256_hex
from placet.core.predicates import Artifact, Checkpoint
from placet.core.statement import Signed, parse_time
from placet.engine.bundle import Made, judge_bundle, make_bundle, retracted
from placet.engine.checkpoint import make_checkpoint, read_checkpoint
from placet.engine.contents import read_object
from placet.engine.ctrl import View, load
from placet.engine.published import Publication
from placet.engine.rehash import Reading, folder_list
from placet.engine.verify import Pin, Report, publication_of
from placet.errors import Corrupt, Invalid, NotFound, PlacetError, Refused
from placet.ports import Change, RefUpdate
from placet.wire.ctrl import Wire


def bundle(wire: Wire, view: View, ident: str, now: datetime, *, sign: bool) -> tuple[bytes, Made]:
    """The bundle of a publication, proven to verify; see `Client.bundle`.

    Raises:
        NotFound: kinds `no-proposal`, `not-published`.
    """
    case = view.find(ident)
    tier = case.manifest.body.tier or ""
    publication = publication_of(view, tier) if tier else None
    published = publication.publications.get(case.id) if publication else None
    if publication is None or published is None:
        raise NotFound(
            f"Proposal {case.id[:12]} is not published.",
            kind="not-published",
            mend="`placet log` shows everything that was.",
        )
    own = _checkpoint(wire, view, publication, now) if sign else None
    made = make_bundle(view, published, tier, _Lists(wire, tier).read, own)
    data = encode_bundle(made.bundle)
    newest = parse_time(publication.entries[-1].body.time)
    found = _judge(data, (), made.bundle.trust_root, wire, newest, remember=False)
    wrong = [one for one in found.problems if one not in retracted(publication, published)]
    if wrong:
        raise Corrupt("The bundle that was made does not verify.", kind="bundle", why=wrong[0])
    return data, made


def judge(wire: Wire, data: bytes, paths: Sequence[Path], trust_root: str | None, now: datetime) -> Report:
    """What a bundle proves, of itself and of files and folders; see `Client.verify_bundle`."""
    pinned = trust_root.removeprefix("sha256:") if trust_root else None
    if pinned is not None and not layout.is_sha256(pinned):
        raise Invalid("The trust root is not a SHA-256 (64 hex digits).", kind="settings")
    return _judge(data, paths, pinned or wire.settings.trust_root, wire, now, remember=True)


def checkpoint(wire: Wire, view: View, tier: str, now: datetime) -> Signed[Checkpoint]:
    """A checkpoint of a tier's ledger, signed by this party."""
    return make_checkpoint(view, publication_of(view, tier), wire.signer(), now)


def repository(bundle: Bundle) -> MemoryRepo:
    """The repository that a bundle holds; every object is where its bytes put it.

    Raises:
        Corrupt: kinds `bundle`, `git-object`.
        Invalid: kinds `bundle`, `git-object`.
        NotFound: kind `no-commit`: a line has a gap.
    """
    repo = MemoryRepo(MemoryServer(digits=len(bundle.published)))
    for ident, text in bundle.blobs.items():
        if repo.blob(raw(text)) != ident:
            raise Corrupt(f"Blob {ident[:12]} of the bundle has other bytes.", kind="bundle")
    for one in (*bundle.main, *bundle.branch):
        repo.take(raw(one.object), [Change(*change) for change in one.changes])
    repo.push([RefUpdate(layout.published_ref(bundle.tier), None, bundle.published)])
    return repo


def _judge(
    data: bytes, paths: Sequence[Path], trust_root: str | None, wire: Wire, now: datetime, *, remember: bool
) -> Report:
    found = decode_bundle(data)
    pinned: Pin = "settings" if trust_root else "none"
    memory = wire.memory if remember and trust_root else None
    try:
        own = read_checkpoint(raw(found.checkpoint)) if found.checkpoint else None
        view = load(
            repository(found),
            trust_root or found.trust_root,
            now,
            memory,
            fetch=False,
            lagging=True,
            tiers=(found.tier,),
        )
        how = Reading(wire.settings.jobs, wire.progress, _cache(wire))
        return judge_bundle(found, view, own, paths, now=now, how=how, pinned=pinned)
    except (NotFound, Invalid) as error:
        raise Corrupt(
            "The bundle does not prove what it says.",
            kind="bundle",
            why=str(error),
            mend="Get it again from who made it: placet bundle ID -o FILE",
        ) from error


def _checkpoint(wire: Wire, view: View, publication: Publication, now: datetime) -> Signed[Checkpoint] | None:
    """This party's checkpoint, if it has a key that the policy knows."""
    if wire.settings.key is None:
        return None
    with contextlib.suppress(Refused):
        return make_checkpoint(view, publication, wire.signer(), now)
    return None


def _cache(wire: Wire) -> Path | None:
    """DVC's cache, links to whose objects are files; None where there is no DVC project."""
    with contextlib.suppress(PlacetError):
        return wire.workspace.cache
    return None


class _Lists:
    """Digest lists from wherever this party has them: the cache, the files in a clone, the tier."""

    def __init__(self, wire: Wire, tier: str) -> None:
        self._wire = wire
        self._tier = tier

    def read(self, artifact: Artifact, sha256: str) -> bytes | None:
        """The digest list of a directory, or None if it is nowhere to be read."""
        for place in (self._cached, self._cloned, self._stored):
            with contextlib.suppress(PlacetError):
                data = place(artifact, sha256)
                if data is not None:
                    return data
        return None

    def _cached(self, _: Artifact, sha256: str) -> bytes | None:
        return self._wire.workspace.objects.read(layout.sums_key(sha256), MAX_LISTS)

    def _cloned(self, artifact: Artifact, sha256: str) -> bytes | None:
        root = self._wire.clone_root()
        for node in () if root is None else sorted((root / layout.ARTIFACTS).glob("*")):
            folder = node / artifact.path
            if folder.is_dir():
                how = Reading(self._wire.settings.jobs, self._wire.progress, _cache(self._wire))
                data = folder_list(folder, artifact.files, how, artifact.path)
                if data is not None and sha256_hex(data) == sha256:
                    return data
        return None

    def _stored(self, artifact: Artifact, sha256: str) -> bytes | None:
        remote = self._wire.settings.tiers.get(self._tier, self._tier)
        limit = min(artifact.files * (layout.MAX_PATH_BYTES + 70), MAX_LISTS)
        return read_object(self._wire.store(remote), layout.sums_key(sha256), sha256, limit)
