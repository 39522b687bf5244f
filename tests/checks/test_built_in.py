"""Each built-in check: what it must find, and the everyday files that it must let pass."""

import gzip
import io
import json
import pickle
import tarfile
import zipfile
import zlib

import numpy as np
import pandas as pd
import pytest
from stdnum.nl import bsn

from checks.conftest import file, look
from placet.checks import archives, registry
from placet.core.digest import sha256_hex
from placet.errors import Invalid, Refused

AGGREGATE = "region,sex,n,mean_age\nnorth,f,120,54.2\nnorth,m,98,51.0\nsouth,f,77,56.3\nsouth,m,85,52.4\n"
PATIENTS = "patient_id,age,bmi\n" + "".join(
    f"{1000 + one},{40 + one % 30},{22 + one % 7}.5\n" for one in range(80)
)


def parquet(text):
    out = io.BytesIO()
    pd.read_csv(io.StringIO(text)).to_parquet(out)
    return out.getvalue()


def zipped(*entries, **kwargs):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, **kwargs) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return out.getvalue()


def tarred(*infos):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for info, data in infos:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def chunk(kind, data):
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def picture():
    head = (1).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\x00\x00"))
        + chunk(b"IEND", b"")
    )


def safetensors(extra=b""):
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    return len(header).to_bytes(8, "little") + header + b"\x00" * 8 + extra


def array(values):
    out = io.BytesIO()
    np.save(out, values)
    return out.getvalue()


def workbook(**parts):
    out = io.BytesIO()
    entries = {"[Content_Types].xml": "<Types/>", "xl/workbook.xml": "<workbook/>", **parts}
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in entries.items():
            archive.writestr(name, text)
    return out.getvalue()


GOOD = {
    "a.csv": AGGREGATE.encode(),
    "semicolons.csv": AGGREGATE.replace(",", ";").encode(),
    "b.parquet": parquet(AGGREGATE),
    "c.json": b'{"auc": 0.91, "n": [120, 98]}',
    "d.jsonl": b'{"a": 1}\n{"a": 2}\n',
    "e.md": "# Ein Modell für Diabetes\n".encode(),
    "f.png": picture(),
    "g.pdf": b"%PDF-1.4\n1 0 obj <<>> endobj\ntrailer <<>>\n%%EOF\n",
    "h.safetensors": safetensors(),
    "i.zip": zipped(("a.csv", AGGREGATE)),
    "j.xlsx": workbook(),
    "l.npy": array(np.ones((3, 4))),
    "m.npy": array(np.array(["a", "bc"])),
    "k.csv.gz": gzip.compress(AGGREGATE.encode()),
}
PICKLE_0 = b"cos\nsystem\n(S'id'\ntR."
LIES = {
    "pickle.csv": pickle.dumps({"a": 1}),
    "pickle0.csv": PICKLE_0,
    "pickle0.txt": PICKLE_0,
    "zip.csv": zipped(("a", b"b")),
    "exe.csv": b"MZ\x90\x00" + b"\x00" * 100,
    "elf.txt": b"\x7fELF" + b"\x00" * 100,
    "html.txt": b"<html><script>alert(1)</script></html>",
    "html.csv": b"<html>,b\n1,2\n",
    "script.txt": b"#!/bin/sh\nid\n",
    "pdf.txt": b"%PDF-1.4\nx\n",
    "rtf.txt": b"{\\rtf1 x}",
    "utf16.csv": AGGREGATE.encode("utf-16"),
    "ragged.csv": b"a,b\n1,2\n3\n",
    "escape.txt": b"hello \x1b]0;x\x07",
    "csv.parquet": AGGREGATE.encode(),
    "cut.parquet": parquet(AGGREGATE)[:-20],
    "behind.png": picture() + b"PK\x03\x04",
    "bent.png": picture().replace(b"IDAT", b"IDAX"),
    "zip.png": zipped(("a", b"b")),
    "behind.pdf": GOOD["g.pdf"] + b"PK\x03\x04 and more",
    "script.pdf": GOOD["g.pdf"].replace(b"<<>>", b"<</OpenAction<</JavaScript(x)>> >>"),
    "zip.pdf": zipped(("a", b"b")),
    "behind.safetensors": safetensors(b"more"),
    "before.zip": b"#!/bin/sh\n" + zipped(("a", b"b")),
    "csv.zip": AGGREGATE.encode(),
    "no.xlsx": zipped(("a", b"b")),
    "bad.json": b'{"a": 1,}',
    "csv.npy": AGGREGATE.encode(),
    "text.pkl": b"hello world",
    "behind.npy": array(np.ones(3)) + b"more",
    "cut.npy": array(np.ones(3))[:-1],
    "two.pkl": b"N.N.",
}


