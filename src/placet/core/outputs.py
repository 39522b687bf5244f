"""An output as its metafile tells of it, and what may be done with it: DVC's rules as pure functions.

Rules and their sources: dvc/repo/fetch.py (`stage_filter`, `outs_filter`), dvc/repo/index.py
(`_load_storage_from_import`), dvc/output.py (`get_used_objs`).
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace
from typing import Literal

from placet.core import layout
from placet.core.dvcfile import Origin, Output
from placet.errors import Invalid, Refused

Work = Literal["push", "fetch", "checkout", "compare"]

_RESERVED = frozenset({".git", ".dvc"})


@dataclass(frozen=True, slots=True)
class Tracking:
    """One output of the workspace, or some of the files of one that is a directory.

    Attributes:
        path: Its data, relative to the project's root, posix.
        metafile: The `.dvc` file or `dvc.yaml` that tells of it, likewise.
        out: What it says; `out.path` is as written there.
        stage: Of a `dvc.yaml`: the stage's name.
        origin: Of an import: from where.
        inside: Paths within a directory output: only what is at or below them is meant. Empty: all.
        shared: Its metafile tells of other outputs too.
        outside: Its path leads out of the workspace, or into what belongs to Git or DVC.
    """

    path: str
    metafile: str
    out: Output
    stage: str | None = None
    origin: Origin = ""
    inside: tuple[str, ...] = ()
    shared: bool = False
    outside: bool = False

    def means(self, relpath: str) -> bool:
        """Is this file of the directory meant?"""
        return not self.inside or any(layout.at_or_below(relpath, one) for one in self.inside)

    @property
    def named(self) -> str:
        """How a user would name it to DVC."""
        return f"{self.metafile}:{self.stage}" if self.stage else self.metafile


@dataclass(frozen=True, slots=True)
class Skipped:
    """An output that was left alone, and why."""

    path: str
    reason: str


def place(metafile: str, wdir: str, path: str) -> str:
    """Where an output's data is, relative to the project's root; normalised, perhaps leading out of it."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(metafile), wdir, path))


def leads_out(path: str) -> bool:
    """Does a normalised path leave the workspace, or lead into Git's or DVC's own folder?"""
    parts = path.split("/")
    return path == "." or "\0" in path or parts[0] in {"", ".."} or not _RESERVED.isdisjoint(parts)


def whole(one: Tracking) -> Tracking:
    """The same output, all of it."""
    return replace(one, inside=())


def merged(one: Tracking, other: Tracking) -> Tracking:
    """What is meant by two targets that mean the same output."""
    both = one.inside and other.inside
    return replace(one, inside=tuple(dict.fromkeys(one.inside + other.inside)) if both else ())


def left_alone(one: Tracking, work: Work, remote: str | None = None) -> str | None:
    """Why this work is not done on this output, or None if it is.

    Args:
        one: The output.
        work: `compare` means: cache with remote.
        remote: The remote that the user named (`-r`), if any.
    """
    out = one.out
    reason = _never(one)
    if reason is not None or work == "checkout":
        return reason
    if remote is not None and out.remote not in {None, remote}:
        return f"its remote is {out.remote!r}"
    if work == "fetch":
        return None
    if not out.push:
        return "push: false"
    if one.origin == "repo":
        return "imported from another repository, which keeps it"
    if one.origin == "versioned":
        return "imported from an URL that keeps versions of its own"
    return None


def _never(one: Tracking) -> str | None:
    out = one.out
    if one.outside:
        return "its path leads out of the workspace"
    if not out.cache:
        return "cache: false; Git keeps it"
    if out.hashed:
        return None
    if out.cloud:
        return f"a version-aware remote keeps it by versions of its own; use `dvc pull {one.named}`"
    if out.md5 and out.hash not in {"md5", "md5-dos2unix"}:
        return f"its hash is {out.hash!r}, which only DVC knows"
    return unhashed(one)


def unhashed(one: Tracking) -> str:
    """What to say of an output whose metafile has no hash."""
    if one.stage:
        return f"dvc.lock has no hash of it; run `dvc repro {one.named}`"
    if one.origin:
        return f"imported without its data; run `dvc update {one.named}`"
    return f"its metafile has no hash; run `dvc commit {one.named}`"


def may_be_absent(one: Tracking) -> str | None:
    """Why the usual remote may well not hold this output, or None if it should."""
    if not one.out.push:
        return "push: false, and neither the cache nor the remote has it"
    if one.origin in {"repo", "versioned"}:
        return f"only DVC brings an import from where it is kept: dvc pull {one.named}"
    return None


def not_plain(one: Tracking) -> str | None:
    """Why an output cannot be governed, or None: one that `placet track` made, and all of it."""
    if one.inside:
        return "a part of a tracked directory"
    if one.stage is not None:
        return f"made by the stage {one.stage} of {one.metafile}"
    if one.shared or one.metafile != f"{one.path}.dvc":
        return f"told of by {one.metafile}, which tells of other paths too"
    if one.origin:
        return "an import"
    if one.out.legacy:
        return "an output of DVC 2"
    return _never(one)


def require_updatable(one: Tracking) -> None:
    """Refuse to track anew what only DVC may update.

    Raises:
        Invalid: kinds `not-added`, `legacy-output`, `overlapping-outputs`.
        Refused: kind `pipeline-output`.
    """
    if one.stage is not None:
        raise Refused(
            f"{one.path} is an output of the stage {one.named}.",
            kind="pipeline-output",
            mend=f"Let DVC write dvc.lock: dvc repro {one.named}, or dvc commit {one.named}",
        )
    if one.origin:
        raise Invalid(
            f"{one.path} was imported; its metafile says from where.",
            kind="not-added",
            mend=f"dvc update {one.named}; or dvc remove {one.named}, and track it as your own.",
        )
    if one.out.legacy and one.out.md5:
        raise Invalid(
            f"{one.path} is an output of DVC 2.",
            kind="legacy-output",
            why="Its hash is not the MD5 of its bytes.",
            mend=f"dvc cache migrate --dvc-files; or dvc remove {one.named}, and track it anew.",
        )
    if one.out.cloud or not one.out.cache:
        raise Invalid(
            f"{one.path} is not kept by its hash in the cache.",
            kind="not-added",
            why="A version-aware remote keeps it." if one.out.cloud else "Git keeps it (cache: false).",
            mend=f"dvc add {one.path}",
        )
    if one.inside and not (one.out.is_dir and one.out.hashed):
        raise Invalid(
            f"{one.path} is tracked as a file, so nothing can be inside it.",
            kind="overlapping-outputs",
            mend=f"dvc remove {one.named}, then track it anew.",
        )
