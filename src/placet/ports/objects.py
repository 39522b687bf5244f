"""What Placet needs of a store of objects, in the cloud or on a disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from placet.core.digest import Digests

_T = TypeVar("_T")
_R = TypeVar("_R")


class Fan(Protocol):
    """Applies a function to many things and gives the results in their order: `map`, or many at once.

    The items are drawn as needed, in the caller's thread; few results wait at any time.
    """

    def __call__(self, task: Callable[[_T], _R], items: Iterable[_T], /) -> Iterator[_R]:
        """The results, in order; the first error ends it."""
        ...


CopyWay = Literal["part-copy", "version-copy", "stream"]


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store says about one object; evidence, not proof.

    Attributes:
        key: Relative to the store's prefix.
        size: Bytes.
        sha256: Hex, only where the service computed and verified it over the whole object itself.
        version: The service's version id, if the bucket is versioned and the call returns it.
        modified_s: When it came, in seconds since 1970 by the store's own clock; only `list` says.
    """

    key: str
    size: int
    sha256: str | None = None
    version: str | None = None
    modified_s: float | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an object; a `marker` says that it was deleted, without the bytes being gone.

    Attributes:
        id: The service's name for it; None where the store keeps no versions.
    """

    id: str | None
    marker: bool = False


@dataclass(frozen=True, slots=True)
class StoreTraits:
    """What a store was seen to do when probed; false where it could not be shown.

    Attributes:
        part_copy_sha256: UploadPartCopy returns the SHA-256 of the bytes it copied.
        versions: GET and copy by version id work, and a PUT returns one.
        verifies_sha256: A PUT whose `x-amz-checksum-sha256` is wrong is refused.
        conditional_put: PUT with `If-None-Match: *` does not overwrite.
        conditional_complete: CompleteMultipartUpload with `If-None-Match: *` does not overwrite.
    """

    part_copy_sha256: bool = False
    versions: bool = False
    verifies_sha256: bool = False
    conditional_put: bool = False
    conditional_complete: bool = False


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """Where a store is: two stores with equal `service` can copy without the client's bytes.

    Attributes:
        service: Endpoint and protocol, e.g. `s3:http://127.0.0.1:8333`; `file:`; `memory:<n>`.
        bucket: Bucket or container; empty for a local path.
        prefix: Key prefix without slashes at the ends; for a local path the absolute path.
    """

    service: str
    bucket: str
    prefix: str


class ObjectStore(Protocol):
    """A flat set of immutable-by-convention objects under one prefix.

    All calls may be repeated; those that write are atomic: a key holds the old bytes, the new ones, or
    nothing. Safe to call from many threads. Raises `Unavailable` (no answer after retries), `Refused`
    (credentials do not allow it, kind `store-denied`), `NotFound` (kind `no-bucket` for the bucket).
    """

    @property
    def address(self) -> StoreAddress:
        """Where it is; never holds a credential."""
        ...

    def traits(self) -> StoreTraits:
        """Probed once per process on own probe keys under `placet/probe/`, where writing is allowed."""
        ...

    def head(self, key: str) -> ObjectInfo | None:
        """One object's facts, or None if there is no such object."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose key starts with `prefix`, in no promised order.

        Raises:
            Refused: kind `no-listing`: this kind of store has none; ask for each key.
        """
        ...

    def get(self, key: str, *, version: str | None = None, fan: Fan = map) -> Iterator[bytes]:
        """The bytes in bounded chunks; a long object by ranges side by side, if `fan` allows it.

        Raises:
            NotFound: kind `no-object`; raised by the call itself or by the first `next`.
        """
        ...

    def put(
        self, key: str, chunks: Iterable[bytes], want: Digests, *, overwrite: bool = False, fan: Fan = map
    ) -> bool:
        """Store a stream so that it becomes visible only if it is exactly `want`.

        A body of at most a few MiB is held, checked and sent in one request with its SHA-256 (or its MD5
        where the service knows no SHA-256); a larger one goes as a multipart upload that is completed only
        if size and both digests agree, and aborted otherwise; its parts go side by side, if `fan` allows
        it. Memory is bounded.

        With `overwrite` false nothing that is there is replaced, where the service can refuse it.

        Returns:
            True if written; False if the key existed already and was left alone (its content is then
            unproven).

        Raises:
            Corrupt: kind `digest-mismatch`; nothing is visible.
        """
        ...

    def copy_from(self, source: ObjectStore, key: str, want: Digests, *, fan: Fan = map) -> CopyWay | None:
        """Copy `key` from `source` inside the service, verified by SHA-256 before it is visible.

        The parts of a long object go side by side, if `fan` allows it.

        Returns:
            The way that was used, or None if no verified way exists between these two stores: the caller
            streams `source.get` into `put`.

        Raises:
            Corrupt: kind `digest-mismatch`: the source's bytes are not `want`; nothing is visible.
            Conflict: kind `object-exists`: the key existed already and was left alone.
            NotFound: kind `no-object`: the source has no such key.
        """
        ...

    def delete(self, key: str, *, version: str | None = None) -> None:
        """Remove the object, or one version of it for good; silent if it is not there.

        Without `version`, where versions are kept, the object is only hidden: by a marker on top of them.
        """
        ...

    def versions(self, key: str) -> Sequence[Version]:
        """Everything that is kept under exactly this key, markers too, the newest first; empty if nothing."""
        ...

    def sweep(self, keys: AbstractSet[str]) -> int:
        """Abort uploads that were begun and never completed, where the store has such; returns how many.

        Args:
            keys: Objects that are there, proven: no upload of them is needed any more. Uploads of others
                are aborted when nobody can be working on them.
        """
        ...
