"""What the checks read, as functions for the table of targets: whatever comes is a Finding or an error of ours.

A sandbox would contain more; `placet diff` and the scan of metadata have none around these parsers.
"""

import _compat_pickle
import bz2
import gzip
import io
import json
import lzma
import pickle
import tarfile
import zipfile
import zlib
from collections import OrderedDict
from functools import cache
from typing import Self

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from placet.checks import archives, joblibs, pickles, registry, tables, zips
from placet.checks.api import File, Finding
from placet.core import layout
from placet.core.digest import sha256_hex

LIMITS = archives.ArchiveOptions(entries=50, bytes=1 << 20, depth=2)
LISTING = dict.fromkeys(("results.json", "table.csv", "checksums/table.csv.txt"), "a" * 64)


def file(name: str, data: bytes) -> File:
    return File(name, len(data), sha256_hex(data), io.BytesIO(data), LISTING)


def read_look(check: str, data: bytes) -> object:
    """One check's look at a file whose suffix is the first line."""
    suffix, _, rest = data.partition(b"\n")
    name = suffix.decode("utf-8", "replace")
    loaded = registry.load(check)
    found = loaded.look(file(name if "." in name else f"a.{name}", rest), loaded.Options())
    assert isinstance(found, Finding)
    assert all(isinstance(one, int) and one >= 0 for one in found.facts.values())
    found.problem.encode()
    return found


def read_table(data: bytes) -> object:
    found = tables.open_table(io.BytesIO(data))
    rows = 0
    for batch in found.batches():
        assert len(batch.values) == len(found.columns)
        assert all(len(one) == batch.rows for one in batch.values)
        assert batch.first == rows + 1
        rows += batch.rows
    assert rows == found.count()
    return rows


def read_archive(data: bytes) -> object:
    names = []
    for member in archives.members(file("a.zip", data), LIMITS):
        assert layout.unsafe(member.name) is None
        names.append(member.name)
        member.stream.read(100)
    assert len(names) <= LIMITS.entries * (LIMITS.entries + 1)
    return names


def read_zip(data: bytes) -> object:
    stream = io.BytesIO(data)
    found = zips.entries(stream)
    for one in found:
        with zips.opened(stream, one, 1 << 20) as member:
            assert len(member.read()) <= 1 << 20
    return [one.filename for one in found]


def read_inflated(data: bytes) -> object:
    with zips.inflated(io.BytesIO(data), 1 << 20) as found:
        return None if found is None else found.read()


def read_array(data: bytes) -> object:
    if joblibs.holds_objects(io.BytesIO(data)):
        return "objects"
    if joblibs.is_whole(io.BytesIO(data)):
        return "whole"
    return "cut"


class Harmless:
    """Whatever a pickle makes, without anything that is done."""

    def __new__(cls, *_: object, **__: object) -> Self:
        return object.__new__(cls)

    def __call__(self, *_: object, **__: object) -> "Harmless":
        return self

    __setitem__ = append = extend = add = __setstate__ = __call__


