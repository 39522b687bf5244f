"""Which objects an artifact of a manifest consists of, proven from the manifest's SHA-256 down.

Everything that is read from a tier is hostile: the digest list and the `.dir` object count only if their
SHA-256 is the manifest's, are parsed strictly, and must name the same paths.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from placet.core import layout, limits
from placet.core.digest import Digests, digest
from placet.core.dirobject import decode_dir
from placet.core.guards import guard
from placet.core.predicates import Artifact, Manifest
from placet.core.statement import Signed
from placet.core.sums import check_same_paths, decode_sums
from placet.engine.cases import listable
from placet.engine.transfer import twice
from placet.engine.twins import Pair, refuse_twins
from placet.errors import Corrupt, Invalid
from placet.ports import ObjectStore


@dataclass(frozen=True, slots=True)
class Item:
    """One object: where it is, which file of the artifact it is, and what it must be."""

    key: str
    path: str
    md5: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Contents:
    """All objects of one artifact; `sums` and `dir` are the bytes of a directory's two lists."""

    artifact: Artifact
    sha256: str
    items: tuple[Item, ...]
    sums: bytes | None = None
    dir: bytes | None = None

    def lists(self) -> Iterator[tuple[str, bytes]]:
        """The objects that are written after all files, in this order: digest list, `.dir`."""
        if self.sums is not None and self.dir is not None:
            yield layout.sums_key(self.sha256), self.sums
            yield layout.data_key(self.artifact.md5, is_dir=True), self.dir


def read_contents(store: ObjectStore, manifest: Signed[Manifest]) -> list[Contents]:
    """The contents of every artifact, as an internal or a publication tier lists them.

    Raises:
        Corrupt: kind `digest-mismatch` or `md5-twin`.
        NotFound: kind `no-object`.
        Invalid: a list that is not what DVC or Placet writes.
    """
    found = [
        read_artifact(store, artifact, subject.value)
        for artifact, subject in zip(manifest.body.artifacts, manifest.subjects, strict=True)
    ]
    _refuse_twins(found)
    return found


def read_object(store: ObjectStore, key: str, sha256: str, limit: int) -> bytes:
    """A small object's bytes, proven by SHA-256; read again once, for the network may have changed them.

    Raises:
        Corrupt: kind `digest-mismatch`: other bytes, or more than `limit`.
        NotFound: kind `no-object`.
    """
    return twice(lambda: _read_object(store, key, sha256, limit))


@guard(1, 24)
def _read_object(store: ObjectStore, key: str, sha256: str, limit: int) -> bytes:
    parts, size = [], 0
    for chunk in store.get(key):
        parts.append(chunk)
        size += len(chunk)
        if size > limit:
            raise _mismatch(key)
    data = b"".join(parts)
    if digest(data).sha256 != sha256:
        raise _mismatch(key)
    return data


@guard(26)
def require_listable(artifact: Artifact) -> None:
    """Refuse a directory whose lists would not be read to their end, before they are asked for.

    Raises:
        Invalid: kind `too-large`.
    """
    if not listable(artifact):
        raise Invalid(
            f"The directory {artifact.path} has too many files, or lists that are too long.",
            kind="too-large",
            why=f"At most {limits.DIR_FILES} files and {limits.DIR_BYTES} bytes of a list are read.",
            mend="Propose parts of it, or an archive.",
        )


def read_artifact(store: ObjectStore, artifact: Artifact, sha256: str) -> Contents:
    """The contents of one artifact. Raises as `read_contents`."""
    if artifact.dir is None:
        key = layout.data_key(artifact.md5)
        return Contents(artifact, sha256, (Item(key, "", artifact.md5, sha256),))
    require_listable(artifact)
    sums = read_object(store, layout.sums_key(sha256), sha256, sums_limit(artifact))
    listing = read_object(
        store, layout.data_key(artifact.md5, is_dir=True), artifact.dir.sha256, artifact.dir.size
    )
    return from_lists(artifact, sha256, sums, listing)


def sums_limit(artifact: Artifact) -> int:
    """How many bytes a directory's digest list has at most."""
    return min(artifact.files * (limits.PATH_BYTES + 70), limits.SUMS_BYTES)


def from_lists(artifact: Artifact, sha256: str, sums: bytes, listing: bytes) -> Contents:
    """A directory's contents from its two lists, whose SHA-256 is proven already.

    Raises:
        Invalid: kinds `dir-object`, `digest-list`: a path that is not safe, or lists that are not Placet's.
        Corrupt: kind `digest-mismatch`: the listing's MD5 or its number of files is another.
    """
    entries = decode_dir(listing, max_entries=artifact.files, max_bytes=len(listing))
    digests = decode_sums(sums, max_entries=artifact.files, max_bytes=len(sums))
    check_same_paths(entries, digests)
    by_path = {one.path: one.sha256 for one in digests}
    items = tuple(
        Item(layout.data_key(one.md5), one.relpath, one.md5, by_path[one.relpath]) for one in entries
    )
    if digest(listing).md5 != artifact.md5 or len(items) != artifact.files:
        raise _mismatch(layout.data_key(artifact.md5, is_dir=True))
    return Contents(artifact, sha256, items, sums, listing)


def objects(found: Iterable[Contents]) -> Iterator[Pair]:
    """The keys of all files' objects, and what they must be."""
    return ((item.key, item.sha256) for contents in found for item in contents.items)


@guard(2)
def _refuse_twins(found: list[Contents]) -> None:
    refuse_twins({}, objects(found))


def _mismatch(key: str) -> Corrupt:
    return Corrupt(
        f"CORRUPT: object {key} is not what was approved.",
        kind="digest-mismatch",
        why="Its SHA-256 differs from the manifest's.",
        mend="Nothing was published. Push the artifact again from the node, or find out who changed it.",
    )


def digests_of(item: Item, size: int) -> Digests:
    """What the object must be, once its size is known."""
    return Digests(item.md5, item.sha256, size)
