"""Google Cloud Storage through obstore, from the options of a DVC remote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import obstore.store

from placet.adapters.objects.obs import RETRY, ObStore
from placet.adapters.objects.options import (
    client_options,
    explain,
    missing_extra,
    place_of,
    require_known,
    require_unset,
    said,
)
from placet.errors import Invalid, Refused
from placet.ports import StoreAddress

if TYPE_CHECKING:
    from obstore.store import GCSConfig, GCSCredentialProvider

# `projectname` is asked for when buckets are made, which Placet does not do.
_KNOWN = frozenset({"projectname", "credentialpath", "endpointurl", "allow_anonymous_login"})
_KEY = "GOOGLE_SERVICE_ACCOUNT_KEY"
_PATHS = frozenset({"GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH"})
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_PUBLIC = "https://storage.googleapis.com"


def open_gcs(remote: Mapping[str, Any], environ: Mapping[str, str]) -> ObStore:
    """The store of a `gs://` remote.

    Credentials: the remote's `credentialpath`, else Application Default Credentials. Keys of service accounts
    and of users, and the metadata server, are obstore's own; other files (workload identity federation,
    impersonation) are left to google-auth, which `dvc[gs]` brings. An emulator that
    `STORAGE_EMULATOR_HOST` names gets none.

    Raises:
        Invalid: kinds `remote-option`, `remote-not-installed`.
        Refused: kind `credentials-failed`.
    """
    require_known(remote, _KNOWN)
    place = place_of(remote)
    emulator = "" if remote.get("endpointurl") else environ.get("STORAGE_EMULATOR_HOST", "")
    endpoint = str(remote.get("endpointurl") or emulator or _PUBLIC).rstrip("/")
    endpoint = endpoint if "://" in endpoint else f"http://{endpoint}"
    anonymous = bool(emulator or remote.get("allow_anonymous_login"))
    config, provider = _signing(remote, environ, anonymous=anonymous)
    config["base_url"] = endpoint
    try:
        store = obstore.store.GCSStore(
            place.netloc,
            config=config,
            client_options=client_options(endpoint, connect_s=10, read_s=60),
            retry_config=RETRY,
            credential_provider=provider,
        )
    except Exception as error:  # obstore's own error classes differ by what is wrong
        raise Invalid(
            f"The remote {remote['url']} cannot be opened.", kind="remote-option", why=said(error)
        ) from error
    address = StoreAddress(f"gs:{endpoint}", place.netloc, place.path.strip("/"))
    return ObStore(store, address, explain(f"bucket {place.netloc}", endpoint))


def _signing(
    remote: Mapping[str, Any], environ: Mapping[str, str], *, anonymous: bool
) -> tuple[GCSConfig, GCSCredentialProvider | None]:
    """What obstore shall sign with; no variable that only obstore knows says it instead."""
    file = (
        None if anonymous else remote.get("credentialpath") or environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    )
    path = Path(str(file)).expanduser() if file else None
    kind = _kind(path) if path else ""
    unset = {_KEY} if kind == "service_account" else {_KEY, *_PATHS}
    require_unset(
        environ,
        unset,
        "It would sign instead of the credential that this remote has, or that it shall not have.",
        "Unset it; set `credentialpath` of the remote, or GOOGLE_APPLICATION_CREDENTIALS.",
    )
    config = cast("GCSConfig", {"skip_signature": anonymous})
    if path is None:
        return config, None
    if kind not in {"service_account", "authorized_user"}:
        return config, _by_google_auth(path)
    config["application_credentials"] = str(path)
    if kind == "service_account":
        config["service_account"] = str(path)
    return config, None


def _kind(path: Path) -> str:
    try:
        return str(json.loads(path.read_bytes()).get("type", ""))
    except (OSError, ValueError, AttributeError) as error:
        raise Invalid(
            f"{path} is no file of Google credentials.",
            kind="remote-option",
            why=str(error)[:200],
            mend="Set `credentialpath` to the JSON file of a service account.",
        ) from error


def _by_google_auth(path: Path) -> GCSCredentialProvider:
    try:
        import google.auth
        import google.auth.exceptions
        from obstore.auth.google import GoogleCredentialProvider
    except ImportError as error:
        raise missing_extra(f"The credentials in {path} need google-auth.", "gs") from error
    try:
        held, _ = google.auth.load_credentials_from_file(str(path), scopes=[_SCOPE])
    except (google.auth.exceptions.DefaultCredentialsError, ValueError) as error:
        raise Invalid(
            f"{path} is no file of Google credentials.", kind="remote-option", why=said(error)
        ) from error
    except google.auth.exceptions.GoogleAuthError as error:
        raise Refused(
            f"The credentials in {path} give no token.", kind="credentials-failed", why=said(error)
        ) from error
    return GoogleCredentialProvider(credentials=held)