@pytest.mark.parametrize("name", GOOD)
def test_type_lets_pass_what_is_what_it_says(name):
    assert look("type", name, GOOD[name]).problem == ""


@pytest.mark.parametrize("name", LIES)
def test_type_refuses_a_content_that_lies(name):
    assert look("type", name, LIES[name]).problem.startswith("its content is not ")


def test_type_refuses_what_is_not_allowed_or_not_known():
    assert "not allowed" in look("type", "a.csv", GOOD["a.csv"], allow=("parquet",)).problem
    assert "no type" in look("type", "a.exe", b"MZ", allow=("csv",)).problem
    assert look("type", "a.exe", b"MZ", allow=("any",)).problem == ""


SECRETS = {
    "aws": "key,value\nx,AKIAIOSFODNN7EXAMPL2\n",
    "private": "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n",
    "github": "token ghp_" + "a1B2" * 9,
    "url": "postgres://user:hunter22secret@db.example.org/x",
    "password": 'password = "correct-horse-battery"\n',
    "slack": "xox" + "b-123456789012-123456789012-abcdefghijklmnopqrstuvwx",
    "jwt": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_secrets_are_found_in_texts_tables_and_compressed_columns(kind):
    found = look("secrets", "a.txt", SECRETS[kind].encode())
    assert found.problem.startswith("it holds a secret: ")
    assert not any(word in found.problem for word in ("AKIA", "ghp_", "hunter", "horse", "xox", "eyJ"))
    table = pd.DataFrame({"text": ["harmless"] * 50 + [SECRETS[kind]]})
    out = io.BytesIO()
    table.to_parquet(out, compression="zstd")
    assert look("secrets", "a.parquet", out.getvalue()).problem


def test_secrets_are_found_across_the_edge_of_a_window():
    for place in range(65_520, 65_540, 3):
        data = b"x" * place + b" AKIAIOSFODNN7EXAMPL2 " + b"x" * 100
        assert look("secrets", "a.bin", data).problem


def test_secrets_lets_results_pass_and_takes_options():
    for name in ("a.csv", "b.parquet", "c.json", "f.png"):
        assert look("secrets", name, GOOD[name]).problem == ""
    digests = "".join(f"{sha256_hex(bytes([one]))}\n" for one in range(100))
    assert look("secrets", "digests.txt", digests.encode()).problem == ""
    assert look("secrets", "a.txt", SECRETS["aws"].encode(), skip=("aws",)).problem == ""
    assert look("secrets", "a.txt", SECRETS["password"].encode(), keywords=False).problem == ""
    assert look("secrets", "a.txt", b"x", skip=("awss",)).problem


def test_small_counts_in_csv_and_parquet():
    small = AGGREGATE.replace("77", "7")
    for name, data in (("a.csv", small.encode()), ("a.parquet", parquet(small))):
        found = look("counts", name, data)
        assert found.problem == "1 counts are below 10, the first in row 3, column 3"
        assert found.facts["small"] == 1 and found.facts["count_cells"] == 4
        assert look("counts", name, data, least=7).problem == ""
    assert look("counts", "a.csv", AGGREGATE.encode()).problem == ""
    assert look("counts", "a.csv", AGGREGATE.replace("77", "0").encode()).problem == ""
    assert look("counts", "a.csv", AGGREGATE.replace("77", "0").encode(), zero=False).problem
    assert look("counts", "a.csv", AGGREGATE.replace("77", "<10").encode()).problem == ""
    assert look("counts", "a.csv", AGGREGATE.replace("77", "*").encode()).problem == ""
    assert look("counts", "a.csv", AGGREGATE.replace("77", "-7").encode()).problem
    assert look("counts", "a.csv", AGGREGATE.replace("77", "many").encode()).problem
    assert look("counts", "a.csv", AGGREGATE.replace("77", '"1,077"').encode()).problem == ""


@pytest.mark.parametrize(
    "name", ["n", "N_patients", "Anzahl", "nombre", "numberOfCases", "count.total", "antal"]
)
def test_columns_of_counts_are_known_by_name(name):
    assert look("counts", "a.csv", f"region,{name}\nnorth,3\n".encode()).problem


def test_a_table_whose_counts_are_not_known_is_refused():
    table = b"region,weird\nnorth,3\n"
    assert "no column is known as a count" in look("counts", "a.csv", table).problem
    assert look("counts", "a.csv", table, columns=("we*",)).problem.startswith("1 counts")
    assert look("counts", "a.csv", table, columns=("missing",)).problem
    assert look("counts", "a.csv", table, optional=True).problem == ""


@pytest.mark.parametrize(
    "name",
    ["Nachname", "first_name", "lastName", "DOB", "Geburtsdatum", "date of birth", "e-mail", "Email", "telefon",
     "nhs_number", "prénom", "date_naissance", "apellidos", "codice fiscale", "personnummer", "PLZ", "postcode",
     "SSN", "MRN", "geboortedatum", "patient name"],
)  # fmt: skip
def test_identifiers_by_the_name_of_a_column(name):
    for suffix, data in (
        ("csv", f"{name},x\na,1\nb,2\n".encode()),
        ("parquet", parquet(f"{name},x\na,1\nb,2\n")),
    ):
        assert (
            look("identifiers", f"a.{suffix}", data).problem == "column 1 is called as one that names people"
        )
    assert look("identifiers", "a.csv", f"{name},x\na,1\n".encode(), allow=(name,)).problem == ""


def nhs(number):
    digits = f"{number:09}"
    check = 11 - sum(int(digit) * (10 - place) for place, digit in enumerate(digits)) % 11
    return None if check == 10 else digits + str(0 if check == 11 else check)


NHS = [one for one in map(nhs, range(943_476_591, 943_476_611)) if one][:12]
VALUES = {
    "e-mail address": ["anna.schmidt@klinik.example"],
    "telephone number": ["+49 170 1234567"],
    "IBAN": ["DE89 3704 0044 0532 0130 00"],
    "US social security number": ["536-90-4399"],
    "NHS number": NHS,
    "Dutch citizen number": [one for one in map(str, range(111_222_000, 111_222_999)) if bsn.is_valid(one)][
        :9
    ],
}


@pytest.mark.parametrize("kind", VALUES)
def test_identifiers_by_value_and_never_the_value(kind):
    text = "x,y\n" + "".join(f"{value},1\n" for value in VALUES[kind])
    found = look("identifiers", "a.csv", text.encode())
    assert kind in found.problem and not any(value in found.problem for value in VALUES[kind])
    assert look("identifiers", "a.parquet", parquet(text)).problem


def test_identifiers_in_texts_and_in_headers():
    assert look("identifiers", "a.txt", b"Contact anna@klinik.example for more").problem
    assert look("identifiers", "a.json", b'{"owner": "anna@klinik.example"}').problem
    assert look("identifiers", "a.csv", b"anna@klinik.example,b\nx,y\n").problem


def test_identifiers_lets_results_pass():
    for name in ("a.csv", "b.parquet", "c.json", "e.md"):
        assert look("identifiers", name, GOOD[name]).problem == ""
    rng = np.random.default_rng(0)
    rows = "".join(
        f"{a},{b}\n" for a, b in zip(rng.integers(10**9, 10**10, 200), rng.normal(size=200), strict=True)
    )
    assert look("identifiers", "a.csv", f"total,x\n{rows}".encode()).problem == ""


def test_a_row_level_table_of_patients_is_refused():
    for name, data in (("a.csv", PATIENTS.encode()), ("a.parquet", parquet(PATIENTS))):
        assert look("rows", name, data).problem == "column 1 names one person a row: a row-level table"
    other = PATIENTS.replace("patient_id", "k")
    assert "never repeats" in look("rows", "a.csv", other.encode()).problem
    hidden = "".join(f"{line}\n" for line in PATIENTS.splitlines()[1:])
    assert "never repeats" in look("rows", "a.csv", hidden.encode()).problem, "without a header"
    for name in ("", "no", "k"):
        counted = f"{name},age,sex\n" + "".join(f"{n},{20 + n % 70},{n % 2}\n" for n in range(200))
        assert "never repeats" in look("rows", "a.csv", counted.encode()).problem, "numbered from 0"
    few = "\n".join(PATIENTS.splitlines()[:8])
    assert look("rows", "a.csv", few.encode()).problem
    records = json.dumps([{"age": one} for one in range(60)])
    assert look("rows", "a.json", records.encode()).problem
    assert look("rows", "a.jsonl", b'{"age": 1}\n' * 60).problem
    assert look("rows", "a.xlsx", workbook()).problem
    assert (
        look("rows", "a.txt", PATIENTS.encode()).problem == look("rows", "a.csv", PATIENTS.encode()).problem
    )
    assert "separators" in look("rows", "a.md", f"Patients of our ward\n\n{PATIENTS}".encode()).problem


def test_results_are_not_taken_for_people():
    assert look("rows", "a.csv", AGGREGATE.encode()).facts == {"rows": 4, "columns": 4, "tables": 1}
    curve = "threshold,tpr\n" + "".join(f"0.{one:03},0.{999 - one:03}\n" for one in range(300))
    assert look("rows", "a.csv", curve.encode()).problem == ""
    assert look("rows", "a.parquet", parquet(curve)).problem == ""
    assert look("rows", "a.json", GOOD["c.json"]).problem == ""
    prose = "We looked at age, sex and weight.\n" * 20 + "Nothing more, as said.\n" * 60
    assert look("rows", "a.md", prose.encode()).problem == ""
    pyramid = "age,n\n" + "".join(f"{age},{1000 - age}\n" for age in range(100))
    assert look("rows", "a.csv", pyramid.encode()).problem == ""
    genes = "gene,effect\n" + "".join(f"G{number * number},0.5\n" for number in range(100))
    assert look("rows", "a.csv", genes.encode()).problem
    assert look("rows", "a.csv", genes.encode(), unique=200).problem == ""


def test_the_limit_on_rows_counts_all_tables_of_an_artifact():
    check = registry.load("rows")
    options = registry.read_options("rows", check, {"most": 10})
    assert check.conclude({"rows": 10}, options) == ""
    assert check.conclude({"rows": 11}, options) == "11 rows; the rule allows 10"


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3+cmd", "\t=1", " =1", '"=1+1"', "a;=1", "\uff1d1"],
)
def test_formulas_are_found_in_any_cell_and_by_any_separator(cell):
    text = f'name,x\n"{cell.replace(chr(34), chr(34) * 2)}",1\n'
    assert "formula" in look("formulas", "a.csv", text.encode()).problem
    assert (
        "formula"
        in look("formulas", "a.csv", f'"{cell.replace(chr(34), chr(34) * 2)}",x\na,1\n'.encode()).problem
    )


