"""What an S3 service can do, tried once under `placet/probe/`; and how it says digests and versions."""

from __future__ import annotations

import base64
import secrets
import threading
from collections.abc import Callable

from placet.adapters.objects.multipart import Upload
from placet.adapters.objects.s3http import Answer, S3Http
from placet.adapters.objects.sigv4 import encode_path, encode_query
from placet.core import layout
from placet.core.digest import sha256_hex
from placet.errors import Conflict, Corrupt, PlacetError, Unavailable
from placet.ports import StoreTraits

SUMS = {"x-amz-checksum-algorithm": "SHA256"}
_OBJECT, _CHECKSUM = layout.PROBE, layout.PROBE_SUM
_BODY = b"placet probe"


class Probe:
    """Tries each trait; where this credential may not write, nothing can be shown.

    Args:
        http: The bucket.
        bucket: `/<bucket>/`, as a copy names it.
        prefix: Of all keys; with a slash at its end, or empty.
        traits: What the service can do, if that is known.
    """

    def __init__(self, http: S3Http, bucket: str, prefix: str, traits: StoreTraits | None) -> None:
        self._http, self._bucket, self._prefix = http, bucket, prefix
        self._traits = traits
        self._verified: bool | None = None
        self._lock = threading.Lock()

    def traits(self) -> StoreTraits:
        """All of them."""
        with self._lock:
            if self._traits is None:
                self._traits = self._try()
            return self._traits

    def verifies(self) -> bool:
        """Does the service verify SHA-256? Asked alone, for it is needed by every look at an object."""
        with self._lock:
            if self._traits is not None:
                return self._traits.verifies_sha256
            if self._verified is None:
                self._verified = _shows(self._checksum)
            return self._verified

    def _try(self) -> StoreTraits:
        try:
            self._put({"if-none-match": "*"})
        except PlacetError as error:
            if isinstance(error, Unavailable) and error.kind == "store-unreachable":
                raise
            return StoreTraits()
        found = self._http.call("HEAD", self._prefix + _OBJECT)
        return StoreTraits(
            part_copy_sha256=_shows(self._part_copy),
            versions=version_of(found) is not None or _shows(self._names_version),
            verifies_sha256=_shows(self._checksum),
            conditional_put=_shows(lambda: self._put({"if-none-match": "*"}).status == 412),  # noqa: PLR2004
            conditional_complete=_shows(self._completion),
        )

    def _put(self, headers: dict[str, str], key: str = _OBJECT) -> Answer:
        return self._http.call("PUT", self._prefix + key, headers=headers, body=_BODY, good=(200, 412))

    def _names_version(self) -> bool:
        """Asked of a new object: the one that is there may be older than the bucket's versioning."""
        return version_of(self._put({})) is not None

    def _checksum(self) -> bool:
        try:
            self._put({"x-amz-checksum-sha256": base64_of(sha256_hex(b"something else"))}, _CHECKSUM)
        except Corrupt:
            return True
        return False

    def _part_copy(self) -> bool:
        source = copy_source(self._bucket + self._prefix + _OBJECT)
        with Upload(self._http, f"{self._prefix}{layout.PROBE_FOLDER}{secrets.token_hex(8)}", SUMS) as upload:
            root = upload.part(1, headers=source).xml()
            return whole_sha256(root.findtext("ChecksumSHA256") or "") == sha256_hex(_BODY)

    def _completion(self) -> bool:
        with Upload(self._http, self._prefix + _OBJECT, {}) as upload:
            answer = upload.part(1, body=_BODY, sha256=sha256_hex(_BODY))
            try:
                upload.complete([(answer.headers.get("etag", ""), "")], conditional=True)
            except Conflict:
                return True
        return False


def _shows(probe: Callable[[], bool]) -> bool:
    try:
        return probe()
    except PlacetError:
        return False


def copy_source(path: str, version: str | None = None) -> dict[str, str]:
    """The header that names what is copied.

    Args:
        path: `/<bucket>/<key>`.
        version: Exactly this version of it; else whatever it is by then.
    """
    query = f"?{encode_query([('versionId', version)])}" if version else ""
    return {"x-amz-copy-source": encode_path(path) + query}


def version_of(answer: Answer) -> str | None:
    """The version that an answer names; `null` is none, for it can be written again."""
    found = answer.headers.get("x-amz-version-id", "")
    return found if found and found != "null" else None


def base64_of(hexdigest: str) -> str:
    """A digest as S3 writes it."""
    return base64.b64encode(bytes.fromhex(hexdigest)).decode()


def whole_sha256(text: str) -> str | None:
    """A whole-object SHA-256 in hex from its base64 form; None for a composite one (`...-2`) or none."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return raw.hex() if len(raw) == 32 else None  # noqa: PLR2004
