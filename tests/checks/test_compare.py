"""Two versions of a table compared: columns, kinds, rows; without holding either."""

import io
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from placet.checks.compare import ColumnDiff, compare


def csv(text):
    return lambda: [text.encode()]


def parquet(**columns):
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return lambda: [sink.getvalue()]


def test_a_new_table():
    found = compare(None, csv("age,site\n1,a\n2,b\n"), rows=5)
    assert (found.form, found.columns) == ("csv", (("age", "int"), ("site", "text")))
    assert (found.rows, found.rows_added, found.rows_removed) == ((0, 2), 2, 0)
    assert found.sample_added == (("1", "a"), ("2", "b"))
    assert (found.columns_added, found.columns_removed, found.problem) == ((), (), "")


def test_columns_and_their_kinds():
    found = compare(csv("a,b,c\n1,2,x\n"), csv("b,a,d\n2.5,one,\n"))
    assert found.columns == (("b", "float"), ("a", "text"), ("d", "empty"))
    assert (found.columns_added, found.columns_removed) == (("d",), ("c",))
    assert found.kinds_changed == (ColumnDiff("b", "int", "float"), ColumnDiff("a", "int", "text"))


def test_rows_are_counted_with_repetition_and_without_order():
    found = compare(csv("a,b\n1,x\n2,y\n2,y\n"), csv("a,b\n2,y\n1,x\n1,x\n3,z\n"), rows=9)
    assert (found.rows, found.rows_added, found.rows_removed) == ((3, 4), 2, 1)
    assert found.sample_added == (("1", "x"), ("3", "z"))
    assert found.sample_removed == (("2", "y"),)
    same = compare(csv("a,b\n1,x\n2,y\n"), csv("b,a\ny,2\nx,1\n"))
    assert (same.rows_added, same.rows_removed) == (0, 0)


def test_rows_are_compared_by_the_columns_of_both():
    found = compare(csv("a,b\n1,x\n2,y\n"), csv("a,b,c\n1,x,new\n2,z,new\n"), rows=3)
    assert (found.rows_added, found.rows_removed) == (1, 1)
    assert found.sample_added == (("2", "z", "new"),)
    assert found.sample_removed == (("2", "y"),)
    nothing = compare(csv("a,b\n1,2\n"), csv("c,d\n1,2\n3,4\n"))
    assert (nothing.rows, nothing.columns_removed) == ((1, 2), ("a", "b"))


def test_parquet_has_kinds_of_its_own():
    found = compare(parquet(n=[1, 2], s=["x", None]), parquet(n=[1.0, 2.5], s=["x", None]), rows=3)
    assert found.form == "parquet"
    assert found.kinds_changed == (ColumnDiff("n", "int", "float"),)
    assert (found.rows, found.rows_added, found.rows_removed) == ((2, 2), 2, 2)
    assert found.sample_added == (("1.0", "x"), ("2.5", ""))


def test_rows_that_are_not_asked_for_are_not_given():
    found = compare(csv("a,b\n1,x\n"), csv("a,b\n2,y\n"))
    assert (found.sample_added, found.sample_removed) == ((), ())
    assert (
        "y"
        not in repr(found).replace("removed", "").replace("empty", "").replace("frozen", "").split("rows=")[1]
    )
    long = compare(None, csv(f"a,b\n{'x' * 1000},1\n"), rows=1)
    assert len(long.sample_added[0][0]) == 200


@pytest.mark.parametrize("data", [b"", b"\xff\xfe\x00", b"a,b\n1\n", b"PAR1 nonsense"])
def test_what_is_no_table_is_a_problem_not_an_error(data):
    found = compare(csv("a,b\n1,2\n"), lambda: [data])
    assert found.problem and not found.rows_added
    assert compare(csv("a,b\n1,2\n"), parquet(a=[1])).problem == "it was csv before and is parquet now"


def test_memory_is_bounded():
    """Two versions of 14 MB, whose cells alone would take 40 MB in Python."""

    def stream(rows, more):
        def chunks():
            yield b"id,text,value\n"
            for start in range(0, rows, 1000):
                yield "".join(
                    f"{n + more},{'t' * 300},{n + more}\n" for n in range(start, start + 1000)
                ).encode()

        return chunks

    tracemalloc.start()
    found = compare(stream(45_000, 0), stream(45_000, 10))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (found.rows, found.rows_added, found.rows_removed) == ((45_000, 45_000), 10, 10)
    assert peak < 20 << 20
