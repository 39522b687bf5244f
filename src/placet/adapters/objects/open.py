"""From a DVC remote's configuration to its object store."""

from __future__ import annotations

import configparser
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from placet.adapters.objects.local import LocalStore
from placet.adapters.objects.s3 import S3Store
from placet.adapters.objects.s3http import Service
from placet.adapters.objects.sigv4 import Credentials
from placet.errors import Invalid, NotFound
from placet.ports import ObjectStore, StoreTraits

_S3_KEYS = frozenset(
    {
        "url", "endpointurl", "region", "profile", "credentialpath", "configpath", "access_key_id",
        "secret_access_key", "session_token", "use_ssl", "ssl_verify", "allow_anonymous_login",
        "read_timeout", "connect_timeout", "verify", "jobs", "checksum_jobs", "version_aware", "worktree",
        "cache_regions", "listobjects",
    }
)  # fmt: skip
_LOCAL_KEYS = frozenset(
    {"url", "verify", "jobs", "checksum_jobs", "type", "protected", "shared", "slow_link_warning"}
)


def open_store(
    remote: Mapping[str, Any],
    *,
    environ: Mapping[str, str],
    now: Callable[[], datetime],
    root: Path | None = None,
    traits: StoreTraits | None = None,
) -> ObjectStore:
    """The store of a DVC remote.

    Args:
        remote: The remote's options, merged, as DVC's `Config` gives them.
        environ: Where credentials are looked for if the remote names none, as AWS's tools do.
        now: The clock that signatures are made with.
        root: What a relative local path is relative to.
        traits: What the service can do, if it shall not be probed.

    Raises:
        Invalid: kinds `remote-not-supported`, `remote-option`.
        NotFound: kind `no-credentials`.
    """
    url = str(remote.get("url", ""))
    scheme = urlsplit(url).scheme
    if scheme == "s3":
        return _open_s3(remote, url, environ, now, traits)
    if scheme in {"", "file", "local"} and url:
        _refuse_options(remote, _LOCAL_KEYS)
        path = Path(urlsplit(url).path if scheme else url)
        return LocalStore(path if path.is_absolute() else (root or Path()) / path)
    raise Invalid(
        f"Placet has no fast path to {url.rsplit('@', maxsplit=1)[-1]!r}.",
        kind="remote-not-supported",
        why="It speaks S3 and compatible services, and local paths.",
        mend="Use `dvc push` and `dvc pull` for this remote; they are slower, and work.",
    )


def _open_s3(
    remote: Mapping[str, Any],
    url: str,
    environ: Mapping[str, str],
    now: Callable[[], datetime],
    traits: StoreTraits | None,
) -> S3Store:
    _refuse_options(remote, _S3_KEYS)
    if remote.get("version_aware") or remote.get("worktree"):
        raise Invalid(
            "Version-aware and worktree remotes do not keep objects by their hash.",
            kind="remote-option",
            mend="Use a plain DVC remote for tiers.",
        )
    shared = _shared(remote, environ)
    region = str(
        remote.get("region") or shared.get("region") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    )
    place = urlsplit(url)
    endpoint = (
        remote.get("endpointurl") or environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL")
    )
    if endpoint:
        _require_endpoint(str(endpoint))
    verify = remote.get("ssl_verify", True)
    service = Service(
        endpoint=str(endpoint or f"https://s3.{region}.amazonaws.com").rstrip("/"),
        region=region,
        bucket=place.netloc,
        credentials=_credentials(remote, shared, environ),
        now=now,
        virtual_host=endpoint is None and "." not in place.netloc,
        verify=verify if isinstance(verify, (bool, str)) else True,
        connect_s=float(remote.get("connect_timeout") or 10),
        read_s=float(remote.get("read_timeout") or 60),
    )
    return S3Store(service, place.path.strip("/"), traits)


def _require_endpoint(endpoint: str) -> None:
    parts = urlsplit(endpoint)
    more = parts.path.strip("/") or parts.query or parts.username
    if parts.scheme not in {"http", "https"} or not parts.hostname or more:
        raise Invalid(
            f"{endpoint.rsplit('@', maxsplit=1)[-1]!r} is no endpoint of an object store.",
            kind="remote-option",
            mend="Set `endpointurl` to http(s)://host[:port], without a path or a credential.",
        )


def _refuse_options(remote: Mapping[str, Any], known: frozenset[str]) -> None:
    foreign = sorted(set(remote) - known)
    if foreign:
        raise Invalid(
            f"Placet does not know the option {foreign[0]!r} of this remote.",
            kind="remote-option",
            why="Going on without it could store something else than you asked for.",
            mend="Remove it, or use `dvc push` and `dvc pull` for this remote.",
        )


def _credentials(
    remote: Mapping[str, Any], shared: Mapping[str, str], environ: Mapping[str, str]
) -> Credentials | None:
    if remote.get("allow_anonymous_login"):
        return None
    own = (remote, ("access_key_id", "secret_access_key", "session_token"))
    profile = (shared, ("aws_access_key_id", "aws_secret_access_key", "aws_session_token"))
    variables = (environ, ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"))
    named = remote.get("profile") or remote.get("credentialpath")
    for source, names in (own, profile) if named else (own, variables, profile):
        access, secret = source.get(names[0]), source.get(names[1])
        if access and secret:
            token = source.get(names[2])
            return Credentials(str(access), str(secret), str(token) if token else None)
    raise NotFound(
        f"There are no credentials for {remote.get('url')}.",
        kind="no-credentials",
        mend="dvc remote modify --local REMOTE access_key_id ... and secret_access_key ..., or a `profile`.",
    )


def _shared(remote: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """The profile's section of AWS's shared files: named by the remote, else by the environment."""
    home = Path(environ.get("HOME", "~")).expanduser()
    profile = str(remote.get("profile") or environ.get("AWS_PROFILE") or "default")
    files = (
        (remote.get("configpath") or environ.get("AWS_CONFIG_FILE") or home / ".aws" / "config"),
        (
            remote.get("credentialpath")
            or environ.get("AWS_SHARED_CREDENTIALS_FILE")
            or home / ".aws" / "credentials"
        ),
    )
    out: dict[str, str] = {}
    for path in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(Path(str(path)).expanduser(), encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError) as error:
            raise Invalid(f"{path} is no AWS configuration file.", kind="remote-option") from error
        for section in (profile, f"profile {profile}"):
            if parser.has_section(section):
                out |= dict(parser.items(section))
    return out
