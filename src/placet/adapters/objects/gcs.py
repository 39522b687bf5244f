"""Google Cloud Storage through obstore, from the options of a DVC remote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import obstore.store

from placet.adapters.objects.obs import RETRY, ObStore
from placet.adapters.objects.options import client_options, explain, missing_extra, require_known, said
from placet.errors import Invalid, Refused
from placet.ports import StoreAddress

if TYPE_CHECKING:
    from obstore.store import GCSConfig, GCSCredentialProvider

# `projectname` is asked for when buckets are made, which Placet does not do.
_KNOWN = frozenset({"projectname", "credentialpath", "endpointurl", "allow_anonymous_login"})
_BY_OBSTORE = {"service_account", "authorized_user"}
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_PUBLIC = "https://storage.googleapis.com"


def open_gcs(remote: Mapping[str, Any], environ: Mapping[str, str]) -> ObStore:
    """The store of a `gs://` remote.

    Credentials: the remote's `credentialpath`, else Application Default Credentials. Keys of service accounts
    and of users, and the metadata server, are obstore's own; other files (workload identity federation,
    impersonation) are left to google-auth, which `dvc[gs]` brings.

    Raises:
        Invalid: kinds `remote-option`, `remote-not-installed`.
        Refused: kind `credentials-failed`.
    """
    require_known(remote, _KNOWN)
    place = urlsplit(str(remote["url"]))
    endpoint = str(remote.get("endpointurl") or environ.get("STORAGE_EMULATOR_HOST") or _PUBLIC).rstrip("/")
    endpoint = endpoint if "://" in endpoint else f"http://{endpoint}"
    config = cast("GCSConfig", {"base_url": endpoint})
    provider = None
    file = remote.get("credentialpath") or environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if remote.get("allow_anonymous_login"):
        config["skip_signature"] = True
    elif file:
        path = Path(str(file)).expanduser()
        if _kind(path) in _BY_OBSTORE:
            config["application_credentials"] = str(path)
        else:
            provider = _by_google_auth(path)
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
