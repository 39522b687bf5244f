"""Key files: made once, read by their owner only, and never shown."""

import base64
import io
import stat
import sys
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from keys import Key
from placet import config
from placet.adapters import keys
from placet.core import envelope
from placet.errors import Conflict, Corrupt, Invalid, NotFound, Refused, Unavailable
from placet.wire.keys import signer


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


def typed(monkeypatch, *words):
    """What somebody types on a terminal, prompt by prompt; with no word left, nobody sits there."""
    given, asked = list(words), []

    def ask(prompt):
        asked.append(prompt)
        return given.pop(0) if given else None

    monkeypatch.setattr(config, "ask", ask)
    return asked


def test_a_passphrase_is_asked_for_on_a_terminal(tmp_path, monkeypatch):
    monkeypatch.delenv("PLACET_PASSPHRASE", raising=False)
    path = tmp_path / "key.pem"
    public = keys.generate(path, b"right").public
    asked = typed(monkeypatch, "wrong", "right")
    assert signer(path).public == public
    assert asked == [f"Passphrase of {path}: "] * 2
    asked = typed(monkeypatch, "1", "2", "3", "4")
    assert kind_of(Refused, signer, path) == "key-passphrase"
    assert len(asked) == 3
    typed(monkeypatch)
    with pytest.raises(Refused) as caught:
        signer(path)
    assert "PLACET_PASSPHRASE" in caught.value.mend
    bare = keys.generate(tmp_path / "bare.pem").public
    asked = typed(monkeypatch, "needless")
    assert signer(tmp_path / "bare.pem").public == bare and asked == []


def test_a_service_gives_its_passphrase_by_the_environment(tmp_path, monkeypatch):
    path = tmp_path / "key.pem"
    public = keys.generate(path, b"right").public
    asked = typed(monkeypatch, "right")
    monkeypatch.setenv("PLACET_PASSPHRASE", "right")
    assert signer(path).public == public
    monkeypatch.setenv("PLACET_PASSPHRASE", "wrong")
    with pytest.raises(Refused) as caught:
        signer(path)
    assert caught.value.kind == "key-passphrase" and "wrong." in caught.value.what
    assert asked == []
    keys.generate(tmp_path / "bare.pem")
    with pytest.raises(Refused) as caught:
        signer(tmp_path / "bare.pem")
    assert "another key in its place" in caught.value.why


def test_nobody_is_asked_where_there_is_no_terminal(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("words"))
    assert config.ask("Passphrase: ") is None


def test_which_key_a_setting_means(tmp_path, monkeypatch):
    assert config.key_of(tmp_path, "a.key") == tmp_path / "a.key"
    assert config.key_of(tmp_path, "/b/a.key") == Path("/b/a.key")
    for text in ("ssh-agent:alice", "ssh-agent:", "pkcs11:object=a?module-path=/x.so"):
        assert config.key_of(tmp_path, text) == text
    with pytest.raises(Invalid) as caught:
        config.key_of(tmp_path, "pkcs11:object=a?pin-value=hunter2")
    assert "hunter2" not in str(caught.value)
    assert kind_of(NotFound, signer, None) == "no-key"
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    assert kind_of(Unavailable, signer, "ssh-agent:alice") == "ssh-agent"


@pytest.mark.parametrize(
    ("key", "library", "extra"),
    [("ssh-agent:a", "asyncssh", "ssh-agent"), ("pkcs11:object=a?module-path=/x.so", "pkcs11", "pkcs11")],
)
def test_a_missing_library_is_named(key, library, extra, monkeypatch):
    monkeypatch.setenv("SSH_AUTH_SOCK", "/none")
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(NotFound) as caught:
        signer(key)
    assert caught.value.kind == "no-library" and f"placet[{extra}]" in caught.value.mend


def test_a_wrong_signature_gets_into_no_envelope(monkeypatch):
    class Broken:
        public = Key("alice").public

        def sign(self, message):
            return Key("mallory").sign(message)

    with pytest.raises(Corrupt) as caught:
        envelope.sign(b"{}", (Broken.public, Broken().sign))
    assert caught.value.kind == "bad-signature"
    monkeypatch.setattr(envelope, "require_signature", lambda *_: None)
    assert envelope.sign(b"{}", (Broken.public, Broken().sign)).signed_by([Broken.public]) == frozenset()
