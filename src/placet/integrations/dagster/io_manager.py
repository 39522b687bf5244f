"""The I/O manager: what assets return becomes a tracked output, and is verified when it is loaded."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import dagster as dg

from placet.core.digest import sha256_hex
from placet.errors import Conflict, Invalid, NotFound
from placet.integrations import outputs
from placet.integrations.dagster.events import outputs_of
from placet.integrations.dagster.formats import BUILT_IN, Format
from placet.integrations.dagster.paths import given_path, usual_path
from placet.integrations.dagster.resource import PlacetResource, of_partitions


class PlacetIOManager(dg.ConfigurableIOManager):
    """Keeps what assets return as tracked outputs: any Python object, a file, or a directory.

    An asset `group/name` becomes `outputs/group/name` with the format's suffix, a partition
    `outputs/group/name/<partition>`; of a returned `Path`, a copy of the file or directory, with the path's
    own suffix. Loading refuses bytes that are not those that Dagster recorded. Metadata of an asset may say
    `placet/format` and `placet/path` (with `{partition}` in it for one that has partitions).

    Attributes:
        workspace: The DVC project with `placet.toml`.
        folder: Where outputs go, relative to the workspace.
        format: Of objects: `pickle`, `json`, `text`, `parquet`, or one of `formats`.
        push: Push to the internal tier at once.
        remote: Another DVC remote than the internal tier.
    """

    workspace: str
    folder: str = "outputs"
    format: str = "pickle"
    push: bool = True
    remote: str | None = None

    def formats(self) -> Sequence[Format]:
        """The formats that can be named; add your own in a subclass."""
        return BUILT_IN

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Write, track and push what an asset returned; its data version is its content's.

        A run for several partitions returns a dictionary by their keys; each is an artifact of its own. An
        asset whose backfill policy gives a run several may return one with a single key for one partition.

        Raises:
            Invalid: kind `many-partitions`: it returned another thing for several.
        """
        if not context.has_asset_key:
            self._step_file(context).write_bytes(pickle.dumps(obj, protocol=5))
            return
        keys = list(context.asset_partition_keys) if context.has_asset_partitions else []
        if len(keys) <= 1:
            if isinstance(obj, Mapping) and set(obj) == set(keys) and _may_have_many(context):
                obj = obj[keys[0]]
            made = self._keep(context, keys[0] if keys else None, obj)
            context.add_output_metadata(dict(made.metadata or {}))
            version = made.data_version
        else:
            parts = _parts(context, keys, obj)
            results = {key: self._keep(context, key, one) for key, one in parts.items()}
            for key, one in results.items() if _has_step(context) else ():
                context.step_context.add_asset_metadata(one.metadata or {}, context.asset_key, key)
            version = of_partitions(results)
        if version and _has_step(context):
            context.step_context.set_data_version(context.asset_key, version)

    def _keep(
        self, context: dg.OutputContext, partition: str | None, obj: object
    ) -> dg.MaterializeResult[Any]:
        placet = PlacetResource(workspace=self.workspace, push=self.push, remote=self.remote)
        metadata = context.definition_metadata
        form = self._format(metadata)
        suffix = obj.suffix if isinstance(obj, Path) else form.suffix
        path = self._path(context.asset_key, partition, metadata, suffix)
        with placet.fresh(path) as place:
            _write(obj, place, form)
            return placet.materialize(path, written=place)

    def load_input(self, context: dg.InputContext) -> Any:  # noqa: ANN401 - what the asset returned
        """What an upstream asset returned; of several partitions, a dictionary by their keys.

        None where there is no partition to load, as of the day before the first.

        Raises:
            NotFound: kind `not-tracked`: it was never made here; passed over where the input's metadata says
                `allow_missing_partitions`.
            Corrupt: kind `changed-output`: somebody changed it since it was tracked.
            Conflict: kind `other-version`: somebody tracked another version than Dagster recorded.
        """
        if not context.has_asset_key:
            if context.upstream_output is None:
                raise NotFound("This input has no upstream.", kind="not-tracked")
            file = self._step_file(context.upstream_output)
            return pickle.loads(file.read_bytes())  # noqa: S301 - of a step of this run
        if not context.has_asset_partitions:
            return self._load(context, None, _wanted(context))
        keys = context.asset_partition_keys
        wanted, found = _wanted(context, many=len(keys) > 1), {}
        for key in keys:
            try:
                found[key] = self._load(context, key, wanted)
            except NotFound as error:
                if error.kind != "not-tracked" or not context.definition_metadata.get(
                    "allow_missing_partitions"
                ):
                    raise
        return found if len(keys) > 1 else next(iter(found.values()), None)

    def _load(self, context: dg.InputContext, partition: str | None, wanted: type) -> Any:  # noqa: ANN401
        upstream = context.upstream_output.definition_metadata if context.upstream_output else {}
        form = self._format({**upstream, **context.definition_metadata})
        path = self._find(self._path(context.asset_key, partition, upstream, ""), form, upstream)
        is_path = issubclass(wanted, Path)
        with outputs.turn(Path(self.workspace), path, reads=True):
            self._verify(context, path, partition)
            file = Path(self.workspace) / path
            return file if is_path or file.suffix != form.suffix else form.load(file, wanted)

    def _verify(self, context: dg.InputContext, path: str, partition: str | None) -> None:
        """Refuse what is not tracked so, or not what Dagster recorded; bring what is gone from the tier."""
        with PlacetResource(workspace=self.workspace).client() as client:
            found = outputs.proven_version(client, Path(self.workspace) / path, self.remote)
        recorded = _recorded(context, path, partition)
        if recorded is not None and recorded != found:
            raise Conflict(
                f"{path} is not the version that Dagster recorded.",
                kind="other-version",
                why=f"Tracked is {found}, recorded was {recorded}: somebody tracked it by other ways.",
                mend=f"Materialize {context.asset_key.to_user_string()} again.",
            )

    def _find(self, stem: str, form: Format, metadata: Mapping[str, Any]) -> str:
        """The path of an output, by its metafile: with the format's suffix, or whatever one it has."""
        if "placet/path" in metadata:
            return stem
        root = Path(self.workspace)
        known = [f"{stem}{one.suffix}" for one in self.formats()]
        found = [one for one in known if (root / f"{one}.dvc").is_file()] or list(_others(root, stem))
        if len(found) > 1:
            raise Invalid(
                f"One asset has {len(found)} outputs: {', '.join(found)}.",
                kind="many-outputs",
                why="Its format was changed, or the suffix of the path that it returns.",
                mend="Remove those that are old: dvc remove FILE.dvc",
            )
        if not found:
            raise NotFound(
                f"{stem} was never made in {self.workspace}.",
                kind="not-tracked",
                mend=f"Materialize its asset first, with the format {form.name}.",
            )
        return found[0]

    def _path(self, key: dg.AssetKey, partition: str | None, metadata: Mapping[str, Any], suffix: str) -> str:
        own = metadata.get("placet/path")
        if own is None:
            return usual_path(self.folder, key, partition) + suffix
        return given_path(str(getattr(own, "value", own)), key, partition)

    def _format(self, metadata: Mapping[str, Any]) -> Format:
        named = metadata.get("placet/format", self.format)
        name = getattr(named, "value", named)
        known = {one.name: one for one in self.formats()}
        if name not in known:
            raise Invalid(
                f"There is no format {name!r}.", kind="format", mend=f"Known: {', '.join(sorted(known))}."
            )
        return known[name]

    def _step_file(self, context: dg.OutputContext) -> Path:
        """Where what one step gives to another lies, which is no asset: never tracked, never pushed."""
        folder = Path(self.workspace) / ".dvc" / "tmp" / "placet" / "steps"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder / sha256_hex("\0".join(context.get_identifier()).encode())


