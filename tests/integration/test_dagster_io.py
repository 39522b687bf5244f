"""The I/O manager in real Dagster runs: formats, names, partitions, verification, writers at once."""

import os
import pickle
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Lock

import dagster as dg
import pandas as pd
import pyarrow as pa
import pytest

from placet.client import Client
from placet.core.digest import sha256_hex
from placet.core.layout import unsafe
from placet.errors import Conflict, Corrupt, Invalid, NotFound
from placet.integrations import outputs
from placet.integrations.dagster import PlacetIOManager, PlacetResource, events, promotion_job
from placet.integrations.dagster.events import outputs_of, told
from placet.integrations.dagster.paths import safe_part
from placet.integrations.dagster.provenance import provenance_of


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def run(workspace, instance):
    """Materialize assets; returns Dagster's result."""

    def materialize(*assets, manager=None, good=True, **kwargs):
        io_manager = manager or PlacetIOManager(workspace=str(workspace), push=False)
        resources = {"io_manager": io_manager, "placet": PlacetResource(workspace=str(workspace))}
        done = dg.materialize(
            list(assets), instance=instance, resources=resources, raise_on_error=False, **kwargs
        )
        assert done.success is good
        return done

    return materialize


def version(done, name):
    (event,) = done.asset_materializations_for_node(name)
    return event.tags["dagster/data_version"]


def failure(done):
    (event,) = [one for one in done.all_events if one.is_step_failure]
    error = event.step_failure_data.error
    return error.cause.message if error.cause else error.message


def make(name, value, form, **kwargs):
    @dg.asset(name=name, metadata={"placet/format": form}, code_version="1", **kwargs)
    def made():
        return value

    return made


TABLE = {"a": [1, 2], "b": ["x", None]}


@pytest.mark.parametrize(
    ("form", "value", "suffix"),
    [
        ("pickle", {"a": (1, 2)}, ".pkl"),
        ("json", {"b": [1, 2.5, None], "a": "ä"}, ".json"),
        ("text", "zeile\r\nä", ".txt"),
        ("parquet", pa.table(TABLE), ".parquet"),
        ("parquet", pd.DataFrame(TABLE, index=[7, 9]), ".parquet"),
    ],
)
def test_what_is_returned_comes_back_and_the_same_object_has_the_same_version(
    run, workspace, form, value, suffix
):
    got = []

    @dg.asset(code_version="1")
    def reader(thing) -> None:
        got.append(thing)

    first = run(make("thing", value, form), reader)
    again = run(make("thing", value, form))
    assert type(got[0]) is type(value)
    assert got[0].equals(value) if form == "parquet" else got[0] == value
    assert version(first, "thing") == version(again, "thing")
    assert (workspace / f"outputs/thing{suffix}.dvc").is_file()


def test_the_annotation_of_an_input_says_which_kind_of_table_or_that_a_path_is_meant(run):
    got = []

    @dg.asset
    def arrow(thing: pa.Table) -> None:
        got.append(thing)

    @dg.asset
    def path(thing: Path) -> None:
        got.append(thing)

    run(make("thing", pd.DataFrame(TABLE), "parquet"), arrow, path)
    assert {type(one) for one in got} == {pa.Table, type(Path())}


@pytest.mark.parametrize(
    ("form", "value"),
    [("json", (1, 2)), ("json", {1: "a"}), ("json", float("nan")), ("text", 1), ("parquet", [1])],
)
def test_what_would_not_come_back_the_same_is_refused_and_leaves_the_output_as_it_was(
    run, workspace, form, value
):
    good = {"json": [1], "text": "a", "parquet": pa.table(TABLE)}[form]
    run(make("thing", good, form))
    before = sorted((workspace / "outputs").iterdir())
    bytes_before = [one.read_bytes() for one in before]
    assert "comes back the same" in failure(run(make("thing", value, form), good=False))
    assert sorted((workspace / "outputs").iterdir()) == before
    assert [one.read_bytes() for one in before] == bytes_before


