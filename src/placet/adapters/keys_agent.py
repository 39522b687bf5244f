"""Signing keys that an ssh-agent holds; the private key never comes here.

Agent protocol: https://datatracker.ietf.org/doc/html/draft-ietf-sshm-ssh-agent, spoken by asyncssh.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from placet.core.digest import sha256_hex
from placet.errors import Conflict, NotFound, Refused, Unavailable

SCHEME = "ssh-agent:"
_PUBLIC = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"
_SIGNATURE = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x40"
_ANSWER_S = 10.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Identity:
    algorithm: str
    blob: bytes
    comment: str

    @property
    def fingerprint(self) -> str:
        digest = base64.b64encode(bytes.fromhex(sha256_hex(self.blob))).decode()
        return f"SHA256:{digest.rstrip('=')}"

    @property
    def public(self) -> str:
        raw = self.blob.removeprefix(_PUBLIC)
        is_ed25519 = self.algorithm == "ssh-ed25519" and len(self.blob) == len(_PUBLIC) + 32
        return f"ed25519:{base64.b64encode(raw).decode()}" if is_ed25519 else ""

    def __str__(self) -> str:
        return f"{self.comment!r} ({self.fingerprint})"


class AgentSigner:
    """A key in an ssh-agent; each signature is asked of the agent anew."""

    __slots__ = ("_identity", "_socket", "public")

    def __init__(self, socket: str, identity: _Identity) -> None:
        self._socket = socket
        self._identity = identity
        self.public = identity.public

    def __repr__(self) -> str:
        return f"AgentSigner({self.public})"

    def sign(self, message: bytes) -> bytes:
        """A 64-byte signature; waits for as long as the agent waits for its owner's confirmation.

        Raises:
            Unavailable: kind `ssh-agent`: the agent is gone.
            Refused: kind `key-refused`: the agent did not sign.
        """
        blob = self._identity.blob
        try:
            answer: bytes = _ask(self._socket, lambda agent: agent.sign(blob, message), limit_s=None)
        except ValueError as error:
            raise Refused(
                f"The ssh-agent did not sign with key {self._identity}.",
                kind="key-refused",
                why="It is locked, the key was taken out or has run out, or its owner did not confirm.",
                mend="Look with `ssh-add -l`; then run it again.",
            ) from error
        if not answer.startswith(_SIGNATURE) or len(answer) != len(_SIGNATURE) + 64:
            raise Refused("The ssh-agent gave no Ed25519 signature.", kind="key-refused")
        return answer.removeprefix(_SIGNATURE)


def load(wanted: str, socket: str | None) -> AgentSigner:
    """The key of an agent that `wanted` names.

    Args:
        wanted: What follows `ssh-agent:`: a comment, a fingerprint `SHA256:...`, or `ed25519:...`; empty
            if the agent holds one Ed25519 key only.
        socket: The agent's socket, as `SSH_AUTH_SOCK` names it.

    Raises:
        Unavailable: kind `ssh-agent`: no agent answers.
        NotFound: kinds `no-key`, `no-library`.
        Conflict: kind `ambiguous-key`.
        Refused: kind `key-type`: the key is not Ed25519.
    """
    if not socket:
        raise _unreachable("SSH_AUTH_SOCK is not set.")
    try:
        keys: Sequence[Any] = _ask(socket, lambda agent: agent.get_keys(), limit_s=_ANSWER_S)
    except ValueError as error:
        raise _unreachable(f"It answered with what is no answer: {error}.") from error
    known = [_identity(one) for one in keys]
    found = [one for one in known if _named(one, wanted)]
    if not found:
        raise _unknown(wanted, known)
    if len(found) > 1:
        raise Conflict(
            f"The ssh-agent holds {len(found)} keys that are called {wanted!r}.",
            kind="ambiguous-key",
            mend=f"Name one by its fingerprint: {', '.join(one.fingerprint for one in found)}",
        )
    if not found[0].public:
        raise Refused(
            f"Key {found[0]} of the ssh-agent is of type {found[0].algorithm}.",
            kind="key-type",
            why="Placet signs with plain Ed25519 only.",
            mend="ssh-keygen -t ed25519 makes one; ssh-add gives it to the agent.",
        )
    return AgentSigner(socket, found[0])


def _named(one: _Identity, wanted: str) -> bool:
    if not wanted:
        return bool(one.public)
    return wanted in {one.comment, one.fingerprint, one.public}


def _identity(key: Any) -> _Identity:  # noqa: ANN401 - asyncssh's key pair
    comment = (key.get_comment_bytes() or b"").decode("utf-8", "backslashreplace")
    return _Identity(key.algorithm.decode("ascii", "backslashreplace"), key.public_data, comment)


def _unknown(wanted: str, known: Sequence[_Identity]) -> NotFound:
    fit = [str(one) for one in known if one.public]
    return NotFound(
        f"The ssh-agent holds no key {wanted!r}." if wanted else "The ssh-agent holds no Ed25519 key.",
        kind="no-key",
        why=f"Its Ed25519 keys: {', '.join(fit)}."
        if fit
        else "It shows no Ed25519 key; a locked one shows none.",
        mend="ssh-add FILE gives it a key; ssh-add -X unlocks it.",
    )


def _unreachable(why: str) -> Unavailable:
    return Unavailable(
        "No ssh-agent answers.", kind="ssh-agent", why=why, mend="Start one: eval $(ssh-agent); ssh-add FILE"
    )


def _ask(socket: str, request: Callable[[Any], Coroutine[Any, Any, T]], *, limit_s: float | None) -> T:
    """Ask the agent once; also where the caller has an event loop of its own, as a notebook has."""
    try:
        import asyncssh
    except ImportError as error:
        raise NotFound(
            "Keys of an ssh-agent cannot be used here.",
            kind="no-library",
            mend="pip install '/path/to/placet[ssh-agent]'",
        ) from error

    async def once() -> T:
        async with asyncssh.connect_agent(socket) as agent:
            return await asyncio.wait_for(request(agent), limit_s)

    try:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(once())
        with ThreadPoolExecutor(1) as other:
            return other.submit(asyncio.run, once()).result()
    except (OSError, asyncssh.Error) as error:
        raise _unreachable(f"{socket}: {error}.") from error
