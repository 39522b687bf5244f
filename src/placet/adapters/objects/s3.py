"""S3 and compatible services: verified writes, server-side verified copies, probed traits.

Bodies come and go through obstore (`obs`), which costs least; listings, facts, parts and copies are signed
HTTP of our own (`s3http`), because they need headers that no client library offers. An ETag is never a proof:
it is MD5.
"""

from __future__ import annotations

import base64
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from urllib.parse import unquote, urlsplit

from placet.adapters.objects.multipart import Upload, parts_of
from placet.adapters.objects.obs import SINGLE, ObStore, bounded, require_same, whole_body
from placet.adapters.objects.s3http import Answer, S3Http, Service
from placet.adapters.objects.s3versions import list_versions
from placet.adapters.objects.sigv4 import encode_path, encode_query
from placet.core.digest import Digests, Hasher, sha256_hex
from placet.errors import Conflict, Corrupt, NotFound, PlacetError, Refused, Unavailable
from placet.ports import CopyWay, Fan, ObjectInfo, ObjectStore, StoreAddress, StoreTraits, Version

_MAX_PART_COPY = 5 << 30
_SERVER_SIDE = 4 << 20
_PROBE = "placet/probe/object"
_PROBE_BODY = b"placet probe"


class S3Store:
    """Objects below a prefix of one bucket.

    Args:
        service: The bucket and how to reach it.
        prefix: Key prefix, without slashes at its ends.
        traits: What the service can do, if known; probed otherwise.
    """

    def __init__(self, service: Service, prefix: str, traits: StoreTraits | None = None) -> None:
        self._http = S3Http(service)
        address = StoreAddress("", service.bucket, prefix)
        self._plain = ObStore(self._http.obstore(), address, self._http.explain)
        self._service = service
        self._prefix = f"{prefix}/" if prefix else ""
        self._traits = traits
        self._verified: bool | None = None
        self._probing = threading.Lock()
        self._foreign: set[StoreAddress] = set()
        host = urlsplit(service.endpoint)
        self.address = StoreAddress(f"s3:{host.scheme}://{host.netloc}", service.bucket, prefix)

    def __repr__(self) -> str:
        return f"S3Store({self.address.service}/{self.address.bucket}/{self.address.prefix})"

    def traits(self) -> StoreTraits:
        """Probed once, on at most two objects under `placet/probe/` that stay."""
        with self._probing:
            if self._traits is None:
                self._traits = self._probe()
            return self._traits

    def head(self, key: str) -> ObjectInfo | None:
        """One object's facts."""
        headers = {"x-amz-checksum-mode": "ENABLED"}
        answer = self._http.call("HEAD", self._key(key), headers=headers, good=(200, 404))
        if answer.status == 404:  # noqa: PLR2004
            return None
        checksum = answer.headers.get("x-amz-checksum-sha256", "")
        sha256 = _hex(checksum) if checksum and self._verifies() else None
        size = _count(answer.headers.get("content-length", "0"))
        return ObjectInfo(key, size, sha256, _version(answer))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose key starts so, in pages of 1,000; also where foreign keys are odd."""
        last = ""
        try:
            for one in self._plain.list(prefix):
                yield one
                last = one.key
        except Refused as error:
            if error.kind != "unsafe-key":
                raise
            yield from self._list_odd(prefix, last)

    def _list_odd(self, prefix: str, last: str) -> Iterator[ObjectInfo]:
        token = ""
        while True:
            query = [("list-type", "2"), ("prefix", self._key(prefix)), ("encoding-type", "url")]
            query += [("start-after", self._key(last))] if last else []
            query += [("continuation-token", token)] if token else []
            root = self._http.call("GET", "", query=query).xml()
            for one in root.iter("Contents"):
                key = unquote(one.findtext("Key") or "")
                told = one.findtext("LastModified")
                modified = _moment(told) if told else None
                size = _count(one.findtext("Size") or "0")
                yield ObjectInfo(key.removeprefix(self._prefix), size, modified_s=modified)
            token = root.findtext("NextContinuationToken") or ""
            if not token:
                return

    def get(self, key: str, *, version: str | None = None, fan: Fan = map) -> Iterator[bytes]:
        """The bytes; a long object comes by ranges side by side, if `fan` allows it."""
        return self._plain.get(key, version=version, fan=fan)

    def put(
        self, key: str, chunks: Iterable[bytes], want: Digests, *, overwrite: bool = False, fan: Fan = map
    ) -> bool:
        """Store a stream, visible only if it is exactly `want`."""
        if want.size > SINGLE:
            return self._put_parts(key, chunks, want, overwrite=overwrite, fan=fan)
        body = whole_body(chunks, want, key)
        if self._service.signs_bodies:
            return self._put_signed(key, body, want.sha256, overwrite=overwrite)
        return self._plain.put_body(key, body, overwrite=overwrite)

    def copy_from(self, source: ObjectStore, key: str, want: Digests) -> CopyWay | None:
        """Copy inside the service, verified before visible; None where the caller must stream."""
        if not isinstance(source, S3Store) or source.address.service != self.address.service:
            return None
        if not _SERVER_SIDE <= want.size <= _MAX_PART_COPY:
            return None
        if source.address in self._foreign or self.sealed or source.sealed:
            return None
        if self.traits().part_copy_sha256:
            return "part-copy" if self._copy_part(source, key, want) else None
        found = source.head(key)
        if found is None:
            raise NotFound(f"There is no object {key}.", kind="no-object")
        if found.version is None:
            return None
        return "version-copy" if self._copy_version(source, key, want, found.version) else None

    def delete(self, key: str, *, version: str | None = None) -> None:
        """Remove the object, or one version of it for good."""
        query = [("versionId", version)] if version else []
        self._http.call("DELETE", self._key(key), query=query, good=(200, 204, 404))

    def versions(self, key: str) -> Sequence[Version]:
        """All versions and markers of one key."""
        return list_versions(self._http, self._key(key))

    @property
    def sealed(self) -> bool:
        """Objects are encrypted by the customer's key, which the service does not keep."""
        return bool(self._service.sealed)

    def place(self, key: str) -> tuple[S3Http, str]:
        """The connection, and the full key."""
        return self._http, self._key(key)

    def _key(self, key: str) -> str:
        return self._prefix + key

    def _source(self, source: S3Store, key: str, version: str | None = None) -> dict[str, str]:
        path = encode_path(f"/{source.address.bucket}/{source.place(key)[1]}")
        query = f"?{encode_query([('versionId', version)])}" if version else ""
        return {"x-amz-copy-source": path + query}

    def _reads(self, source: S3Store, copy: Callable[[], Answer]) -> Answer | None:
        """The answer to a copy, or None if this store's credential may not read the source: remembered."""
        try:
            return copy()
        except Refused:
            self._foreign.add(source.address)
            return None

    def _copy_part(self, source: S3Store, key: str, want: Digests) -> bool:
        """Way (a): the service says the SHA-256 of what it copied before it becomes visible."""
        if not self.traits().conditional_complete and self.head(key) is not None:
            raise _exists(key)
        with Upload(*self.place(key), {"x-amz-checksum-algorithm": "SHA256"}) as upload:
            answer = self._reads(source, lambda: upload.part(1, headers=self._source(source, key)))
            if answer is None:
                return False
            root = answer.xml()
            found = _hex(root.findtext("ChecksumSHA256") or "") or ""
            require_same(replace(want, sha256=found), want, key)
            part = (root.findtext("ETag") or "", root.findtext("ChecksumSHA256") or "")
            upload.complete([part], conditional=True)
        return True

    def _copy_version(self, source: S3Store, key: str, want: Digests, version: str) -> bool:
        """Way (b): read one version, verify it, copy that version."""
        hasher = Hasher()
        for chunk in source.get(key, version=version):
            hasher.update(chunk)
        require_same(hasher.digests(), want, key)
        if self.head(key) is not None:
            raise _exists(key)
        headers = self._source(source, key, version)
        return (
            self._reads(source, lambda: self._http.call("PUT", self._key(key), headers=headers)) is not None
        )

    def _put_signed(self, key: str, body: bytes, sha256: str, *, overwrite: bool) -> bool:
        """As obstore puts a body, by a request that can carry all headers."""
        headers = {"x-amz-checksum-sha256": _base64(sha256)} | ({} if overwrite else {"if-none-match": "*"})
        answer = self._http.call(
            "PUT", self._key(key), headers=headers, body=body, body_sha256=sha256, good=(200, 412)
        )
        return answer.status == 200  # noqa: PLR2004

    def _put_parts(
        self, key: str, chunks: Iterable[bytes], want: Digests, *, overwrite: bool, fan: Fan
    ) -> bool:
        if not overwrite and self.head(key) is not None:
            return False
        whole = Hasher()
        with Upload(*self.place(key), {"x-amz-checksum-algorithm": "SHA256"}) as upload:

            def send(item: tuple[int, bytes]) -> tuple[str, str]:
                number, body = item
                sha256 = sha256_hex(body)
                headers = {"x-amz-checksum-sha256": _base64(sha256)}
                answer = upload.part(number, headers=headers, body=body, sha256=sha256)
                return answer.headers.get("etag", ""), _base64(sha256)

            bodies = parts_of(bounded(chunks, want.size, key), want.size, whole)
            parts = list(fan(send, enumerate(bodies, start=1)))
            require_same(whole.digests(), want, key)
            return self._written(lambda: upload.complete(parts, conditional=not overwrite))

    def _written(self, write: Callable[[], object]) -> bool:
        """Did this write do it? False if the key exists, also after a lost answer: the caller proves it."""
        try:
            write()
        except Conflict:
            return False
        return True

    def _verifies(self) -> bool:
        """Does the service verify SHA-256? Asked alone, for it is needed by every look at an object."""
        with self._probing:
            if self._traits is not None:
                return self._traits.verifies_sha256
            if self._verified is None:
                self._verified = self._shows(self._probe_checksum)
            return self._verified

    def _probe(self) -> StoreTraits:
        """Try each trait; where this credential may not write, nothing can be shown."""
        try:
            self._http.call(
                "PUT", self._key(_PROBE), headers={"if-none-match": "*"}, body=_PROBE_BODY, good=(200, 412)
            )
        except PlacetError as error:
            if isinstance(error, Unavailable) and error.kind == "store-unreachable":
                raise
            return StoreTraits()
        found = self._http.call("HEAD", self._key(_PROBE))
        return StoreTraits(
            part_copy_sha256=self._shows(self._probe_part_copy),
            versions=_version(found) is not None,
            verifies_sha256=self._shows(self._probe_checksum),
            conditional_put=self._shows(self._probe_conditional),
            conditional_complete=self._shows(self._probe_completion),
        )

    def _shows(self, probe: Callable[[], bool]) -> bool:
        try:
            return probe()
        except PlacetError:
            return False

    def _probe_checksum(self) -> bool:
        wrong = {"x-amz-checksum-sha256": _base64(sha256_hex(b"something else"))}
        key = self._key("placet/probe/checksum")
        try:
            self._http.call("PUT", key, headers=wrong, body=_PROBE_BODY)
        except Corrupt:
            return True
        return False

    def _probe_conditional(self) -> bool:
        answer = self._http.call(
            "PUT", self._key(_PROBE), headers={"if-none-match": "*"}, body=_PROBE_BODY, good=(200, 412)
        )
        return answer.status == 412  # noqa: PLR2004

    def _probe_part_copy(self) -> bool:
        key = f"placet/probe/{secrets.token_hex(8)}"
        with Upload(*self.place(key), {"x-amz-checksum-algorithm": "SHA256"}) as upload:
            answer = upload.part(1, headers=self._source(self, _PROBE))
            return _hex(answer.xml().findtext("ChecksumSHA256") or "") == sha256_hex(_PROBE_BODY)

    def _probe_completion(self) -> bool:
        with Upload(*self.place(_PROBE), {}) as upload:
            answer = upload.part(1, body=_PROBE_BODY, sha256=sha256_hex(_PROBE_BODY))
            try:
                upload.complete([(answer.headers.get("etag", ""), "")], conditional=True)
            except Conflict:
                return True
        return False


def _exists(key: str) -> Conflict:
    return Conflict(f"Object {key} exists already.", kind="object-exists")


def _version(answer: Answer) -> str | None:
    found = answer.headers.get("x-amz-version-id", "")
    return found if found and found != "null" else None


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text, re.ASCII):
        raise Unavailable(f"The store gave {text[:40]!r} as a size.", kind="store-answer")
    return int(text)


def _moment(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError) as error:
        raise Unavailable(f"The store gave {text[:40]!r} as a time.", kind="store-answer") from error


def _base64(hexdigest: str) -> str:
    return base64.b64encode(bytes.fromhex(hexdigest)).decode()


def _hex(text: str) -> str | None:
    """A whole-object SHA-256 from its base64 form; None for a composite one (`...-2`) or none."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return raw.hex() if len(raw) == 32 else None  # noqa: PLR2004
