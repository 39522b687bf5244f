"""Adopt files from elsewhere: each is proven, then appears in the workspace whole, and replaces nothing.

Running it again goes on where it ended: a file that is here with the same bytes is left as it is. The source
is only read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from placet.core import layout
from placet.core.digest import Digests, digest_chunks
from placet.core.outputs import Skipped
from placet.engine.disk import chunks, disk, stamp, write_all
from placet.engine.threads import digest_wide, guarded, run
from placet.engine.workspace import Workspace
from placet.errors import Corrupt, Invalid, NotFound, PlacetError, Unavailable
from placet.ports import Progress, State

_OF_ONE = (Corrupt, Invalid, NotFound)
MAX_JOURNAL = 1 << 28


@dataclass(frozen=True, slots=True)
class Foreign:
    """A file of the source.

    Attributes:
        path: Relative to the source, posix; not trusted.
        size: Bytes.
        sha256: Where the source knows it.
        mark: Changes when the file does; empty where the source cannot tell.
    """

    path: str
    size: int
    sha256: str | None = None
    mark: str = ""


class Source(Protocol):
    """Where files come from."""

    def files(self) -> Iterator[Foreign | Skipped]:
        """All files, and what cannot be one."""
        ...

    def lacks(self, file: Foreign) -> str:
        """Why a file's bytes cannot be had now, by a quick look; empty where nothing is known against it."""
        ...

    def read(self, file: Foreign) -> Iterable[bytes]:
        """A file's bytes.

        Raises:
            NotFound: it is not there (any more).
            Unavailable: the source does not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class Brought:
    """What came into the workspace, or would.

    Attributes:
        new: Files that were brought.
        size: Their bytes.
        present: Files that were here before with the same bytes.
        left: What cannot be adopted because of what it is, and why.
        failed: What could not be brought, and why; another run tries again.
    """

    new: tuple[str, ...]
    size: int
    present: tuple[str, ...]
    left: tuple[Skipped, ...]
    failed: tuple[Skipped, ...]

    @property
    def here(self) -> frozenset[str]:
        """All files that are in the workspace afterwards."""
        return frozenset((*self.new, *self.present))


class Journal:
    """Which files of a source were brought, by their marks, so that another run need not read them again.

    One line a file, appended when it is in its place; a line that was cut off counts as not written, and each
    begins with the end of the one before.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def known(self) -> dict[str, tuple[str, int, str]]:
        """Path -> mark, size, SHA-256."""
        try:
            with self._path.open("rb") as stream:
                lines = stream.read(MAX_JOURNAL).split(b"\n")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise Unavailable(f"{self._path} cannot be read: {error.strerror}.", kind="disk-error") from error
        out = {}
        for line in lines:
            try:
                path, mark, size, sha256 = msgspec.json.decode(line, type=tuple[str, str, int, str])
            except (msgspec.MsgspecError, ValueError):
                continue
            out[path] = (mark, size, sha256)
        return out

    def note(self, file: Foreign, sha256: str) -> None:
        """A file is in its place."""
        line = b"\n" + msgspec.json.encode((file.path, file.mark, file.size, sha256))
        with disk(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                write_all(descriptor, line)
            finally:
                os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Bringer:
    """Brings the files of one source into one folder of a workspace.

    Attributes:
        folder: Relative to the workspace's root, posix.
        checked: Why a name cannot be an artifact or a part of one, or None.
    """

    workspace: Workspace
    source: Source
    folder: str
    checked: Callable[[str], str | None]
    journal: Journal
    state: State
    jobs: int
    progress: Progress

    def bring(self, *, dry: bool) -> Brought:
        """Bring what is not here yet; with `dry` only say what that is.

        Raises:
            Unavailable: the source's or the disk's; another run goes on from there.
        """
        wanted, left = self._listed()
        known = self.journal.known()
        todo: list[Foreign] = []
        present: list[str] = []
        failed: list[Skipped] = []
        for one in wanted:
            here = self._here(one, known.get(one.path))
            if here:
                present.append(one.path)
            elif here is not None:
                failed.append(_other(one))
            elif lacks := self.source.lacks(one):
                failed.append(Skipped(one.path, lacks))
            else:
                todo.append(one)
        if dry:
            return _brought(todo, present, left, failed)
        self.progress.start("adopt", len(todo), sum(one.size for one in todo))
        done = run(self._bring, todo, self.jobs, self.progress)
        self.progress.done()
        failed += [one for one in done if isinstance(one, Skipped)]
        return _brought([one for one in done if isinstance(one, Foreign)], present, left, failed)

    def _listed(self) -> tuple[list[Foreign], list[Skipped]]:
        wanted: dict[str, Foreign] = {}
        left: list[Skipped] = []
        for one in self.source.files():
            if isinstance(one, Skipped):
                left.append(one)
                continue
            reason = self.checked(one.path)
            if reason is None:
                wanted[one.path] = one
            else:
                left.append(Skipped(one.path, f"its name {reason}"))
        taken = layout.Occupied()
        for path in sorted(wanted):
            other = taken.clash(path)
            if other is None:
                taken.add(path)
            else:
                del wanted[path]
                left.append(Skipped(path, f"its name clashes with that of {other}"))
        return list(wanted.values()), left

    def _here(self, file: Foreign, known: tuple[str, int, str] | None) -> bool | None:
        """Is the file here already? None: not; False: another one is in its place."""
        path = self._place(file)
        if not os.path.lexists(path):
            return None
        if path.is_symlink() or not path.is_file() or path.stat().st_size != file.size:
            return False
        want = file.sha256
        if want is None and known is not None and file.mark and known[:2] == (file.mark, file.size):
            want = known[2]
        if want is None:
            return None
        return self._digests(path).sha256 == want

    def _bring(self, file: Foreign) -> Foreign | Skipped:
        try:
            return self._take(file)
        except _OF_ONE as error:
            return Skipped(file.path, _words(error))

    def _take(self, file: Foreign) -> Foreign | Skipped:
        path = self._place(file)
        temp = self.workspace.temps / os.urandom(8).hex()
        with disk(path):
            temp.parent.mkdir(parents=True, exist_ok=True)
            try:
                found = self._read(file, temp)
                self._folder(path.parent)
                if not _put(temp, path) and (path.is_symlink() or self._digests(path).sha256 != found.sha256):
                    return _other(file)
            finally:
                temp.unlink(missing_ok=True)
        self.journal.note(file, found.sha256)
        return file

    def _read(self, file: Foreign, temp: Path) -> Digests:
        """Write the bytes of a file to `temp`, proven.

        Raises:
            Corrupt: kind `digest-mismatch`.
        """
        with temp.open("xb", buffering=0) as out:
            found = digest_wide(
                _bounded(self.source.read(file), file), lambda chunk: write_all(out.fileno(), chunk)
            )
        if found.size != file.size or file.sha256 not in {None, found.sha256}:
            raise Corrupt(f"{file.path} is not what its source says that it is.", kind="digest-mismatch")
        return found

    def _place(self, file: Foreign) -> Path:
        return self.workspace.root / self.folder / file.path

    def _folder(self, folder: Path) -> None:
        """Make a folder; no link may lead out of the way.

        Raises:
            Invalid: kinds `link-outside-workspace`, `not-a-folder`.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise Invalid(f"A file is on the way to {folder}.", kind="not-a-folder") from error
        if folder.resolve() != folder:
            raise Invalid(f"A link is on the way to {folder}.", kind="link-outside-workspace")

    def _digests(self, path: Path) -> Digests:
        with disk(path):
            (known,) = self.state.get_many([stamp(str(path))])
        return known or digest_chunks(chunks(path))


def _put(temp: Path, path: Path) -> bool:
    """Give a file its name, unless something has it already; on file systems without links less strictly."""
    try:
        os.link(temp, path)
    except FileExistsError:
        return False
    except OSError:
        if os.path.lexists(path):
            return False
        temp.replace(path)
    return True


def artifact_names(folder: str, *, each: bool) -> Callable[[str], str | None]:
    """Why a file cannot be adopted under its name: as an artifact of its own, or as a part of one."""
    if each:
        return lambda path: layout.forbidden_artifact(f"{folder}/{path}")
    return layout.forbidden_in_directory


def _bounded(stream: Iterable[bytes], file: Foreign) -> Iterator[bytes]:
    size = 0
    for chunk in guarded(stream):
        size += len(chunk)
        if size > file.size:
            raise Corrupt(f"{file.path} is longer than its source says.", kind="digest-mismatch")
        yield chunk


def _other(file: Foreign) -> Skipped:
    return Skipped(file.path, "another file is here under this name; it was left alone")


def _brought(
    new: Sequence[Foreign], present: Sequence[str], left: Sequence[Skipped], failed: Sequence[Skipped]
) -> Brought:
    return Brought(
        new=tuple(sorted(one.path for one in new)),
        size=sum(one.size for one in new),
        present=tuple(sorted(present)),
        left=tuple(sorted(left, key=lambda one: one.path)),
        failed=tuple(sorted(failed, key=lambda one: one.path)),
    )


def _words(error: PlacetError) -> str:
    return " ".join(part for part in (error.what, error.mend) if part)
