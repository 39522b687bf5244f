"""GET, PUT, LIST, HEAD and DELETE through obstore (Rust `object_store`): whatever service it speaks to.

It costs about a third of the CPU of a request that Python makes (ADR 5), and lets other threads run
meanwhile. What it cannot ask for (a copy with its SHA-256, conditional completion) is in `s3`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    InvalidPathError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from placet.core.digest import Digests, Hasher, digest, tee
from placet.core.guards import guard
from placet.errors import Conflict, Corrupt, NotFound, PlacetError, Refused, Unavailable
from placet.ports import CopyWay, Fan, ObjectInfo, ObjectStore, StoreAddress, StoreTraits, Version

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Remote
    from obstore.store import RetryConfig

CHUNK = 1 << 20
SINGLE = 8 << 20
RANGE = 8 << 20
PART = 8 << 20
_MAX_PARTS = 9_000  # the services take 10,000
_TRIES = 6
_RACED = "ConditionalRequestConflict"  # S3: another conditional write was under way; try again
RETRY: RetryConfig = {
    "max_retries": 5,
    "retry_timeout": timedelta(minutes=3),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=5),
        "base": 2,
    },
}

_ABSENT = (NotFoundError, FileNotFoundError)
_DENIED = (PermissionDeniedError, UnauthenticatedError, PermissionError)
_PRESENT = (AlreadyExistsError, PreconditionError, FileExistsError)
_FAILED = (BaseError, OSError)
_ODD_KEY = (InvalidPathError, ValueError)


def translate(error: Exception, key: str) -> PlacetError:
    """One of ours for an error of obstore, where the service's own words say no more."""
    said = str(error).split("\n", 1)[0][:300]
    if isinstance(error, _ODD_KEY):
        return Refused(f"{key!r} cannot be used as a key.", kind="unsafe-key", why=said)
    if isinstance(error, _ABSENT):
        return NotFound(f"There is no object {key}.", kind="no-object")
    if isinstance(error, _DENIED):
        return Refused(
            f"The store does not let this credential use {key}.",
            kind="store-denied",
            why=said,
            mend="Check the credential of the DVC remote, and what it may do.",
        )
    if isinstance(error, _PRESENT):
        return Conflict(f"Object {key} exists already, or has changed.", kind="object-exists")
    return Unavailable(
        f"The object store does not answer as it should for {key}.", kind="store-answer", why=said
    )