def test_formulas_lets_numbers_and_texts_pass():
    text = b'name,x\n-1.5,+2\n"-3,4",1e5\na-b,a=b\n-,1\n'
    assert look("formulas", "a.csv", text).problem == ""
    assert look("formulas", "a.xlsx", workbook()).problem == ""
    assert look("formulas", "b.parquet", GOOD["b.parquet"]).problem == ""


@pytest.mark.parametrize(
    "data",
    [
        workbook(**{"xl/vbaProject.bin": "x"}),
        workbook(**{"xl/worksheets/sheet1.xml": "<c><f>1+1</f></c>"}),
        workbook(**{"xl/externalLinks/a.xml": "x"}),
        workbook(**{"xl/embeddings/oleObject1.bin": "x"}),
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600,
    ],
    ids=["macro", "formula", "link", "object", "old"],
)
def test_office_files_that_run_something_are_refused_whatever_they_are_called(data):
    assert look("formulas", "a.xlsx", data).problem and look("formulas", "a.csv", data).problem


def info(name, kind=tarfile.REGTYPE, link=""):
    out = tarfile.TarInfo(name)
    out.type, out.linkname = kind, link
    return out


def nested(depth):
    data = zipped(("a.txt", b"x"))
    for _ in range(depth):
        data = zipped(("inner.zip", data))
    return data


