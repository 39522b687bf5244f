"""What loading a pickle would do, by a strict reading of every opcode; nothing is ever loaded.

Names are resolved by an abstract stack that follows `pickletools`' own description of the opcodes, so that no
order of PUSH, POP, DUP and memo shows the reader another name than the loader. What is not understood is
refused.
"""

from __future__ import annotations

import _compat_pickle
import io
import pickletools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from placet.checks import joblibs
from placet.errors import Invalid

_MANY = 10_000
_LARGE = 1 << 20
_NO_TEXT = rf"sklearn\.[\w.]+\.[A-Z]\w*|{re.escape(joblibs.WRAPPER)}"
_TEXT = frozenset({
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING",
})  # fmt: skip
_NUMBER = frozenset({"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"})
_CONSTANT = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


@dataclass(frozen=True, slots=True)
class _Name:
    text: str


@dataclass(slots=True)
class Made:
    """An object that a pickle makes: by which name, from what; and what BUILD gave it later."""

    name: str
    arguments: Any
    state: dict[Any, Any] = field(default_factory=dict)


class _Opaque:
    pass


class _Mark:
    pass


OPAQUE, _MARK = _Opaque(), _Mark()


def bad(why: str) -> Invalid:
    """The error of a pickle that is refused."""
    return Invalid("It is no pickle that can be followed.", kind="pickle", why=why)


class _Skipped:
    """The place of a large value that was not read."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size


class _Frugal:
    """A stream that leaves large values out, so that memory stays bounded."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._escaped = False

    def read(self, size: int) -> Any:  # noqa: ANN401 - bytes, or something as long
        if size <= _LARGE:
            return self._stream.read(size)
        before = self._stream.tell()
        after = min(before + size, self._stream.seek(0, io.SEEK_END))
        self._stream.seek(after)
        return _Skipped(after - before)

    def readline(self) -> bytes:
        line = self._stream.readline(_LARGE)
        if len(line) == _LARGE:
            raise bad("it holds a line of more than 1 MiB")
        self._escaped |= b"\\" in line
        return line

    def require_plain(self, opcode: str) -> None:
        """Refuse a name with a backslash: pickletools takes it for an escape, and the loader does not."""
        if self._escaped and opcode in {"GLOBAL", "INST"}:
            raise bad("it calls a name that holds a backslash")
        self._escaped = False


class _Fails(Exception):
    """The loader raises an error here, and calls nothing more."""


