"""The bytes on a disk against what a manifest says they are. Reads only; what is read is hostile."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from placet.core import layout
from placet.core.digest import digest_chunks, sha256_hex
from placet.core.guards import guard
from placet.core.limits import METAFILE_BYTES
from placet.core.predicates import Artifact
from placet.core.sums import encode_sums
from placet.engine.disk import disk
from placet.engine.threads import run
from placet.engine.worktree import real_file, real_files, require_no_link
from placet.errors import Invalid, NotFound
from placet.ports import Progress

DataState = Literal["verified", "not-pulled", "corrupt", "superseded", "retracted"]
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are read: how many at once, who is told, and which links are files.

    Attributes:
        cache: DVC's cache: links to its objects are files; any other link is refused.
    """

    jobs: int
    progress: Progress
    cache: Path | None = None


@guard(2, 3)
def check_data(data: Path, artifact: Artifact, sha256: str, how: Reading) -> str:
    """What is wrong with a file or folder that should be this artifact; empty if it is, byte for byte.

    Args:
        data: Where it is.
        artifact: What the manifest says of it.
        sha256: Its digest: of the file, or the `dirHash` of the folder.
        how: Jobs and progress.
    """
    try:
        if artifact.dir is None:
            how.progress.start(f"verify {artifact.path}", 1, artifact.size)
            found = sha256_of(data, how)
            how.progress.done()
            return "" if found == sha256 else "its bytes are not the approved ones"
        if data.is_symlink() or not data.is_dir():
            return "is not a directory"
        found, count = folder_hash(data, artifact.files, how, artifact.path)
    except (Invalid, NotFound) as error:
        return error.what
    return "" if found == sha256 else f"its {count} files are not the {artifact.files} approved ones"


def folder_hash(folder: Path, most: int, how: Reading, name: str = "") -> tuple[str, int]:
    """The `dirHash` of a folder, and how many files it has; empty if they are more than `most`.

    Raises:
        Invalid: as `folder_list`.
    """
    data = folder_list(folder, most, how, name)
    return ("", most + 1) if data is None else (sha256_hex(data), data.count(b"\n"))


def folder_list(folder: Path, most: int, how: Reading, name: str = "") -> bytes | None:
    """The digest list of a folder; None, and nothing is read, if it has more than `most` files.

    Raises:
        Invalid: kind `link-outside-workspace`: it holds something else than files.
        Invalid: kind `digest-list`: a name that no digest list can hold.
        NotFound: kind `no-file`: a link to nothing.
    """
    files: dict[str, Path] = {}
    for path, file in real_files(folder, how.cache):
        files[path] = file
        if len(files) > most:
            return None
    names = sorted(files)
    how.progress.start(f"verify {name or folder.name}", len(files), None)
    digests = run(lambda one: _read(files[one], how.progress), names, how.jobs)
    how.progress.done()
    return encode_sums(zip(names, digests, strict=True))


def sha256_of(path: Path, how: Reading) -> str:
    """The SHA-256 of a file, read in pieces.

    Raises:
        Invalid: kind `link-outside-workspace`.
        NotFound: kind `no-file`.
    """
    return _read(real_file(path, how.cache), how.progress)


def _read(file: Path, progress: Progress) -> str:
    with disk(file), file.open("rb") as stream:
        found = digest_chunks(iter(lambda: stream.read(_CHUNK), b""))
    progress.advance(1, found.size)
    return found.sha256


@guard(3, 6)
def metafile_problem(root: Path, path: str, sha256: str) -> str:
    """What is wrong with a `.dvc` file of a work tree, or empty."""
    try:
        require_no_link(root, path)
        file = real_file(root / path, None)
        with disk(file), file.open("rb") as stream:
            data = stream.read(METAFILE_BYTES + 1)
    except Invalid as error:
        return error.what
    except NotFound:
        data = b""
    same = len(data) <= METAFILE_BYTES and sha256_hex(data) == sha256
    return "" if same else "its .dvc file in the work tree is not the approved one"


@guard(28)
def strays(root: Path, published: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """What lies under `artifacts/` that nothing published: metafiles, and data.

    Args:
        root: The work tree.
        published: The metafiles that stand published.

    Returns:
        Both relative to `root`, sorted.
    """
    metafiles: list[str] = []
    data: list[str] = []
    top = root / layout.ARTIFACTS.rstrip("/")
    for base, folders, names in os.walk(top):
        here = Path(base).relative_to(root).as_posix()
        folders[:] = [name for name in folders if f"{here}/{name}.dvc" not in published]
        for name in names:
            path = f"{here}/{name}"
            if path in published or f"{path}.dvc" in published:
                continue
            (metafiles if name.endswith(".dvc") else data).append(path)
    return sorted(metafiles), sorted(data)
