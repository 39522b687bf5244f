"""A tracked output with all its digests: from its `.dvc` file, the cache, and the state database.

MD5 is what the `.dvc` file and the `.dir` object say; SHA-256 comes from the digest list where one is known,
else from the state database, else from reading. A list that had to be computed is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from placet.core import layout
from placet.core.digest import Digests, digest, sha256_hex
from placet.core.dirobject import DirEntry, decode_dir
from placet.core.dvcfile import Output
from placet.core.outputs import Tracking, not_plain
from placet.core.sums import SumEntry, check_same_paths, decode_sums, encode_sums
from placet.engine.disk import Cache, corrupt_cache
from placet.engine.proof import prove_cached
from placet.engine.workspace import Workspace
from placet.errors import Invalid, NotFound
from placet.ports import State

MAX_FILES = 10_000_000
MAX_LIST = 1 << 30
_ENTRY_BYTES = 6 * layout.MAX_PATH_BYTES + 64


@dataclass(frozen=True, slots=True)
class Tracked:
    """One tracked output.

    Attributes:
        path: Relative to the workspace, posix.
        metafile: The `.dvc` file, likewise.
        is_dir: A directory artifact.
        digests: Of a file: its own. Of a directory: MD5 of its `.dir` object, `dirHash` (SHA-256 of the
            digest list; empty while the cache lacks files whose SHA-256 is not known), and the bytes of all
            files together (of those that are there).
        nfiles: Files of a directory; None for a file.
        dir_size: Bytes of the `.dir` object.
        dir_sha256: SHA-256 of the `.dir` object.
        sums_size: Bytes of the digest list.
    """

    path: str
    metafile: str
    is_dir: bool
    digests: Digests
    nfiles: int | None = None
    dir_size: int | None = None
    dir_sha256: str | None = None
    sums_size: int | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A tracked output with its files.

    Attributes:
        tracked: The whole.
        files: (path within the artifact, digests) sorted by path; a file artifact has one, with path "".
        lists: (key, digests) of what is stored after the files, in this order: digest list, `.dir`.
    """

    tracked: Tracked
    files: tuple[tuple[str, Digests], ...]
    lists: tuple[tuple[str, Digests], ...] = ()


def load_artifact(workspace: Workspace, target: str | Path, state: State, jobs: int = 1) -> Loaded:
    """A tracked output as the cache holds it, with the digests of every file.

    Raises:
        NotFound: kind `not-tracked`; kind `not-in-cache`, naming the first object that is missing.
        Invalid: kind `not-plain`: not made by `placet track`, or not all of it.
        Invalid: kinds `dir-object`, `digest-list`; kind `unsafe-path`: a name that not every system can hold.
        Corrupt: kind `cache-corrupt`.
    """
    found = workspace.select([target])
    if len(found) != 1:
        raise Invalid(f"{target} means {len(found)} outputs.", kind="many-outputs")
    reason = not_plain(found[0])
    if reason is not None:
        raise Invalid(
            f"{found[0].path} cannot be governed: it is {reason}.",
            kind="not-plain",
            mend="Track a copy of the data as a whole: placet track PATH",
        )
    loaded = load_output(workspace, found[0].path, found[0].out, state, jobs)
    layout.require_safe(loaded.tracked.path, "an artifact")
    for name, _ in loaded.files if loaded.tracked.is_dir else ():
        reason = layout.forbidden_in_directory(name)
        if reason is not None:
            raise Invalid(
                f"{loaded.tracked.path}/{name} cannot be governed: it {reason}.",
                kind="unsafe-path",
                mend="Rename it, or move it away, and track the directory again.",
            )
    return loaded


