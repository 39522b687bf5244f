"""The outputs of a `dvc.yaml`: paths and flags from it, hashes from its `dvc.lock` (dvc/stage/loader.py).

Only what is written plainly is read here. Where an output's path or flag is computed (`${...}`, `foreach`,
`matrix`), DVC's own resolver has to say what it is.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from placet.core.dvcfile import Output, read_output
from placet.core.metayaml import invalid, load_yaml, mapping, sequence, texts
from placet.errors import Invalid

_KINDS = ("outs", "metrics", "plots")
_COMPUTED = frozenset({"foreach", "matrix", "do"})


@dataclass(frozen=True, slots=True)
class StageOutput:
    """One output of a stage; without a hash if `dvc.lock` has none (the stage did not run yet).

    Attributes:
        stage: The stage's name.
        wdir: What the output's path is relative to, itself relative to the folder of `dvc.yaml`.
        out: The output.
    """

    stage: str
    wdir: str
    out: Output


def read_pipeline(data: bytes, lock: bytes | None) -> tuple[StageOutput, ...] | None:
    """The outputs of all stages, in order; None if some of them can be told by DVC's resolver only.

    Raises:
        Invalid: kind `metafile`.
    """
    found = mapping(load_yaml(data).get("stages"), "stages")
    stages = {name: mapping(stage, name) for name, stage in found.items()}
    if any(map(_computed, stages.values())):
        return None
    known = mapping(load_yaml(lock).get("stages"), "stages") if lock and lock.strip() else {}
    return tuple(one for name, stage in stages.items() for one in _outputs(str(name), stage, known.get(name)))


def _computed(stage: Mapping[str, Any]) -> bool:
    return bool(_COMPUTED & stage.keys()) or any(
        "${" in one for one in texts([stage.get(key) for key in (*_KINDS, "wdir")])
    )


def _outputs(name: str, stage: Mapping[str, Any], lock: object) -> Iterator[StageOutput]:
    wdir = stage.get("wdir") or "."
    if not isinstance(wdir, str):
        raise _bad(f"`wdir` of the stage {name}")
    locked = {posixpath.normpath(one.path): one for one in map(read_output, sequence(lock, "outs"))}
    for kind in _KINDS:
        flags: dict[str, dict[str, Any]] = {}
        for entry in sequence(stage, kind):
            for path, own in _flags(entry, name):
                flags.setdefault(path, {}).update(own)
        for path, own in flags.items():
            yield StageOutput(name, wdir, _output(path, own, locked.get(posixpath.normpath(path))))


def _flags(entry: object, stage: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(entry, str):
        yield entry, {}
        return
    if not isinstance(entry, dict) or not all(isinstance(one, dict) for one in entry.values()):
        raise _bad(f"an output of the stage {stage}")
    yield from ((str(path), own) for path, own in entry.items())


def _output(path: str, flags: Mapping[str, Any], lock: Output | None) -> Output:
    out = replace(lock, path=path) if lock is not None else Output(path, "", None)
    remote = flags.get("remote")
    if remote is not None and not isinstance(remote, str):
        raise _bad(f"`remote` of {path}")
    return replace(
        out,
        remote=remote,
        cache=bool(flags.get("cache", True)),
        push=bool(flags.get("push", True)),
        persist=bool(flags.get("persist", False)),
    )


def _bad(what: str) -> Invalid:
    return invalid(f"{what} is not of DVC's schema")
