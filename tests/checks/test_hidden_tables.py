"""Tables of people in other forms than one row each, and results of innocent form that must pass."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from checks.conftest import look
from placet.errors import Invalid

NAMES = [f"{name}-{number * number % 997}" for number, name in enumerate(["Smith", "Rossi", "Novak"] * 40)]
BORN = [f"19{30 + number % 60}-0{1 + number % 9}-1{number % 7}" for number in range(120)]
PEOPLE = [{"who": name, "born": born} for name, born in zip(NAMES, BORN, strict=True)]


def parquet(**columns):
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


FORMS = {
    "columns": {key: {str(n): one[key] for n, one in enumerate(PEOPLE)} for key in ("who", "born")},
    "index": {str(n): one for n, one in enumerate(PEOPLE)},
    "list": {key: [one[key] for one in PEOPLE] for key in ("who", "born")},
    "pieces": {str(n): PEOPLE[n : n + 40] for n in range(0, 120, 40)},
    "split": {"columns": ["who", "born"], "data": [list(one.values()) for one in PEOPLE]},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_table_in_json_is_counted(form):
    assert "row-level" in look("rows", "a.json", json.dumps(FORMS[form]).encode()).problem


@pytest.mark.parametrize("values", [["1.5"] + [str(10_000 + n * n) for n in range(99)], NAMES])
def test_one_fraction_makes_no_column_a_measure(values):
    table = "ref,n\n" + "".join(f"{one},100\n" for one in values)
    assert "never repeats" in look("rows", "a.csv", table.encode()).problem


def test_whole_numbers_with_a_point_are_no_measure():
    assert (
        "never repeats"
        in look("rows", "a.csv", ("a,n\n" + "".join(f"{n * n}.0,9\n" for n in range(60))).encode()).problem
    )
    assert "never repeats" in look("rows", "a.parquet", parquet(a=[float(n * n) for n in range(60)])).problem


def test_a_table_on_its_side_and_a_padded_one_are_row_level():
    side = f"var,{','.join(f'c{n}' for n in range(120))}\nwho,{','.join(NAMES)}\n"
    assert "on its side" in look("rows", "a.csv", side.encode()).problem
    padded = "".join(f"{number:<5} {one['who']:15}  {one['born']}\n" for number, one in enumerate(PEOPLE))
    assert "row-level" in look("rows", "a.txt", padded.encode()).problem


@pytest.mark.parametrize("column", [[PEOPLE], [b"Smith"], [{"who": NAMES}]])
def test_nested_and_binary_columns_of_parquet_are_refused(column):
    assert "nested or binary" in look("rows", "a.parquet", parquet(n=[100], x=column)).problem


INNOCENT = {
    "replicates.csv": "replicate,auc\n" + "".join(f"{n},0.{8000 + n}\n" for n in range(200)),
    "weeks.csv": "week,n\n" + "".join(f"{2020 + n // 52}-01-{1 + n % 28:02d},10\n" for n in range(28)),
    "months.csv": "month,n\n"
    + "".join(f"{2015 + n // 12}-{1 + n % 12:02d},{100 + n * n}\n" for n in range(96)),
    "days.csv": "day,cases\n" + "".join(f"2024-0{1 + n // 28}-{1 + n % 28:02d},12\n" for n in range(28)),
    "totals.csv": "year,sex,n\n"
    + "".join(f"{2000 + n // 2},{'fm'[n % 2]},{1000 + n * n}\n" for n in range(60)),
    "roc.json": json.dumps({"fpr": [n / 301 for n in range(100)], "epochs": list(range(100))}),
    "metrics.json": json.dumps({"auc": 0.81, "ci": [0.79, 0.83], "folds": [{"auc": 0.8}] * 10}),
}


@pytest.mark.parametrize("name", INNOCENT)
def test_what_counts_up_measures_or_totals_is_no_table_of_people(name):
    assert look("rows", name, INNOCENT[name].encode()).problem == ""


def test_a_null_column_of_parquet_is_not_nested():
    assert look("rows", "a.parquet", parquet(a=pa.nulls(3), n=[10, 20, 30])).problem == ""


@pytest.mark.parametrize("cell", ["<3", "≤ 2", "1.000", "3.000"])
def test_small_counts_in_other_words_are_small(cell):
    assert "below 10" in look("counts", "a.csv", f"region,n\na,{cell}\nb,20\n".encode()).problem


@pytest.mark.parametrize("table", ["region,n\na,<10\n", "region;n\na;1.000\n", 'region,n\na,"1,000"\n'])
def test_suppressed_and_parted_counts_pass(table):
    assert look("counts", "a.csv", table.encode()).problem == ""


@pytest.mark.parametrize("cell", ["\u3000=1", "\u2007@x", "\ufeff=1", "\u200b=1", "-1+cmd|x", "-1 to A1"])
def test_formulas_behind_blanks_are_found(cell):
    assert "formula" in look("formulas", "a.csv", f"a,n\n{cell},1\n".encode()).problem


@pytest.mark.parametrize("cell", ['"-0.12 (-0.30, 0.05)"', "-2.1***", "-0.3 to 0.2", "-1.5e-3"])
def test_estimates_with_their_intervals_are_no_formulas(cell):
    assert look("formulas", "a.csv", f"a,n\n{cell},1\n".encode()).problem == ""


def test_a_row_that_tells_a_spreadsheet_another_separator_is_refused():
    with pytest.raises(Invalid) as caught:
        look("formulas", "a.csv", b"sep=^\na^=1\n")
    assert "another separator" in caught.value.why
