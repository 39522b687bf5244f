"""Who Placet is on GitHub as an App: tokens of one installation, for one repository, renewed in time."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from placet.adapters.forge.deadline import left_s
from placet.adapters.forge.github_answers import Created, Integration, Moment
from placet.adapters.forge.http import ForgeHttp
from placet.errors import Invalid

_LEAST_BITS = 2048
_EARLIER = timedelta(seconds=60)  # GitHub's clock may be behind
_JWT_LASTS = timedelta(minutes=8)  # GitHub takes ten from its own time on
_JWT_KEPT = timedelta(minutes=1)  # so that what was sent is known, should GitHub say it again
_RENEW = timedelta(minutes=10)  # before a token ends: more than this clock can be wrong by


class InstallationToken(msgspec.Struct, frozen=True):
    """A token, and when it ends."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=4096, pattern=r"^[\x21-\x7e]+\Z")]
    expires_at: Moment

    def __repr__(self) -> str:
        return f"InstallationToken(expires_at={self.expires_at})"


class App:
    """A GitHub App: says who it is by its private key.

    Args:
        ident: Its client id, or its number.
        key: Its private key, PEM.
        now: The time.

    Raises:
        Invalid: kind `forge-key`: the key is none of GitHub's.
    """

    def __init__(self, ident: str, key: bytes, now: Callable[[], datetime]) -> None:
        self._ident = ident
        self._key = _read(key)
        self._now = now
        self._made: tuple[datetime, str] | None = None

    def __repr__(self) -> str:
        return f"App({self._ident!r})"

    def jwt(self) -> str:
        """Who it is, for some minutes: a JSON Web Token as GitHub takes it (RFC 7519, RS256)."""
        now, made = self._now(), self._made
        if made is None or not timedelta() <= now - made[0] < _JWT_KEPT:
            made = self._made = (now, _jwt(self._ident, self._key, now))
        return made[1]


class AppTokens:
    """The token of an App's installation to use now; safe for many threads.

    Args:
        http: GitHub, asked as the App itself.
        repository: `owner/name`, the only one that the tokens are good for.
        now: The time.
        installation: Its number; it is looked up if it is not given.
    """

    def __init__(
        self,
        http: ForgeHttp,
        repository: str,
        now: Callable[[], datetime],
        installation: int | None = None,
    ) -> None:
        self._http = http
        self._repository = repository
        self._now = now
        self._installation = installation
        self._lock = threading.Lock()
        self._token: InstallationToken | None = None

    def __call__(self) -> str:
        """A token that is good for some minutes at least. Raises what asking does.

        Another thread that asks for one is waited for no longer than the call may take.
        """
        if not self._lock.acquire(timeout=min(max(left_s(), 0.0), threading.TIMEOUT_MAX)):
            raise self._http.late()
        try:
            if self._token is None or self._token.expires_at - self._now() < _RENEW:
                self._token = self._fresh()
            return self._token.token
        finally:
            self._lock.release()

    def number(self) -> int:
        """The App's number."""
        return self._http.get("/app", Integration).id

    def slug(self) -> str:
        """The App's name in addresses and logins."""
        return self._http.get("/app", Integration).slug

    def close(self) -> None:
        """End its connections."""
        self._http.close()

    def _fresh(self) -> InstallationToken:
        if self._installation is None:
            self._installation = self._http.get(f"/repos/{self._repository}/installation", Created).id
        body = {"repositories": [self._repository.partition("/")[2]]}
        path = f"/app/installations/{self._installation}/access_tokens"
        return self._http.call("POST", path, body=body).read(InstallationToken)


def _jwt(app: str, key: RSAPrivateKey, now: datetime) -> str:
    claims = {
        "iat": int((now - _EARLIER).timestamp()),
        "exp": int((now + _JWT_LASTS).timestamp()),
        "iss": app,
    }
    parts = [_base64url(msgspec.json.encode(one)) for one in ({"alg": "RS256", "typ": "JWT"}, claims)]
    signed = b".".join(parts)
    return b".".join([signed, _base64url(key.sign(signed, PKCS1v15(), SHA256()))]).decode()


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _read(data: bytes) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(data, None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey) or key.key_size < _LEAST_BITS:
        raise Invalid(
            "The private key of the GitHub App is no RSA key in PEM form without a passphrase.",
            kind="forge-key",
            mend="Generate one on the App's page on GitHub, and keep the file as it is (chmod 600).",
        )
    return key
