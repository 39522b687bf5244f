"""Signed HTTP requests to an S3 service: connections, retries, and the one table of its errors."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit
from xml.etree import ElementTree

import urllib3
from urllib3.exceptions import HTTPError

from placet.adapters.objects.sigv4 import Credentials, encode_path, encode_query, sign
from placet.core.digest import sha256_hex
from placet.errors import Conflict, Corrupt, NotFound, PlacetError, Refused, Unavailable

_EMPTY = sha256_hex(b"")
_RETRY_STATUS = frozenset({408, 429, 500, 502, 503, 504})
_RETRY_CODE = frozenset(
    {
        "SlowDown", "InternalError", "RequestTimeout", "ServiceUnavailable", "OperationAborted",
        "ConditionalRequestConflict",
    }
)  # fmt: skip
_TRIES = 6
_MAX_ANSWER = 64 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def xml(self) -> ElementTree.Element:
        """The body as XML, namespaces removed.

        Raises:
            Unavailable: kind `store-answer`.
        """
        try:
            root = ElementTree.fromstring(self.body.strip())  # noqa: S314 - expat bounds entities; bodies are bounded
        except ElementTree.ParseError as error:
            raise Unavailable(
                "The store answered with something that is no XML.", kind="store-answer"
            ) from error
        for one in root.iter():
            one.tag = one.tag.rpartition("}")[2]
        return root

    def code(self) -> str:
        """S3's error code, if the body is an error (also inside a 200 answer); else empty."""
        if b"<Error" not in self.body:
            return ""
        root = self.xml()
        found = root if root.tag == "Error" else root.find(".//Error")
        return (found.findtext("Code") or "Error") if found is not None else ""


@dataclass(frozen=True, slots=True)
class Service:
    """Where a bucket is, and how to reach it.

    Attributes:
        endpoint: `https://host[:port]`, without a path.
        virtual_host: The bucket is in the host name (AWS) instead of the path.
        verify: Check the certificate: by the system's roots, by a CA file, or not.
        connect_s: Seconds to connect.
        read_s: Seconds between two reads.
    """

    endpoint: str
    region: str
    bucket: str
    credentials: Credentials | None
    now: Callable[[], datetime] = field(repr=False)
    virtual_host: bool = False
    verify: bool | str = True
    connect_s: float = 10.0
    read_s: float = 60.0


