"""Signing keys in a PKCS#11 token: an HSM, a smart card, a cloud's key service; the private key stays there.

URIs: RFC 7512. Mechanism: CKM_EDDSA of PKCS#11 3.0, without parameters (Ed25519 as in RFC 8032).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from placet.errors import Conflict, Invalid, NotFound, Refused, Unavailable

SCHEME = "pkcs11:"
_PATH = frozenset({"token", "serial", "object", "id"})
_QUERY = frozenset({"module-path", "pin-source"})
_ED25519 = (b"\x06\x03\x2b\x65\x70", b"\x13\x0cedwards25519")
_POINT = b"\x04\x20"


@dataclass(frozen=True, slots=True)
class Uri:
    """A key as its URI names it; it never holds a PIN.

    Attributes:
        pin_source: A file that holds the PIN, or None.
    """

    module: str
    token: str | None
    serial: str | None
    label: str | None
    id: bytes | None
    pin_source: str | None

    def __str__(self) -> str:
        name = self.label if self.label is not None else (self.id or b"").hex()
        return f"{name!r} of token {self.token if self.token is not None else self.serial or '(any)'!r}"


class TokenSigner:
    """A key in a token; each signature is made by the token."""

    __slots__ = ("_key", "_name", "public")

    def __init__(self, key: Any, public: str, name: str) -> None:  # noqa: ANN401 - the library's key
        self._key = key
        self._name = name
        self.public = public

    def __repr__(self) -> str:
        return f"TokenSigner({self.public})"

    def sign(self, message: bytes) -> bytes:
        """A 64-byte signature.

        Raises:
            Refused: kind `key-refused`: the token did not sign.
        """
        import pkcs11

        try:
            return bytes(self._key.sign(message, mechanism=pkcs11.Mechanism.EDDSA))
        except pkcs11.exceptions.PKCS11Error as error:
            raise Refused(
                f"The token did not sign with key {self._name}.",
                kind="key-refused",
                why=f"It said {type(error).__name__}: it was taken out, or cannot sign with Ed25519.",
            ) from error


def parse_uri(text: str) -> Uri:
    """A `pkcs11:` URI.

    Raises:
        Invalid: kind `key-uri`; the message does not repeat the URI, which may hold a secret.
    """
    path, _, query = text.removeprefix(SCHEME).partition("?")
    attributes = {**_split(path, ";", _PATH), **_split(query, "&", _QUERY)}
    if "module-path" not in attributes:
        raise _bad_uri("it has no module-path", "Add ?module-path=/path/of/the/token's/library.so")
    if "object" not in attributes and "id" not in attributes:
        raise _bad_uri("it names no key", "Add object=LABEL or id=%01")
    source = unquote(attributes["pin-source"]) if "pin-source" in attributes else None
    return Uri(
        module=unquote(attributes["module-path"]),
        token=_text(attributes, "token"),
        serial=_text(attributes, "serial"),
        label=_text(attributes, "object"),
        id=unquote_to_bytes(attributes["id"]) if "id" in attributes else None,
        pin_source=source.removeprefix("file:") if source is not None else None,
    )


def load(uri: Uri, pin: Callable[[], str | None]) -> TokenSigner:
    """Log in to the token and find the key.

    Args:
        uri: The key.
        pin: Asked for the PIN once.

    Raises:
        NotFound: kinds `no-key`, `no-token`, `no-library`.
        Conflict: kind `ambiguous-key`.
        Refused: kinds `key-pin`, `key-type`.
        Unavailable: kind `pkcs11-module`.
    """
    try:
        import pkcs11
    except ImportError as error:
        raise NotFound(
            "Keys of PKCS#11 tokens cannot be used here.",
            kind="no-library",
            mend="pip install '/path/to/placet[pkcs11]'",
        ) from error
    wrong = pkcs11.exceptions
    try:
        token = pkcs11.lib(uri.module).get_token(token_label=uri.token, token_serial=_serial(uri))
        return _find(_log_in(token, pin()), uri)
    except (wrong.NoSuchToken, wrong.TokenNotPresent, wrong.TokenNotRecognised) as error:
        raise NotFound(
            f"There is no token for key {uri}.", kind="no-token", mend="Is it plugged in?"
        ) from error
    except (wrong.MultipleTokensReturned, wrong.MultipleObjectsReturned) as error:
        raise Conflict(
            f"Key {uri} is not one key but several.", kind="ambiguous-key", mend="Name token and id too."
        ) from error
    except wrong.NoSuchKey as error:
        raise NotFound(
            f"There is no key {uri}.", kind="no-key", why="Or it is seen with a PIN only."
        ) from error
    except wrong.PKCS11Error as error:
        raise _login_problem(uri, error) from error


def _log_in(token: Any, pin: str | None) -> Any:  # noqa: ANN401 - the library's objects
    """A session; a process is logged in to a token as a whole, and stays so while it has a session."""
    import pkcs11

    try:
        return token.open(user_pin=pin)
    except pkcs11.exceptions.UserAlreadyLoggedIn:
        return token.open()


def _find(session: Any, uri: Uri) -> TokenSigner:  # noqa: ANN401 - the library's objects
    import pkcs11

    key = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=uri.label, id=uri.id)
    return TokenSigner(key, _public(session, key, uri), str(uri))


def _login_problem(uri: Uri, error: Exception) -> Refused | Unavailable:
    name = type(error).__name__
    if name.startswith("Pin") or name == "UserPinNotInitialized":
        said = "is locked: too many wrong ones" if name == "PinLocked" else f"was not taken ({name})"
        return Refused(
            f"The PIN of key {uri} {said}.",
            kind="key-pin",
            mend="Set PLACET_PIN, name a pin-source=file:... in the URI, or run it on a terminal.",
        )
    detail = re.sub(r"\s+", " ", str(error))[:200]
    return Unavailable(
        f"The PKCS#11 module {uri.module} does not work.", kind="pkcs11-module", why=f"{name} {detail}"
    )


def _public(session: Any, key: Any, uri: Uri) -> str:  # noqa: ANN401 - the library's objects
    import pkcs11

    if key.key_type != pkcs11.KeyType.EC_EDWARDS:
        raise Refused(
            f"Key {uri} is of type {key.key_type.name}.",
            kind="key-type",
            why="Placet signs with Ed25519 only.",
        )
    search = {"id": key.id} if key.id else {"label": uri.label}
    half = session.get_key(object_class=pkcs11.ObjectClass.PUBLIC_KEY, **search)
    curve = bytes(half[pkcs11.Attribute.EC_PARAMS])
    point = bytes(half[pkcs11.Attribute.EC_POINT]).removeprefix(_POINT)
    if curve not in _ED25519 or len(point) != 32:  # noqa: PLR2004 - RFC 8032
        raise Refused(f"Key {uri} is on another curve than Ed25519.", kind="key-type")
    return f"ed25519:{base64.b64encode(point).decode()}"


def _split(text: str, separator: str, known: frozenset[str]) -> dict[str, str]:
    out: dict[str, str] = {}
    for part in filter(None, text.split(separator)):
        name, equals, value = part.partition("=")
        if name == "pin-value":
            raise _bad_uri("it holds a PIN", "Take it out, and set PLACET_PIN or pin-source=file:...")
        if not equals or name not in known or name in out:
            where = name if re.fullmatch(r"[a-z-]{1,30}", name) else "something else"
            raise _bad_uri(
                f"it has {where} twice, or has it and should not", f"Known: {', '.join(sorted(known))}."
            )
        out[name] = value
    return out


def _text(attributes: dict[str, str], name: str) -> str | None:
    return unquote(attributes[name]) if name in attributes else None


def _serial(uri: Uri) -> bytes | None:
    return uri.serial.encode() if uri.serial is not None else None


def _bad_uri(why: str, mend: str) -> Invalid:
    return Invalid(
        "The key's pkcs11: URI cannot be used.", kind="key-uri", why=f"{why[0].upper()}{why[1:]}.", mend=mend
    )
