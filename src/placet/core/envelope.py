"""DSSE envelopes: exact payload bytes and Ed25519 signatures over them.

Format and pre-authentication encoding: DSSE v1.0.2, https://github.com/secure-systems-lab/dsse
(`protocol.md`, `envelope.md`). Lengths count bytes. The payload that was signed is the payload that is
kept and hashed; nothing here re-encodes it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from placet.core import limits
from placet.core.digest import sha256_hex
from placet.core.guards import guard
from placet.errors import Invalid

PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAX_PAYLOAD = limits.PAYLOAD_BYTES
MAX_ENVELOPE = limits.ENVELOPE_BYTES
MAX_SIGNATURES = 16
_KEY_PREFIX = "ed25519:"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature; `keyid` is a hint of which key to try, never trusted."""

    keyid: str
    sig: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """The payload as it was signed, with its signatures."""

    payload: bytes
    signatures: tuple[Signature, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the payload, in hex: the digest of the statement, whatever the signatures."""
        return sha256_hex(self.payload)

    def to_bytes(self) -> bytes:
        """The envelope as a JSON file."""
        value = {
            "payload": base64.b64encode(self.payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [
                {"keyid": one.keyid, "sig": base64.b64encode(one.sig).decode()} for one in self.signatures
            ],
        }
        return json.dumps(value, indent=1).encode() + b"\n"

    @guard(16, 17, 18, 20, 34, 38)
    def signed_by(self, keys: Iterable[str]) -> frozenset[str]:
        """Those of the public keys that signed this payload; distinct keys, whatever the key ids say."""
        message = pae(PAYLOAD_TYPE, self.payload)
        wanted = {key_id(key): key for key in keys}
        return frozenset(
            wanted[one.keyid]
            for one in self.signatures
            if one.keyid in wanted and _verifies(wanted[one.keyid], one.sig, message)
        )


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: the bytes that are signed."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload: bytes, *signers: tuple[str, Callable[[bytes], bytes]]) -> Envelope:
    """An envelope of the payload, signed by each (public key, signing function).

    Raises:
        Invalid: kind `statement-too-large`: over 1 MiB.
    """
    if len(payload) > MAX_PAYLOAD:
        raise Invalid("The statement is larger than 1 MiB.", kind="statement-too-large")
    message = pae(PAYLOAD_TYPE, payload)
    return Envelope(payload, tuple(Signature(key_id(key), make(message)) for key, make in signers))


def parse_envelope(data: bytes) -> Envelope:
    """Read an envelope file strictly; proves nothing yet.

    Raises:
        Invalid: kind `envelope`.
    """
    if len(data) > MAX_ENVELOPE:
        raise _bad("is larger than 2 MiB")
    value = strict_json(data)
    if not isinstance(value, dict) or set(value) != {"payload", "payloadType", "signatures"}:
        raise _bad("must have payload, payloadType and signatures, and nothing else")
    if value["payloadType"] != PAYLOAD_TYPE:
        raise _bad(f"has a payload type other than {PAYLOAD_TYPE}")
    entries = value["signatures"]
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_SIGNATURES:
        raise _bad(f"must have 1 to {MAX_SIGNATURES} signatures")
    signatures = tuple(_signature(entry) for entry in entries)
    return Envelope(_decode(value["payload"]), signatures)


def strict_json(data: bytes) -> Any:  # noqa: ANN401 - JSON is any value
    """JSON without duplicate keys, floats, integers that JavaScript cannot hold, or halves of a letter.

    Raises:
        Invalid: kind `json`.
    """
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_float=_no_float,
            parse_constant=_no_float,
            parse_int=_small_int,
        )
        if b"\\u" in data:  # a lone surrogate is no text: nobody could write or hash it again
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise Invalid(f"This is not the JSON that Placet accepts: {error}", kind="json") from error
    return value


def key_bytes(key: str) -> bytes:
    """The 32 raw bytes of a public key in policy form.

    Raises:
        Invalid: kind `public-key`.
    """
    try:
        raw = base64.b64decode(key.removeprefix(_KEY_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not key.startswith(_KEY_PREFIX) or len(raw) != 32 or base64.b64encode(raw).decode() != key[8:]:  # noqa: PLR2004
        raise Invalid(
            f"{key[:80]!r} is not a public key.",
            kind="public-key",
            why="It must be 'ed25519:' and the base64 of 32 bytes.",
            mend="Copy the line that `placet keygen` printed.",
        )
    return raw


def key_id(key: str) -> str:
    """The key id of a public key: SHA-256 of its raw bytes, so that two keys never share one."""
    return sha256_hex(key_bytes(key))


def _verifies(key: str, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key_bytes(key)).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _signature(entry: object) -> Signature:
    if not isinstance(entry, dict) or set(entry) != {"keyid", "sig"} or not isinstance(entry["keyid"], str):
        raise _bad("has a signature that is not {keyid, sig}")
    return Signature(entry["keyid"], _decode(entry["sig"]))


def _decode(text: object) -> bytes:
    if not isinstance(text, str):
        raise _bad("holds something that is not base64 text")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _bad("holds invalid base64") from error


def _bad(reason: str) -> Invalid:
    return Invalid(f"The signed envelope {reason}.", kind="envelope")


@guard(26, 32)
def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return value


def _no_float(text: str) -> Any:  # noqa: ANN401 - never returns
    raise ValueError(f"{text[:40]} is not a whole number")


def _small_int(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > (1 << 53) - 1:  # noqa: PLR2004
        raise ValueError("a number is beyond 2^53")
    return int(text)
