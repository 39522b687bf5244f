"""Arrays as `joblib.dump` and `numpy.save` write them: where their bytes end, do they hold objects.

Formats: `joblib/numpy_pickle.py` (NumpyArrayWrapper) and `numpy/lib/format.py`.
"""

from __future__ import annotations

import ast
import io
import math
import re
from collections.abc import Mapping
from typing import IO, Any

from placet.errors import Invalid

WRAPPER = "joblib.numpy_pickle.NumpyArrayWrapper"
_ALIGNMENT = 16
_MAX_HEADER = 1 << 16
_DTYPE = re.compile(r"[<>|=]?([biufcSUVmM])([0-9]{1,9})(?:\[[a-z0-9]+\])?")
_OBJECT = re.compile(r"[<>|=]?O[48]?")


def skip_array(stream: IO[bytes], state: Mapping[Any, Any]) -> bool:
    """Go to the end of the raw array that follows its wrapper; True if a pickle of objects follows instead.

    The byte that must come first is no opcode, so that pickle itself stops there, and nothing can hide.

    Raises:
        Invalid: kind `pickle`: the wrapper says something else than joblib writes.
    """
    shape, dtype = state.get("shape"), state.get("dtype")
    if None in state:
        raise _bad("an array of joblib's has attributes that are not plain")
    if not isinstance(shape, tuple) or not all(type(one) is int and one >= 0 for one in shape):
        raise _bad("an array of joblib's has no plain shape")
    if _is_object(dtype):
        return True
    if state.get("numpy_array_alignment_bytes") != _ALIGNMENT:
        raise _bad("an array of joblib's is not aligned as joblib does")
    padding = stream.read(1)
    if not padding or not 1 <= padding[0] <= _ALIGNMENT:
        raise _bad("an array of joblib's is not padded as joblib does")
    end = stream.tell() + padding[0] + math.prod(shape) * _item_size(dtype)
    if end > stream.seek(0, io.SEEK_END):
        raise _bad("an array of joblib's is cut")
    stream.seek(end)
    return False


def holds_objects(stream: IO[bytes]) -> bool:
    """Does an `.npy` hold a pickle? The stream is left where its data begin.

    Raises:
        Invalid: kind `pickle`: its header is damaged, or says a type in other words than numpy writes.
    """
    return _width(_header(stream)[0]) is None


def is_whole(stream: IO[bytes]) -> bool:
    """Does an `.npy` end where its header says? With objects: True, their pickle says where it ends.

    Raises:
        Invalid: kind `pickle`: as `holds_objects`.
    """
    descr, shape = _header(stream)
    width = _width(descr)
    return width is None or stream.tell() + width * _items(shape) == stream.seek(0, io.SEEK_END)


def _width(descr: object) -> int | None:
    """The bytes of an item, None where it holds objects; only as numpy itself writes types."""
    if isinstance(descr, str):
        if _OBJECT.fullmatch(descr):
            return None
        match = _DTYPE.fullmatch(descr)
        if match:
            return int(match[2]) * (4 if match[1] == "U" else 1)
    elif isinstance(descr, tuple) and len(descr) == 2:  # noqa: PLR2004 - an array in an item
        width = _width(descr[0])
        return None if width is None else width * _items(descr[1])
    elif (
        isinstance(descr, list)
        and descr
        and all(isinstance(one, tuple) and len(one) in {2, 3} for one in descr)
    ):
        widths = [_width(one[1] if len(one) == 2 else (one[1], one[2])) for one in descr]  # noqa: PLR2004
        return None if None in widths else sum(one for one in widths if one is not None)
    raise _bad("the type of an array is not as numpy writes it")


def _items(shape: object) -> int:
    sizes = shape if isinstance(shape, tuple) else (shape,)
    if not all(type(one) is int and one >= 0 for one in sizes):
        raise _bad("the shape of an array is not as numpy writes it")
    return math.prod(sizes)


def _header(stream: IO[bytes]) -> tuple[object, object]:
    """The dtype and the shape of an `.npy`; the stream is left behind its header."""
    stream.seek(6)
    major = stream.read(2)[:1]
    size = int.from_bytes(stream.read(2 if major == b"\x01" else 4), "little")
    if size > _MAX_HEADER:
        raise _bad("the header of an array is too long")
    try:
        header = ast.literal_eval(stream.read(size).decode("utf-8"))
        return header["descr"], header["shape"]
    except (ValueError, SyntaxError, KeyError, TypeError, OverflowError, RecursionError, MemoryError):
        raise _bad("the header of an array is damaged") from None


def _is_object(dtype: Any) -> bool:  # noqa: ANN401 - out of a pickle
    return _code(dtype) in {"O", "O8"}


def _code(dtype: Any) -> str:  # noqa: ANN401 - out of a pickle
    arguments = getattr(dtype, "arguments", None)
    if getattr(dtype, "name", "") != "numpy.dtype" or not isinstance(arguments, tuple) or not arguments:
        raise _bad("an array of joblib's has no plain dtype")
    if not isinstance(arguments[0], str):
        raise _bad("an array of joblib's has no plain dtype")
    return arguments[0]


def _item_size(dtype: Any) -> int:  # noqa: ANN401 - out of a pickle
    match = _DTYPE.fullmatch(_code(dtype))
    if match is None:
        raise _bad("an array of joblib's has a dtype that is not followed")
    kind, size = match[1], int(match[2]) * (4 if match[1] == "U" else 1)
    if dtype.state and not _is_plain_state(dtype.state.get(""), kind, size):
        raise _bad("an array of joblib's has a dtype that is not followed")
    if kind == "V" and not dtype.state:
        raise _bad("an array of joblib's has a dtype that is not followed")
    return size


def _is_plain_state(state: object, kind: str, size: int) -> bool:
    """Is it what `numpy.dtype.__reduce__` gives, and changes nothing of the item's size?

    It is (version, order, base, names, fields, size, alignment, flags[, metadata]).
    """
    if (
        not isinstance(state, tuple)
        or len(state) not in {8, 9}
        or state[0] not in {3, 4}
        or state[2] is not None
    ):
        return False
    if kind == "V":
        return state[5] == size and "O" not in _letters(state[4])
    return state[4] is None and (state[5] == size if kind in "SU" else True)


def _letters(fields: Any) -> str:  # noqa: ANN401 - out of a pickle
    """The type codes of a structured dtype's fields."""
    if not isinstance(fields, dict):
        raise _bad("an array of joblib's has a dtype that is not followed")
    return "".join(_code(one[0])[:1] for one in fields.values() if isinstance(one, tuple) and one)


def _bad(why: str) -> Invalid:
    return Invalid("It is no pickle that can be followed.", kind="pickle", why=why)
