"""What the engine needs from the outside world, as small contracts; no implementation lives here.

Every adapter of a port passes the suite of the same name in `placet.testing`. Errors are those of
`placet.errors`; a foreign exception never crosses a port.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import datetime
from typing import IO, Literal, Protocol, Self, TypeVar

from placet.checks.api import Finding
from placet.core.digest import Digests
from placet.core.limits import Bounds
from placet.ports.forge import (
    PLAIN,
    Account,
    Commission,
    Forge,
    Hole,
    PullRequest,
    Remark,
    Review,
    StatusState,
)

__all__ = [
    "PLAIN",
    "Account",
    "Commission",
    "Forge",
    "Hole",
    "PullRequest",
    "Remark",
    "Review",
    "StatusState",
]

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


@dataclass(frozen=True, slots=True)
class FileStamp:
    """A local file as `stat` showed it, links followed; the same stamp means: not changed since.

    Attributes:
        path: Absolute.
        inode: Of the file that holds the bytes.
        mtime_ns: Nanoseconds since the epoch.
        size: Bytes.
    """

    path: str
    inode: int
    mtime_ns: int
    size: int

    @property
    def mtime(self) -> float:
        """Seconds since the epoch, to the bit what `os.stat` makes of them, and DVC keeps."""
        seconds, rest = divmod(self.mtime_ns, 10**9)
        return seconds + 1e-9 * rest


@dataclass(frozen=True, slots=True)
class Placed:
    """An output as it was placed in the workspace, as DVC tells whether it changed since.

    Attributes:
        path: Relative to the project, posix.
        inode: Of the file or folder itself.
        times: Of a file its mtime in nanoseconds, of a directory a digest of all its files' mtimes.
    """

    path: str
    inode: int
    times: str


class PlacedOutputs(Protocol):
    """DVC's list of outputs that were placed in the workspace. A cache; never raises, as `State`."""

    def tell(self, rows: Sequence[Placed]) -> None:
        """Remember that these outputs were placed."""
        ...

    def find(self, look: Callable[[str], Placed | None]) -> list[str]:
        """The outputs that were placed and that are exactly so now, as `look` finds them."""
        ...

    def forget(self, paths: Sequence[str]) -> None:
        """These outputs are not there any more."""
        ...


class State(Protocol):
    """What is known of local files from hashing them before. A cache: losing it costs time only.

    Safe for many threads and processes; never raises for a database that is locked, full or broken.
    """

    @property
    def placed(self) -> PlacedOutputs:
        """Which outputs DVC or Placet placed."""
        ...

    def get_many(self, files: Sequence[FileStamp]) -> list[Digests | None]:
        """The digests of each file, or None where its stamp is not known."""
        ...

    def put_many(self, rows: Sequence[tuple[FileStamp, Digests]]) -> None:
        """Remember digests of files that were read; all or none."""
        ...

    def tell_dvc(
        self, rows: Sequence[tuple[FileStamp, str]], told: Sequence[tuple[FileStamp, str]] = ()
    ) -> None:
        """Tell DVC's own state database the MD5 of files, so that `dvc status` hashes nothing.

        Those `told` before are told again only where DVC has lost its database.
        """
        ...


@dataclass(frozen=True, slots=True)
class Change:
    """One path of a commit that differs from its first parent; `blob` is empty where it was deleted."""

    path: str
    mode: str
    blob: str


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit with its changes against its first parent (against nothing for a root).

    Attributes:
        id: 40 hex.
        parents: Parents' ids, in order.
        message: The whole message.
        changes: Sorted by path.
    """

    id: str
    parents: tuple[str, ...]
    message: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One file of a tree: Git's mode (`100644`, ...), blob id, size in bytes (0 for a submodule)."""

    mode: str
    blob: str
    size: int


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """Move `ref` (full name) from `old` to `new`; None means: does not exist, must not exist."""

    ref: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class PastFile:
    """A file of a Git commit, or of an index (where `commit` is empty); `path` is from Git's top folder."""

    path: str
    blob: str
    commit: str = ""


