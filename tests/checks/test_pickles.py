"""Real models pass under a rule that allows them; whatever calls something else does not, however it hides."""

import bz2
import gzip
import io
import os
import pickle
import zipfile
import zlib

import joblib
import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from checks.conftest import look
from placet.checks import pickles

ALLOW = ("sklearn", "numpy")
VALUES = np.linspace(0, 1, 90).reshape(30, 3)
LABELS = np.array(["ill", "well"], dtype=object)[(VALUES[:, 0] > 0.5).astype(int)]
MODELS = {
    "logistic": LogisticRegression().fit(VALUES, LABELS),
    "forest": RandomForestClassifier(3, random_state=0).fit(VALUES, LABELS),
    "boosting": GradientBoostingClassifier(n_estimators=2).fit(VALUES, LABELS),
    "pipeline": make_pipeline(StandardScaler(), Ridge()).fit(VALUES, VALUES[:, 0]),
}


class Evil:
    def __reduce__(self):
        return os.system, ("id",)


def dumped(value, **kwargs):
    out = io.BytesIO()
    joblib.dump(value, out, **kwargs)
    return out.getvalue()


@pytest.mark.parametrize("name", MODELS)
def test_a_real_model_passes_under_a_rule_that_allows_it(name):
    model = MODELS[name]
    for protocol in (0, 2, 4, 5):
        found = look("pickle", "model.pkl", pickle.dumps(model, protocol=protocol), allow=ALLOW)
        assert found.problem == "" and found.facts["names"] >= 4
    for compress in (0, ("zlib", 3), ("gzip", 3), ("bz2", 1), ("xz", 1)):
        found = look("pickle", "model.joblib", dumped(model, compress=compress), allow=ALLOW)
        assert found.problem == "" and found.facts["pickles"] == 1


def test_without_an_allow_list_no_model_passes():
    found = look("pickle", "model.pkl", pickle.dumps(MODELS["logistic"]))
    assert "which the rule does not allow" in found.problem
    assert look("pickle", "model.pkl", pickle.dumps({"a": [1, 2.5, "x"]})).problem == ""


HIDDEN = {
    "reduce": pickle.dumps(Evil()),
    "protocol 0": b"cos\nsystem\n(S'id'\ntR.",
    "inst": b"(S'id'\nios\nsystem\n.",
    "obj": b"(cos\nsystem\nS'id'\no.",
    "popped strings": b"\x80\x04\x8c\x02os\x8c\x06system\x8c\x05numpy\x8c\x07ndarray00\x93\x8c\x02id\x85R.",
    "popped to a mark": b"\x80\x04\x8c\x02os\x8c\x06system(\x8c\x05numpy\x8c\x07ndarray1\x93\x8c\x02id\x85R.",
    "memo": b"\x80\x04\x8c\x02os\x94\x8c\x06system\x940h\x00h\x01\x93\x8c\x02id\x85R.",
    "joined by a call": b"\x80\x04\x8c\x08builtins\x8c\x03str\x93\x8c\x02os\x85R\x8c\x06system\x93\x8c\x02id\x85R.",
    "a name of a name": b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__new__.x\x93.",
    "runstring": b"cnumpy.testing._private.utils\nrunstring\n(S'1'\ntR.",
    "an escape": b"cnumpy\\x2ecore.multiarray\nscalar\n.",
    "a space": b"cnumpy core\nscalar\n.",
    "python 2": b"c__builtin__\neval\n(S'1'\ntR.",
    "extension": b"\x80\x02\x82\x01.",
    "cut": pickle.dumps(Evil())[:-1] + b"\xff\xff",
    "gzip": gzip.compress(pickle.dumps(Evil())),
    "bz2": bz2.compress(pickle.dumps(Evil())),
    "zlib": zlib.compress(pickle.dumps(Evil())),
    "second pickle": pickle.dumps(1) + pickle.dumps(Evil()),
    "a class changed": b"\x80\x04\x8c\x05numpy\x8c\x07ndarray\x93}\x8c\x01x\x8c\x01ysb.",
    "result called": b"\x80\x04\x8c\x05numpy\x8c\x05dtype\x93)R)R.",
}