def test_formats_of_ones_own(run, workspace):
    class Upper:
        name, suffix = "upper", ".up"

        def dump(self, obj, path):
            path.write_text(obj.upper())

        def load(self, path, wanted):
            return path.read_text().lower()

    class Manager(PlacetIOManager):
        def formats(self):
            return [*super().formats(), Upper()]

    got = []

    @dg.asset
    def reader(thing) -> None:
        got.append(thing)

    manager = Manager(workspace=str(workspace), push=False, format="upper")
    run(make("thing", "abc", "upper"), reader, manager=manager)
    assert got == ["abc"]
    assert (workspace / "outputs/thing.up").read_text() == "ABC"
    assert "There is no format" in failure(run(make("other", 1, "none"), good=False))


def test_a_returned_path_is_copied_also_that_of_another_asset(run, workspace, tmp_path):
    source = tmp_path / "mine.csv"
    source.write_text("a,b\n1,2\n3,4\n")

    @dg.asset
    def first() -> Path:
        return source

    @dg.asset
    def second(first: Path) -> Path:
        return first

    done = run(first, second)
    assert source.is_file()
    assert (workspace / "outputs/first.csv").read_text() == (workspace / "outputs/second.csv").read_text()
    metadata = done.asset_materializations_for_node("second")[0].metadata
    assert metadata["dagster/row_count"].value == 2
    assert [one.name for one in metadata["dagster/column_schema"].value.columns] == ["a", "b"]


def test_names_that_begin_alike_are_not_taken_for_one_another(run, tmp_path):
    got = {}

    def path(name, suffix):
        @dg.asset(name=name)
        def made() -> Path:
            file = tmp_path / f"{name}{suffix}"
            file.write_text(name)
            return file

        return made

    @dg.asset
    def reader(a, ab, a_b) -> None:
        got.update(a=a.read_text(), ab=ab.read_text(), a_b=a_b.read_text())

    run(path("a", ".txz"), path("ab", ""), path("a_b", ".csv"), reader)
    assert got == {"a": "a", "ab": "ab", "a_b": "a_b"}


def test_two_outputs_of_one_asset_are_refused_when_it_is_loaded(run):
    @dg.asset
    def reader(thing) -> None:
        pass

    run(make("thing", 1, "json"))
    run(make("thing", 1, "pickle"))
    found = run(make("thing", 1, "pickle"), reader, selection=[reader], good=False)
    assert "One asset has 2 outputs: outputs/thing.pkl, outputs/thing.json" in failure(found)


KEYS = [
    "2026-01-01",
    "..",
    ".",
    "",
    ".git",
    "a/b",
    "a|b",
    "con",
    "ä",
    "a.b",
    "a%2Eb",
    "%41",
    "A",
    "x ",
    "x.",
    "b.dvc",
    "\n",
    "*",
    "日本語" * 40,
    "日本語" * 40 + "!",
    "x" * 300,
]


def test_every_key_of_a_partition_is_a_safe_part_of_a_path_and_no_two_are_the_same():
    parts = [safe_part(key) for key in KEYS]
    assert len(set(parts)) == len(KEYS)
    assert [unsafe(f"outputs/{part}.pkl") for part in parts] == [None] * len(KEYS)
    assert not any("/" in part or "." in part for part in parts)
    assert max(len(part) for part in parts) < 200  # a name of 255 bytes has place for the rest
    assert safe_part("2026-01-01") == "2026-01-01"


def test_partitions_are_loaded_together_and_one_by_one(run, workspace):
    days = dg.StaticPartitionsDefinition(["../../up", "b"])
    got = []

    @dg.asset(partitions_def=days)
    def part(context: dg.AssetExecutionContext) -> str:
        return context.partition_key

    @dg.asset(partitions_def=days)
    def same(part: str) -> str:
        return part.upper()

    @dg.asset(ins={"part": dg.AssetIn(metadata={"allow_missing_partitions": True})})
    def some(part) -> None:
        got.append(part)

    @dg.asset
    def all_of_them(part) -> None:
        got.append(part)

    run(part, same, partition_key="../../up")
    run(part, some, all_of_them, selection=[some])
    assert "was never made" in failure(run(part, all_of_them, selection=[all_of_them], good=False))
    run(part, same, partition_key="b")
    run(part, all_of_them, selection=[all_of_them])
    assert got == [{"../../up": "../../up"}, {"../../up": "../../up", "b": "b"}]
    assert pickle.loads((workspace / "outputs/same/b.pkl").read_bytes()) == "B"
    assert not (workspace.parent / "up.pkl").exists()


