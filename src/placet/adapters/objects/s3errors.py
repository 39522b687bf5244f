"""The one table of what S3 services answer when they do not do what they are asked."""

from __future__ import annotations

import re
from dataclasses import dataclass

from placet.errors import Conflict, Corrupt, NotFound, PlacetError, Refused, Unavailable

RETRY_STATUS = frozenset({408, 429, 500, 502, 503, 504})
RETRY_CODE = frozenset(
    {
        "SlowDown", "InternalError", "RequestTimeout", "ServiceUnavailable", "OperationAborted",
        "ConditionalRequestConflict",
    }
)  # fmt: skip
_CLOCK = frozenset({"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"})
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})
_FULL_STATUS = 507
_FULL = frozenset(
    {
        "InsufficientStorage", "InsufficientStorageSpace", "QuotaExceeded", "XMinioStorageFull",
        "XMinioAdminBucketQuotaExceeded",
    }
)  # fmt: skip
_OTHER_BYTES = frozenset(
    {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}
)
PUSH_AGAIN = "Push it again from where it was made, then run this again."
_DENIED = {
    "InvalidAccessKeyId": "Check `access_key_id` of the DVC remote, or its `profile`: it is not known.",
    "SignatureDoesNotMatch": "Check `secret_access_key` of the DVC remote, and proxies on the way.",
    "InvalidToken": "Check `session_token` of the DVC remote: it belongs to another key, or is cut off.",
    "AccessDenied": "Check the credential of the DVC remote, what it may do, and that the bucket is there.",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is no success.

    Attributes:
        status: HTTP's.
        code: S3's, or empty.
        method: What was asked for.
        bucket: Of which bucket.
        key: Of which object; empty for the bucket.
        endpoint: Of which service.
        now: The time here, for a person to compare.
    """

    status: int
    code: str
    method: str
    bucket: str
    key: str
    endpoint: str
    now: str

    def error(self) -> PlacetError:
        """One of ours for it."""
        return self._of_room() or self._of_credential() or self._of_bytes() or self._of_object()

    @property
    def _where(self) -> str:
        return f"{self.bucket}/{self.key}".rstrip("/")

    @property
    def _said(self) -> str:
        return f"{self.status} {self.code}".strip()

    def _of_room(self) -> PlacetError | None:
        if self.status == _FULL_STATUS or self.code in _FULL:
            return Unavailable(
                f"The store has no room for {self._where}.",
                kind="store-full",
                why=f"It answered {self._said}.",
                mend="Make room or raise the quota, then run it again; what was moved stays.",
            )
        return None

    def _of_credential(self) -> PlacetError | None:
        if self.code in _CLOCK:
            return Refused(
                f"The clocks of this machine and of {self.endpoint} differ too much.",
                kind="clock-skew",
                why=f"The store answered {self._said}; here it is {self.now}.",
                mend="Set the clock (timedatectl set-ntp true), then run it again.",
            )
        if self.code in _EXPIRED:
            return Refused(
                f"The credential for {self.bucket} at {self.endpoint} has expired.",
                kind="credential-expired",
                why=f"The store answered {self._said}.",
                mend="Get a new one (aws sso login, or a new `session_token`), then run it again.",
            )
        if self.status in {401, 403} or self.code in _DENIED:
            return Refused(
                f"The store does not let this credential {self.method} {self._where}.",
                kind="store-denied",
                why=f"It answered {self._said}.",
                mend=_DENIED.get(self.code, _DENIED["AccessDenied"]),
            )
        return None

    def _of_bytes(self) -> PlacetError | None:
        summed = self.status == 400 and "hecksum" in self.code  # noqa: PLR2004
        if self.code in _OTHER_BYTES or summed:
            return Corrupt(
                f"The store got other bytes for {self._where} than were sent.",
                kind="digest-mismatch",
                why=f"It answered {self._said}; nothing became visible.",
                mend="Run it again. If it stays so, something on the way to the store changes what is sent.",
            )
        return None

    def _of_object(self) -> PlacetError:
        if self.code == "NoSuchBucket":
            return NotFound(
                f"There is no bucket {self.bucket} at {self.endpoint}.",
                kind="no-bucket",
                mend="Make the bucket, or mend the `url` of the DVC remote.",
            )
        if self.code == "NoSuchUpload":
            return NotFound(f"There is no such upload of {self._where}.", kind="no-upload")
        if self.status == 404:  # noqa: PLR2004
            return NotFound(f"There is no object {self._where}.", kind="no-object", mend=PUSH_AGAIN)
        if self.status == 412:  # noqa: PLR2004
            return Conflict(f"Object {self._where} exists already, or has changed.", kind="object-exists")
        busy = self.status in RETRY_STATUS or self.code in RETRY_CODE
        return Unavailable(
            f"The store answered {self._said} to {self.method} {self._where}.",
            kind="store-answer",
            mend="Run it again later, with fewer --jobs; what was moved stays." if busy else "",
        )


def reason(error: Exception) -> str:
    """Why there was no answer, in one line, out of what obstore or urllib3 say."""
    said = str(error)
    message = re.findall(r'message: "([^"]+)"', said)
    if message:
        return str(message[-1])
    if "TimedOut" in said or "timed out" in said:
        return "There was no answer in time."
    kinds = re.findall(r"(?:kind|error): (\w+),", said)
    return kinds[-1] if kinds and "\n" in said else said.split("\n", 1)[0][-300:]
