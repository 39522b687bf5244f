"""Key files: made once, read by their owner only, and never shown."""

import base64
import stat

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from placet.adapters import keys
from placet.errors import Conflict, Invalid, NotFound, Refused, Unavailable


def kind_of(error, call, *arguments):
    with pytest.raises(error) as caught:
        call(*arguments)
    return caught.value.kind


def write(path, data, mode=0o600):
    path.touch(mode=mode)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("passphrase", [None, b"", b"open sesame"])
def test_a_key_signs_after_it_was_read_again(tmp_path, passphrase):
    made = keys.generate(tmp_path / "key.pem", passphrase)
    read = keys.load(tmp_path / "key.pem", passphrase)
    assert read.public == made.public
    algorithm, _, text = read.public.partition(":")
    raw = base64.b64decode(text, validate=True)
    assert (algorithm, len(raw)) == ("ed25519", 32)
    signature = read.sign(b"message")
    assert len(signature) == 64
    Ed25519PublicKey.from_public_bytes(raw).verify(signature, b"message")
    with pytest.raises(InvalidSignature):
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, b"another")


def test_only_the_owner_can_read_it(tmp_path):
    path = tmp_path / "new" / "key.pem"
    keys.generate(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_key_is_never_overwritten(tmp_path):
    path = tmp_path / "key.pem"
    keys.generate(path)
    before = path.read_bytes()
    assert kind_of(Conflict, keys.generate, path) == "key-exists"
    assert path.read_bytes() == before
    (tmp_path / "link.pem").symlink_to(tmp_path / "elsewhere.pem")
    assert kind_of(Conflict, keys.generate, tmp_path / "link.pem") == "key-exists"
    assert not (tmp_path / "elsewhere.pem").exists()


def test_a_key_that_cannot_be_written_leaves_no_file(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keys.os, "fsync", full)
    assert kind_of(Unavailable, keys.generate, tmp_path / "key.pem") == "disk"
    assert list(tmp_path.iterdir()) == []
    write(tmp_path / "file", b"")
    assert kind_of(Unavailable, keys.generate, tmp_path / "file" / "key.pem") == "disk"


def test_what_is_shown_is_public(tmp_path):
    path = tmp_path / "key.pem"
    signer = keys.generate(path)
    secret = path.read_text().splitlines()[1]
    assert repr(signer) == f"FileSigner({signer.public})"
    assert secret not in repr(signer)


def test_a_missing_key_says_how_to_make_one(tmp_path):
    with pytest.raises(NotFound) as caught:
        keys.load(tmp_path / "none.pem")
    assert caught.value.kind == "no-key"
    assert "placet keygen" in caught.value.mend


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_key_that_others_can_read_or_change_is_refused(tmp_path, mode):
    path = tmp_path / "key.pem"
    keys.generate(path)
    path.chmod(mode)
    assert kind_of(Refused, keys.load, path) == "key-permissions"


def test_the_passphrase_counts(tmp_path):
    keys.generate(tmp_path / "covered.pem", b"right")
    keys.generate(tmp_path / "bare.pem")
    assert kind_of(Refused, keys.load, tmp_path / "covered.pem", b"wrong") == "key-passphrase"
    assert kind_of(Refused, keys.load, tmp_path / "covered.pem") == "key-passphrase"
    assert kind_of(Refused, keys.load, tmp_path / "bare.pem", b"needless") == "key-passphrase"


def test_what_is_no_key_is_refused(tmp_path):
    other = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for number, data in enumerate((b"", b"text", b"-----BEGIN PRIVATE KEY-----\n", b"\0" * 200_000, other)):
        assert kind_of(Invalid, keys.load, write(tmp_path / f"{number}.pem", data)) == "key-format"
    (tmp_path / "folder").mkdir(mode=0o700)
    assert kind_of(Unavailable, keys.load, tmp_path / "folder") == "disk"
