"""Multipart uploads: parts, uploads that leave nothing behind unless completed, and what others left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Self
from urllib.parse import unquote

from placet.adapters.objects.obs import part_bytes
from placet.adapters.objects.s3http import Answer, S3Http
from placet.core import layout
from placet.core.digest import Hasher
from placet.errors import Conflict, Corrupt, NotFound, PlacetError, Unavailable

_SENT_WRONG = 2
_ABANDONED = timedelta(days=7)
_PROBED = timedelta(hours=1)


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
            abort(self._http, self._key, self._id)
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
        """Upload, or copy, one part; sent again where other bytes arrived than were sent.

        Raises:
            Conflict: kind `object-exists`: somebody aborted the upload, as is done where the object is there.
        """
        query = [("partNumber", str(number)), ("uploadId", self._id)]
        for left in range(_SENT_WRONG, -1, -1):
            try:
                return self._http.call(
                    "PUT", self._key, query=query, headers=headers, body=body, body_sha256=sha256
                )
            except Corrupt:
                if not left or not body:
                    raise
            except NotFound as error:
                if error.kind != "no-upload":
                    raise
                self._done = True
                raise Conflict(f"The upload of {self._key} was aborted.", kind="object-exists") from error
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
            answer = self._http.call(
                "POST", self._key, query=[("uploadId", self._id)], headers=headers, body=body
            )
        except NotFound as error:
            if error.kind == "no-bucket":
                raise
            self._done = True
            raise self._unknown() from error
        if b"CompleteMultipartUploadResult" not in answer.body:
            raise self._unknown()
        self._done = True

    def _unknown(self) -> Conflict:
        return Conflict(
            f"Whether the upload of {self._key} was completed is not known.", kind="object-exists"
        )


def abort(http: S3Http, key: str, upload: str) -> None:
    """End an upload that was not completed, and remove its parts; silent if it is gone."""
    http.call("DELETE", key, query=[("uploadId", upload)], good=(200, 204, 404))


def abandoned(http: S3Http, prefix: str, done: AbstractSet[str]) -> list[tuple[str, str]]:
    """Full key and id of each upload below a prefix that nobody needs any more.

    Not needed is an upload of an object that is there: all that its completion could do is to replace it. Who
    still works on it learns that from `part` or `complete`, and looks at what is there. Others may be of
    somebody who is at work, so they count from a week on only, and probes, which take a moment, from an hour
    on; by the store's own clock, and only under keys that are Placet's: a bucket may hold other things too.

    Args:
        http: The bucket.
        prefix: Of all keys; with a slash at its end, or empty.
        done: Keys without the prefix whose objects are there, proven.
    """
    found: list[tuple[str, str]] = []
    after: list[tuple[str, str]] = []
    while True:
        query = [("uploads", ""), ("prefix", prefix), ("encoding-type", "url"), *after]
        answer = http.call("GET", "", query=query)
        root, now = answer.xml(), _date(answer)
        for one in root.iter("Upload"):
            key, upload = unquote(one.findtext("Key") or ""), one.findtext("UploadId") or ""
            name = key.removeprefix(prefix) if key.startswith(prefix) and upload else ""
            age = _PROBED if name.startswith(layout.PROBE_FOLDER) else _ABANDONED
            if name in done or (_ours(name) and _older(one.findtext("Initiated"), now, age)):
                found.append((key, upload))
        marker = root.findtext("NextKeyMarker") or ""
        following = [
            ("key-marker", unquote(marker)),
            ("upload-id-marker", root.findtext("NextUploadIdMarker") or ""),
        ]
        if root.findtext("IsTruncated") != "true" or not marker or following == after:
            return found
        after = following


def _ours(name: str) -> bool:
    return layout.hash_of(name) is not None or name.startswith("placet/")


def _date(answer: Answer) -> datetime | None:
    try:
        return parsedate_to_datetime(answer.headers.get("date", ""))
    except (TypeError, ValueError):
        return None


def _older(initiated: str | None, now: datetime | None, age: timedelta) -> bool:
    try:
        return now is not None and now - datetime.fromisoformat(initiated or "") > age
    except (TypeError, ValueError):
        return False


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