def require_whole(workspace: Workspace, targets: Iterable[str]) -> None:
    """Refuse paths inside of a tracked directory: only an artifact as a whole can be approved.

    Raises:
        Invalid: kind `overlapping-outputs`; kind `path-outside-workspace`.
    """
    outputs = workspace.outputs()
    for target in targets:
        path = workspace.locate(target)
        owner = outputs.owner(path)
        if owner is not None and owner.inside:
            raise Invalid(
                f"{path} lies inside {owner.path}, which is tracked as a whole.",
                kind="overlapping-outputs",
                mend=f"placet propose {owner.path}",
            )


def require_files(tracked: Iterable[Tracked]) -> None:
    """Refuse a directory without any file: there is nothing to approve.

    Raises:
        Invalid: kind `empty-directory`.
    """
    for one in tracked:
        if one.is_dir and not one.nfiles:
            raise Invalid(f"The directory {one.path} holds no file.", kind="empty-directory")


def load_output(workspace: Workspace, path: str, out: Output, state: State, jobs: int) -> Loaded:
    """As `load_artifact`, for an output whose metafile was read already."""
    cache = workspace.objects
    metafile = f"{path}.dvc"
    if not out.is_dir:
        known = digests_of(cache, {out.md5: path}, state, jobs)[out.md5]
        return Loaded(Tracked(path, metafile, is_dir=False, digests=known), (("", known),))
    data = read_dir(cache, out)
    if data is None:
        raise not_in_cache(path, out.key)
    entries = listed_in(data)
    sums = known_sums(cache, out.md5, entries)
    if sums is not None:
        files = tuple(_sized(cache, path, one, sums.by_path) for one in entries)
        return _assemble(path, data, files, sums.digests)
    by_md5 = digests_of(cache, {one.md5: f"{path}/{one.relpath}" for one in entries}, state, jobs)
    return assemble(cache, path, data, [(one.relpath, by_md5[one.md5]) for one in entries])


def assemble(cache: Cache, path: str, listing: bytes, files: Sequence[tuple[str, Digests]]) -> Loaded:
    """A directory from its `.dir` bytes and its files' digests; the digest list is kept in the cache."""
    sums = encode_sums((name, known.sha256) for name, known in files)
    loaded = _assemble(path, listing, files, digest(sums))
    remember_sums(cache, loaded.tracked.digests.md5, sums)
    return loaded


def _assemble(path: str, listing: bytes, files: Sequence[tuple[str, Digests]], of_sums: Digests) -> Loaded:
    of_dir = digest(listing)
    tracked = Tracked(
        path=path,
        metafile=f"{path}.dvc",
        is_dir=True,
        digests=Digests(of_dir.md5, of_sums.sha256, sum(known.size for _, known in files)),
        nfiles=len(files),
        dir_size=of_dir.size,
        dir_sha256=of_dir.sha256,
        sums_size=of_sums.size,
    )
    lists = (
        (layout.sums_key(of_sums.sha256), of_sums),
        (layout.data_key(of_dir.md5, is_dir=True), of_dir),
    )
    return Loaded(tracked, tuple(files), lists)


def read_dir(cache: Cache, out: Output) -> bytes | None:
    """The bytes of an output's `.dir` object, if the cache has it.

    Raises:
        Corrupt: kind `cache-corrupt`.
    """
    data = cache.read(out.key, MAX_LIST)
    if data is not None and digest(data).md5 != out.md5:
        raise corrupt_cache(cache.path(out.key), out.md5)
    return data


def listed_in(data: bytes) -> tuple[DirEntry, ...]:
    """The files of a `.dir` object, within bounds.

    Raises:
        Invalid: kind `dir-object`.
    """
    return decode_dir(data, max_entries=MAX_FILES, max_bytes=MAX_LIST, strict=False)


def listing_limit(out: Output) -> int:
    """How many bytes a directory's `.dir` object has at most, by its metafile's number of files."""
    return min((out.nfiles if out.nfiles is not None else MAX_FILES) * _ENTRY_BYTES + 2, MAX_LIST)


