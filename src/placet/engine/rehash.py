"""The bytes on a disk against what a manifest says they are. Reads only; what is read is hostile."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from placet.core import layout
from placet.core.digest import digest_chunks, sha256_hex
from placet.core.guards import guard
from placet.core.statement import Artifact
from placet.core.sums import encode_sums
from placet.engine.transfer import run
from placet.errors import Invalid
from placet.ports import Progress

DataState = Literal["verified", "not-pulled", "corrupt", "superseded"]
_CHUNK = 1 << 20
_MAX_METAFILE = 1 << 16


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are read: how many at once, and who is told."""

    jobs: int
    progress: Progress


@guard(2, 3)
def check_data(data: Path, artifact: Artifact, sha256: str, how: Reading) -> str:
    """What is wrong with a file or folder that should be this artifact; empty if it is, byte for byte.

    Args:
        data: Where it is.
        artifact: What the manifest says of it.
        sha256: Its digest: of the file, or the `dirHash` of the folder.
        how: Jobs and progress.
    """
    if artifact.dir is None:
        if not data.is_file():
            return "is not a file"
        how.progress.start(f"verify {artifact.path}", 1, artifact.size)
        found = sha256_of(data, how.progress)
        how.progress.done()
        return "" if found == sha256 else "its bytes are not the approved ones"
    if not data.is_dir():
        return "is not a directory"
    try:
        found, count = folder_hash(data, artifact.files, how, artifact.path)
    except Invalid as error:
        return str(error)
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
        Invalid: kind `not-a-file`: it holds something else than files, or a link to a folder.
        Invalid: kind `digest-list`: a name that no digest list can hold.
    """
    files = []
    for path in _files(folder):
        files.append(path)
        if len(files) > most:
            return None
    how.progress.start(f"verify {name or folder.name}", len(files), None)
    digests = run(lambda path: sha256_of(folder / path, how.progress), sorted(files), how.jobs)
    how.progress.done()
    return encode_sums(zip(sorted(files), digests, strict=True))


def sha256_of(path: Path, progress: Progress) -> str:
    """The SHA-256 of a file, read in pieces.

    Raises:
        Invalid: kind `not-a-file`.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise Invalid(f"{path} is not a regular file.", kind="not-a-file")
    with path.open("rb") as stream:
        found = digest_chunks(iter(lambda: stream.read(_CHUNK), b""))
    progress.advance(1, found.size)
    return found.sha256


@guard(3, 6)
def metafile_problem(path: Path, sha256: str) -> str:
    """What is wrong with a `.dvc` file of the work tree, or empty."""
    try:
        small = path.stat().st_size <= _MAX_METAFILE and path.is_file()
        same = small and sha256_hex(path.read_bytes()) == sha256
    except OSError:
        same = False
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


def _files(folder: Path) -> Iterator[str]:
    for base, folders, names in os.walk(folder):
        for name in folders:
            if os.path.islink(f"{base}/{name}"):  # noqa: PTH114 - hot path
                raise Invalid(f"{base}/{name} is a link to a folder.", kind="not-a-file")
        for name in names:
            yield (Path(base) / name).relative_to(folder).as_posix()
