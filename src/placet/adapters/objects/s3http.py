"""Signed HTTP requests to an S3 service: connections and retries."""

from __future__ import annotations

import base64
import random
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote, urlsplit

import obstore.store

from placet.adapters.objects.obs import RETRY, translate
from placet.adapters.objects.options import client_options, said
from placet.adapters.objects.s3errors import RETRY_CODE, RETRY_STATUS, Refusal, reason
from placet.adapters.objects.sigv4 import Credentials, encode_path, encode_query, sign
from placet.core.digest import sha256_hex
from placet.errors import Invalid, PlacetError, Unavailable

if TYPE_CHECKING:
    from xml.etree import ElementTree

    import urllib3
    from obstore.store import S3Config, S3Credential

_EMPTY = sha256_hex(b"")
_TRIES = 6
_MAX_ANSWER = 64 << 20
_OBSTORE_ASKS = timedelta(minutes=5)  # before a credential expires


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
        from xml.etree import ElementTree

        try:
            root = ElementTree.fromstring(self.body.strip())  # noqa: S314 - expat bounds entities; bodies are bounded
        except (ElementTree.ParseError, ValueError, LookupError) as error:  # ValueError: of an encoding
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
        source: Where credentials come from that do not last, instead of `credentials`.
        proxy: URL of the HTTP proxy to use, with its credential; None for no proxy, whatever variables say.
        written: Headers of each request that makes an object: encryption, grants.
        sealed: Headers of each request for an object: the customer's key.
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
    source: Callable[[], Credentials] | None = field(default=None, repr=False)
    proxy: str | None = field(default=None, repr=False)
    written: Mapping[str, str] = field(default_factory=dict)
    sealed: Mapping[str, str] = field(default_factory=dict, repr=False)

    def signer(self) -> Credentials | None:
        """The credentials that are valid now; None to sign nothing."""
        return self.source() if self.source is not None else self.credentials

    @property
    def signs_bodies(self) -> bool:
        """Objects are not written by obstore: it signs no ACL or grants, and trusts more than a CA file."""
        grants = any(name.startswith(("x-amz-acl", "x-amz-grant")) for name in self.written)
        return grants or (isinstance(self.verify, str) and self.endpoint.startswith("https:"))

    def headers(self, method: str, query: Sequence[tuple[str, str]]) -> dict[str, str]:
        """What the remote's options add to a request for an object."""
        names = {name for name, _ in query}
        makes = (method == "PUT" and "uploadId" not in names) or "uploads" in names
        return {**(self.written if makes else {}), **(self.sealed if method != "DELETE" else {})}


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
            Refused, NotFound, Conflict, Unavailable, Corrupt: see `s3errors`.
        """
        from urllib3.exceptions import HTTPError

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
            if not last and (answer.status in RETRY_STATUS or code in RETRY_CODE):
                _wait(attempt)
                continue
            if answer.status in good and (answer.status >= 300 or not code):  # noqa: PLR2004
                return answer
            raise self._error(answer.status, code or self._reason(method, key, answer), method, key)
        raise AssertionError

    def _obstore(self) -> obstore.store.S3Store:
        service = self._service
        signed = service.source is not None or service.credentials is not None
        return obstore.store.S3Store(
            service.bucket,
            config=cast(
                "S3Config",
                {
                    "endpoint": self._base,
                    "aws_endpoint_url_s3": self._base,  # obstore reads the environment for what is not here
                    "region": service.region,
                    "virtual_hosted_style_request": service.virtual_host,
                    "checksum_algorithm": "SHA256",
                    "conditional_put": "etag",
                    "skip_signature": not signed,
                    "unsigned_payload": False,
                    "s3_express": False,
                    "request_payer": False,
                    **_encryption(service),
                },
            ),
            client_options=client_options(
                self._base,
                connect_s=service.connect_s,
                read_s=service.read_s,
                verify=service.verify,
                proxy=service.proxy or "",
            ),
            retry_config=RETRY,
            credential_provider=self._provide if signed else None,
        )

    def obstore(self) -> obstore.store.S3Store:
        """The same bucket, credential and rules for obstore.

        Raises:
            Invalid: kind `remote-option`: it does not take them.
        """
        try:
            return self._obstore()
        except PlacetError:
            raise
        except Exception as error:  # obstore's own error classes differ by what is wrong
            raise Invalid(
                f"The bucket {self._service.bucket!r} cannot be opened.",
                kind="remote-option",
                why=said(error),
            ) from error

    def _provide(self) -> S3Credential:
        held = self._service.signer()
        assert held is not None  # noqa: S101 - asked of signed services only
        until = held.fresh_until
        return {
            "access_key_id": held.access_key,
            "secret_access_key": held.secret_key,
            "token": held.token,
            "expires_at": until + _OBSTORE_ASKS if until else None,
        }

    def explain(self, error: Exception, key: str) -> PlacetError:
        """One of ours for an error of obstore's: by the service's own status and code, where it gave one."""
        text = str(error)
        status = re.search(r"status code: (\d{3})", text)
        if status is None:
            return self._unreachable(error) if _network(error, text) else translate(error, key)
        code = re.search(r"<Code>(\w+)</Code>", text)
        method = re.search(r"performing ([A-Z]+) ", text)
        return self._error(int(status[1]), code[1] if code else "", method[1] if method else "use", key)

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
        full = {"host": self.host, **(self._service.headers(method, query) if key else {}), **headers}
        signer = self._service.signer()
        if signer is not None:
            full = sign(
                signer,
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
        import urllib3

        with self._lock:
            if self._pools is None:
                verify, proxy = self._service.verify, self._service.proxy
                manager = (
                    partial(urllib3.ProxyManager, proxy, proxy_headers=_proxy_headers(proxy))
                    if proxy
                    else urllib3.PoolManager
                )
                self._pools = manager(
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
            why=reason(error),
            mend="Check `endpointurl` of the DVC remote and the network, then run it again.",
        )

    def _reason(self, method: str, key: str, answer: Answer) -> str:
        """The code of a refused HEAD, whose answer has no body: that of the same question by GET."""
        from urllib3.exceptions import HTTPError

        if method != "HEAD" or answer.status not in {400, 403}:
            return ""
        try:
            response = self._send("GET", key, (), {"range": "bytes=0-0"}, b"", _EMPTY)
            again = Answer(response.status, response.headers, response.read(_MAX_ANSWER))
            response.release_conn()
            return again.code() if again.status == answer.status else ""
        except (HTTPError, PlacetError):
            return ""

    def _error(self, status: int, code: str, method: str, key: str) -> PlacetError:
        service = self._service
        now = service.now().isoformat(timespec="seconds")
        return Refusal(status, code, method, service.bucket, key, service.endpoint, now).error()


def _proxy_headers(proxy: str) -> dict[str, str]:
    """The credential in a proxy's URL as a header, as obstore sends it."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"proxy-authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _network(error: Exception, text: str) -> bool:
    """Did obstore get no answer at all, or only a part of one?"""
    return "HTTP error" in text or (isinstance(error, OSError) and not isinstance(error, FileNotFoundError))


def _encryption(service: Service) -> dict[str, str]:
    """The same encryption in obstore's words."""
    key = service.sealed.get("x-amz-server-side-encryption-customer-key")
    if key:
        return {"server_side_encryption": "sse-c", "sse_customer_key_base64": key}
    found = {
        "server_side_encryption": service.written.get("x-amz-server-side-encryption"),
        "sse_kms_key_id": service.written.get("x-amz-server-side-encryption-aws-kms-key-id"),
    }
    return {name: value for name, value in found.items() if value}


def _wait(attempt: int) -> None:
    time.sleep(random.uniform(0.5, 1.0) * min(0.1 * 2**attempt, 5.0))  # noqa: S311 - jitter
