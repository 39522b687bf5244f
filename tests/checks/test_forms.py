"""Secrets of more forms, and files that carry more than they show."""

import bz2
import io
import json
import lzma
import pickle
import random
import struct
import zipfile
import zlib

import numpy as np
import pytest

from checks.conftest import look
from placet.checks import pickles

SECRETS = {
    "encrypted key": "-----BEGIN ENCRYPTED PRIVATE" + " KEY-----",
    "age key": "AGE-SECRET-" + "KEY-1QPZRY9X8QPZRY9X8QPZRY9X8QPZRY9X8",
    "github token": "github_" + "pat_11ABCDEFG0" + "aB3d" * 12,
    "hugging face token": "h" + "f_" + "aBcDeFgH" * 4 + "ij",
    "google key": "AI" + "zaSy" + "A1b2C3d4E5F" * 3,
    "anthropic key": "sk-" + "ant-api03-" + "aB3dE5gH" * 11,
    "openai key": "sk-" + "proj-" + "aB3dE5gH" * 8,
    "azure signature": "https://x.example/c?sv=2022&s" + "ig=" + "a1B2" * 11 + "%3D",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_secrets_that_detect_secrets_does_not_know_are_found(kind):
    text = f"see {SECRETS[kind]}\n".encode()
    assert look("secrets", "notes.txt", text).problem == f"it holds a secret: {kind}"
    assert look("secrets", "notes.txt", text[:20]).problem == ""


def pdf(inner):
    return b"%PDF-1.7\n" + inner + b"\n%%EOF\n"


@pytest.mark.parametrize(
    "active", [b"/AA << /O 3 0 R >>", b"/AA 3 0 R", b"/JS (x)", b"/J#61vaScript", b"/#4cau#6ech"]
)
def test_active_parts_of_a_pdf_are_found_in_plain_view_and_spelt_otherwise(active):
    assert "script" in look("type", "a.pdf", pdf(active)).problem


def test_compressed_bytes_are_not_taken_for_active_parts_of_a_pdf():
    noise = random.Random(1).randbytes(1 << 20)
    assert look("type", "a.pdf", pdf(noise + b"\x00/AA\x00/JS\x00" + noise)).problem == ""


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*more):
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    image = chunk(b"IDAT", zlib.compress(b"\0\0"))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + image + chunk(b"IEND", b"")


TABLE = b"surname,born\n" + b"Smith,1950\n" * 200


@pytest.mark.parametrize(
    "hidden", [chunk(b"tEXt", b"Comment\0" + TABLE), chunk(b"zTXt", b"x"), chunk(b"puNk", TABLE)]
)
def test_an_image_that_carries_a_table_is_refused(hidden):
    assert "more than an image" in look("type", "a.png", png(hidden)).problem


def test_what_plots_carry_passes_and_an_image_without_pixels_does_not():
    said = chunk(b"tEXt", b"Software\0Matplotlib version 3.10") + chunk(b"pHYs", b"\0" * 9)
    assert look("type", "a.png", png(said, chunk(b"iCCP", b"\0" * 3000))).problem == ""
    assert "no image" in look("type", "a.png", b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b"")).problem


def npz(**members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name.replace("__", "."), data)
    return out.getvalue()


def test_an_npz_holds_whole_arrays_and_nothing_else():
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    assert look("type", "a.npz", npz(w__npy=array.getvalue())).problem == ""
    assert "else than arrays" in look("type", "a.npz", npz(patients__csv=TABLE)).problem
    assert "follows its end" in look("type", "a.npz", npz(w__npy=array.getvalue() + TABLE)).problem


def test_metadata_of_safetensors_are_short():
    for words, passes in (("pt", True), (TABLE.decode() * 3, False)):
        head = json.dumps({"__metadata__": {"format": words}}).encode()
        data = struct.pack("<Q", len(head)) + head
        assert (look("type", "a.safetensors", data).problem == "") is passes


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress, zlib.compress])
def test_nothing_follows_a_compressed_pickle(pack):
    data = pack(pickle.dumps({"a": 1}))
    assert look("pickle", "a.joblib", data).problem == ""
    assert "damaged" in look("pickle", "a.joblib", data + TABLE).problem


def test_streams_that_are_joined_are_read_to_the_last():
    data = pickle.dumps({"a": 1})
    assert look("pickle", "a.joblib", bz2.compress(data[:9]) + bz2.compress(data[9:])).problem == ""
    evil = bz2.compress(data[:-1] + b"0") + bz2.compress(b"cos\nsystem\n.")
    assert "os.system" in look("pickle", "a.joblib", evil).problem


def test_a_small_pickle_does_not_unpack_to_what_fills_a_disk(monkeypatch):
    monkeypatch.setattr(pickles, "_FREE", 1 << 16)
    bomb = pickle.dumps(bytes(1 << 22))
    assert "unpacks to more than" in look("pickle", "a.joblib", zlib.compress(bomb, 9)).problem
    assert "unpacks to more than" in look("pickle", "a.pt", npz(data__pkl=bomb)).problem
    assert look("pickle", "a.joblib", zlib.compress(bomb, 0)).problem == ""