def test_partitions_of_two_dimensions_and_paths_that_name_them(run, workspace):
    grid = dg.MultiPartitionsDefinition(
        {"site": dg.StaticPartitionsDefinition(["x"]), "day": dg.StaticPartitionsDefinition(["1"])}
    )
    got = []

    @dg.asset(partitions_def=grid, metadata={"placet/path": "outputs/cells/{partition}.pkl"})
    def cell() -> int:
        return 3

    @dg.asset(partitions_def=grid)
    def reader(cell: int) -> None:
        got.append(cell)

    @dg.asset(partitions_def=grid, metadata={"placet/path": "outputs/one.pkl"})
    def flat() -> int:
        return 3

    key = dg.MultiPartitionKey({"site": "x", "day": "1"})
    run(cell, reader, partition_key=key)
    assert got == [3]
    assert (workspace / "outputs/cells/1/x.pkl").is_file()
    assert "is the same for all partitions" in failure(run(flat, partition_key=key, good=False))


DAYS = dg.StaticPartitionsDefinition(["a", "b", "c"])
RANGE = {"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "b"}


def recorded(done, name):
    """Partition -> path and SHA-256, of what a run materialized; and its data versions."""
    events = done.asset_materializations_for_node(name)
    found = {
        one.partition: [one.metadata[f"placet/{it}"].value for it in ("path", "sha256")] for one in events
    }
    return found, {one.tags["dagster/data_version"] for one in events}


@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
def test_one_run_for_several_partitions_makes_an_artifact_of_each(run, workspace, instance):
    content, got = {"a": "1", "b": "2", "c": "3"}, []
    policy = dg.BackfillPolicy.single_run()

    @dg.asset(
        partitions_def=DAYS, backfill_policy=policy, code_version="1", metadata={"placet/format": "text"}
    )
    def part(context: dg.AssetExecutionContext) -> dict[str, str]:
        return {key: content[key] for key in context.partition_keys}

    @dg.asset(partitions_def=DAYS, backfill_policy=policy, code_version="1")
    def written(
        context: dg.AssetExecutionContext, part: dict[str, str], placet: PlacetResource
    ) -> dg.MaterializeResult:
        made = {}
        for key in context.partition_keys:
            placet.path(f"outputs/written/{key}.txt").write_text(part[key] * 2)
            made[key] = placet.materialize(f"outputs/written/{key}.txt")
        return placet.partitions(context, made)

    @dg.asset(partitions_def=DAYS)
    def reader(part: str) -> None:
        got.append(part)

    done = run(part, written, tags=RANGE)
    first, versions = recorded(done, "part")
    assert first == {
        key: [f"outputs/part/{key}.txt", sha256_hex(content[key].encode())] for key in ("a", "b")
    }
    assert {key: sha for key, (_, sha) in recorded(done, "written")[0].items()} == {
        "a": sha256_hex(b"11"), "b": sha256_hex(b"22"),
    }  # fmt: skip
    run(part, reader, selection=[reader], partition_key="b")
    assert got == ["2"]
    assert recorded(run(part, tags=RANGE), "part")[1] == versions  # nothing downstream is stale
    content["b"] = "4"
    assert recorded(run(part, tags=RANGE), "part")[1] != versions
    (workspace / "outputs/part/a.txt").write_text("9")
    with Client(workspace) as client:
        client.track(["outputs/part/a.txt"])
    found = failure(run(part, reader, selection=[reader], partition_key="a", good=False))
    assert "is not the version that Dagster recorded" in found


@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
def test_of_partitions_with_one_version_the_one_that_went_in_is_named(run, instance):
    @dg.asset(
        partitions_def=DAYS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        metadata={"placet/format": "text"},
    )
    def part(context: dg.AssetExecutionContext) -> dict[str, str]:
        return {key: key for key in context.partition_keys}

    @dg.asset(partitions_def=DAYS)
    def same(part: str) -> str:
        return part

    def named(one):
        found = provenance_of(instance, [one], repository="ab" * 16, node="site-b", run=one.run)
        (used,) = found.dependencies
        return used.digest

    run(part, tags=RANGE)
    newest = instance.fetch_materializations(dg.AssetKey("part"), limit=1).records[0]
    (other,) = {"a", "b"} - {newest.partition_key}
    run(part, same, selection=[same], partition_key=other)
    (made,) = outputs_of(instance, dg.AssetKey("same"))
    assert named(made) == {"sha256": sha256_hex(other.encode())}
    version = newest.asset_materialization.tags["dagster/data_version"]
    assert named(replace(made, inputs={"part": (newest.storage_id, version)})) == {}


@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
@pytest.mark.parametrize("value", [1, {"a": 1}, {"a": 1, "b": 2, "c": 3}])
def test_a_run_for_several_partitions_that_does_not_return_each_is_refused(run, workspace, value):
    @dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
    def part() -> object:
        return value

    assert "did not return each" in failure(run(part, tags=RANGE, good=False))
    assert not (workspace / "outputs").exists()


@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
@pytest.mark.parametrize(
    ("policy", "value", "kept"),
    [
        (dg.BackfillPolicy.single_run(), {"a": "1"}, "1"),
        (dg.BackfillPolicy.multi_run(max_partitions_per_run=2), {"a": {"a": 1}}, {"a": 1}),
        (dg.BackfillPolicy.single_run(), {"b": "1"}, {"b": "1"}),
        (dg.BackfillPolicy.single_run(), "1", "1"),
        (dg.BackfillPolicy.multi_run(max_partitions_per_run=1), {"a": "1"}, {"a": "1"}),
        (None, {"a": "1"}, {"a": "1"}),
    ],
)
def test_a_dictionary_for_one_partition_is_unwrapped_only_where_a_run_may_have_several(
    run, workspace, policy, value, kept
):
    part = make("part", value, "pickle", partitions_def=DAYS, backfill_policy=policy)
    run(part, partition_key="a")
    assert pickle.loads((workspace / "outputs/part/a.pkl").read_bytes()) == kept


@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
def test_partitions_that_were_not_all_written_are_refused(run):
    @dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
    def part(context: dg.AssetExecutionContext, placet: PlacetResource) -> dg.MaterializeResult:
        placet.path("outputs/a.txt").write_text("a")
        return placet.partitions(context, {"a": placet.materialize("outputs/a.txt")})

    assert "for 2 partitions, and 1 were made" in failure(run(part, tags=RANGE, good=False))


def test_each_day_is_made_of_the_day_before(run):
    days = dg.DailyPartitionsDefinition(start_date="2026-01-01", end_date="2026-01-04")
    before = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1)
    got = []

    @dg.asset(partitions_def=days, ins={"total": dg.AssetIn(partition_mapping=before)})
    def total(total: int | None) -> int:
        got.append(total)
        return (total or 0) + 1

    for day in ("2026-01-01", "2026-01-02", "2026-01-03"):
        run(total, partition_key=day)
    assert got == [None, 1, 2]