BAD_ARCHIVES = {
    "traversal.zip": zipped(("../../etc/passwd", b"x")),
    "absolute.zip": zipped(("/etc/passwd", b"x")),
    "git.zip": zipped((".git/config", b"x")),
    "clash.zip": zipped(("a", b"x"), ("A", b"y")),
    "bomb.zip": zipped(("a", b"\x00" * (8 << 20))),
    "bomb.gz": gzip.compress(b"\x00" * (8 << 20)),
    "traversal.tar": tarred((info("../x"), b"x")),
    "link.tar": tarred((info("a", tarfile.SYMTYPE, "/etc/passwd"), b"")),
    "hard.tar": tarred((info("a", tarfile.LNKTYPE, "/etc/passwd"), b"")),
    "device.tar": tarred((info("a", tarfile.CHRTYPE), b"")),
    "nested.zip": nested(2),
    "cut.gz": gzip.compress(b"x" * 1000)[:-10],
    "cut.zip": zipped(("a", b"x" * 1000))[:-30],
    "before.zip": b"x" + zipped(("a", b"b")),
    "behind.zip": zipped(("a", b"b")) + b"x",
    "text.tar": b"hello",
}


@pytest.mark.parametrize("name", BAD_ARCHIVES)
def test_archives_beyond_the_limits_are_not_opened(name):
    assert look("archives", name, BAD_ARCHIVES[name]).problem


