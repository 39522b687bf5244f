"""`type`: the content is what the suffix says, whole, nothing before or after it, and the rule allows it."""

from __future__ import annotations

import contextlib
import io
import re
import zlib
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import IO

import msgspec
import puremagic

from placet.checks import joblibs, pickles, zips
from placet.checks.api import Check, File, Finding, Options
from placet.checks.tables import Table, lines, open_table
from placet.core.guards import guard
from placet.core.policy import FileType
from placet.errors import Invalid, PlacetError

SUFFIXES: Mapping[str, FileType] = {
    "csv": "csv", "tsv": "csv",
    "json": "json", "jsonl": "json", "ndjson": "json",
    "log": "text", "md": "text", "txt": "text",
    "parquet": "parquet", "pq": "parquet",
    "joblib": "pickle", "pickle": "pickle", "pkl": "pickle",
    "pdf": "pdf", "png": "png",
    "npy": "numpy", "npz": "numpy", "safetensors": "safetensors", "xlsx": "xlsx",
    "bz2": "archive", "gz": "archive", "tar": "archive", "tgz": "archive", "xz": "archive", "zip": "archive",
}  # fmt: skip
MAX_JSON = 256 << 20
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_MARKUP = re.compile(r"\s*(<[!?a-zA-Z]|#!|%!PS|%PDF|\{\\rtf)")
_ACTIVE = re.compile(
    rb"/(JavaScript|Launch|EmbeddedFile|OpenAction|RichMedia|(JS|AA|XFA)\s*([<(\[]|\d+ \d+ R))"
)
_HEX = re.compile(rb"#([0-9a-fA-F]{2})")
_CHUNKS = frozenset(
    b"IHDR PLTE IDAT IEND tRNS cHRM gAMA iCCP sBIT sRGB bKGD hIST pHYs sPLT tIME tEXt iTXt eXIf cICP".split()
)
_TEXTS = frozenset({b"tEXt", b"iTXt", b"eXIf"})
_MOST_WORDS = 16_384
"""Bytes beside the pixels (palette, profile); those of texts (the program's name) count sixteen times."""
_MOST_METADATA = 4096
_PNG = b"\x89PNG\r\n\x1a\n"
_LEAST_MAGIC = 4
_LEAST_ROWS = 5


def table_of(file: File) -> Table | None:
    """The table that a file is: CSV and Parquet by suffix, any text that reads as one; None if it is none.

    Raises:
        Invalid: kind `table`: it says that it is one and cannot be read.
    """
    kind = SUFFIXES.get(file.suffix)
    if kind in {"csv", "parquet"}:
        return open_table(file.stream)
    if kind == "text":
        with contextlib.suppress(Invalid):
            table = open_table(file.stream, least_columns=2)
            return table if table.count() >= _LEAST_ROWS else None
    return None


class _Tensor(msgspec.Struct):
    data_offsets: tuple[int, int]


class TypeOptions(Options, frozen=True, kw_only=True):
    """`allow`: the types of `limits.types`, which sets it."""

    allow: tuple[FileType, ...] = ("any",)


class Type(Check):
    """Declared by suffix, proven by content."""

    api = 1
    tool = f"placet; puremagic {version('puremagic')}"
    Options = TypeOptions

    @guard(31)
    def look(self, file: File, options: TypeOptions) -> Finding:
        """Parse the file as what it says it is."""
        declared = SUFFIXES.get(file.suffix)
        if declared is None:
            known = "any" in options.allow
            return Finding("" if known else "its suffix names no type that this check knows")
        if declared not in options.allow and "any" not in options.allow:
            return Finding(f"the type {declared} is not allowed here")
        try:
            problem = PARSERS[declared](file)
        except (PlacetError, ValueError, EOFError, OSError, zlib.error) as error:
            problem = error.why if isinstance(error, PlacetError) else type(error).__name__
        return Finding(f"its content is not {declared}: {problem}" if problem else "")


def _csv(file: File) -> str:
    problem = _text(file)
    if not problem:
        open_table(file.stream).count()
    return problem


def _text(file: File) -> str:
    """UTF-8 without control characters that is no program, markup or pickle."""
    head = ""
    for line in lines(file.stream):
        head = head if len(head) > 1 << 16 else head + line
        if _CONTROL.search(line):
            return "it holds control characters"
    if _MARKUP.match(head):
        return "it begins as another format"
    if pickles.looks_like_text_pickle(head.encode()):
        return "it is a pickle"
    if _foreign(file.stream):
        return "it begins as another format"
    return ""


def _foreign(stream: IO[bytes]) -> bool:
    stream.seek(0)
    try:
        guesses = puremagic.magic_string(stream.read(1 << 12))
    except (puremagic.PureError, ValueError):
        return False
    return any(len(one.byte_match) >= _LEAST_MAGIC and one.offset == 0 for one in guesses)


def _json(file: File) -> str:
    problem = _text(file)
    if problem:
        return problem
    file.stream.seek(0)
    if file.suffix != "json":
        for line in lines(file.stream):
            if line.strip():
                msgspec.json.decode(line, type=msgspec.Raw)
        return ""
    data = file.stream.read(MAX_JSON + 1)
    if len(data) > MAX_JSON:
        return f"it is larger than {MAX_JSON} bytes and cannot be parsed here"
    msgspec.json.decode(data, type=msgspec.Raw)
    return ""