def test_the_annotation_says_what_each_of_several_partitions_is_and_one_that_is_missing_is_none(run):
    got = []
    part = make("part", pd.DataFrame(TABLE), "parquet", partitions_def=DAYS)
    may_be_missing = {"part": dg.AssetIn(metadata={"allow_missing_partitions": True})}

    @dg.asset(ins=may_be_missing)
    def all_of_them(part: dict[str, pa.Table]) -> None:
        got.extend(part.values())

    @dg.asset(ins=may_be_missing)
    def files(part: dict[str, Path] | None) -> None:
        got.extend(one.suffix for one in part.values())

    @dg.asset(ins=may_be_missing, partitions_def=DAYS)
    def one(part: pa.Table | None) -> None:
        got.append(part)

    for key in ("a", "b"):
        run(part, partition_key=key)
    run(part, files, selection=[files])
    assert got == [".parquet", ".parquet"]
    got.clear()
    run(part, all_of_them, selection=[all_of_them])
    run(part, one, selection=[one], partition_key="a")
    run(part, one, selection=[one], partition_key="c")
    assert [type(one) for one in got] == [pa.Table, pa.Table, pa.Table, type(None)]


def test_hours_are_loaded_for_their_day(run):
    got = []
    hour = make(
        "hour", 1, "json", partitions_def=dg.HourlyPartitionsDefinition(start_date="2026-01-01-00:00")
    )

    @dg.asset(
        partitions_def=dg.DailyPartitionsDefinition(start_date="2026-01-01"),
        ins={"hour": dg.AssetIn(metadata={"allow_missing_partitions": True})},
    )
    def day(hour: dict[str, int]) -> None:
        got.extend(hour)

    for key in ("2026-01-01-01:00", "2026-01-01-23:00", "2026-01-02-00:00"):
        run(hour, partition_key=key)
    run(hour, day, selection=[day], partition_key="2026-01-01")
    assert got == ["2026-01-01-01:00", "2026-01-01-23:00"]


