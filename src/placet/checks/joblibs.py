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
_DTYPE = re.compile(r"[<>|=]?([biufcSUVmM])([0-9]{1,9})?(?:\[[a-z0-9]+\])?")


def skip_array(stream: IO[bytes], state: Mapping[Any, Any]) -> bool:
    """Go to the end of the raw array that follows its wrapper; True if a pickle of objects follows instead.

    The byte that must come first is no opcode, so that pickle itself stops there, and nothing can hide.

    Raises:
        Invalid: kind `pickle`: the wrapper says something else than joblib writes.
    """
    shape, dtype = state.get("shape"), state.get("dtype")
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
        Invalid: kind `pickle`: its header is damaged.
    """
    return "O" in str(_header(stream)[0])


def is_whole(stream: IO[bytes]) -> bool:
    """Does an `.npy` without objects end where its header says? Structured types are not followed: True.

    Raises:
        Invalid: kind `pickle`: its header is damaged.
    """
    descr, shape = _header(stream)
    match = _DTYPE.fullmatch(descr) if isinstance(descr, str) else None
    if match is None or not match[2]:
        return True
    size = int(match[2]) * (4 if match[1] == "U" else 1) * math.prod(shape)
    return stream.tell() + size == stream.seek(0, io.SEEK_END)


def _header(stream: IO[bytes]) -> tuple[Any, tuple[int, ...]]:
    """The dtype and the shape of an `.npy`; the stream is left behind its header."""
    stream.seek(6)
    major = stream.read(2)[:1]
    size = int.from_bytes(stream.read(2 if major == b"\x01" else 4), "little")
    if size > _MAX_HEADER:
        raise _bad("the header of an array is too long")
    try:
        header = ast.literal_eval(stream.read(size).decode("utf-8"))
        return header["descr"], tuple(int(one) for one in header["shape"])
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
    kind, digits = match[1], match[2]
    size = int(digits) * (4 if kind == "U" else 1) if digits else {"b": 1}.get(kind, 8)
    state = dtype.state.get("")
    fields = state[4] if isinstance(state, tuple) and len(state) > 6 else None  # noqa: PLR2004
    if kind == "V" and (fields is None or state[5] != size or "O" in _letters(fields)):
        raise _bad("an array of joblib's has a dtype that is not followed")
    if kind in "SU" and isinstance(state, tuple) and len(state) > 6 and state[5] not in {size, -1}:  # noqa: PLR2004
        raise _bad("an array of joblib's has a dtype that is not followed")
    return size


def _letters(fields: Any) -> str:  # noqa: ANN401 - out of a pickle
    """The type codes of a structured dtype's fields."""
    if not isinstance(fields, dict):
        raise _bad("an array of joblib's has a dtype that is not followed")
    return "".join(_code(one[0])[:1] for one in fields.values() if isinstance(one, tuple) and one)


def _bad(why: str) -> Invalid:
    return Invalid("It is no pickle that can be followed.", kind="pickle", why=why)