@pytest.mark.parametrize("name", HIDDEN)
def test_whatever_calls_something_else_is_refused(name):
    assert look("pickle", "model.pkl", HIDDEN[name], allow=ALLOW).problem
    assert look("pickle", "model.joblib", HIDDEN[name], allow=("sklearn", "numpy", "torch", "scipy")).problem


def test_the_scanners_list_wins_over_the_allow_list():
    evil = pickle.dumps(Evil())
    for allow in (("posix.system",), ("posix.*",), ("os.system", "posix.system")):
        assert "runs code" in look("pickle", "model.pkl", evil, allow=allow).problem


def test_exact_names_and_modules_can_be_allowed():
    data = pickle.dumps(zipfile.ZipInfo("x"))
    assert look("pickle", "a.pkl", data, allow=("zipfile.ZipInfo",)).problem == ""
    assert look("pickle", "a.pkl", data, allow=("zipfile.*",)).problem == ""
    assert look("pickle", "a.pkl", data, allow=("zipfile.Zip",)).problem
    assert look("pickle", "a.pkl", data, allow=("zipfile",)).problem


def test_arrays_of_objects_are_pickles_too():
    def npy(value):
        out = io.BytesIO()
        np.save(out, value, allow_pickle=True)
        return out.getvalue()

    evil, good, plain = (
        npy(np.array([Evil()], dtype=object)),
        npy(np.array(["a"], dtype=object)),
        npy(np.ones(3)),
    )
    assert "runs code" in look("pickle", "a.npy", evil, allow=ALLOW).problem
    assert look("pickle", "a.npy", good, allow=ALLOW).problem == ""
    assert look("pickle", "a.npy", plain).problem == ""
    out = io.BytesIO()
    np.savez(out, a=np.ones(2), b=np.array([Evil()], dtype=object))
    assert "runs code" in look("pickle", "a.npz", out.getvalue(), allow=ALLOW).problem


def test_a_zip_as_torch_writes_it_is_opened():
    def torch(value):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(value, protocol=2))
            archive.writestr("archive/data/0", b"\x00" * 64)
            archive.writestr("archive/version", b"3\n")
        return out.getvalue()

    assert "runs code" in look("pickle", "model.pt", torch(Evil()), allow=("torch",)).problem
    assert look("pickle", "model.pt", torch({"w": 1}), allow=("torch",)).problem == ""


def test_what_hides_in_the_array_of_a_joblib_file_is_refused():
    """joblib skips an array's bytes, pickle would run them: the two must never differ."""
    data = dumped(np.arange(64, dtype="u1"))
    begin = data.index(b"ub") + 2
    hidden = pickle.dumps(Evil(), protocol=2)
    for padding in (b"", bytes([0]), b"("):
        bent = data[:begin] + (padding + hidden).ljust(len(data) - begin, b".")
        assert look("pickle", "a.joblib", bent, allow=ALLOW).problem
    inside = dumped(np.array([Evil()], dtype=object))
    assert "runs code" in look("pickle", "a.joblib", inside, allow=ALLOW).problem


def test_an_object_array_is_read_as_joblib_and_as_pickle_would():
    """In the inner pickle the same opcodes name other texts by pickle's memo than by joblib's own."""
    outer = dumped(["posix", "system", np.array(["a"], dtype=object)])
    place = outer.index(b"\x80\x05")
    names = pickles.walk(io.BytesIO(outer))
    assert {"numpy.ndarray", "numpy.dtype", "numpy._core.multiarray._reconstruct"} <= names
    assert "posix.system" not in names
    inner = b"\x80\x05\x8c\x05numpy\x940\x8c\x05numpy\x940\x8c\x07ndarray\x940h\x01h\x02\x93."
    names = pickles.walk(io.BytesIO(outer[:place] + inner + b"."))
    assert {"numpy.ndarray", "posix.system"} <= names


def test_large_values_are_not_read_into_memory(monkeypatch):
    import tracemalloc

    data = pickle.dumps(np.zeros(4 << 20), protocol=4)
    tracemalloc.start()
    names = pickles.walk(io.BytesIO(data))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(data) > 32 << 20 and peak < 4 << 20 and "numpy.ndarray" in names
