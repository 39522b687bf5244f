"""The contract of the port `Signer`, as tests; an adapter's test class inherits them and gives a `signer`."""

from __future__ import annotations

import base64

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from placet.core import envelope
from placet.core.envelope import key_bytes
from placet.errors import Corrupt
from placet.ports import Signer

_BASE_POINT = bytes.fromhex("58" + "66" * 31)


class SignerSuite:
    """What every signer does; a subclass has the fixture `signer`, and `secrets` that it must never show."""

    def test_its_public_key_is_as_policy_writes_it(self, signer: Signer) -> None:
        """`ed25519:` and 32 bytes, the same each time."""
        kind, _, text = signer.public.partition(":")
        assert (kind, len(base64.b64decode(text, validate=True))) == ("ed25519", 32)
        assert signer.public == signer.public

    @pytest.mark.parametrize("message", [b"", b"message", b"\x00" * 100_000], ids=["empty", "short", "long"])
    def test_it_signs_what_it_is_given(self, signer: Signer, message: bytes) -> None:
        """RFC 8032 over the message itself: deterministic, 64 bytes, verified by its own public key only."""
        signature = signer.sign(message)
        assert len(signature) == 64  # noqa: PLR2004 - RFC 8032
        assert signer.sign(message) == signature
        public = Ed25519PublicKey.from_public_bytes(key_bytes(signer.public))
        public.verify(signature, message)
        with pytest.raises(InvalidSignature):
            public.verify(signature, message + b"x")

    def test_its_envelopes_count(self, signer: Signer) -> None:
        """A statement that it signed is signed by its public key."""
        made = envelope.sign(b"{}", (signer.public, signer.sign))
        assert envelope.parse_envelope(made.to_bytes()).signed_by([signer.public]) == {signer.public}

    def test_a_signature_of_another_key_is_refused(self, signer: Signer) -> None:
        """What an agent or token signs with another key never gets into an envelope."""
        other = f"ed25519:{base64.b64encode(_BASE_POINT).decode()}"
        with pytest.raises(Corrupt) as caught:
            envelope.sign(b"{}", (other, signer.sign))
        assert caught.value.kind == "bad-signature"

    def test_it_shows_its_public_key_only(self, signer: Signer, secrets: list[str]) -> None:
        """Neither `repr` nor `str` nor its attributes hold the private key, a passphrase or a PIN."""
        assert signer.public in repr(signer)
        for secret in secrets:
            assert secret not in f"{signer!r} {signer!s} {[getattr(signer, one) for one in dir(signer)]!r}"
