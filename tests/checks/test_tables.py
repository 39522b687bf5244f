"""The table reader: every separator, Parquet, damage, and bounded memory on a large stream."""

import io
import itertools
import sys
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from placet.checks.tables import Column, open_table, seekable
from placet.errors import Invalid, NotFound


def table(text, **kwargs):
    return open_table(io.BytesIO(text if isinstance(text, bytes) else text.encode()), **kwargs)


def rows(one):
    return [row for batch in one.batches() for row in zip(*batch.values, strict=True)]


def parquet(columns, **kwargs):
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, **kwargs)
    return out.getvalue()


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_every_separator_is_found_by_the_content(separator):
    text = "group,n\nold,12\nyoung,30\n".replace(",", separator)
    found = table(text)
    assert [one.name for one in found.columns] == ["group", "n"]
    assert rows(found) == [("old", "12"), ("young", "30")] == rows(found), "each call begins anew"
    assert found.header and found.count() == 2


def test_quoted_cells_hold_separators_and_line_ends():
    assert rows(table('a,b\r\n"x, y","1\n2"\r\n')) == [("x, y", "1\n2")]


def test_a_table_without_a_header_has_numbers_for_names_and_all_its_rows():
    found = table("12,anna\n13,bert\n")
    assert [one.name for one in found.columns] == ["1", "2"]
    assert rows(found) == [("12", "anna"), ("13", "bert")] and not found.header


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"a,b\n1,2\n3\n",
        b"a,b\n1,\x00\n",
        b"a,b\n1,\xff\xfe\n",
        b'a,b\n1,"open\n',
        b"a,b\n1," + b"x" * 200_000 + b"\n",
        b"a," * 10_001 + b"a\n",
        b"x" * (5 << 20),
        b'a,"\n"' * 2_000_000,
        b"PAR1" + b"\x00" * 100 + b"PAR1",
    ],
    ids=["empty", "ragged", "nul", "latin", "quote", "cell", "columns", "line", "row", "parquet"],
)
def test_what_is_no_table_is_an_error_without_an_excerpt(data):
    with pytest.raises(Invalid) as caught:
        rows(table(data))
    assert caught.value.kind == "table" and "xxx" not in str(caught.value)


def test_a_plain_text_is_no_table_where_two_columns_are_asked_for():
    with pytest.raises(Invalid, match="one column"):
        table("It is a text.\nOf two lines.\n", least_columns=2)


def test_parquet_gives_kinds_and_values():
    data = parquet({"n": [1, None, 3], "x": [0.5, 1.5, 2.5], "who": ["a", "b", "c"], "b": [b"1", b"", b"x"]})
    found = table(data)
    assert found.columns == (
        Column("n", "int"), Column("x", "float"), Column("who", "text"), Column("b", "binary"),
    )  # fmt: skip
    assert rows(found)[1] == (None, 1.5, "b", b"") and found.count() == 3


def test_a_damaged_parquet_page_is_an_error():
    data = bytearray(parquet({"n": list(range(1000))}, compression="NONE", use_dictionary=False))
    data[10:2000] = b"\xff" * 1990
    with pytest.raises(Invalid):
        rows(table(bytes(data)))


def test_memory_stays_bounded_on_a_large_stream():
    line = (b"x" * 3000 + b",12345,0.5\n") * 10
    chunks = itertools.chain([b"name,n,x\n"], itertools.repeat(line, 1500))
    tracemalloc.start()
    with seekable(chunks) as stream:
        found = open_table(stream)
        assert found.count() == 15_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20, "45 MB of text"


def test_without_the_library_parquet_is_refused_with_the_way_to_get_it(monkeypatch):
    data = parquet({"n": [1]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(NotFound) as caught:
        table(data)
    assert caught.value.kind == "no-library" and "placet[parquet]" in caught.value.mend