def wanted_files(cache: Cache, path: str, out: Output) -> dict[str, str]:
    """Name within the artifact ("" for a file) -> MD5.

    Raises:
        NotFound: kind `not-in-cache`: the `.dir` object is missing.
        Invalid: kind `dir-object`.
    """
    if not out.is_dir:
        return {"": out.md5}
    data = read_dir(cache, out)
    if data is None:
        raise not_in_cache(path, out.key)
    entries = listed_in(data)
    return {one.relpath: one.md5 for one in entries}


def require_parts(one: Tracking, names: Iterable[str]) -> None:
    """Refuse a path inside a directory that its listing does not have.

    Raises:
        NotFound: kind `not-tracked`.
    """
    known = list(names)
    for part in one.inside:
        if not any(layout.at_or_below(name, part) for name in known):
            raise NotFound(
                f"{one.path}/{part} is not part of {one.path} as it is tracked.",
                kind="not-tracked",
                mend=f"placet status {one.path}",
            )


@dataclass(frozen=True, slots=True)
class Sums:
    """A digest list of the cache: path -> SHA-256, and its own digests."""

    by_path: dict[str, str]
    digests: Digests


def known_sums(cache: Cache, md5: str, entries: Sequence[DirEntry]) -> Sums | None:
    """The digest list that the cache keeps for a `.dir` object, or None.

    A list that is not what its name says, or names other files, is as good as none.
    """
    pointer = cache.read(layout.sums_pointer(md5), 64)
    if pointer is None or not layout.is_sha256(pointer.decode("latin-1")):
        return None
    sha256 = pointer.decode("ascii")
    data = cache.read(layout.sums_key(sha256), MAX_LIST)
    if data is None:
        return None
    known = digest(data)
    if known.sha256 != sha256:
        return None
    try:
        sums: tuple[SumEntry, ...] = decode_sums(data, max_entries=len(entries), max_bytes=MAX_LIST)
        check_same_paths(entries, sums)
    except Invalid:
        return None
    return Sums({one.path: one.sha256 for one in sums}, known)


def remember_sums(cache: Cache, md5: str, sums: bytes) -> None:
    """Keep a digest list in the cache, and which `.dir` object it belongs to."""
    sha256 = sha256_hex(sums)
    if cache.read(layout.sums_key(sha256), len(sums)) != sums:
        cache.write(layout.sums_key(sha256), sums)
    if cache.read(layout.sums_pointer(md5), 64) != sha256.encode():
        cache.write(layout.sums_pointer(md5), sha256.encode())


def digests_of(cache: Cache, wanted: dict[str, str], state: State, jobs: int) -> dict[str, Digests]:
    """MD5 -> both digests of cache objects, from the state database or by reading them.

    Args:
        cache: Where they are.
        wanted: MD5 -> the name to use in an error.
        state: Asked first, told afterwards.
        jobs: Files that are hashed at once.

    Raises:
        NotFound: kind `not-in-cache`.
        Corrupt: kind `cache-corrupt`.
    """
    found = prove_cached(cache, wanted, state, jobs)
    for md5, name in wanted.items():
        if md5 in found.corrupt:
            raise corrupt_cache(cache.path(layout.data_key(md5)), md5)
        if md5 not in found.good:
            raise not_in_cache(name, layout.data_key(md5))
    return dict(found.good)


def _sized(cache: Cache, path: str, entry: DirEntry, sums: dict[str, str]) -> tuple[str, Digests]:
    key = layout.data_key(entry.md5)
    size = cache.size(key)
    if size is None:
        raise not_in_cache(f"{path}/{entry.relpath}", key)
    return entry.relpath, Digests(entry.md5, sums[entry.relpath], size)


def not_in_cache(name: str, key: str) -> NotFound:
    """The refusal to go on without an object that the cache should have."""
    return NotFound(
        f"The object of {name} is not in the cache.",
        kind="not-in-cache",
        why=f"There is no {key}.",
        mend=f"placet fetch {name.split('/', maxsplit=1)[0]}, or track it again.",
    )