def test_a_data_version_of_ones_own_is_kept_and_the_content_is_verified_all_the_same(run, workspace):
    own = dg.DataVersion("of the database")

    @dg.asset(metadata={"placet/format": "text"})
    def thing() -> dg.MaterializeResult[str]:
        return dg.MaterializeResult(value="abc", data_version=own, metadata={"mine": 1, "placet/path": "no"})

    @dg.asset
    def reader(thing: str) -> None:
        pass

    done = run(thing, reader)
    assert version(done, "thing") == own.value
    (event,) = done.asset_materializations_for_node("thing")
    assert (event.metadata["mine"].value, event.metadata["placet/path"].value) == (1, "outputs/thing.txt")
    (workspace / "outputs/thing.txt").write_text("other")
    with Client(workspace) as client:
        client.track(["outputs/thing.txt"])
    found = failure(run(thing, reader, selection=[reader], good=False))
    assert "is not the version that Dagster recorded" in found


def test_what_an_asset_says_of_itself_adds_to_what_is_tracked_and_does_not_replace_it(run):
    @dg.asset
    def table(placet: PlacetResource) -> dg.MaterializeResult:
        placet.path("outputs/table.csv").write_text("a\n1\n")
        return placet.materialize(
            "outputs/table.csv", metadata={"placet/sha256": "0" * 64, "dagster/row_count": 7}
        )

    (event,) = run(table).asset_materializations_for_node("table")
    assert event.metadata["placet/sha256"].value == sha256_hex(b"a\n1\n")
    assert event.metadata["dagster/row_count"].value == 7


def test_all_partitions_of_an_asset_are_known_however_many_events_there_are(run, instance, monkeypatch):
    monkeypatch.setattr(events, "_PAGE", 2)
    keys = [str(number) for number in range(5)]
    part = make("part", 1, "json", partitions_def=dg.StaticPartitionsDefinition(keys))
    runs = {key: run(part, partition_key=key).run_id for key in keys}
    key = dg.AssetKey("part")
    assert [one.partition for one in outputs_of(instance, key)] == keys[::-1]
    assert [one.partition for one in outputs_of(instance, key, run=runs["1"])] == ["1"]
    assert [one.partition for one in outputs_of(instance, key, pages=1)] == ["4", "3"]
    for one in outputs_of(instance, key):
        instance.report_runless_asset_event(events.observation(one, "p", f"state of {one.partition}"))
    assert {one.state for one in told(instance, key, keys).values()} == {f"state of {key}" for key in keys}


def counted(monkeypatch, instance, name):
    """How many records of the event log are read from now on, page by page."""
    read, real = [], getattr(instance, name)

    def fetch(*args, **kwargs):
        found = real(*args, **kwargs)
        read.append(len(found.records))
        return found

    monkeypatch.setattr(instance, name, fetch)
    return read


