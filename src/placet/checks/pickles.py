"""`pickle`: what loading a pickle would call is what the rule allows; nothing is ever loaded.

Names are read in `placet.checks.opcodes`. They count by an allow-list; picklescan's list of dangerous ones
wins over it.
"""

from __future__ import annotations

import io
import pickletools
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import IO

from placet.checks import joblibs, zips
from placet.checks.api import Check, File, Finding, Options
from placet.checks.opcodes import Machine, bad
from placet.core.guards import guard
from placet.errors import Invalid

MAX_INSIDE = 16 << 30
_FREE, _RATIO = 1 << 30, 200
_SUFFIXES = frozenset({"pkl", "pickle", "joblib", "pt", "pth", "ckpt", "bin", "npy", "npz", "dat"})

FAMILIES: Mapping[str, str] = {
    "python": r"builtins\.(set|frozenset|bytearray|complex|slice|range|object|list|dict|tuple|int|float|str)"
    r"|builtins\.(bytes|bool)|collections\.(OrderedDict|defaultdict|Counter|deque)|copyreg\._reconstructor"
    r"|_codecs\.encode|datetime\.(date|time|datetime|timedelta|timezone)|decimal\.Decimal|fractions\.Fraction",
    "numpy": r"numpy\.(ndarray|dtype|(u?int|float|complex)\d+|bool_?|str_|bytes_)|numpy\.dtypes\.\w+DType"
    r"|numpy\._?core\.multiarray\.(_reconstruct|scalar)|numpy\._?core\.numeric\._frombuffer"
    r"|numpy\.ma\.core\.(_mareconstruct|MaskedArray)|joblib\.numpy_pickle\.NumpyArrayWrapper"
    r"|numpy\.random\._pickle\.__(randomstate|generator|bit_generator)_ctor"
    r"|numpy\.random\._(mt19937\.MT19937|pcg64\.PCG64|philox\.Philox|sfc64\.SFC64)"
    r"|numpy\.random\.bit_generator\.(SeedSequence|__pyx_unpickle_SeedSequence)",
    "scipy": r"scipy\.sparse\.\w+\.(bsr|coo|csc|csr|dia|dok|lil)_(matrix|array)"
    r"|scipy\.interpolate\.\w+\.(BSpline|PPoly|interp1d)",
    "sklearn": r"sklearn\.(?!externals|datasets|callback|utils\._testing|(?:[\w.]+\.)?tests\.)[\w.]+"
    r"\.(?!(?:Client|Connection|Listener|MethodType|Parameter|Path|Queue|StringIO|Thread|ThreadpoolController)$)"
    r"(_?[A-Z]\w*|newObj|__pyx_unpickle_\w+)",
    "torch": r"torch\.\w+Storage|torch\._utils\._rebuild_(tensor(_v2)?|parameter)|torch\.(Size|device|dtype)",
}


class PickleOptions(Options, frozen=True, kw_only=True):
    """`allow`: families (numpy, scipy, sklearn, torch), exact names (`pkg.mod.Name`) or `pkg.mod.*`."""

    allow: tuple[str, ...] = ()


class Pickles(Check):
    """Every name that a pickle calls is one that the rule allows."""

    api = 1
    tool = f"placet; picklescan {version('picklescan')}"
    Options = PickleOptions

    @guard(31)
    def look(self, file: File, options: PickleOptions) -> Finding:
        """Read every pickle in the file: plain, joblib's, in a zip, in an array of objects."""
        names: set[str] = set()
        count = 0
        try:
            for found in _pickles(file):
                count += 1
                names |= found
        except Invalid as error:
            return Finding(error.why or error.what)
        problem = _forbidden(names, options.allow)
        return Finding(problem, {"pickles": count, "names": len(names)} if count else {})


