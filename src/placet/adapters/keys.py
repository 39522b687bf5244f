"""Signing keys in files: Ed25519, PKCS#8 PEM, optionally with a passphrase."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from placet.adapters import durable
from placet.errors import Conflict, Invalid, NotFound, Refused, Unavailable

_MAX_KEY_BYTES = 1 << 16


class FileSigner:
    """A private key that was read from a file; shows its public key only."""

    __slots__ = ("_key", "public")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public = f"ed25519:{base64.b64encode(raw).decode()}"

    def __repr__(self) -> str:
        return f"FileSigner({self.public})"

    def sign(self, message: bytes) -> bytes:
        """A 64-byte signature (RFC 8032)."""
        return self._key.sign(message)


def generate(path: Path, passphrase: bytes | None = None) -> FileSigner:
    """Make a key file, readable by its owner only; never replaces one.

    Raises:
        Conflict: kind `key-exists`.
        Unavailable: kind `disk`.
    """
    key = Ed25519PrivateKey.generate()
    cover: KeySerializationEncryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, cover)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _fill(path, _create(path), text)
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}.", kind="disk") from error
    return FileSigner(key)


def _create(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise Conflict(
            f"{path} exists already; a key is never overwritten.",
            kind="key-exists",
            mend="Name another file.",
        ) from error


def _fill(path: Path, descriptor: int, text: bytes) -> None:
    """Write the key to the disk itself, or leave no file."""
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError:
        path.unlink()
        raise


def load(path: Path, passphrase: bytes | None = None) -> FileSigner:
    """Read a key file.

    Raises:
        NotFound: kind `no-key`.
        Unavailable: kind `disk`.
        Refused: kinds `key-permissions`, `key-passphrase`.
        Invalid: kind `key-format`.
    """
    data = read_secret(path)
    covered = b"ENCRYPTED" in data
    if covered and not passphrase:
        raise Refused(
            f"The key {path} needs a passphrase.",
            kind="key-passphrase",
            mend="Set PLACET_PASSPHRASE, or run it on a terminal, where it is asked for.",
        )
    if passphrase and not covered:
        raise Refused(
            f"A passphrase was given, but the key {path} has none.",
            kind="key-passphrase",
            why="Somebody may have put another key in its place.",
            mend="Unset PLACET_PASSPHRASE if the key is the right one.",
        )
    try:
        key = load_pem_private_key(data, passphrase or None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        if covered:
            raise Refused(
                f"The passphrase of {path} is wrong.",
                kind="key-passphrase",
                mend="Try it again. A forgotten one cannot be recovered: see docs/how-to/keys.md.",
            ) from None
        raise _not_a_key(path) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _not_a_key(path)
    return FileSigner(key)


def is_covered(path: Path) -> bool:
    """Does this key file ask for a passphrase? False too where it cannot be read: loading it says why."""
    try:
        with path.open("rb") as stream:
            return b"ENCRYPTED" in stream.read(_MAX_KEY_BYTES)
    except OSError:
        return False


def read_secret(path: Path) -> bytes:
    """A small file that only its owner can read.

    Raises:
        NotFound: kind `no-key`.
        Unavailable: kind `disk`.
        Refused: kind `key-permissions`.
    """
    try:
        with path.open("rb") as stream:
            found = os.fstat(stream.fileno())
            data = stream.read(_MAX_KEY_BYTES)
    except FileNotFoundError as error:
        raise NotFound(f"There is no key at {path}.", kind="no-key", mend=f"placet keygen {path}") from error
    except OSError as error:
        raise Unavailable(f"The key {path} cannot be read: {error.strerror}.", kind="disk") from error
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077 and not _handed_over(found):
        raise Refused(
            f"Others can read the key {path} (mode {mode:o}).",
            kind="key-permissions",
            mend=f"chmod 600 {path}",
        )
    return data


def write_secret(path: Path, data: bytes) -> None:
    """A file for its owner only, complete or not at all; one that is there is replaced.

    Raises:
        Unavailable: kind `disk`.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        durable.replace(path, data)
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}.", kind="disk") from error


def _handed_over(found: os.stat_result) -> bool:
    """Is it root's, readable beside root for this user alone?

    systemd hands credentials to a service so, by an ACL; Kubernetes by the group `fsGroup`, in our manifests
    this user's own number.
    """
    of_root = found.st_uid == 0 and found.st_gid in {0, os.geteuid()} and os.geteuid() != 0
    return of_root and found.st_mode & 0o077 == stat.S_IRGRP


def _not_a_key(path: Path) -> Invalid:
    return Invalid(
        f"{path} is not an Ed25519 key in PEM form.", kind="key-format", mend="Make one with `placet keygen`."
    )