class S3Http:
    """Requests to one bucket; safe for many threads."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._pools: urllib3.PoolManager | None = None
        host = urlsplit(service.endpoint).netloc
        self.host = f"{service.bucket}.{host}" if service.virtual_host else host
        self._base = f"{urlsplit(service.endpoint).scheme}://{self.host}"

    def path(self, key: str) -> str:
        """The encoded path of a key, or of the bucket for an empty one."""
        name = (
            key
            if self._service.virtual_host
            else f"{self._service.bucket}/{key}"
            if key
            else self._service.bucket
        )
        return encode_path(f"/{name}")

    def call(
        self,
        method: str,
        key: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        body_sha256: str | None = None,
        good: Sequence[int] = (200, 204),
    ) -> Answer:
        """A request with a short answer, repeated while the service says that it may be.

        Args:
            method: HTTP's.
            key: The object's full key; empty for the bucket.
            query: Unencoded pairs.
            headers: Lower-case names.
            body: What is sent.
            body_sha256: Its hex SHA-256, if it is known already.
            good: Other statuses raise the error that the table has for them.

        Raises:
            Refused, NotFound, Conflict, Unavailable, Corrupt: see `_error`.
        """
        digest = body_sha256 or (sha256_hex(body) if body else _EMPTY)
        for attempt in range(_TRIES):
            last = attempt == _TRIES - 1
            try:
                response = self._send(method, key, query, headers or {}, body, digest)
                answer = Answer(response.status, response.headers, response.read(_MAX_ANSWER))
                response.release_conn()
            except HTTPError as error:
                if last:
                    raise self._unreachable(error) from error
                _wait(attempt)
                continue
            code = answer.code() if answer.body else ""
            if not last and (answer.status in _RETRY_STATUS or code in _RETRY_CODE):
                _wait(attempt)
                continue
            if answer.status in good and (answer.status >= 300 or not code):  # noqa: PLR2004
                return answer
            raise self._error(answer.status, code, method, key)
        raise AssertionError

    def stream(self, key: str, *, version: str | None, chunk: int) -> Iterator[bytes]:
        """An object's bytes; a broken connection is taken up again where it broke."""
        query = [("versionId", version)] if version else []
        offset, attempt, etag, size = 0, 0, "", -1
        while True:
            headers = {"range": f"bytes={offset}-", "if-match": etag} if offset else {}
            try:
                response = self._send("GET", key, query, headers, b"", _EMPTY)
                if response.status not in {200, 206}:
                    self._retry_or_raise(response, key, attempt)
                    attempt += 1
                    continue
                length = int(response.headers.get("content-length", "-1"))
                if not offset:
                    size, etag = length, response.headers.get("etag", "")
                elif offset + length != size:
                    response.close()
                    raise HTTPError(f"it sent {length} of the {size - offset} bytes that were left")  # noqa: TRY301
                for data in response.stream(chunk, decode_content=False):
                    offset += len(data)
                    yield data
                response.release_conn()
                if size in {-1, offset}:
                    return
                broken: Exception = HTTPError(f"{offset} of {size} bytes came")
            except HTTPError as error:
                broken = error
            attempt += 1
            if attempt >= _TRIES:
                raise self._unreachable(broken) from broken
            _wait(attempt)

    def _retry_or_raise(self, response: urllib3.BaseHTTPResponse, key: str, attempt: int) -> None:
        answer = Answer(response.status, response.headers, response.read(_MAX_ANSWER))
        response.release_conn()
        code = answer.code() if answer.body else ""
        if attempt < _TRIES - 1 and (answer.status in _RETRY_STATUS or code in _RETRY_CODE):
            _wait(attempt)
            return
        raise self._error(answer.status, code, "GET", key)

    def _send(
        self,
        method: str,
        key: str,
        query: Sequence[tuple[str, str]],
        headers: Mapping[str, str],
        body: bytes,
        digest: str,
    ) -> urllib3.BaseHTTPResponse:
        path, text = self.path(key), encode_query(query)
        full = {"host": self.host, **headers}
        if self._service.credentials is not None:
            full = sign(
                self._service.credentials,
                self._service.region,
                self._service.now(),
                method=method,
                path=path,
                query=text,
                headers=full,
                payload_sha256=digest,
            )
        url = f"{self._base}{path}{'?' if text else ''}{text}"
        return self._pool().request(
            method, url, headers=full, body=body or None, preload_content=False, retries=False, redirect=False
        )

    def _pool(self) -> urllib3.PoolManager:
        with self._lock:
            if self._pools is None:
                verify = self._service.verify
                self._pools = urllib3.PoolManager(
                    maxsize=256,
                    timeout=urllib3.Timeout(connect=self._service.connect_s, read=self._service.read_s),
                    cert_reqs="CERT_NONE" if verify is False else "CERT_REQUIRED",
                    ca_certs=verify if isinstance(verify, str) else None,
                )
            return self._pools

    def _unreachable(self, error: Exception) -> Unavailable:
        return Unavailable(
            f"The object store {self._service.endpoint} does not answer.",
            kind="store-unreachable",
            why=str(error)[-300:],
            mend="Check `endpointurl` of the DVC remote and the network, then run it again.",
        )

    def _error(self, status: int, code: str, method: str, key: str) -> PlacetError:
        where = f"{self._service.bucket}/{key}".rstrip("/")
        said = f"{status} {code}".strip()
        if code == "NoSuchBucket":
            return NotFound(
                f"There is no bucket {self._service.bucket} at {self._service.endpoint}.",
                kind="no-bucket",
                mend="Make the bucket, or mend the `url` of the DVC remote.",
            )
        if status in {401, 403} or code in {"AccessDenied", "SignatureDoesNotMatch", "InvalidAccessKeyId"}:
            return Refused(
                f"The store does not let this credential {method} {where}.",
                kind="store-denied",
                why=f"It answered {said}.",
                mend="Check the credential of the DVC remote, and what it may do.",
            )
        if status == 404:  # noqa: PLR2004
            return NotFound(f"There is no object {where}.", kind="no-object")
        if status == 412:  # noqa: PLR2004
            return Conflict(f"Object {where} exists already, or has changed.", kind="object-exists")
        if code in {
            "BadDigest",
            "InvalidDigest",
            "XAmzContentSHA256Mismatch",
            "XAmzContentChecksumMismatch",
        } or (
            status == 400 and "hecksum" in code  # noqa: PLR2004
        ):
            return Corrupt(f"The store got other bytes for {where} than were sent.", kind="digest-mismatch")
        return Unavailable(f"The store answered {said} to {method} {where}.", kind="store-answer")


def _wait(attempt: int) -> None:
    time.sleep(random.uniform(0.5, 1.0) * min(0.1 * 2**attempt, 5.0))  # noqa: S311 - jitter