class Machine:
    """The loader's stack and memo, with names, texts, numbers and tuples known and all else opaque."""

    def __init__(self, stream: IO[bytes], goes_on: Machine | None = None) -> None:
        self._stream = stream
        self._goes_on = goes_on is not None
        self._stack: list[Any] = list(goes_on._stack) if goes_on else []
        self._memo: dict[Any, Any] = dict(goes_on._memo) if goes_on else {}
        self._protocol = 0
        self._frame_end = 0
        self.names: set[str] = set()

    def run(self) -> None:
        """Follow the opcodes to STOP."""
        frugal: Any = _Frugal(self._stream)
        try:
            for op, value, _ in pickletools.genops(frugal):
                frugal.require_plain(op.name)
                if self._step(op, value):
                    return
        except (_Fails, Invalid) as error:
            if isinstance(error, Invalid):
                raise
        except Exception as error:  # noqa: BLE001 - whatever a strange byte leads to
            raise bad(f"an opcode is damaged ({type(error).__name__})") from None

    def _step(self, op: pickletools.OpcodeInfo, value: Any) -> bool:  # noqa: ANN401
        name = op.name
        self._require_plain_wrapper(name)
        if name in _TEXT or name in _NUMBER:
            self._stack.append(value)
        elif name in _CONSTANT:
            self._stack.append(_CONSTANT[name])
        elif (special := _SPECIAL.get(name)) is not None:
            special(self, value)
        elif name in _UNSAFE:
            raise bad("it uses names of an extension registry")
        else:
            self._generic(op)
        if len(self.names) > _MANY:
            raise bad(f"it calls more than {_MANY} names")
        return name == "STOP"

    def _require_plain_wrapper(self, op: str) -> None:
        """Joblib's wrapper is made as joblib makes it; else one could come to be unseen."""
        if op in _KEEPS:
            return
        held = [place for place, one in enumerate(self._stack[:-3:-1]) if one == _Name(joblibs.WRAPPER)]
        if held and held != [_WRAPPER_AT.get(op)]:
            raise bad("it uses joblib's wrapper of arrays as joblib does not")

    def _generic(self, op: pickletools.OpcodeInfo) -> None:
        """What pickletools says that the opcode takes and leaves."""
        before = list(op.stack_before)
        if pickletools.markobject in before:
            place = before.index(pickletools.markobject)
            self._to_mark()
            before = before[:place]
        for _ in before:
            self._pop()
        self._stack += [OPAQUE] * len(op.stack_after)

    def _pop(self) -> Any:  # noqa: ANN401
        if not self._stack or self._stack[-1] is _MARK:
            raise bad("it takes from an empty stack")
        return self._stack.pop()

    def _to_mark(self) -> list[Any]:
        out = []
        while self._stack and self._stack[-1] is not _MARK:
            out.append(self._stack.pop())
        if not self._stack:
            raise bad("it lacks a mark")
        self._stack.pop()
        return out[::-1]

    def _call(self, function: Any, arguments: Any) -> None:  # noqa: ANN401
        if not isinstance(function, _Name):
            raise bad("it calls something that is no plain name")
        self._stack.append(Made(function.text, arguments))

    def _named(self, module: Any, name: Any) -> _Name:  # noqa: ANN401
        if not isinstance(module, str) or not isinstance(name, str):
            raise bad("it calls a name that it computes")
        if "." in name:
            raise bad("it calls a name that it reaches through another")
        if self._protocol < 3:  # noqa: PLR2004 - as pickle's fix_imports
            module, name = _compat_pickle.NAME_MAPPING.get((module, name), (module, name))
            module = _compat_pickle.IMPORT_MAPPING.get(module, module)
        self.names.add(f"{module}.{name}")
        return _Name(f"{module}.{name}")

    def _on_frame(self, size: int) -> None:
        self._frame_end = max(self._frame_end, self._stream.tell() + size)

    def _on_proto(self, value: int) -> None:
        self._protocol = value

    def _on_global(self, value: str) -> None:
        self._stack.append(self._named(*_parted(value)))

    def _on_stack_global(self, _: object) -> None:
        name, module = self._pop(), self._pop()
        if self._goes_on and (_is_no_text(name) or _is_no_text(module)):
            raise _Fails
        self._stack.append(self._named(module, name))

    def _on_inst(self, value: str) -> None:
        arguments = self._to_mark()
        self._call(self._named(*_parted(value)), tuple(arguments))

    def _on_obj(self, _: object) -> None:
        function, *arguments = self._to_mark()
        self._call(function, tuple(arguments))

    def _on_reduce(self, _: object) -> None:
        arguments, function = self._pop(), self._pop()
        self._call(function, arguments)

    def _on_newobj_ex(self, _: object) -> None:
        self._pop()
        self._on_reduce(None)

    def _on_build(self, _: object) -> None:
        state = self._pop()
        made = self._stack[-1] if self._stack else None
        if isinstance(made, _Name):
            raise bad("it changes a class or a function")
        if not isinstance(made, Made):
            return
        if made.name == joblibs.WRAPPER and (made.state or not isinstance(state, dict)):
            raise bad("it changes joblib's wrapper of arrays as joblib does not")
        made.state |= state if isinstance(state, dict) else {"": state}
        if made.name == joblibs.WRAPPER:
            self._joblib(made)

    def _joblib(self, made: Made) -> None:
        """An array of joblib's follows in the stream: raw bytes, or a pickle of its own for objects.

        pickle itself would go on in that pickle with the stack and memo it has: both readings are followed.
        Joblib reads the array behind the frame and then goes on in the frame, so that one must end here.
        """
        if self._stream.tell() < self._frame_end:
            raise bad("an array of joblib's lies within a frame")
        if joblibs.skip_array(self._stream, made.state):
            place = self._stream.tell()
            for machine in (Machine(self._stream, self), Machine(self._stream)):
                self._stream.seek(place)
                machine.run()
                self.names |= machine.names
        self._stack[-1] = OPAQUE

    def _on_pop(self, _: object) -> None:
        if not self._stack:
            raise bad("it takes from an empty stack")
        self._stack.pop()

    def _on_dup(self, _: object) -> None:
        value = self._pop()
        self._stack += [value, value]

    def _on_mark(self, _: object) -> None:
        self._stack.append(_MARK)

    def _on_tuple(self, _: object) -> None:
        self._stack.append(tuple(self._to_mark()))

    def _on_tuple_of(self, size: int) -> None:
        values = [self._pop() for _ in range(size)]
        self._stack.append(tuple(values[::-1]))

    def _on_dict(self, _: object) -> None:
        self._stack.append(_pairs(self._to_mark()))

    def _on_empty_dict(self, _: object) -> None:
        self._stack.append({})

    def _on_setitem(self, _: object) -> None:
        value, key = self._pop(), self._pop()
        self._set([key, value])

    def _on_setitems(self, _: object) -> None:
        self._set(self._to_mark())

    def _set(self, flat: list[Any]) -> None:
        target = self._stack[-1] if self._stack else None
        if isinstance(target, dict):
            target |= _pairs(flat) if len(target) < _MANY else {None: OPAQUE}

    def _on_memoize(self, _: object) -> None:
        self._on_put(len(self._memo))

    def _on_put(self, key: int) -> None:
        if not self._stack or self._stack[-1] is _MARK:
            raise bad("it remembers nothing")
        self._memo[int(key)] = self._stack[-1]

    def _on_get(self, key: int) -> None:
        if int(key) not in self._memo:
            raise bad("it takes from its memo what is not there")
        self._stack.append(self._memo[int(key)])