class Recording(pickle._Unpickler):
    """Python's own loader, which remembers the names that it would import, and imports none."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        self.names: set[str] = set()

    def find_class(self, module: str, name: str) -> type[Harmless]:
        if self.proto < 3:
            module, name = _compat_pickle.NAME_MAPPING.get((module, name), (module, name))
            module = _compat_pickle.IMPORT_MAPPING.get(module, module)
        self.names.add(f"{module}.{name}")
        return type("Made", (Harmless,), {})


def read_pickle(data: bytes) -> object:
    """The reader knows every name that the loader would import, whatever the opcodes do before."""
    names = pickles.walk(io.BytesIO(data))
    loader = Recording(io.BytesIO(data))
    try:
        loader.load()
    except Exception:  # noqa: BLE001 - it fails as loaders do; what it called before counts
        pass
    assert loader.names <= names, f"the loader would import {sorted(loader.names - names)} too"
    return sorted(names)


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in (("a.csv", TABLE), ("sub/b.txt", b"text")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zipped(*entries: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def numpy(value: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, value)
    return out.getvalue()


def parquet() -> bytes:
    out = io.BytesIO()
    columns = {
        "group": ["old", "young", None],
        "n": [12, None, 30],
        "x": [0.5, 1.5, 2.5],
        "b": [b"1", b"", b"x"],
    }
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def dumped(value: object) -> bytes:
    out = io.BytesIO()
    joblib.dump(value, out)
    return out.getvalue()


def png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = (1).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0\0"))
        + chunk(b"IEND", b"")
    )


def safetensors() -> bytes:
    header = b'{"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}'
    return len(header).to_bytes(8, "little") + header + bytes(8)


TABLE = b"region,sex,n\nnorth,f,120\nsouth,m,85\n"
TABLES = (
    TABLE,
    TABLE.replace(b",", b";"),
    b'a,b\r\n"x, y","1\n2"\r\n',
    b"12,anna\n13,bert\n",
    b"\xef\xbb\xbfa\tb\n1\t2\n",
)
RESULTS = json.dumps({
    "version": "0.4.12",
    "results": {"output_0": {"status": "pass", "files": [{"name": "table.csv", "sdc": {}}], "exception": ""}},
}).encode()  # fmt: skip


@cache
def table_seeds() -> tuple[bytes, ...]:
    return (*TABLES, parquet())


@cache
def archive_seeds() -> tuple[bytes, ...]:
    inner = zipped(("a.csv", TABLE), ("sub/b.txt", b"text"))
    return inner, zipped(("in.zip", inner)), tarred(), gzip.compress(tarred(), mtime=0), bz2.compress(TABLE)


@cache
def compressed_seeds() -> tuple[bytes, ...]:
    return gzip.compress(TABLE, mtime=0), bz2.compress(TABLE), lzma.compress(TABLE), zlib.compress(TABLE)


@cache
def array_seeds() -> tuple[bytes, ...]:
    values = np.array([1, "a"], dtype=object)
    return numpy(np.ones((3, 2))), numpy(np.array(["a", "bc"])), numpy(values), numpy(np.zeros(2, "i4,f8"))


@cache
def pickle_seeds() -> tuple[bytes, ...]:
    value = {"a": [1, 2.5, "x", None, (1, b"y")], "d": OrderedDict(a={1, 2}), "n": np.float64(1.5)}
    return (
        *(pickle.dumps(value, protocol) for protocol in (0, 2, 4, 5)),
        b"(S'id'\nios\nsystem\n.",
        b"(cos\nsystem\nS'id'\no.",
        b"\x80\x04\x8c\x02os\x94\x8c\x06system\x940h\x00h\x01\x93\x8c\x02id\x85R.",
        b"\x80\x02c__builtin__\neval\n(S'1'\ntR}(U\x01ai\x01u0.",
        dumped({"w": np.ones((2, 2)), "o": np.array([None, "a"], dtype=object)}),
    )


def named(**seeds: bytes) -> tuple[bytes, ...]:
    """Seeds with their suffix as first line."""
    return tuple(f"{name.rstrip('_')}\n".encode() + data for name, data in seeds.items())


@cache
def look_seeds() -> tuple[bytes, ...]:
    """One real file of each type."""
    workbook = zipped(
        ("[Content_Types].xml", b"<Types/>"), ("xl/workbook.xml", b"<workbook><f>1</f></workbook>")
    )
    return (
        *named(
            csv=TABLE, json=b'{"auc": 0.91, "n": [{"a": 1}, {"a": 2}]}', jsonl=b'{"a": 1}\n{"a": 2}\n',
            txt=b"# A model\n" + TABLE * 3, parquet=parquet(), pkl=pickle_seeds()[2], joblib=dumped(np.ones(3)),
            pdf=b"%PDF-1.4\n1 0 obj <<>> endobj\ntrailer <<>>\n%%EOF\n", png=png(), npy=array_seeds()[0],
            npz=zipped(("a.npy", array_seeds()[2])), safetensors=safetensors(), xlsx=workbook, gz=compressed_seeds()[0],
            zip=archive_seeds()[1], tar=tarred(),
        ),
        b"results.json\n" + RESULTS,
        b"checksums/table.csv.txt\n" + b"a" * 64,
    )  # fmt: skip
