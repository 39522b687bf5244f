"""Which signer a `key` setting means: a file, a key of an ssh-agent, or one of a PKCS#11 token."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from placet import config
from placet.adapters import keys
from placet.errors import Invalid, NotFound, Refused
from placet.ports import Signer

_TRIES = 3
_LEAST_SECRET = 16


class LazySigner:
    """A signer that is opened when it is first used: what signs nothing needs no key."""

    def __init__(self, make: Callable[[], Signer]) -> None:
        self._make = make

    @property
    def public(self) -> str:
        """The public key. Raises as `signer`."""
        return self._make().public

    def sign(self, message: bytes) -> bytes:
        """A signature over the message. Raises as `signer`."""
        return self._make().sign(message)


def signer(key: str | Path | None) -> Signer:
    """Open a signing key; asks for its passphrase or PIN on a terminal where the environment has none.

    Raises:
        NotFound: kind `no-key`; and what the kinds of keys raise.
    """
    if key is None:
        raise NotFound(
            "No signing key is set.",
            kind="no-key",
            mend='Make one with `placet keygen FILE`, and write key = "FILE" to placet.toml.',
        )
    if isinstance(key, Path):
        return _file(key)
    if key.startswith("ssh-agent:"):
        from placet.adapters import keys_agent

        return keys_agent.load(key.removeprefix(keys_agent.SCHEME), config.environment().get("SSH_AUTH_SOCK"))
    from placet.adapters import keys_pkcs11

    uri = keys_pkcs11.parse_uri(key)
    return keys_pkcs11.load(uri, lambda: _pin(uri))


def webhook_secret(path: Path) -> bytes:
    """The secret that a forge signs its webhooks with, without the line's end.

    Raises:
        Invalid: kind `webhook-secret`: it is too short to be one.
        NotFound, Unavailable, Refused: as of a key file.
    """
    try:
        secret = keys.read_secret(path).strip()
    except NotFound as error:
        raise NotFound(
            f"There is no webhook secret at {path}.",
            kind=error.kind,
            mend=f"(umask 077; openssl rand -hex 32 > {path}), and give it to the forge.",
        ) from error
    if len(secret) < _LEAST_SECRET:
        raise Invalid(
            f"The webhook's secret in {path} has fewer than {_LEAST_SECRET} bytes.",
            kind="webhook-secret",
            mend=f"openssl rand -hex 32 > {path}, and give it to the forge.",
        )
    return secret


def _file(path: Path) -> Signer:
    given = config.secret("PLACET_PASSPHRASE")
    tries = _TRIES if given is None and keys.is_covered(path) else 0
    for left in range(tries - 1, -1, -1):
        typed = config.ask(f"Passphrase of {path}: ")
        if typed is None:
            break
        try:
            return keys.load(path, typed.encode())
        except Refused:
            if not left:
                raise
    return keys.load(path, given.encode() if given is not None else None)


def _pin(uri: object) -> str | None:
    source = getattr(uri, "pin_source", None)
    if source is not None:
        return keys.read_secret(Path(source)).decode("utf-8", "backslashreplace").removesuffix("\n")
    found = config.secret("PLACET_PIN")
    return found if found is not None else config.ask(f"PIN of key {uri}: ")
