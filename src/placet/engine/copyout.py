"""A tracked output as the cache holds it, file by file, and one file of it copied out, proven on its way."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from placet.core import layout
from placet.core.digest import Digests, Hasher, tee
from placet.core.guards import guard
from placet.engine.artifact import load_artifact
from placet.engine.clone import Clone, published_contents, require_proven
from placet.engine.disk import Cache, chunks, disk, write_all
from placet.engine.workspace import Workspace
from placet.errors import Corrupt
from placet.ports import State


@dataclass(frozen=True, slots=True)
class Part:
    """One file: its path within the output ("" for an output that is a file), and what it must be."""

    path: str
    md5: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Held:
    """A tracked output whose objects are all in the cache.

    Attributes:
        path: Relative to the project's root.
        sha256: Of the file; of a directory that of its digest list (`dirHash`).
        repository: Whose artifact it is, if it lies in a clone of a Ctrl repository.
    """

    path: str
    sha256: str
    is_dir: bool
    parts: tuple[Part, ...]
    repository: str = ""


def held(workspace: Workspace, path: str, state: State, jobs: int) -> Held:
    """A whole output of a workspace.

    Raises:
        NotFound, Invalid, Corrupt: as `load_artifact`.
    """
    loaded = load_artifact(workspace, path, state, jobs)
    parts = tuple(Part(name, known.md5, known.sha256, known.size) for name, known in loaded.files)
    return Held(loaded.tracked.path, loaded.tracked.digests.sha256, loaded.tracked.is_dir, parts)


def held_in_clone(clone: Clone, path: str, state: State, jobs: int) -> Held:
    """A whole artifact of a clone, as it was published.

    Raises:
        NotFound: kinds `not-tracked`, `not-in-cache`.
        Refused: kind `retracted`.
        Corrupt: kind `digest-mismatch`.
    """
    found = published_contents(clone, path)
    require_proven(clone, found.items, state, jobs)
    cache = clone.workspace.objects
    parts = tuple(Part(item.path, item.md5, item.sha256, cache.size(item.key) or 0) for item in found.items)
    is_dir = found.artifact.dir is not None
    return Held(path, found.sha256, is_dir, parts, clone.repository)


def copy_out(cache: Cache, part: Part, to: Path) -> None:
    """Copy one file out of the cache; it has its name only once its SHA-256 is proven. Idempotent.

    Args:
        cache: Where the object is.
        part: Which.
        to: A file that is there is replaced, never written through: it may be a link into the cache.

    Raises:
        NotFound: kind `no-file`: the cache lost it.
        Corrupt: kind `digest-mismatch`.
    """
    source, hasher = cache.path(layout.data_key(part.md5)), Hasher()
    temp = to.with_name(f".{os.urandom(8).hex()}.tmp")
    with disk(to):
        to.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temp.open("xb", buffering=0) as stream:
                for chunk in tee(chunks(source), hasher):
                    write_all(stream.fileno(), chunk)
            require_same(part, hasher.digests())
            temp.replace(to)
        finally:
            temp.unlink(missing_ok=True)


@guard(2, 3)
def require_same(part: Part, found: Digests) -> None:
    """Refuse bytes that are not those that were approved, or tracked.

    Raises:
        Corrupt: kind `digest-mismatch`.
    """
    if found.sha256 != part.sha256:
        raise Corrupt(
            f"CORRUPT: the object {part.md5} in the cache is not what was approved or tracked.",
            kind="digest-mismatch",
            mend="placet pull --verify",
        )
