"""Verified copies inside one S3 service (design 9, ways a and b): nothing is visible unproven.

An ETag is neither pin nor proof: it is MD5. What is copied is pinned by the SHA-256 that the service says of
the bytes it copied, before they become visible (a), or by a version, which never changes (b).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from placet.adapters.objects.multipart import Upload
from placet.adapters.objects.obs import require_same
from placet.adapters.objects.s3errors import PUSH_AGAIN
from placet.adapters.objects.s3http import S3Http
from placet.adapters.objects.s3probe import SUMS, whole_sha256
from placet.core.digest import Digests, digest_spans
from placet.errors import Conflict, NotFound, Refused, Unavailable
from placet.ports import CopyWay, Fan, ObjectInfo, StoreTraits

MAX_COPY = 5 << 30  # by one request
SPAN = 1 << 30  # of a longer object


class NotReadable(Exception):
    """A credential may not read the source in the way that it takes: the caller streams."""


class _NoSum(Exception):
    """The service copied, and did not say the SHA-256 of it."""


class _Place(Protocol):
    def place(self, key: str) -> tuple[S3Http, str]: ...
    def source(self, key: str, version: str | None = None) -> dict[str, str]: ...
    def traits(self) -> StoreTraits: ...
    def head(self, key: str) -> ObjectInfo | None: ...
    def get(self, key: str, *, version: str | None = None, fan: Fan = map) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class ServerCopy:
    """One object on its way from one bucket to another of a service, by the target's credential."""

    target: _Place
    source: _Place
    key: str
    want: Digests
    fan: Fan

    def run(self) -> CopyWay | None:
        """The way that was used; None if the service has none that can be verified.

        Raises:
            NotReadable: the target's credential may not read the source, or the source's no versions.
            Corrupt: kind `digest-mismatch`; nothing is visible.
            Conflict: kind `object-exists`.
            NotFound: kind `no-object`.
        """
        if self.target.traits().part_copy_sha256:
            return "part-copy" if self._by_sums() else None
        found = self.source.head(self.key)
        if found is None:
            raise NotFound(f"There is no object {self.key}.", kind="no-object", mend=PUSH_AGAIN)
        if found.version is None:
            return None
        self._by_version(found.version)
        return "version-copy"

    def _by_sums(self) -> bool:
        """Way (a): the service says the SHA-256 of what it copied before it becomes visible.

        What one request can copy is judged by that alone. A longer object is read once, for the SHA-256 of
        the whole and of each part; each part that is copied must have it. False if the service said none.
        """
        self._require_absent()
        sums = self._require_read(None) if self.want.size > MAX_COPY else [self.want.sha256]
        try:
            self._parts(sums, None)
        except _NoSum:
            return False
        return True

    def _by_version(self, version: str) -> None:
        """Way (b): read one version, verify it, copy that version."""
        try:
            sums = self._require_read(version)
        except Refused as error:  # by version; whether the newest may be read, the caller finds out
            raise NotReadable from error
        self._require_absent()
        if self.target.traits().conditional_complete or self.want.size > MAX_COPY:
            self._parts([""] * len(sums), version)
            return
        http, key = self.target.place(self.key)
        try:
            answer = http.call("PUT", key, headers=self.source.source(self.key, version))
        except Refused as error:
            raise NotReadable from error
        if answer.xml().tag != "CopyObjectResult":
            raise Unavailable(f"The store does not say that it copied {self.key}.", kind="store-answer")

    def _require_absent(self) -> None:
        """Nothing is replaced; where completion knows no condition, this is all that can be asked."""
        if not self.target.traits().conditional_complete and self.target.head(self.key) is not None:
            raise Conflict(f"Object {self.key} exists already.", kind="object-exists")

    def _require_read(self, version: str | None) -> Sequence[str]:
        """The SHA-256 of each part of what is read, if the whole is what it must be."""
        chunks = self.source.get(self.key, version=version, fan=self.fan)
        sha256, size, sums = digest_spans(chunks, self._span, self.want.size)
        require_same(replace(self.want, sha256=sha256, size=size), self.want, self.key)
        return sums

    @property
    def _span(self) -> int:
        return SPAN if self.want.size > MAX_COPY else MAX_COPY

    def _parts(self, sums: Sequence[str], version: str | None) -> None:
        """Copy by parts, and make them visible together; each must have its SHA-256, unless it is empty."""
        summed = SUMS if sums[0] else {}
        with Upload(*self.target.place(self.key), summed) as upload:

            def copy(item: tuple[int, str]) -> tuple[str, str]:
                return self._part(upload, item[0], item[1], version)

            done = list(self.fan(copy, enumerate(sums)) if len(sums) > 1 else map(copy, enumerate(sums)))
            upload.complete(done, conditional=True)

    def _part(self, upload: Upload, number: int, want: str, version: str | None) -> tuple[str, str]:
        headers = self.source.source(self.key, version)
        if self.want.size > MAX_COPY:
            start = number * self._span
            end = min(start + self._span, self.want.size)
            headers["x-amz-copy-source-range"] = f"bytes={start}-{end - 1}"
        try:
            root = upload.part(number + 1, headers=headers).xml()
        except Refused as error:
            raise NotReadable from error
        if root.tag != "CopyPartResult":
            raise Unavailable(f"The store does not say that it copied {self.key}.", kind="store-answer")
        said = root.findtext("ChecksumSHA256") or ""
        if want:
            found = whole_sha256(said)
            if found is None:
                raise _NoSum
            require_same(replace(self.want, sha256=found), replace(self.want, sha256=want), self.key)
        return root.findtext("ETag") or "", said if want else ""
