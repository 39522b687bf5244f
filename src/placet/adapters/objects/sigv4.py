"""AWS Signature Version 4 for S3 requests, by headers.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html. Pure: the time is an
argument. Paths and queries are signed exactly as they are sent.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from urllib.parse import quote

from placet.core.digest import sha256_hex


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key; the secret and the token never show.

    Attributes:
        fresh_until: When its source has to be asked again; never if None.
    """

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    fresh_until: datetime | None = None


def encode_path(path: str) -> str:
    """A path as S3 signs it: everything but unreserved characters and '/' percent-encoded."""
    return quote(path, safe="/-_.~")


def encode_query(query: Sequence[tuple[str, str]]) -> str:
    """A canonical query string: sorted, percent-encoded."""
    pairs = sorted((quote(key, safe="-_.~"), quote(value, safe="-_.~")) for key, value in query)
    return "&".join(f"{key}={value}" for key, value in pairs)


def sign(
    credentials: Credentials,
    region: str,
    when: datetime,
    *,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    payload_sha256: str,
) -> dict[str, str]:
    """The headers to send: those given, and the signature over all of them.

    Args:
        credentials: Whose key.
        region: The bucket's region, e.g. `us-east-1`.
        when: The time of the request, UTC.
        method: `GET`, `PUT`, ...
        path: Encoded by `encode_path`.
        query: Encoded by `encode_query`.
        headers: Must hold `host`; names in lower case.
        payload_sha256: Hex digest of the body, or `UNSIGNED-PAYLOAD`.
    """
    stamp = when.strftime("%Y%m%dT%H%M%SZ")
    full = {**headers, "x-amz-content-sha256": payload_sha256, "x-amz-date": stamp}
    if credentials.token:
        full["x-amz-security-token"] = credentials.token
    names = sorted(full)
    canonical = "\n".join(
        [
            method,
            path,
            query,
            *(f"{name}:{' '.join(full[name].split())}" for name in names),
            "",
            ";".join(names),
            payload_sha256,
        ]
    )
    day = stamp[:8]
    scope = f"{day}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{sha256_hex(canonical.encode())}"
    key = _signing_key(credentials.secret_key, day, region)
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    full["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope},"
        f"SignedHeaders={';'.join(names)},Signature={signature}"
    )
    return full


@lru_cache(maxsize=64)
def _signing_key(secret: str, day: str, region: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