def _parted(value: str) -> list[str]:
    """Module and name, as pickletools joins them."""
    parts = value.split(" ")
    if len(parts) != 2:  # noqa: PLR2004
        raise bad("it calls a name that holds a space")
    return parts


def _pairs(flat: list[Any]) -> dict[Any, Any]:
    """Keys that are texts, with their values; the key None stands for all that are not known."""
    pairs = zip(flat[::2], flat[1::2], strict=False)
    return {key if isinstance(key, str) else None: value for key, value in pairs}


def _is_no_text(value: Any) -> bool:  # noqa: ANN401
    """Can it not be a text, whatever the loader does?"""
    made = isinstance(value, Made) and re.fullmatch(_NO_TEXT, value.name)
    return bool(made) or value is None or isinstance(value, tuple | dict | int)


_KEEPS = frozenset({"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "FRAME"})
_WRAPPER_AT = {"EMPTY_TUPLE": 0, "NEWOBJ": 1}
"""How far below the top of the stack the wrapper's name may be at an opcode."""
_UNSAFE = frozenset({"EXT1", "EXT2", "EXT4"})
_SPECIAL: Mapping[str, Callable[[Machine, Any], None]] = {
    "FRAME": Machine._on_frame,
    "PROTO": Machine._on_proto,
    "GLOBAL": Machine._on_global,
    "STACK_GLOBAL": Machine._on_stack_global,
    "INST": Machine._on_inst,
    "OBJ": Machine._on_obj,
    "REDUCE": Machine._on_reduce,
    "NEWOBJ": Machine._on_reduce,
    "NEWOBJ_EX": Machine._on_newobj_ex,
    "BUILD": Machine._on_build,
    "POP": Machine._on_pop,
    "DUP": Machine._on_dup,
    "MARK": Machine._on_mark,
    "TUPLE": Machine._on_tuple,
    "TUPLE1": lambda machine, _: machine._on_tuple_of(1),
    "TUPLE2": lambda machine, _: machine._on_tuple_of(2),
    "TUPLE3": lambda machine, _: machine._on_tuple_of(3),
    "DICT": Machine._on_dict,
    "EMPTY_DICT": Machine._on_empty_dict,
    "SETITEM": Machine._on_setitem,
    "SETITEMS": Machine._on_setitems,
    "MEMOIZE": Machine._on_memoize,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), Machine._on_put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), Machine._on_get),
}
