"""The versions of one object: ListObjectVersions.

Format: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
"""

from __future__ import annotations

from urllib.parse import unquote

from placet.adapters.objects.s3http import S3Http
from placet.errors import Unavailable
from placet.ports import Version

_MOST = 100_000


def list_versions(http: S3Http, key: str) -> list[Version]:
    """All versions and markers of exactly this full key, the newest first.

    Where the bucket keeps no versions the object is one with the id `null`, as S3 has it.

    Raises:
        Unavailable: kind `store-answer`: pages without an end.
    """
    out: list[Version] = []
    after: list[tuple[str, str]] = []
    while True:
        query = [("versions", ""), ("prefix", key), ("encoding-type", "url"), *after]
        root = http.call("GET", "", query=query).xml()
        other = False
        for one in root:
            if one.tag not in {"Version", "DeleteMarker"}:
                continue
            if unquote(one.findtext("Key") or "") == key:
                latest = (one.findtext("IsLatest") or "").strip().lower() == "true"
                found = Version(one.findtext("VersionId") or "null", one.tag == "DeleteMarker")
                out.insert(0, found) if latest else out.append(found)
            else:
                other = True
        marker = unquote(root.findtext("NextKeyMarker") or "")
        truncated = (root.findtext("IsTruncated") or "").strip().lower() == "true"
        if not truncated or not marker or (other and marker != key):
            return out
        if len(out) > _MOST:
            raise Unavailable(f"The store lists more than {_MOST} versions of {key}.", kind="store-answer")
        told = root.findtext("NextVersionIdMarker")
        after = [("key-marker", marker), *([("version-id-marker", told)] if told else [])]