def _others(root: Path, stem: str) -> Iterator[str]:
    """The outputs of this name with whatever suffix; a key has no point, so that none is of another."""
    name = stem.rsplit("/", 1)[-1]
    for one in sorted((root / stem).parent.glob("*.dvc")):
        own, _, suffix = one.stem.partition(".")
        if own == name and "." not in suffix:
            yield one.relative_to(root).as_posix().removesuffix(".dvc")


def _parts(context: dg.OutputContext, keys: Sequence[str], obj: object) -> Mapping[str, object]:
    """What an asset returned for several partitions, by their keys."""
    if isinstance(obj, Mapping) and set(obj) == set(keys):
        return {key: obj[key] for key in keys}
    raise Invalid(
        f"A run for {len(keys)} partitions of {context.asset_key.to_user_string()} did not return each.",
        kind="many-partitions",
        mend="Return a dictionary with context.partition_keys as its keys; or give the asset the policy "
        "BackfillPolicy.multi_run(max_partitions_per_run=1).",
    )


def _may_have_many(context: dg.OutputContext) -> bool:
    """May a run be for several partitions of this asset, by its backfill policy?"""
    if not (context.has_asset_partitions and _has_step(context)):
        return False
    policy = context.step_context.job_def.asset_layer.get(context.asset_key).backfill_policy
    return policy is not None and policy.max_partitions_per_run != 1


def _write(obj: object, place: Path, form: Format) -> None:
    if not isinstance(obj, Path):
        form.dump(obj, place)
    elif obj.is_dir():
        shutil.copytree(obj, place)
    else:
        shutil.copyfile(obj, place)


def _wanted(context: dg.InputContext, *, many: bool = False) -> type:
    """What the input is annotated with, or each of its partitions; without `None` and what is in brackets."""
    try:
        found = context.dagster_type.typing_type
    except dg.DagsterInvariantViolationError:
        return object
    found = _given(found)
    if many:
        found = _given(get_args(found)[-1]) if len(get_args(found)) == 2 else object  # noqa: PLR2004 - dict[key, value]
    return found if isinstance(found, type) and not get_args(found) else object


def _given(annotation: Any) -> Any:  # noqa: ANN401 - whatever is written there
    """An annotation without `None`; anything at all where several are left."""
    if get_origin(annotation) not in {Union, UnionType}:
        return annotation
    (found, *others) = (one for one in get_args(annotation) if one is not NoneType)
    return object if others else found


def _recorded(context: dg.InputContext, path: str, partition: str | None) -> str | None:
    """The content that Dagster recorded last of this output, if there is an instance that may know."""
    try:
        instance = context.instance
    except dg.DagsterInvariantViolationError:
        return None
    known = outputs_of(instance, context.asset_key, [partition] if partition is not None else None)
    return next((one.content for one in known if one.path == path), None)


def _has_step(context: dg.OutputContext) -> bool:
    """Is this a step of a run? `dg.build_output_context` makes contexts that are none."""
    try:
        return context.step_context is not None
    except dg.DagsterInvariantViolationError:
        return False