def test_of_the_event_log_as_much_is_read_as_there_are_outputs(run, instance, monkeypatch):
    monkeypatch.setattr(events, "_PAGE", 3)
    one, part = make("one", 1, "json"), make("part", 1, "json", partitions_def=DAYS)
    for _ in range(5):
        last = run(one, part, partition_key="a").run_id
    run(part, partition_key="b")
    instance.report_runless_asset_event(dg.AssetMaterialization("part", partition="b"))
    read = counted(monkeypatch, instance, "fetch_materializations")
    for key, partitions, wanted, most in (
        ("one", None, [None], 1),
        ("part", ["a"], ["a"], 1),
        ("part", ["b"], ["b"], 3),
        ("part", None, ["b", "a"], 5),
    ):
        found = outputs_of(instance, dg.AssetKey(key), partitions)
        assert [it.partition for it in found] == wanted
        assert sum(read) <= most
        read.clear()
    assert [it.run for it in outputs_of(instance, dg.AssetKey("part"), ["a"])] == [last]
    read.clear()
    assert [it.run for it in outputs_of(instance, dg.AssetKey("one"), run=last)] == [last]
    assert read == []


def test_of_observations_those_are_read_that_are_the_last_of_what_is_wanted(run, instance, monkeypatch):
    monkeypatch.setattr(events, "_PAGE", 3)
    one, part = make("one", 1, "json"), make("part", 1, "json", partitions_def=DAYS)
    run(one, part, partition_key="a")
    made = {it.partition: it for key in ("one", "part") for it in outputs_of(instance, dg.AssetKey(key))}
    for number in range(9):
        for it in made.values():
            instance.report_runless_asset_event(events.observation(it, "p", str(number)))
    instance.report_runless_asset_event(dg.AssetObservation("one"))
    read = counted(monkeypatch, instance, "fetch_observations")
    assert {key: it.state for key, it in told(instance, dg.AssetKey("one"), [None]).items()} == {None: "8"}
    assert {
        key: it.state for key, it in told(instance, dg.AssetKey("part"), DAYS.get_partition_keys()).items()
    } == {"a": "8"}
    assert sum(read) == 1 + 3 + 1


@pytest.mark.parametrize("value", [lambda: 1, Lock()])
def test_what_cannot_be_pickled_is_refused_with_a_reason(run, value):
    found = failure(run(make("thing", value, "pickle"), good=False))
    assert f"A {type(value).__name__} cannot be pickled" in found


def test_some_of_several_assets_of_one_function(run, workspace):
    @dg.multi_asset(
        outs={
            "x": dg.AssetOut(is_required=False),
            "y": dg.AssetOut(is_required=False, metadata={"placet/format": "json"}),
        },
        can_subset=True,
    )
    async def both(context: dg.AssetExecutionContext):
        for name in sorted(context.op_execution_context.selected_output_names):
            yield dg.Output({"n": name}, output_name=name)

    one = run(both, selection=[dg.AssetKey("y")])
    assert [event.asset_key.to_user_string() for event in one.asset_materializations_for_node("both")] == [
        "y"
    ]
    assert not (workspace / "outputs/x.pkl").exists()
    both_of_them = run(both).asset_materializations_for_node("both")
    assert len({event.tags["dagster/data_version"] for event in both_of_them}) == 2
    assert (workspace / "outputs/x.pkl.dvc").is_file()


def test_what_fails_in_the_middle_is_tried_again_and_leaves_nothing_behind(run, workspace):
    tries = []

    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=2))
    def thing(placet: PlacetResource) -> dg.MaterializeResult:
        tries.append(1)
        with placet.fresh("outputs/thing.txt") as place:
            place.write_text(str(len(tries)))
            if len(tries) < 3:
                raise RuntimeError
            return placet.materialize("outputs/thing.txt", written=place)

    run(thing)
    assert sorted(one.name for one in (workspace / "outputs").iterdir()) == [
        ".gitignore", "thing.txt", "thing.txt.dvc",
    ]  # fmt: skip
    assert (workspace / "outputs/thing.txt").read_text() == "3"


