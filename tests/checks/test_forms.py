"""Secrets of more forms, and files that carry more than they show."""

import random

import pytest

from checks.conftest import look

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
