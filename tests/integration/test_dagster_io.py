"""The I/O manager in real Dagster runs: formats, names, partitions, verification, writers at once."""

import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pandas as pd
import pyarrow as pa
import pytest

from placet.client import Client
from placet.core.digest import sha256_hex
from placet.core.layout import unsafe
from placet.errors import Conflict, Corrupt, Invalid, NotFound
from placet.integrations import outputs
from placet.integrations.dagster import PlacetIOManager, PlacetResource, promotion_job
from placet.integrations.dagster.paths import safe_part


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
]


def test_every_key_of_a_partition_is_a_safe_part_of_a_path_and_no_two_are_the_same():
    parts = [safe_part(key) for key in KEYS]
    assert len(set(parts)) == len(KEYS)
    assert [unsafe(f"outputs/{part}.pkl") for part in parts] == [None] * len(KEYS)
    assert not any("/" in part or "." in part for part in parts)
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


@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
def test_one_run_for_several_partitions_is_refused_because_they_would_have_one_version(run):
    @dg.asset(
        partitions_def=dg.StaticPartitionsDefinition(["a", "b"]),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def part() -> int:
        return 1

    tags = {"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "b"}
    assert "One run makes 2 partitions" in failure(run(part, tags=tags, good=False))


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


def test_what_is_gone_is_brought_from_the_internal_tier(run, workspace):
    got = []

    @dg.asset
    def reader(thing) -> None:
        got.append(thing)

    manager = PlacetIOManager(workspace=str(workspace), format="text")
    thing = make("thing", "abc", "text")
    run(thing, manager=manager)
    (workspace / "outputs/thing.txt").unlink()
    for one in (workspace / ".dvc" / "cache" / "files").rglob("*"):
        if one.is_file():
            one.unlink()
    run(thing, reader, selection=[reader], manager=manager)
    assert got == ["abc"]


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
