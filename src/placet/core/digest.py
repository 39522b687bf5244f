"""The only place that hashes: MD5 (DVC's key) and SHA-256 (what Placet trusts), in one pass."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

_PIECE = 1 << 20
_LOOKED_AT = 512
_TEXT = bytes(range(32, 127)) + b"\n\r\t\f\b"


@dataclass(frozen=True, slots=True)
class Digests:
    """What identifies a stream: MD5 says where DVC keeps it, SHA-256 and size decide.

    Attributes:
        md5: 32 lower-case hex digits.
        sha256: 64 lower-case hex digits.
        size: Bytes.
    """

    md5: str
    sha256: str
    size: int


class Hasher:
    """Both digests of a stream that is fed to it."""

    __slots__ = ("_md5", "_sha256", "_size")

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()
        self._size = 0

    def update(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take the next bytes."""
        self._md5.update(chunk)
        self._sha256.update(chunk)
        self._size += len(chunk)

    @property
    def sinks(self) -> tuple[Callable[[bytes], None], Callable[[bytes], None]]:
        """`update` in two parts that may run in two threads; every further chunk must go to both."""
        return self._md5.update, self._update_sha256

    def _update_sha256(self, chunk: bytes) -> None:
        self._sha256.update(chunk)
        self._size += len(chunk)

    def digests(self) -> Digests:
        """The digests of all bytes so far."""
        return Digests(self._md5.hexdigest(), self._sha256.hexdigest(), self._size)


class LegacyHasher:
    """DVC 2's MD5 (`md5-dos2unix`): of pieces of 1 MiB, those that look like text with LF for CRLF.

    To the letter as dvc_data/hashfile/hash.py (`Dos2UnixHashStreamFile`) and istextfile.py.
    """

    __slots__ = ("_md5", "_rest")

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._rest = bytearray()

    def update(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take the next bytes."""
        self._rest += chunk
        while len(self._rest) >= _PIECE:
            self._piece(bytes(self._rest[:_PIECE]))
            del self._rest[:_PIECE]

    def _piece(self, data: bytes) -> None:
        self._md5.update(data.replace(b"\r\n", b"\n") if _is_text(data[:_LOOKED_AT]) else data)

    def md5(self) -> str:
        """The digest of all bytes; nothing can be fed afterwards."""
        self._piece(bytes(self._rest))
        self._rest.clear()
        return self._md5.hexdigest()


def _is_text(begin: bytes) -> bool:
    return b"\0" not in begin and len(begin.translate(None, _TEXT)) <= len(begin) * 0.3


def digest_legacy(chunks: Iterable[bytes]) -> tuple[Digests, str]:
    """Both digests of a stream, and DVC 2's MD5 of it, in bounded memory."""
    hasher, legacy = Hasher(), LegacyHasher()
    for chunk in chunks:
        hasher.update(chunk)
        legacy.update(chunk)
    return hasher.digests(), legacy.md5()


def digest(data: bytes) -> Digests:
    """Both digests of bytes in memory."""
    hasher = Hasher()
    hasher.update(data)
    return hasher.digests()


def digest_chunks(chunks: Iterable[bytes]) -> Digests:
    """Both digests of a stream, in bounded memory."""
    hasher = Hasher()
    for chunk in chunks:
        hasher.update(chunk)
    return hasher.digests()


def sha256_chunks(chunks: Iterable[bytes], most: int) -> tuple[str, int]:
    """SHA-256 and size of a stream; it is read no further than to more than `most` bytes."""
    sha256, size = hashlib.sha256(), 0
    for chunk in chunks:
        sha256.update(chunk)
        size += len(chunk)
        if size > most:
            break
    return sha256.hexdigest(), size


def digest_spans(chunks: Iterable[bytes], span: int, most: int) -> tuple[str, int, list[str]]:
    """SHA-256 and size of a stream, and the SHA-256 of each `span` bytes of it, in one pass.

    It is read no further than to more than `most` bytes. An empty stream has one span.
    """
    if most <= span:
        sha256, size = sha256_chunks(chunks, most)
        return sha256, size, [sha256]
    whole, part, size, sums = hashlib.sha256(), hashlib.sha256(), 0, []
    for chunk in chunks:
        whole.update(chunk)
        rest = memoryview(chunk)
        while rest:
            piece = rest[: span - size % span]
            part.update(piece)
            size, rest = size + len(piece), rest[len(piece) :]
            if size % span == 0:
                sums.append(part.hexdigest())
                part = hashlib.sha256()
        if size > most:
            break
    if size % span or not sums:
        sums.append(part.hexdigest())
    return whole.hexdigest(), size, sums


def tee(chunks: Iterable[bytes], hasher: Hasher) -> Iterator[bytes]:
    """The same chunks, each fed to `hasher` before it is passed on."""
    for chunk in chunks:
        hasher.update(chunk)
        yield chunk


def sha256_hex(data: bytes) -> str:
    """SHA-256 in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def git_hash(*parts: bytes, sha256: bool = False) -> str:
    """Git's own hash of an object, in hex: where Git keeps it. SHA-1 unless the repository has SHA-256."""
    hasher = hashlib.sha256() if sha256 else hashlib.sha1(usedforsecurity=False)
    for part in parts:
        hasher.update(part)
    return hasher.hexdigest()


def md5_hex(data: bytes) -> str:
    """MD5 in lower-case hex: DVC's content address, never a proof."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
