"""What MLflow's artifact repository does, apart from MLflow: log, list, and copy artifacts at a location."""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from placet.core import layout
from placet.core.digest import digest_chunks
from placet.core.location import Location
from placet.core.outputs import Tracking
from placet.engine.copyout import Held, Part
from placet.engine.disk import chunks, disk
from placet.engine.worktree import require_no_link
from placet.errors import Conflict, Invalid, NotFound
from placet.integrations.mlflow_place import Place, found

_WRITING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Entry:
    """What lies directly under a path, by its path in the repository; a folder has no size."""

    path: str
    is_dir: bool
    size: int | None


def log(at: Location, files: Mapping[str, Path], *, whole: bool) -> None:
    """Place, track and push files. Idempotent.

    Args:
        at: The repository's own.
        files: Path in the repository -> what is copied there.
        whole: All of the repository, which becomes one output if nothing is tracked there yet.

    Raises:
        Refused: kinds `read-only`: the location is no workspace; `outside-folder`: it is not for MLflow.
        Conflict: kind `untracked-file`: other bytes lie there, and nothing tracks them.
        Invalid: kinds `unsafe-path`, `link-outside-workspace`, `no-place`.
    """
    with found(at) as place:
        place.require_writable()
        wanted = {joined(place.path, name): source for name, source in files.items()}
        for path in wanted:
            _require_name(path, place.project)
        with _turn(place.project):
            outputs = place.outputs(place.path)
            place.require_chosen(wanted, outputs)
            units = _units(outputs, place.path, list(wanted), whole=whole)
            own = [one for one in units if not any(layout.at_or_below(one, each.path) for each in outputs)]
            _require_tracked(place.project, own, wanted)
            for path, source in wanted.items():
                _place(source, place.project / path)
            targets = [place.project / one for one in units]
            place.client.track(targets)
        place.client.push(targets)


