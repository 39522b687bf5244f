"""Computed outputs of a `dvc.yaml` (`${...}`, `foreach`, `matrix`), by DVC's own resolver."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dvc.dvcfile import load_file
from dvc.exceptions import DvcException
from dvc.repo import Repo

from placet.core.dvcfile import Output
from placet.core.pipeline import StageOutput
from placet.errors import Invalid


def resolve(root: Path, file: Path) -> Sequence[StageOutput]:
    """The outputs of all stages of a `dvc.yaml`, as DVC computes them, with the hashes of its `dvc.lock`.

    Raises:
        Invalid: kind `metafile`: DVC cannot read it.
    """
    try:
        with Repo(str(root)) as repo:
            stages = load_file(repo, str(file)).stages
            return [_output(file, name, stages[name], out) for name in stages for out in stages[name].outs]
    except DvcException as error:
        raise Invalid(
            f"DVC cannot read it: {error}", kind="metafile", mend=f"dvc stage list {file.name}"
        ) from error


def _output(file: Path, name: str, stage: Any, out: Any) -> StageOutput:  # noqa: ANN401 - DVC has no types
    md5 = str(out.hash_info.value or "") if out.hash_info else ""
    return StageOutput(
        stage=name,
        wdir=Path(os.path.relpath(stage.wdir, file.parent)).as_posix(),
        out=Output(
            path=str(out.def_path),
            md5=md5.removesuffix(".dir"),
            size=out.meta.size,
            nfiles=out.meta.nfiles,
            is_dir=md5.endswith(".dir"),
            isexec=bool(out.meta.isexec),
            hash=str(out.hash_name),
            remote=out.remote,
            cache=out.use_cache,
            push=out.can_push,
            persist=out.persist,
            cloud=bool(out.files or out.meta.version_id),
        ),
    )
