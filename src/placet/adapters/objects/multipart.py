"""Multipart uploads: parts, and an upload that leaves nothing behind unless it was completed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Self

from placet.adapters.objects.obs import part_bytes
from placet.adapters.objects.s3http import Answer, S3Http
from placet.core.digest import Hasher
from placet.errors import Conflict, Corrupt, NotFound, PlacetError, Unavailable

_SENT_WRONG = 2


class Upload:
    """A multipart upload that is aborted unless it was completed."""

    def __init__(self, http: S3Http, key: str, headers: dict[str, str]) -> None:
        self._http, self._key = http, key
        self._done = False
        root = self._http.call("POST", self._key, query=[("uploads", "")], headers=headers).xml()
        self._id = root.findtext("UploadId") or ""
        if not self._id:
            raise Unavailable(f"The store began no upload of {key}.", kind="store-answer")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if self._done:
            return
        try:
            self._http.call("DELETE", self._key, query=[("uploadId", self._id)], good=(200, 204, 404))
        except PlacetError as failed:
            if error is None:
                raise
            error.add_note(f"Its unfinished upload stays: {failed}")

    def part(
        self,
        number: int,
        *,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        sha256: str | None = None,
    ) -> Answer:
        """Upload, or copy, one part; sent again where other bytes arrived than were sent."""
        query = [("partNumber", str(number)), ("uploadId", self._id)]
        for left in range(_SENT_WRONG, -1, -1):
            try:
                return self._http.call(
                    "PUT", self._key, query=query, headers=headers, body=body, body_sha256=sha256
                )
            except Corrupt:
                if not left or not body:
                    raise
        raise AssertionError

    def complete(self, parts: Sequence[tuple[str, str]], *, conditional: bool) -> None:
        """Make it visible; with `conditional` only if nothing is there."""
        rows = []
        for number, (etag, sha256) in enumerate(parts, start=1):
            check = f"<ChecksumSHA256>{sha256}</ChecksumSHA256>" if sha256 else ""
            rows.append(f"<Part><PartNumber>{number}</PartNumber><ETag>{_escape(etag)}</ETag>{check}</Part>")
        body = f"<CompleteMultipartUpload>{''.join(rows)}</CompleteMultipartUpload>".encode()
        headers = {"if-none-match": "*"} if conditional else {}
        try:
            self._http.call("POST", self._key, query=[("uploadId", self._id)], headers=headers, body=body)
        except NotFound as error:
            self._done = True
            raise Conflict(
                f"Whether the upload of {self._key} was completed is not known.", kind="object-exists"
            ) from error
        self._done = True


def parts_of(chunks: Iterable[bytes], size: int, hasher: Hasher) -> Iterator[bytes]:
    """The stream in parts of equal size."""
    part = part_bytes(size)
    held: list[bytes] = []
    room = part
    for chunk in chunks:
        hasher.update(chunk)
        while len(chunk) >= room:
            yield b"".join([*held, chunk[:room]])
            chunk, held, room = chunk[room:], [], part  # noqa: PLW2901 - what is left of it
        if chunk:
            held.append(chunk)
            room -= len(chunk)
    if held:
        yield b"".join(held)


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