def _parquet(file: File) -> str:
    file.stream.seek(-4, io.SEEK_END)
    if file.stream.read(4) != b"PAR1":
        return "it does not end as Parquet"
    table = open_table(file.stream)
    if table.form != "parquet":
        return "it does not begin as Parquet"
    for _ in table.batches():
        pass
    return ""


def _png(file: File) -> str:
    """The chunks of the standard with their checksums, little text, and nothing after the last."""
    stream = file.stream
    if stream.read(8) != _PNG:
        return "it does not begin as PNG"
    kind, seen, words = b"", set[bytes](), 0
    while kind != b"IEND":
        head = stream.read(8)
        size, kind = int.from_bytes(head[:4], "big"), head[4:]
        seen.add(kind)
        words += 0 if kind == b"IDAT" else size * 16 if kind in _TEXTS else size
        if kind not in _CHUNKS or words > _MOST_WORDS:
            return "it carries more than an image"
        crc = zlib.crc32(kind)
        while size:
            block = stream.read(min(size, 1 << 16))
            if not block:
                return "it is cut"
            crc, size = zlib.crc32(block, crc), size - len(block)
        if stream.read(4) != crc.to_bytes(4, "big"):
            return "a checksum is wrong"
    if not {b"IHDR", b"IDAT"} <= seen:
        return "it holds no image"
    return "something follows its end" if stream.read(1) else ""


def _pdf(file: File) -> str:
    """Begins and ends as PDF; no scripts, actions or attachments by their plain names."""
    stream = file.stream
    tail = b""
    first = True
    while block := stream.read(1 << 16):
        if first and not block.startswith(b"%PDF-"):
            return "it does not begin as PDF"
        first = False
        tail = tail[-64:] + block
        if _ACTIVE.search(_HEX.sub(lambda one: bytes([int(one[1], 16)]), tail)):
            return "it holds a script, an action or an attachment"
    return "" if re.search(rb"%%EOF\s*\Z", tail) else "something follows its end, or it is cut"


def _safetensors(file: File) -> str:
    """https://github.com/huggingface/safetensors: a header, then exactly its tensors."""
    size = int.from_bytes(file.stream.read(8), "little")
    if size > min(100 << 20, file.size - 8):
        return "its header is damaged"
    text = file.stream.read(size)
    header = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    if len(header.pop("__metadata__", b"")) > _MOST_METADATA:
        return f"its metadata are longer than {_MOST_METADATA} characters"
    end = 0
    for begin, stop in sorted(_offsets(header)):
        if begin != end or stop < begin:
            return "its tensors have gaps or overlap"
        end = stop
    return "" if 8 + size + end == file.size else "something follows its end, or it is cut"


def _offsets(header: dict[str, msgspec.Raw]) -> list[tuple[int, int]]:
    return [msgspec.json.decode(one, type=_Tensor).data_offsets for one in header.values()]


def _numpy(file: File) -> str:
    head = file.stream.read(6)
    if file.suffix == "npz":
        return zips.problem(file.stream) or _arrays(file.stream)
    if head != b"\x93NUMPY":
        return "it does not begin as an array of numpy"
    return "" if joblibs.is_whole(file.stream) else "something follows its end, or it is cut"


def _arrays(stream: IO[bytes]) -> str:
    for info in zips.entries(stream):
        if not info.filename.endswith(".npy"):
            return "it holds something else than arrays"
        with zips.opened(stream, info, pickles.room(stream)) as member:
            problem = _numpy(File(info.filename, info.file_size, "", member))
        if problem:
            return f"one of its arrays: {problem}"
    return ""


def _xlsx(file: File) -> str:
    problem = zips.problem(file.stream)
    if problem:
        return problem
    names = zips.names(file.stream)
    return "" if "[Content_Types].xml" in names and "xl/workbook.xml" in names else "it is no workbook"


def _archive(file: File) -> str:
    head = file.stream.read(265)
    magics = {"zip": b"PK", "gz": b"\x1f\x8b", "tgz": b"\x1f\x8b", "bz2": b"BZh", "xz": b"\xfd7zXZ\x00"}
    if file.suffix == "tar":
        return "" if head[257:262] == b"ustar" else "it does not begin as tar"
    if not head.startswith(magics[file.suffix]):
        return f"it does not begin as {file.suffix}"
    return zips.problem(file.stream) if file.suffix == "zip" else ""


def _pickle(file: File) -> str:
    try:
        pickles.walk(file.stream)
    except Invalid as error:
        return error.why
    return ""


PARSERS: Mapping[FileType, Callable[[File], str]] = {
    "archive": _archive,
    "csv": _csv,
    "json": _json,
    "numpy": _numpy,
    "parquet": _parquet,
    "pdf": _pdf,
    "pickle": _pickle,
    "png": _png,
    "safetensors": _safetensors,
    "text": _text,
    "xlsx": _xlsx,
}