class ObStore:
    """Objects below a prefix of whatever obstore has opened.

    Args:
        remote: obstore's store, opened at the bucket or container.
        address: Where it is.
        explain: Turns one of obstore's errors and a key into one of ours.
    """

    def __init__(
        self,
        remote: Remote,
        address: StoreAddress,
        explain: Callable[[Exception, str], PlacetError] = translate,
    ) -> None:
        self._remote = remote
        self.address = address
        self._prefix = f"{address.prefix}/" if address.prefix else ""
        self._explain = explain

    def __repr__(self) -> str:
        return f"ObStore({self.address.service}/{self.address.bucket}/{self.address.prefix})"

    def traits(self) -> StoreTraits:
        """A put that does not replace is all that these services have in common."""
        return StoreTraits(conditional_put=True)

    def head(self, key: str) -> ObjectInfo | None:
        """One object's facts."""
        try:
            found = obstore.head(self._remote, self._prefix + key)
        except _ABSENT as error:
            failed = self._explain(error, key)
            if isinstance(failed, NotFound) and failed.kind == "no-object":
                return None
            raise failed from error
        except (*_FAILED, ValueError) as error:
            raise self._explain(error, key) from error
        return ObjectInfo(key, found["size"], None, found["version"])

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose key starts so; obstore lists folders, the rest is filtered here."""
        wanted = self._prefix + prefix
        folder = wanted.rpartition("/")[0]
        last: str | None = None
        for attempt in range(_TRIES):
            try:
                for batch in obstore.list(self._remote, folder or None, offset=last, chunk_size=1000):
                    for one in batch:
                        if one["path"].startswith(wanted):
                            key, at = one["path"].removeprefix(self._prefix), one["last_modified"].timestamp()
                            yield ObjectInfo(key, one["size"], modified_s=at)
                        last = one["path"]
            except _ABSENT as error:
                failed = self._explain(error, prefix)
                if isinstance(failed, NotFound) and failed.kind == "no-object":
                    return
                raise failed from error
            except (*_FAILED, ValueError) as error:
                if attempt == _TRIES - 1 or not _uncertain(error):
                    raise self._explain(error, prefix) from error
                _wait(attempt)
            else:
                return

    def get(self, key: str, *, version: str | None = None, fan: Fan = map) -> Iterator[bytes]:
        """The bytes; a long object comes by ranges side by side, if `fan` allows it.

        A connection that breaks is taken up again by obstore, where it broke, for the same ETag only.
        """
        options = {"version": version} if version else {}
        try:
            found = obstore.get(self._remote, self._prefix + key, options=cast("Any", options))
            size, etag = found.meta["size"], found.meta["e_tag"]
            if size <= CHUNK:
                yield cast("bytes", found.bytes())
            elif fan is map or size <= RANGE:
                yield from found.stream(min_chunk_size=CHUNK)
            else:
                del found
                spans = [(start, min(start + RANGE, size)) for start in range(0, size, RANGE)]
                yield from fan(
                    lambda span: self._span(key, {**options, "if_match": etag, "range": span}), spans
                )
        except (*_FAILED, ValueError) as error:
            failed = self._explain(error, key)
            raise _changed(key) if isinstance(failed, Conflict) else failed from error

    def _span(self, key: str, options: dict[str, Any]) -> bytes:
        found = obstore.get(self._remote, self._prefix + key, options=cast("Any", options))
        return cast("bytes", found.bytes())

    def put(
        self, key: str, chunks: Iterable[bytes], want: Digests, *, overwrite: bool = False, fan: Fan = map
    ) -> bool:
        """Store a stream, visible only if it is exactly `want`; a long one as an upload of obstore's own."""
        del fan
        if want.size <= SINGLE:
            return self.put_body(key, whole_body(chunks, want, key), overwrite=overwrite)
        if not overwrite and self.head(key) is not None:
            return False
        try:
            obstore.put(
                self._remote,
                self._prefix + key,
                _proven(chunks, want, key),
                chunk_size=part_bytes(want.size),
                max_concurrency=4,
            )
        except (*_FAILED, ValueError) as error:
            raise self._explain(error, key) from error
        return True

    def put_body(self, key: str, body: bytes, *, overwrite: bool) -> bool:
        """Store bytes that were verified, in one request; False if the key existed and was left alone.

        Sent again where the answer was lost, or where other bytes arrived than were sent.
        """
        for attempt in range(_TRIES):
            try:
                obstore.put(
                    self._remote,
                    self._prefix + key,
                    body,
                    mode="overwrite" if overwrite else "create",
                    use_multipart=False,
                )
            except (*_FAILED, ValueError) as error:
                raced = _RACED in str(error)
                if isinstance(error, _PRESENT) and not raced:
                    return False
                failed = self._explain(error, key)
                again = raced or _uncertain(error) or isinstance(failed, Corrupt)
                if not again or attempt == _TRIES - 1:
                    raise failed from error
                _wait(attempt)
                continue
            return True
        raise AssertionError

    def copy_from(self, source: ObjectStore, key: str, want: Digests, *, fan: Fan = map) -> CopyWay | None:
        """No verified way: the caller streams."""
        del source, key, want, fan
        return None

    def delete(self, key: str, *, version: str | None = None) -> None:
        """Remove the object; of no versions is known here."""
        del version
        try:
            obstore.delete(self._remote, self._prefix + key)
        except _ABSENT:
            return
        except (*_FAILED, ValueError) as error:
            raise self._explain(error, key) from error

    def versions(self, key: str) -> Sequence[Version]:
        """The object, if there is one."""
        return (Version(None),) if self.head(key) is not None else ()

    def sweep(self, keys: AbstractSet[str]) -> int:
        """None: the services remove them by themselves."""
        del keys
        return 0


def _changed(key: str) -> Conflict:
    return Conflict(f"Object {key} changed while it was read.", kind="object-changed", mend="Run it again.")


def _uncertain(error: Exception) -> bool:
    """Was there no whole answer to a request that obstore does not repeat by itself?"""
    said = str(error)
    return "HTTP error" in said and " retries, max_retries" not in said


def part_bytes(size: int) -> int:
    """How long the parts of an upload of so many bytes are, but for the last one."""
    return max(PART, -(-size // _MAX_PARTS))


def _wait(attempt: int) -> None:
    time.sleep(0.1 * 2**attempt)


def whole_body(chunks: Iterable[bytes], want: Digests, key: str) -> bytes:
    """A short stream as bytes, if it is exactly `want`.

    Raises:
        Corrupt: kind `digest-mismatch`.
    """
    body = b"".join(bounded(chunks, want.size, key))
    require_same(digest(body), want, key)
    return body


@guard(1, 2)
def require_same(found: Digests, want: Digests, key: str) -> None:
    """Refuse bytes that are not what was wanted, before they become visible.

    Raises:
        Corrupt: kind `digest-mismatch`.
    """
    if found != want:
        raise mismatch(key)


def bounded(chunks: Iterable[bytes], size: int, key: str) -> Iterator[bytes]:
    """The same chunks; refused as soon as they are more than `size` bytes."""
    left = size
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise mismatch(key)
        yield chunk


def _proven(chunks: Iterable[bytes], want: Digests, key: str) -> Iterator[bytes]:
    """The same chunks, the last one only if all of them are `want`: an upload that is not ends unfinished."""
    hasher, held = Hasher(), b""
    for chunk in tee(bounded(chunks, want.size, key), hasher):
        if held:
            yield held
        held = chunk
    require_same(hasher.digests(), want, key)
    yield held


def mismatch(key: str) -> Corrupt:
    """Bytes are not what was wanted, and nothing became visible."""
    return Corrupt(
        f"CORRUPT: the bytes for {key} are not what they must be.",
        kind="digest-mismatch",
        why="Their SHA-256 differs; nothing became visible.",
        mend="Push them again from where they were made, or find out who changed them.",
    )
