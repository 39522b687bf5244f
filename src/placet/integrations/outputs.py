"""Outputs that some orchestrator made: written aside, put in their place, tracked, pushed, described.

Of no orchestrator: whoever runs where there is none, in a process that Dagster started or in a script, does
the same through this module.
"""

from __future__ import annotations

import fcntl
import os
import posixpath
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from placet.checks.tables import open_table
from placet.client import Client
from placet.core import layout
from placet.core.digest import sha256_hex
from placet.engine.artifact import Tracked
from placet.errors import Conflict, Invalid, NotFound

_T = TypeVar("_T")
_TRIES = 20
_COUNTED = 64 << 20
_TABLES = (".csv", ".tsv", ".parquet")
_MOST_COLUMNS = 500
_PLACE = re.compile(r"\.(?P<token>[0-9a-f]{12})\.(?P<name>.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Kept:
    """An output as it is tracked now, and the remote that it was pushed to, if it was."""

    tracked: Tracked
    remote: str | None


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns of a table (name and kind), and its rows; no rows where counting would take long."""

    columns: tuple[tuple[str, str], ...]
    rows: int | None


@contextmanager
def fresh(workspace: Path, path: str) -> Iterator[Path]:
    """A place beside an output, for writing a new version of it; what is left there at the end is removed.

    What a process left that was killed is removed by the next one that writes this output.

    Raises:
        Invalid: kind `unsafe-path`: it leads out of the workspace, or is no path of an output.
    """
    target = workspace / layout.require_safe(path, "an output", strict=False)
    target.parent.mkdir(parents=True, exist_ok=True)
    _clear(workspace, target)
    token = secrets.token_hex(6)
    place = target.with_name(f".{token}.{target.name}")
    with _locked(_place_lock(workspace, token), fcntl.LOCK_EX):
        try:
            yield place
        finally:
            _remove(place)
            _place_lock(workspace, token).unlink(missing_ok=True)


def _clear(workspace: Path, target: Path) -> None:
    """Remove the places of this output whose processes have ended."""
    for one in target.parent.iterdir():
        found = _PLACE.fullmatch(one.name)
        if found is None or found["name"] not in {target.name, f"{target.name}.old"}:
            continue
        lock = _place_lock(workspace, found["token"])
        with suppress(BlockingIOError), _locked(lock, fcntl.LOCK_EX | fcntl.LOCK_NB):
            _remove(one)
            lock.unlink(missing_ok=True)


def _place_lock(workspace: Path, token: str) -> Path:
    return workspace / ".dvc" / "tmp" / "placet" / "places" / token


def keep(
    workspace: Path, path: str, *, written: Path | None = None, push: bool = True, remote: str | None = None
) -> Kept:
    """Track an output and push it; with `written`, a new version takes its place first.

    Writers of one output take turns, in this and in other processes of the machine, so that what is tracked
    is what this caller wrote. Idempotent.

    Args:
        workspace: The DVC project.
        path: Relative to it.
        written: A file or folder on the same file system, as of `fresh`.
        push: Push it to the internal tier.
        remote: Another DVC remote than that.
    """
    target = workspace / path
    with turn(workspace, path), Client(workspace) as client:
        if written is not None:
            _put(written, target)
        (tracked,) = patiently(lambda: client.track([target]))
        if not push:
            return Kept(tracked, None)
        patiently(lambda: client.push([target], remote=remote))
        return Kept(tracked, remote or client.internal_remote())


def proven_version(client: Client, file: Path, remote: str | None = None) -> str:
    """The data version of an output, all its bytes read; what is not here is brought from the internal tier.

    Raises:
        NotFound: kind `not-tracked`.
        Corrupt: kind `changed-output`: other bytes lie there than are tracked.
    """
    if not file.exists():
        patiently(lambda: client.pull([file], remote=remote or client.internal_remote()))
    return data_version(client.prove(file))


@contextmanager
def turn(workspace: Path, path: str, *, reads: bool = False) -> Iterator[None]:
    """One writer of an output at a time, or many readers; the system ends it when a process ends."""
    name = sha256_hex(posixpath.normpath(path).encode())[:32]
    file = workspace / ".dvc" / "tmp" / "placet" / "turns" / name
    with _locked(file, fcntl.LOCK_SH if reads else fcntl.LOCK_EX):
        yield


@contextmanager
def _locked(file: Path, how: int) -> Iterator[None]:
    file.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(file, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(fd, how)
        yield
    finally:
        os.close(fd)


def patiently(step: Callable[[], _T]) -> _T:
    """Do a step that waits for other processes in the workspace, for a minute in all."""
    for _ in range(_TRIES - 1):
        try:
            return step()
        except Conflict as error:
            if error.kind != "workspace-locked":
                raise
    return step()


def describe(kept: Kept) -> dict[str, str | int]:
    """What an orchestrator shows of an output."""
    tracked = kept.tracked
    return {
        "placet/path": tracked.path,
        "placet/metafile": tracked.metafile,
        "placet/kind": "directory" if tracked.is_dir else "file",
        "placet/sha256": tracked.digests.sha256,
        "placet/md5": tracked.digests.md5,
        "placet/size": tracked.digests.size,
        "placet/files": tracked.nfiles if tracked.nfiles is not None else 1,
        "placet/tier": kept.remote or "local",
    }


def data_version(tracked: Tracked) -> str:
    """SHA-256; MD5 of a part whose directory is not here as a whole, so that its SHA-256 is not known."""
    known = tracked.digests
    return f"sha256:{known.sha256}" if known.sha256 else f"md5:{known.md5}"


def shape(file: Path) -> Shape | None:
    """What a table's file says of itself; None of anything that is none, or cannot be read as one."""
    if file.suffix not in _TABLES or not file.is_file():
        return None
    try:
        with file.open("rb") as stream:
            table = open_table(stream)
            quick = table.form == "parquet" or file.stat().st_size <= _COUNTED
            columns = tuple((one.name, one.kind) for one in table.columns[:_MOST_COLUMNS])
            return Shape(columns if table.header else (), table.count() if quick else None)
    except (Invalid, NotFound):
        return None


def _put(written: Path, target: Path) -> None:
    if not written.exists():
        raise NotFound(
            f"Nothing was written for {target.name}.",
            kind="no-file",
            mend=f"Write the output to the path that was given, {written}.",
        )
    if target.is_dir() and not target.is_symlink():
        old = written.with_name(f"{written.name}.old")
        target.rename(old)
        written.rename(target)
        _remove(old)
        return
    if written.is_dir():
        target.unlink(missing_ok=True)
    written.replace(target)


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place, ignore_errors=True)
    else:
        place.unlink(missing_ok=True)
