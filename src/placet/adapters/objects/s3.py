"""S3 and compatible services: verified writes, server-side verified copies, probed traits.

Bodies come and go through obstore (`obs`), which costs least; listings, facts, parts and copies are signed
HTTP of our own (`s3http`), because they need headers that no client library offers. An ETag is never a proof:
it is MD5.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from urllib.parse import unquote, urlsplit

from placet.adapters.objects.multipart import Upload, abandoned, abort, parts_of
from placet.adapters.objects.obs import SINGLE, ObStore, bounded, require_same, whole_body
from placet.adapters.objects.s3copy import NotReadable, ServerCopy
from placet.adapters.objects.s3http import S3Http, Service
from placet.adapters.objects.s3probe import Probe, base64_of, copy_source, version_of, whole_sha256
from placet.adapters.objects.s3versions import list_versions
from placet.core.digest import Digests, Hasher, sha256_hex
from placet.errors import Conflict, Refused, Unavailable
from placet.ports import CopyWay, Fan, ObjectInfo, ObjectStore, StoreAddress, StoreTraits, Version

SERVER_SIDE = 4 << 20  # docs/adr/0010-ways-of-copying.md


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
        self._probe = Probe(self._http, f"/{service.bucket}/", self._prefix, traits)
        self._foreign: set[StoreAddress] = set()
        host = urlsplit(service.endpoint)
        self.address = StoreAddress(f"s3:{host.scheme}://{host.netloc}", service.bucket, prefix)

    def __repr__(self) -> str:
        return f"S3Store({self.address.service}/{self.address.bucket}/{self.address.prefix})"

    def traits(self) -> StoreTraits:
        """Probed once, on at most two objects under `placet/probe/` that stay."""
        return self._probe.traits()

    def head(self, key: str) -> ObjectInfo | None:
        """One object's facts."""
        headers = {"x-amz-checksum-mode": "ENABLED"}
        answer = self._http.call("HEAD", self._key(key), headers=headers, good=(200, 404))
        if answer.status == 404:  # noqa: PLR2004
            return None
        checksum = answer.headers.get("x-amz-checksum-sha256", "")
        sha256 = whole_sha256(checksum) if checksum and self._probe.verifies() else None
        size = _count(answer.headers.get("content-length", "0"))
        return ObjectInfo(key, size, sha256, version_of(answer))

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

    def copy_from(self, source: ObjectStore, key: str, want: Digests, *, fan: Fan = map) -> CopyWay | None:
        """Copy inside the service, verified before visible; None where the caller must stream."""
        if not isinstance(source, S3Store) or source.address.service != self.address.service:
            return None
        if want.size < SERVER_SIDE or source.address in self._foreign or self.sealed or source.sealed:
            return None
        copy = ServerCopy(self, source, key, want, fan)
        try:
            return copy.run()
        except NotReadable:
            self._foreign.add(source.address)
            return None

    def sweep(self, keys: AbstractSet[str]) -> int:
        """Abort the uploads that were left unfinished; see `abandoned`."""
        found = abandoned(self._http, self._prefix, keys)
        for key, upload in found:
            abort(self._http, key, upload)
        return len(found)

    def delete(self, key: str, *, version: str | None = None) -> None:
        """Remove the object, or one version of it for good."""
        query = [("versionId", version)] if version else []
        self._http.call("DELETE", self._key(key), query=query, good=(200, 204, 404))

    def versions(self, key: str) -> Sequence[Version]:
        """All versions and markers of one key."""
        return list_versions(self._http, self._key(key))

    def source(self, key: str, version: str | None = None) -> dict[str, str]:
        """The header that names an object of this store as what is copied."""
        return copy_source(f"/{self._service.bucket}/{self._key(key)}", version)

    @property
    def sealed(self) -> bool:
        """Objects are encrypted by the customer's key, which the service does not keep."""
        return bool(self._service.sealed)

    def place(self, key: str) -> tuple[S3Http, str]:
        """The connection, and the full key."""
        return self._http, self._key(key)

    def _key(self, key: str) -> str:
        return self._prefix + key

    def _put_signed(self, key: str, body: bytes, sha256: str, *, overwrite: bool) -> bool:
        """As obstore puts a body, by a request that can carry all headers."""
        headers = {"x-amz-checksum-sha256": base64_of(sha256)} | ({} if overwrite else {"if-none-match": "*"})
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
                headers = {"x-amz-checksum-sha256": base64_of(sha256)}
                answer = upload.part(number, headers=headers, body=body, sha256=sha256)
                return answer.headers.get("etag", ""), base64_of(sha256)

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


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text, re.ASCII):
        raise Unavailable(f"The store gave {text[:40]!r} as a size.", kind="store-answer")
    return int(text)


def _moment(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError) as error:
        raise Unavailable(f"The store gave {text[:40]!r} as a time.", kind="store-answer") from error