def test_bytes_that_were_changed_are_found_whatever_size_and_times_say(run, workspace):
    @dg.asset
    def reader(thing) -> None:
        pass

    thing = make("thing", "abc", "text")
    run(thing, reader)
    file = workspace / "outputs/thing.txt"
    times = file.stat()
    with file.open("r+b") as stream:
        stream.write(b"abd")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert "is not what was tracked" in failure(run(thing, reader, selection=[reader], good=False))
    with Client(workspace) as client, pytest.raises(Corrupt) as caught:
        client.prove("outputs/thing.txt")
    assert caught.value.kind == "changed-output"


def test_a_folder_with_a_file_more_or_less_is_not_what_was_tracked(workspace):
    folder = workspace / "outputs" / "folder"
    folder.mkdir(parents=True)
    (folder / "a").write_text("a")
    (folder / "b").write_text("b")
    with Client(workspace) as client:
        (tracked,) = client.track([folder])
        assert client.prove(folder) == tracked
        (folder / "c").write_text("c")
        with pytest.raises(Corrupt):
            client.prove(folder)
        (folder / "c").unlink()
        (folder / "b").unlink()
        with pytest.raises(Corrupt):
            client.prove(folder)
        with pytest.raises(NotFound):
            client.prove(workspace / "outputs" / "other")


def test_a_version_that_dagster_did_not_record_is_refused(run, workspace):
    @dg.asset
    def reader(thing) -> None:
        pass

    thing = make("thing", "abc", "text")
    run(thing)
    (workspace / "outputs/thing.txt").write_text("other")
    with Client(workspace) as client:
        client.track(["outputs/thing.txt"])
    found = failure(run(thing, reader, selection=[reader], good=False))
    assert "is not the version that Dagster recorded" in found
    run(thing, reader)


def objects(folder):
    return [one for one in (folder / "files").rglob("*") if one.is_file()]


@pytest.fixture
def gone(run, workspace):
    """An output that was pushed, and is no longer in the workspace; a load of it."""
    got = []

    @dg.asset
    def reader(thing) -> None:
        got.append(thing)

    manager = PlacetIOManager(workspace=str(workspace), format="text")
    thing = make("thing", "abc", "text")
    run(thing, manager=manager)
    (workspace / "outputs/thing.txt").unlink()
    return lambda good=True: (run(thing, reader, selection=[reader], manager=manager, good=good), got)


def test_what_is_gone_is_brought_from_the_internal_tier(gone, workspace):
    for one in objects(workspace / ".dvc" / "cache"):
        one.unlink()
    assert gone()[1] == ["abc"]


def spoil(file):
    file.chmod(0o644)
    file.write_bytes(b"abd")


def test_a_cache_that_somebody_changed_is_not_loaded_from(gone, workspace):
    (one,) = objects(workspace / ".dvc" / "cache")
    spoil(one)
    assert gone()[1] == ["abc"]  # of the internal tier


def test_an_internal_tier_that_somebody_changed_is_refused(gone, workspace, tmp_path):
    (workspace / "outputs/thing.txt").unlink(missing_ok=True)
    for one in objects(workspace / ".dvc" / "cache"):
        one.unlink()
    (one,) = [one for one in objects(tmp_path / "remote") if one.read_bytes() == b"abc"]
    spoil(one)
    done, got = gone(good=False)
    assert got == []
    assert "Corrupt" in failure(done)


def test_what_steps_give_to_one_another_is_no_output(run, workspace, instance):
    @dg.op
    def one() -> int:
        return 1

    @dg.op
    def more(number: int) -> int:
        return number + 1

    @dg.graph_asset
    def two() -> int:
        return more(one())

    run(two)
    assert {path.name for path in (workspace / "outputs").iterdir()} == {
        ".gitignore",
        "two.pkl",
        "two.pkl.dvc",
    }
    assert pickle.loads((workspace / "outputs/two.pkl").read_bytes()) == 2
    job = dg.Definitions(
        jobs=[promotion_job()],
        resources={
            "placet": PlacetResource(workspace=str(workspace)),
            "io_manager": PlacetIOManager(workspace=str(workspace)),
        },
    ).get_job_def("placet_promotion")
    done = job.execute_in_process(instance=instance, raise_on_error=False)
    assert "This is not a node's workspace" in failure(done)