class Past(Protocol):
    """The Git history around somebody's DVC project. Raises `Corrupt` for what cannot be read whole."""

    def kinds(self) -> Mapping[str, int]:
        """What holds commits, in words -> how many of them; and `commits`."""

    def files(self, suffixes: Sequence[str], *, tips: bool) -> Sequence[PastFile]:
        """Every (path, blob) whose path ends so: in any commit, or in the newest ones; and in an index."""

    def read(self, blobs: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Blob id and bytes, of each."""


class Repo(Protocol):
    """One party's own bare copy of the Ctrl repository, and its remote. Plumbing only: no work tree.

    Object ids are full hex. Replace refs and grafts are off. Safe to use from several processes.
    """

    def refs(self, prefix: str = "refs/") -> dict[str, str]:
        """Full ref name -> commit id, as of the last `fetch` (or as they are, inside a server's hook)."""
        ...

    def line(self, tip: str, after: str | None = None) -> Sequence[Commit]:
        """The first-parent line that ends at `tip`, oldest first, beginning after `after`.

        Raises:
            NotFound: kind `no-commit`.
            Conflict: kind `not-on-line`: `after` is not on the first-parent line of `tip`.
        """
        ...

    def branch(self, tip: str, known: Container[str], bounds: Bounds) -> Sequence[Commit]:
        """Of the first-parent line that ends at `tip` the commits behind the newest one that is `known`.

        Oldest first. Whatever the branch holds, no more than the bounds is read of it.

        Raises:
            Conflict: kind `not-on-line`: no commit of the line is known.
            Invalid: kind `too-large`: more commits, changes or folders than the bounds.
            Corrupt: kind `git-tree`: a folder that names an entry twice.
            NotFound: kinds `no-commit`, `no-tree`.
        """
        ...

    def tree(self, commit: str, prefix: str = "") -> dict[str, TreeEntry]:
        """Path -> entry for all files of a commit under `prefix` (a folder path, or empty).

        Raises:
            Invalid: kind `too-large`: so many files that they are no tree of a Ctrl repository.
        """
        ...

    def find(self, commit: str, path: str) -> str | None:
        """The blob at a path of a commit, or None where there is none; much cheaper than `tree`.

        Raises:
            NotFound: kind `no-commit`.
            Invalid: kind `unsafe-path`: nothing can be at this path.
        """
        ...

    def read(self, blob: str, limit: int) -> bytes:
        """A blob's bytes.

        Raises:
            Invalid: kind `too-large`, if it has more than `limit` bytes; nothing is read then.
            NotFound: kind `no-blob`.
        """
        ...

    def raw(self, commit: str) -> bytes:
        """The bytes of a commit object; with its type and length before them, they hash to its id.

        Raises:
            NotFound: kind `no-commit`.
        """
        ...

    def commit(
        self,
        base: str | None,
        changes: Mapping[str, bytes | TreeEntry | None],
        *,
        parents: Sequence[str],
        message: str,
        author: str,
        when: datetime,
    ) -> str:
        """Write a commit: the tree of `base` (or an empty one) with `changes` (None deletes). Moves no ref.

        Args:
            author: A display name; the e-mail is `<name>@placet.invalid`.
        """
        ...

    def fetch(self, refs: Sequence[str] = ()) -> None:
        """Bring all refs and objects of the remote here, removing refs that the remote has no more.

        Args:
            refs: Only these, by their full names; a `*` at the end stands for anything. One round trip, if
                nothing is new. A clone brings all of its remote-tracking branches, whatever is asked.

        Raises:
            Unavailable: kind `ctrl-unreachable`.
        """
        ...

    def renew(self) -> bool:
        """Fetch everything again into a new copy, if this one is damaged and can be thrown away.

        Returns:
            False, and nothing is changed, if it is whole or somebody's clone.

        Raises:
            Unavailable: kinds `ctrl-unreachable`, `disk`; the damaged copy stays.
        """
        ...

    def push(self, updates: Sequence[RefUpdate]) -> None:
        """Move refs on the remote: all or none, each only if it still is at `old`.

        Raises:
            Conflict: kind `ref-moved`: some ref is no longer at `old`.
            Refused: kind `push-refused`: the server said no; its words are in `why`.
            Unavailable: kind `ctrl-unreachable`; whether it happened is unknown: fetch and look.
        """
        ...


class Signer(Protocol):
    """A private key that never leaves its holder (file, agent, HSM)."""

    @property
    def public(self) -> str:
        """The public key as policy writes it: `ed25519:<base64 of 32 bytes>`."""
        ...

    def sign(self, message: bytes) -> bytes:
        """A 64-byte Ed25519 signature over `message` (RFC 8032)."""
        ...


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> datetime:
        """The time, in UTC."""
        ...


class Progress(Protocol):
    """What a person sees of a long step. Calls are cheap, from any thread.

    They never fail. Whoever wants the step to end lets `advance` raise `Unavailable`, kind `stopped`: it ends
    as by any other error, and running it again goes on.
    """

    def start(self, phase: str, objects: int | None = None, size: int | None = None) -> Self:
        """Begin a phase with its totals, where they are known."""
        ...

    def advance(self, objects: int = 0, size: int = 0) -> None:
        """So much more is done."""
        ...

    def done(self) -> None:
        """The phase has ended."""
        ...


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a party verified last of one Ctrl repository; losing it costs rollback detection only.

    Attributes:
        main: The last tip of `main` that was accepted.
        position: How many commits are before it on its first-parent line.
        published: Branch name -> (commit, sequence and digest of its last ledger entry).
        decisions: Proposal that is not over yet -> person, or `witness:<name>` -> (number, digest) of their
            highest decision or observation.
        freezes: Digest of a freeze that nobody ended -> its scope, person, reason and time.
    """

    main: str | None = None
    position: int | None = None
    published: Mapping[str, tuple[str, int, str]] = dataclass_field(default_factory=dict)
    decisions: Mapping[str, Mapping[str, tuple[int, str]]] = dataclass_field(default_factory=dict)
    freezes: Mapping[str, tuple[str, str, str, str]] = dataclass_field(default_factory=dict)


class TrustMemory(Protocol):
    """A party's memory outside the clone, one record a repository; writes are atomic."""

    def recall(self, repository: str) -> Remembered:
        """What was remembered; empty if nothing was."""
        ...

    def update(self, repository: str, change: Callable[[Remembered], Remembered]) -> None:
        """Replace the record by what `change` makes of it; no other process writes it in between."""
        ...


class CheckSession(Protocol):
    """The checks of one artifact, loaded with their options.

    Attributes:
        tools: Name and version of what looks, by check.
    """

    @property
    def tools(self) -> Mapping[str, str]:
        """Name and version of what looks, by check."""
        ...

    def look(self, name: str, sha256: str, size: int, file: IO[bytes]) -> Mapping[str, Finding]:
        """What every check says about one file with a descriptor; never raises for what the file holds."""
        ...

    def conclude(self, facts: Mapping[str, Mapping[str, int]]) -> Mapping[str, Finding]:
        """What every check says about the facts of all files together."""
        ...


class Checks(Protocol):
    """Where checks run: apart from the process that holds keys and credentials."""

    def session(
        self,
        checks: Mapping[str, Mapping[str, bool | int | str | tuple[str, ...]]],
        listing: Mapping[str, str],
        jobs: int,
    ) -> AbstractContextManager[CheckSession]:
        """Load checks with their options for an artifact with these files.

        Raises:
            Refused: kinds `unknown-check`, `check-options`, `no-sandbox`.
        """
        ...
