"""Whose credentials an S3 remote uses: its own, the environment's, a profile's, or those of botocore's chain.

The cheap sources are read here. Whatever AWS's tools know beyond them (`credential_process`, SSO, roles, web
identity, instance and container metadata) is left to botocore, which `dvc[s3]` brings: loaded only if needed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from placet.adapters.objects.awsprofile import Profile
from placet.adapters.objects.sigv4 import Credentials
from placet.errors import Invalid, NotFound, Refused

if TYPE_CHECKING:
    from botocore.credentials import Credentials as Found

_ASK_AGAIN = timedelta(minutes=1)
_OWN = ("access_key_id", "secret_access_key", "session_token")
_CHAIN_FIRST = ("role_arn", "sso_session", "sso_account_id")


def credentials(
    remote: Mapping[str, Any], profile: Profile, environ: Mapping[str, str], now: Callable[[], datetime]
) -> Credentials | Callable[[], Credentials] | None:
    """Fixed credentials, or where temporary ones come from; None to sign nothing.

    In the order of AWS's tools: the remote's own options, variables, a role or SSO of the profile, the
    profile's keys, then the rest of botocore's chain. A profile or file that the remote names is never
    replaced by somebody else's variables.

    Raises:
        Invalid: kind `remote-option`: the remote's own keys are half a credential.
        NotFound: kind `no-credentials`.
        Refused: kind `credentials-failed`: the chain has a source, and it fails.
    """
    if remote.get("allow_anonymous_login"):
        return None
    own = _keys(remote, *_OWN)
    if own is None and any(remote.get(name) for name in _OWN):
        raise Invalid(
            f"The remote {remote.get('url')} has half a credential.",
            kind="remote-option",
            why="It needs both `access_key_id` and `secret_access_key`; nobody else's may stand in for them.",
            mend="dvc remote modify --local REMOTE secret_access_key ..., or remove what there is of it.",
        )
    if own is None and not profile.named:
        own = _keys(environ, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    web_identity = not profile.named and "AWS_WEB_IDENTITY_TOKEN_FILE" in environ
    if own is None and not web_identity and not any(profile.values.get(one) for one in _CHAIN_FIRST):
        own = _keys(profile.values, "aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    return own or _chain(remote, profile, now)


def _keys(source: Mapping[str, Any], access: str, secret: str, token: str) -> Credentials | None:
    if not (source.get(access) and source.get(secret)):
        return None
    held = source.get(token)
    return Credentials(str(source[access]), str(source[secret]), str(held) if held else None)


def _chain(remote: Mapping[str, Any], profile: Profile, now: Callable[[], datetime]) -> Renewed:
    try:
        import botocore.exceptions
        import botocore.session
    except ImportError as error:
        raise _none(
            remote,
            "Neither the remote, nor variables, nor the profile have keys, and botocore, which knows "
            "credential_process, SSO, roles and instance metadata, is not installed.",
            'pip install "dvc[s3]", or ',
        ) from error
    chosen = profile.named or profile.name != "default"
    session = botocore.session.Session(profile=profile.name if chosen else None)
    session.set_config_variable("config_file", str(profile.config))
    session.set_config_variable("credentials_file", str(profile.credentials))
    try:
        found = session.get_credentials()
    except botocore.exceptions.ProfileNotFound as error:
        raise _none(remote, f"There is no profile {profile.name!r}.") from error
    except botocore.exceptions.BotoCoreError as error:
        raise _failed(error) from error
    if found is None:
        raise _none(remote, "Neither the remote, nor variables, nor AWS's own chain have any.")
    renewed = Renewed(found, now)
    renewed()
    return renewed


class Renewed:
    """Credentials of botocore's chain, which renews them 10 to 15 minutes before they expire.

    It is asked again each minute. Safe for many threads.
    """

    def __init__(self, found: Found, now: Callable[[], datetime]) -> None:
        self._found = found
        self._now = now
        self._lock = threading.Lock()
        self._held: Credentials | None = None

    def __call__(self) -> Credentials:
        """What is valid now.

        Raises:
            Refused: kind `credentials-failed`.
        """
        import botocore.exceptions

        with self._lock:
            time = self._now()
            held = self._held
            if held is None or held.fresh_until is None or time >= held.fresh_until:
                try:
                    keys = self._found.get_frozen_credentials()
                except botocore.exceptions.BotoCoreError as error:
                    raise _failed(error) from error
                held = Credentials(keys.access_key, keys.secret_key, keys.token, time + _ASK_AGAIN)
                self._held = held
            return held


def _none(remote: Mapping[str, Any], why: str, first: str = "") -> NotFound:
    return NotFound(
        f"There are no credentials for {remote.get('url')}.",
        kind="no-credentials",
        why=why,
        mend=f"{first}dvc remote modify --local REMOTE access_key_id ... and secret_access_key ..., "
        "or a `profile`.",
    )


def _failed(error: Exception) -> Refused:
    return Refused(
        "AWS's credential chain gives no credentials.",
        kind="credentials-failed",
        why=str(error)[:300],
        mend="See what `aws sts get-caller-identity` says with the same profile; for SSO: aws sso login",
    )