@contextmanager
def _turn(project: Path) -> Iterator[None]:
    """One writer at a time in a workspace, of all threads and processes: what one has placed it tracks."""
    file = project / ".dvc" / "tmp" / "placet" / "mlflow.lock"
    with disk(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = file.open("wb")
    with _WRITING, lock:
        with disk(file):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def listed(at: Location, path: str | None) -> list[Entry]:
    """What lies directly under a path; nothing if it is a file, or not there."""
    with found(at) as place:
        listings = (_listing(place, name) for name in _names(place, path))
        return next((one for one in listings if one), [])


def download(at: Location, path: str | None, folder: Path) -> Path:
    """Copy a file or a folder, each file proven by its SHA-256; where it is then.

    Raises:
        NotFound: kind `no-artifact`; kind `no-version`: nowhere here are the bytes that the location names.
        Corrupt: kind `digest-mismatch`.
        Refused: kinds `retracted`, `not-pinned`, `other-repository`.
    """
    with found(at) as place:
        copies = (_copy(place, name, folder) for name in _names(place, path))
        copied = next((one for one in copies if one is not None), None)
    if copied is None and path:
        raise NotFound(f"There is no artifact {path!r} in {at.uri}.", kind="no-artifact")
    return copied or folder


def joined(folder: str | None, name: str) -> str:
    """A path below a folder, either of which may be empty."""
    return "/".join(part for part in ((folder or "").strip("/"), name.strip("/")) if part)


def files_of(top: Path) -> Iterable[Path]:
    """All files of a folder; links to folders are not followed."""
    for base, _, names in os.walk(top):
        yield from (Path(base) / name for name in names)


def _names(place: Place, path: str | None) -> Iterator[str]:
    """What an artifact path may mean in the project.

    MLflow cuts the last part off a URI, percent-encoded as it is, and gives it as a path: so a path is taken
    as it is, and where that is nothing, decoded.
    """
    for text in dict.fromkeys((path or "", unquote(path or ""))):
        yield joined(place.path, place.at.below(text).path[len(place.at.path) :])


def _copy(place: Place, name: str, folder: Path) -> Path | None:
    """Copy what is at or below a path of the project; where it is then, or None if there is nothing."""
    copied = []
    try:
        for output in place.outputs(name):
            for path, part in _parts(place.held(output)):
                if not name or layout.at_or_below(path, name):
                    place.client.copy_out(part, _to(folder, path, place.path, is_file=True))
                    copied.append(path)
    except NotFound as error:
        if error.kind != "no-version" or place.published:
            raise
        return _copy_proposed(place, name, folder)
    return _to(folder, name, place.path, is_file=copied == [name]) if copied else None


def _copy_proposed(place: Place, name: str, folder: Path) -> Path:
    with place.proposed(name) as root:
        is_dir = (root / name).is_dir()
        to = _to(folder, name, place.path, is_file=not is_dir)
        to.parent.mkdir(parents=True, exist_ok=True)
        if is_dir:
            shutil.copytree(root / name, to, dirs_exist_ok=True)
        else:
            shutil.copyfile(root / name, to)
        return to


def _parts(held: Held) -> Iterable[tuple[str, Part]]:
    """Every file of an output by its path in the project."""
    return ((joined(held.path, part.path), part) for part in held.parts)


def _to(folder: Path, path: str, top: str, *, is_file: bool) -> Path:
    """Where a path of the project goes: as it is below the repository's own, which is the folder itself.

    Where the repository's own is a file, it goes into the folder.
    """
    if path == top:
        return folder / path.rpartition("/")[2] if is_file else folder
    return folder / (path.removeprefix(f"{top}/") if top else path)


def _listing(place: Place, name: str) -> list[Entry]:
    """What lies directly under a path of the project."""
    out: dict[str, Entry] = {}
    top, above = place.path, f"{name}/" if name else ""
    for one in place.outputs(name):
        if one.path.startswith(above) and one.path != name:
            inside = [(one.path, one.out.size, one.out.is_dir)]
        else:
            inside = [(path, part.size, False) for path, part in _parts(place.held(one))]
        for path, size, is_dir in inside:
            if path == name or not path.startswith(above):
                continue
            first, _, deeper = path.removeprefix(above).partition("/")
            known = joined(name, first).removeprefix(f"{top}/" if top else "")
            folder = is_dir or bool(deeper)
            out[known] = Entry(known, folder, None if folder else size)
    return [out[key] for key in sorted(out)]


def _units(outputs: list[Tracking], top: str, paths: list[str], *, whole: bool) -> list[str]:
    """What is tracked of files that are placed at these paths, in a repository at `top`.

    Inside an output that is a directory: each file by its own path. Else one output for each name at the top
    of the repository, or one of everything.
    """
    if any(layout.at_or_below(top, one.path) for one in outputs):
        return paths
    if whole and not outputs and top:
        return [top]
    known = {one.path for one in outputs}
    firsts = [joined(top, path[len(top) :].strip("/").partition("/")[0]) for path in paths]
    pairs = zip(paths, firsts, strict=True)
    return list(dict.fromkeys(path if first in known else first for path, first in pairs))


def _require_name(path: str, project: Path) -> None:
    reason = layout.forbidden_artifact(path)
    if reason is not None:
        raise Invalid(f"Nothing is logged to {path!r}, which {reason}.", kind="unsafe-path")
    require_no_link(project, path)


def _require_tracked(project: Path, units: Iterable[str], placed: Mapping[str, Path]) -> None:
    """Refuse to replace, or to take in, what lies there and nothing tracks: it would be lost, or leave."""
    for unit in units:
        top = project / unit
        if not os.path.lexists(top):
            continue
        for one in files_of(top) if top.is_dir() else [top]:
            source = placed.get(one.relative_to(project).as_posix())
            if source is None or digest_chunks(chunks(one)) != digest_chunks(chunks(source)):
                raise Conflict(
                    f"{one} is there already, and nothing tracks it.",
                    kind="untracked-file",
                    mend=f"Move it away, or track it: placet track {unit}",
                )


def _place(source: Path, target: Path) -> None:
    """Copy to its place; never through a link, for that may lead into the cache."""
    temp = target.with_name(f".{os.urandom(8).hex()}.tmp")
    with disk(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(source, temp)
            temp.replace(target)
        finally:
            with suppress(FileNotFoundError):
                temp.unlink()
