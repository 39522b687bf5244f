"""What Placet needs of whatever holds a private key."""

from __future__ import annotations

from typing import Protocol


class Signer(Protocol):
    """A private key that never leaves its holder (file, agent, HSM)."""

    @property
    def public(self) -> str:
        """The public key as policy writes it: `ed25519:<base64 of 32 bytes>`."""
        ...

    def sign(self, message: bytes) -> bytes:
        """A 64-byte Ed25519 signature over `message` (RFC 8032)."""
        ...