def looks_like_text_pickle(head: bytes) -> bool:
    """Does a text begin as a pickle of protocol 0 that calls something?"""
    names = set()
    try:
        for op, value, _ in pickletools.genops(head):
            names |= {value} if op.name in {"GLOBAL", "INST"} else set()
            if op.name == "STOP":
                return bool(names)
    except Exception:  # noqa: BLE001 - pickletools raises whatever a strange byte leads to
        return False
    return False


def walk(stream: IO[bytes], *, whole: bool = True) -> set[str]:
    """The names that loading the pickle at the stream's beginning would call, by pickle or by joblib.

    Args:
        stream: Seekable.
        whole: Nothing may follow.

    Raises:
        Invalid: kind `pickle`: it is none, or does what cannot be followed.
    """
    with zips.inflated(stream, room(stream)) as inside:
        source = inside or stream
        source.seek(0)
        machine = Machine(source)
        machine.run()
        if whole and source.read(1):
            raise bad("something follows its end")
        return machine.names


def room(stream: IO[bytes]) -> int:
    """To how many bytes what is packed in a stream may unpack: a bomb must not fill the disk."""
    place = stream.tell()
    size = stream.seek(0, io.SEEK_END)
    stream.seek(place)
    return min(MAX_INSIDE, max(_FREE, _RATIO * size))


def _pickles(file: File) -> Iterator[set[str]]:
    """The names of each pickle in the file."""
    head = file.stream.read(16)
    file.stream.seek(0)
    if head.startswith(b"PK\x03\x04"):
        for info in zips.entries(file.stream):
            suffix = info.filename.rpartition(".")[2].lower()
            if suffix in _SUFFIXES and not info.filename.startswith("archive/data/"):
                with zips.opened(file.stream, info, room(file.stream)) as member:
                    yield from _pickles(File(info.filename, info.file_size, "", member))
    elif head.startswith(b"\x93NUMPY"):
        if joblibs.holds_objects(file.stream):
            yield walk(_Rest(file.stream))  # type: ignore[arg-type]
    elif head[:1] == b"\x80" or file.suffix in {"pkl", "pickle", "joblib"}:
        yield walk(file.stream)
    elif file.suffix in _SUFFIXES:
        raise bad("it is no pickle, no zip and no array of numpy")


class _Rest:
    """A stream from where it is: `seek(0)` goes back to there."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._begin = stream, stream.tell()
        self.read, self.readline = stream.read, stream.readline

    def seek(self, place: int, whence: int = 0) -> int:
        """As a file's."""
        return self._stream.seek(self._begin + place if whence == 0 else place, whence)

    def tell(self) -> int:
        """As a file's."""
        return self._stream.tell() - self._begin


def _forbidden(names: set[str], allow: Sequence[str]) -> str:
    patterns = [re.compile(FAMILIES.get(one) or _exactly(one)) for one in ("python", *allow)]
    dangerous = _dangerous(names)
    for name in sorted(names):
        if name in dangerous:
            return f"it calls {_shown(name)}, which runs code"
        if not any(pattern.fullmatch(name) for pattern in patterns):
            return f"it calls {_shown(name)}, which the rule does not allow"
    return ""


def _exactly(entry: str) -> str:
    return re.escape(entry.removesuffix(".*")) + (r"\.\w+" if entry.endswith(".*") else "")


def _dangerous(names: set[str]) -> set[str]:
    """Those that picklescan lists as dangerous: it is asked by a pickle that only names them."""
    from picklescan.scanner import SafetyLevel, scan_pickle_bytes

    out = {name for name in names if "\n" in name or " " in name or not name.isascii()}
    asked = b"".join(
        f"c{name.rpartition('.')[0]}\n{name.rpartition('.')[2]}\n".encode() for name in sorted(names - out)
    )
    if asked:
        result = scan_pickle_bytes(io.BytesIO(asked + b"."), "")
        listed = {f"{one.module}.{one.name}" for one in result.globals if one.safety is SafetyLevel.Dangerous}
        out |= names if result.scan_err else listed
    return out


def _shown(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_.]{1,80}", name) else "a name that is none"