def test_archives_within_the_limits_are_counted():
    both = (info("a/b.csv"), AGGREGATE.encode()), (info("c.txt"), b"x")
    for name, data in (("a.zip", zipped(("a/b.csv", AGGREGATE), ("c.txt", b"x"))), ("a.tar", tarred(*both)),
                       ("a.tgz", gzip.compress(tarred(*both)))):  # fmt: skip
        found = look("archives", name, data)
        assert (found.problem, found.facts["members"]) == ("", 2), name
    assert look("archives", "a.csv.gz", GOOD["k.csv.gz"]).facts["members"] == 1
    assert look("archives", "a.zip", nested(1), depth=2).problem == ""
    assert look("archives", "a.zip", zipped(*((str(one), b"") for one in range(9))), entries=8).problem
    assert look("archives", "a.csv", GOOD["a.csv"]).facts == {}


def test_a_lying_size_in_a_zip_is_found():
    data = bytearray(zipped(("a", b"x" * 100_000)))
    place = data.rindex(b"PK\x01\x02") + 24
    data[place : place + 4] = (10).to_bytes(4, "little")
    with pytest.raises(Invalid):
        list(archives.members(file("a.zip", bytes(data)), archives.ArchiveOptions()))


def results(status="pass", exception="", name="table.csv"):
    outputs = {"output_0": {"uid": "output_0", "status": status, "type": "table", "properties": {},
                            "files": [{"name": name, "sdc": {}}], "outcome": {}, "command": "crosstab()",
                            "summary": status, "timestamp": "2026-11-24", "comments": [],
                            "exception": exception, "fair": {}}}  # fmt: skip
    return json.dumps({"version": "0.4.12", "tool": {}, "results": outputs}).encode()


def acro(verdict=None, table=b"a,b\n1,2\n", checksum=None, extra=None, **options):
    verdict = results() if verdict is None else verdict
    checksum = sha256_hex(table) if checksum is None else checksum
    files = {"results.json": verdict, "table.csv": table, "config.json": b"{}",
             "checksums/table.csv.txt": checksum.encode(), **(extra or {})}  # fmt: skip
    listing = {name: sha256_hex(data) for name, data in files.items()}
    found = [look("sacro", name, data, listing, **options) for name, data in files.items()]
    return next((one.problem for one in found if one.problem), ""), found[0].facts


def test_sacro_reads_the_verdicts_and_compares_the_checksums():
    assert acro() == ("", {"outputs": 1, "passed": 1, "to_review": 0, "failed": 0})
    assert acro(results("fail"))[0] == "ACRO failed output 1"
    assert acro(results("fail", "agreed with the owner"))[0]
    assert acro(results("fail", "agreed with the owner"), exceptions=True)[0] == ""
    assert acro(results("review"))[0] == "" and acro(results("review"), review=False)[0]
    assert "checksum" in acro(checksum="0" * 64)[0]
    assert "does not name" in acro(extra={"smuggled.csv": b"x"})[0]
    assert "not in the artifact" in acro(results(name="other.csv"))[0]
    assert "not as ACRO" in acro(b'{"results": {"o": {"status": "great"}}}')[0]
    assert look("sacro", "other/a.csv", b"x", {"other/a.csv": ""}).problem == ""


def test_sacro_can_be_required():
    check = registry.load("sacro")
    required = registry.read_options("sacro", check, {"required": True})
    assert check.conclude({}, required) and not check.conclude({"outputs": 1}, required)


@pytest.mark.parametrize("name", registry.BUILT_IN)
def test_every_built_in_check_has_a_tool_and_refuses_unknown_options(name):
    check = registry.load(name)
    assert check.api == 1 and check.tool
    with pytest.raises(Refused) as caught:
        registry.read_options(name, check, {"nonsense": True})
    assert caught.value.kind == "check-options"
