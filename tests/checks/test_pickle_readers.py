"""Pickles that joblib or numpy reads otherwise than from one opcode to the next: each one runs, and is refused."""

import contextlib
import io
import pickle
import struct

import joblib
import numpy as np
import pytest

from checks.conftest import look

ALLOW = ("numpy", "sklearn")


def called(module, name):
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def text(value):
    return b"\x8c" + bytes([len(value)]) + value.encode()


WRAPPER = called("joblib.numpy_pickle", "NumpyArrayWrapper")
PLAIN = WRAPPER + b")\x81"


def kind(code, state=b""):
    return called("numpy", "dtype") + b"(" + text(code) + b"\x89\x88tR" + state


def state(dtype, shape, *, align=b"K\x10", more=b""):
    return (
        b"}(" + text("subclass") + called("numpy", "ndarray") + text("shape") + shape + text("order")
        + text("C") + text("dtype") + dtype + text("allow_mmap") + b"\x89"
        + text("numpy_array_alignment_bytes") + align + more + b"u"
    )  # fmt: skip


def filled(begin, size):
    """What joblib runs and a reader of the whole array skips."""
    return begin + b"N" * (size - len(begin))


def short_item(evil):
    """`f` has four bytes, not eight."""
    hidden = filled(bytes(160) + b"0" + evil + b"0", 320)
    return b"\x80\x04N" + PLAIN + state(kind("f"), b"K\x28\x85") + b"b\x01\xff" + hidden + b"."


def computed_state(evil):
    """A state of the dtype that is a tuple only when it is loaded."""
    small = called("builtins", "tuple") + b"(](K\x03" + text("|") + b"NNNK\x01K\x01K\x00etRb"
    hidden = filled(bytes(50) + b"0" + evil + b"0", 250)
    return b"\x80\x04N" + PLAIN + state(kind("S5", small), b"K\x32\x85") + b"b\x01\xff" + hidden + b"."


def frame(evil):
    """The array is read from behind the frame, where a constant of the frame seems to go on."""
    inner = b"N" + PLAIN + state(kind("O8"), b"K\x01\x85") + b"bC"
    behind = filled(b"N0" + evil, 78) + b"."
    return b"\x80\x04\x95" + struct.pack("<Q", len(inner)) + inner + behind + b"N.N."


def computed_key(evil):
    """An attribute whose name is a text only when it is loaded."""
    more = called("builtins", "str") + text("shape") + b"\x85RK\x01\x85"
    hidden = filled(b"\x000" + evil + b"0", 248)
    return b"\x80\x04N" + PLAIN + state(kind("u1"), b"K\xf8\x85", more=more) + b"b\x01\xff" + hidden + b"."


def built_twice(evil):
    """A second state, for slots."""
    first = (
        b"\x80\x04N"
        + PLAIN
        + b"\x940h\x00"
        + state(kind("u1"), b"K\xc8\x85")
        + b"b\x01\xff"
        + bytes(200)
        + b"0"
    )
    hidden = filled(b"\x000" + evil + b"0", 200)
    return first + b"h\x00N}" + text("shape") + b"K\x01\x85s\x86b\x01\xff" + hidden + b"."


def reconstructed(evil):
    """A wrapper that is made by another name, and bytes that joblib skips."""
    made = called("copyreg", "_reconstructor") + WRAPPER + called("builtins", "object") + b"N\x87R"
    hidden = b"0" + evil + b"N."
    skipped = b"B" + struct.pack("<I", len(hidden))
    return b"\x80\x04N" + made + state(kind("u1"), b"K\x05\x85", align=b"N") + b"b" + skipped + hidden + b"."


@pytest.mark.parametrize(
    "attack",
    [short_item, computed_state, frame, computed_key, built_twice, reconstructed],
    ids=lambda one: one.__name__,
)
def test_what_joblib_reads_otherwise_is_refused(attack, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = attack(called("os", "mkdir") + text("ran") + b"\x85R")
    with contextlib.suppress(Exception):
        joblib.load(io.BytesIO(data))
    assert (tmp_path / "ran").is_dir()
    assert look("pickle", "model.joblib", data, allow=ALLOW).problem


def test_an_array_of_objects_by_another_word_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    header = b"{'descr': 'object', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n"
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    data = start + b"\x80\x04" + called("os", "mkdir") + text("ran") + b"\x85R."
    with contextlib.suppress(Exception):
        np.load(io.BytesIO(data), allow_pickle=True)
    assert (tmp_path / "ran").is_dir()
    assert look("pickle", "a.npy", data, allow=ALLOW).problem
    assert look("type", "a.npy", data).problem


def test_a_name_reached_through_an_allowed_one_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    popen = text("sklearn._isotonic") + text("np.f2py.subprocess.Popen") + b"\x93"
    data = b"\x80\x04" + popen + b"](" + text("touch") + text("ran") + b"e\x85R."
    assert pickle.loads(data).wait() == 0
    assert (tmp_path / "ran").exists()
    assert "through another" in look("pickle", "model.pkl", data, allow=ALLOW).problem


def test_what_sklearn_imports_from_elsewhere_is_not_sklearn():
    names = (
        "callback._transport.Client",
        "utils._available_if.MethodType",
        "utils._repr_html.estimator.Path",
    )
    for name in names:
        module, _, last = f"sklearn.{name}".rpartition(".")
        found = look("pickle", "model.pkl", b"\x80\x04" + called(module, last) + b")R.", allow=ALLOW)
        assert "which the rule does not allow" in found.problem


@pytest.mark.parametrize("dtype", ["f4", "i8", "S5", "U3", "M8[ns]", "O", [("a", "i4"), ("b", "U2", (2,))]])
def test_arrays_as_numpy_writes_them_pass(dtype):
    stream = io.BytesIO()
    np.save(stream, np.zeros(3, dtype=dtype))
    assert look("pickle", "a.npy", stream.getvalue(), allow=ALLOW).problem == ""
    assert look("type", "a.npy", stream.getvalue()).problem == ""
    if dtype != "O":
        assert look("type", "a.npy", stream.getvalue() + b"x").problem
