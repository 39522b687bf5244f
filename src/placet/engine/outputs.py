"""Which outputs a project has, and which of them a user's words mean (dvc/repo/index.py, dvc/repo/stage.py).

A target that has its `.dvc` file beside it, or above it, is found by that. Anything else (a folder, an output
of a stage, a `wdir`) is looked for in all metafiles of the project, as in DVC.
"""

from __future__ import annotations

import itertools
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from placet.core import layout
from placet.core.dvcfile import read_metafile
from placet.core.metayaml import MAX_READ
from placet.core.outputs import Tracking, leads_out, merged, place, whole
from placet.core.pipeline import StageOutput, read_pipeline
from placet.engine.disk import disk
from placet.engine.ignore import DvcIgnore
from placet.errors import Invalid, NotFound

PIPELINE = "dvc.yaml"
_LOCK = "dvc.lock"
_STAGE = re.compile(r"(?:(?P<file>(?:.*/)?dvc\.yaml))?:(?P<stage>[^/\\:]+)")
_NAME = re.compile(r"[^/\\:]+")

Resolve = Callable[[Path], Sequence[StageOutput]]


class Outputs:
    """The outputs of one project, read as far as they are asked for.

    Args:
        root: The project's root, links resolved.
        base: What users' paths are relative to.
        locate: A user's path as the data's path relative to the root (`Workspace.locate`).
        resolve: The outputs of a `dvc.yaml` by DVC's own resolver; asked only where it computes them.
        git_ignored: What Git ignores: paths relative to the root, folders with a slash at their end.
        given: The outputs, where they are known by another way; no metafile is read then.
    """

    def __init__(
        self,
        root: Path,
        base: Path,
        locate: Callable[[str | Path], str],
        resolve: Resolve | None = None,
        git_ignored: Callable[[], frozenset[str]] | None = None,
        given: Sequence[Tracking] | None = None,
    ) -> None:
        self._root = root
        self._base = base
        self._locate = locate
        self._resolve = resolve
        self._git_ignored = git_ignored
        self._given = given
        self._known = None if given is None else {one.path: one for one in given}

    def select(self, targets: Iterable[str | Path]) -> list[Tracking]:
        """What is meant, each output once; everything if no target is named.

        Raises:
            NotFound: kind `not-tracked`.
            Invalid: kinds `path-outside-workspace`, `metafile`, `overlapping-outputs`, `computed-outputs`.
        """
        found: dict[str, Tracking] = {}
        wanted = list(targets)
        for one in self.every() if not wanted else itertools.chain.from_iterable(map(self._meant, wanted)):
            known = found.get(one.path)
            found[one.path] = one if known is None else merged(known, one)
        return list(found.values())

    def owner(self, path: str) -> Tracking | None:
        """The output that is at this path, or that this path lies inside of; `inside` says where."""
        beside = self._beside(path)
        if beside is not None:
            return beside
        known = self._by_path()
        return next((_cut(known[top], path) for top in _upwards(path) if top in known), None)

    def below(self, path: str) -> list[Tracking]:
        """The outputs that lie below this path."""
        return [one for one in self.every() if one.path.startswith(f"{path}/")]

    def every(self) -> list[Tracking]:
        """All outputs of the project.

        Raises:
            Invalid: kind `overlapping-outputs`: one lies inside another, or two metafiles tell of it.
        """
        return list(self._by_path().values())

    def _by_path(self) -> dict[str, Tracking]:
        if self._known is None:
            found = list(self._walk())
            self._known = {one.path: one for one in found}
            _require_apart(found)
        return self._known

    def _meant(self, target: str | Path) -> list[Tracking]:
        text = str(target)
        if text.endswith(".dvc") and (self._base / text).is_file():
            return self._read(f"{self._locate(text)}.dvc")
        stages = self._of_stage(text)
        if stages:
            return stages
        path = self._locate(target)
        beside = self._beside(path)
        if beside is not None:
            return [beside]
        meant = [_cut(one, path) for one in self.every() if layout.at_or_below(path, one.path)]
        meant = meant or [one for one in self.every() if _below(one, path)]
        if not meant and path != ".":
            raise NotFound(
                f"{path} is not tracked: no .dvc file and no dvc.yaml tells of it.",
                kind="not-tracked",
                mend=f"placet track {path}",
            )
        return meant

    def _of_stage(self, target: str) -> list[Tracking]:
        """The outputs of a stage, or of all stages of a `dvc.yaml`; none if the target names no stage."""
        if self._given is not None:
            return []
        named = _STAGE.fullmatch(target)
        if named is not None:
            return self._stage(named["file"] or PIPELINE, named["stage"], must=True)
        if target.rpartition("/")[2] == PIPELINE:
            return self._stage(target, None, must=True)
        return self._stage(PIPELINE, target, must=False) if _NAME.fullmatch(target) else []

    def _stage(self, file: str, stage: str | None, *, must: bool) -> list[Tracking]:
        full = self._base / file
        if not must and not (
            full.is_file() and stage and stage.partition("@")[0].encode() in self._bytes(full)
        ):
            return []
        metafile = self._locate(file)
        found = [
            one
            for one in self._read(metafile)
            if stage is None or one.stage == stage or str(one.stage).startswith(f"{stage}@")
        ]
        if must and stage is not None and not found:
            raise NotFound(f"{file} has no stage {stage!r} with an output.", kind="not-tracked")
        return found

    def _beside(self, path: str) -> Tracking | None:
        """The output by the `.dvc` file that has its name, or the name of a folder above."""
        for top in _upwards(path):
            if (self._root / f"{top}.dvc").is_file():
                for one in self._read(f"{top}.dvc"):
                    if one.path == top:
                        return _cut(one, path)
        return None

    def _walk(self) -> Iterator[Tracking]:
        """As DVC's `collect_files`: not into outputs, other projects, and what Git or DVC ignore."""
        ignore, top = DvcIgnore(self._root), str(self._root)
        hidden = self._git_ignored() if self._git_ignored is not None else frozenset()
        outs: set[str] = set()
        with disk(top):
            for base, dirs, files in os.walk(top, onerror=_raise):
                if base != top and ".dvc" in dirs:
                    dirs.clear()
                    continue
                here = f"{base[len(top) + 1 :]}/" if base != top else ""
                for name in sorted(one for one in files if one == PIPELINE or one.endswith(".dvc")):
                    if not (here + name in hidden or name == ".dvc" or ignore.ignores(f"{base}/{name}")):
                        found = self._read(here + name)
                        outs.update(one.path for one in found)
                        yield from found
                dirs[:] = sorted(
                    one
                    for one in dirs
                    if here + one not in outs
                    and f"{here}{one}/" not in hidden
                    and not ignore.ignores(f"{base}/{one}", is_dir=True)
                )

    def _read(self, metafile: str) -> list[Tracking]:
        """The outputs of one metafile.

        Raises:
            NotFound: kind `no-file`.
            Invalid: kinds `metafile`, `computed-outputs`.
        """
        if self._given is not None:
            return [one for one in self._given if one.metafile == metafile]
        file = self._root / metafile
        data = self._bytes(file)
        try:
            if file.name == PIPELINE:
                return [self._stage_output(metafile, one) for one in self._pipeline(file, data)]
            found = read_metafile(data)
        except Invalid as error:
            mend = error.mend or "See `dvc status`."
            raise Invalid(f"{file}: {error.what}", kind=error.kind, why=error.why, mend=mend) from error
        out = []
        for one in found.outs:
            path = place(metafile, found.wdir, one.path)
            outside = leads_out(path) or (path != metafile[:-4] and self._linked_out(path))
            shared = len(found.outs) > 1
            out.append(Tracking(path, metafile, one, None, found.origin, shared=shared, outside=outside))
        return out

    def _bytes(self, file: Path) -> bytes:
        """What a metafile holds; a device or a pipe under such a name would never end.

        Raises:
            NotFound: kind `no-file`.
            Invalid: kind `metafile`: no regular file, a link out of the project, or too long.
        """
        if file.is_symlink() and not file.resolve().is_relative_to(self._root):
            raise Invalid(f"{file} is a link out of the project.", kind="metafile", mend="Put a file there.")
        with disk(file), os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise Invalid(f"{file} is not a regular file.", kind="metafile", mend="Put a file there.")
            data = stream.read(MAX_READ + 1)
        if len(data) > MAX_READ:
            raise Invalid(f"{file} is longer than {MAX_READ} bytes.", kind="metafile")
        return data

    def _pipeline(self, file: Path, data: bytes) -> Sequence[StageOutput]:
        lock = file.with_name(_LOCK)
        found = read_pipeline(data, self._bytes(lock) if lock.exists() else None)
        if found is not None:
            return found
        if self._resolve is None:
            raise Invalid("Its outputs are computed, and DVC was not asked.", kind="computed-outputs")
        return self._resolve(file)

    def _stage_output(self, metafile: str, one: StageOutput) -> Tracking:
        path = place(metafile, one.wdir, one.out.path)
        outside = leads_out(path) or self._linked_out(path)
        return Tracking(path, metafile, one.out, one.stage, shared=True, outside=outside)

    def _linked_out(self, path: str) -> bool:
        """Does a link on the way lead out of the project?"""
        folder = (self._root / path).parent.resolve()
        if not folder.is_relative_to(self._root):
            return True
        real = folder.relative_to(self._root).as_posix()
        return real != "." and leads_out(real)


def _upwards(path: str) -> Iterator[str]:
    """This path, and the folders above it."""
    parts = path.split("/")
    return ("/".join(parts[:end]) for end in range(len(parts), 0, -1))


def _cut(one: Tracking, path: str) -> Tracking:
    """The part of an output that is at or below a path inside it."""
    if path == one.path:
        return whole(one)
    return replace(one, inside=(path[len(one.path) + 1 :],))


def _below(one: Tracking, folder: str) -> bool:
    return folder == "." or one.path.startswith(f"{folder}/") or one.metafile.startswith(f"{folder}/")


def _require_apart(found: Sequence[Tracking]) -> None:
    """Refuse outputs of which one is, or contains, another: DVC refuses such a project too."""
    ordered = sorted((one for one in found if not one.outside), key=lambda one: one.path.split("/"))
    for one, other in itertools.pairwise(ordered):
        if layout.at_or_below(other.path, one.path):
            raise Invalid(
                f"{other.path} ({other.named}) and {one.path} ({one.named}) overlap.",
                kind="overlapping-outputs",
                mend="Remove one of them: dvc remove",
            )


def _raise(error: OSError) -> None:
    raise error