def test_writers_of_one_output_take_turns_and_each_tracks_what_it_wrote(workspace):
    def write(number):
        text = f"text {number}".encode()
        with outputs.fresh(workspace, "outputs/same.txt") as place:
            place.write_bytes(text)
            kept = outputs.keep(workspace, "outputs/same.txt", written=place, push=False)
        return kept.tracked.digests.sha256 == sha256_hex(text)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(write, range(24)))
    names = {one.name for one in (workspace / "outputs").iterdir()}
    assert names == {".gitignore", "same.txt", "same.txt.dvc"}


def test_what_a_killed_process_left_is_removed_by_the_next_and_what_others_write_is_not(workspace):
    program = """
import os, signal, sys
from pathlib import Path
from placet.integrations import outputs
with outputs.fresh(Path(sys.argv[1]), "outputs/same.txt") as place:
    place.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", program, str(workspace)], check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = (workspace / "outputs").iterdir()
    with outputs.fresh(workspace, "outputs/other.txt"):
        assert left.exists()
    with outputs.fresh(workspace, "outputs/same.txt") as first:
        assert not left.exists()
        first.write_text("first")
        with outputs.fresh(workspace, "outputs/same.txt") as second:
            second.write_text("second")
            assert first.read_text() == "first"
    assert list((workspace / "outputs").iterdir()) == []
    assert list((workspace / ".dvc/tmp/placet/places").iterdir()) == []


def test_a_folder_takes_the_place_of_a_file_and_the_reverse(workspace):
    def keep(make):
        with outputs.fresh(workspace, "outputs/thing") as place:
            make(place)
            return outputs.keep(workspace, "outputs/thing", written=place, push=False).tracked

    def folder(place):
        place.mkdir()
        (place / "a").write_text("a")

    assert [keep(one).is_dir for one in (folder, lambda place: place.write_text("x"), folder, folder)] == [
        True,
        False,
        True,
        True,
    ]
    assert [one.name for one in (workspace / "outputs").iterdir()].count("thing") == 1
    with pytest.raises(NotFound, match="Nothing was written"):
        keep(lambda place: None)
    with Client(workspace) as client:
        client.prove("outputs/thing")


def test_errors_that_are_no_bodys_fault_of_the_lock_are_waited_for(monkeypatch):
    tries = []

    def step(kind):
        tries.append(kind)
        if len(tries) < 3:
            raise Conflict("busy", kind=kind)
        return len(tries)

    assert outputs.patiently(lambda: step("workspace-locked")) == 3
    tries.clear()
    with pytest.raises(Conflict):
        outputs.patiently(lambda: step("changed-while-reading"))
    assert tries == ["changed-while-reading"]


@pytest.mark.parametrize(
    "path", ["../up.txt", "/tmp/up.txt", ".git/hooks/up", "outputs/../../up.txt", ".dvc/config"]
)
def test_nothing_is_written_out_of_the_workspace(workspace, path):
    with pytest.raises(Invalid) as caught, outputs.fresh(workspace, path):
        pytest.fail("there was a place")
    assert caught.value.kind == "unsafe-path"
    assert not (workspace / ".git").exists()


def test_what_steps_give_to_one_another_is_for_this_user_only(workspace):
    manager = PlacetIOManager(workspace=str(workspace))
    with dg.build_output_context(step_key="s", name="n", run_id="r") as context:
        manager.handle_output(context, 1)
    folder = workspace / ".dvc" / "tmp" / "placet" / "steps"
    assert folder.stat().st_mode & 0o077 == 0


def test_an_upstream_of_a_step_that_is_none_is_refused(workspace):
    manager = PlacetIOManager(workspace=str(workspace))
    with dg.build_input_context() as context, pytest.raises((NotFound, Invalid)):
        manager.load_input(context)
