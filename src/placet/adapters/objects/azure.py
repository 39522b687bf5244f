"""Azure Blob Storage through obstore, from the options of a DVC remote."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import obstore.store

from placet.adapters.objects.obs import RETRY, ObStore
from placet.adapters.objects.options import (
    client_options,
    explain,
    missing_extra,
    place_of,
    refused,
    require_known,
    require_unset,
    said,
)
from placet.errors import Invalid, NotFound
from placet.ports import StoreAddress

if TYPE_CHECKING:
    from obstore.store import AzureConfig, AzureCredentialProvider

_EXCLUDES = (
    "exclude_environment_credential", "exclude_visual_studio_code_credential",
    "exclude_shared_token_cache_credential", "exclude_managed_identity_credential",
)  # fmt: skip
# The remote's option -> the variable, and the key of section `storage` in `~/.azure/config`, that stand in.
_STAND_IN = {
    "connection_string": "connection_string",
    "account_name": "account",
    "account_key": "key",
    "sas_token": "sas_token",
}
_SERVICE = ("tenant_id", "client_id", "client_secret")
_TIMES = ("timeout", "read_timeout", "connection_timeout")
_KNOWN = frozenset({*_STAND_IN, *_SERVICE, *_TIMES, *_EXCLUDES, "allow_anonymous_login"})
# obstore reads the environment for what is not here.
_OBSTORE = {"use_emulator": False, "use_fabric_endpoint": False, "skip_signature": False}
_EMULATOR = "UseDevelopmentStorage"


def open_azure(remote: Mapping[str, Any], environ: Mapping[str, str]) -> ObStore:
    """The store of an `azure://` remote.

    Credentials, in DVC's order: connection string, service principal, account key, SAS token; else, unless
    the remote is anonymous, azure-identity's default chain, which `dvc[azure]` brings. What the remote does
    not say is taken from `AZURE_STORAGE_*` variables, then from `~/.azure/config`; nothing of them joins a
    connection string, or stands beside a credential of the remote's own.

    Raises:
        Invalid: kinds `remote-option`, `remote-not-installed`.
        NotFound: kind `no-credentials`: no account is named.
    """
    require_known(remote, _KNOWN)
    place = place_of(remote)
    require_unset(environ, {"AZURE_ENCRYPTION_KEY"}, "Others could not read what it encrypts.", "Unset it.")
    values = _values(remote, environ)
    account, endpoint, config, provider = _credentials(remote, values)
    read_s = remote.get("read_timeout") or remote.get("timeout") or 60
    options = client_options(
        endpoint, connect_s=float(remote.get("connection_timeout") or 10), read_s=float(read_s)
    )
    try:
        store = obstore.store.AzureStore(
            place.netloc,
            config=cast("AzureConfig", {**_OBSTORE, "account_name": account, "endpoint": endpoint, **config}),
            client_options=options,
            retry_config=RETRY,
            credential_provider=provider,
        )
    except Exception as error:  # obstore's own error classes differ by what is wrong
        raise Invalid(
            f"The remote {remote['url']} cannot be opened.", kind="remote-option", why=said(error)
        ) from error
    address = StoreAddress(f"azure:{endpoint}", place.netloc, place.path.strip("/"))
    return ObStore(store, address, explain(f"container {place.netloc}", endpoint))


def _values(remote: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """The remote's options, completed by variables and by the file of Azure's command line."""
    home = Path(environ.get("HOME", "~")).expanduser()
    file = Path(environ.get("AZURE_CONFIG_DIR") or home / ".azure") / "config"
    parser = configparser.RawConfigParser()
    try:
        parser.read(file, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise Invalid(f"{file} is no Azure configuration file.", kind="remote-option") from error
    out = {name: str(remote[name]) for name in (*_STAND_IN, *_SERVICE) if remote.get(name)}
    signs = out.keys() - {"account_name"}
    for name, key in _STAND_IN.items():
        if name in out or (signs and name != "account_name"):
            continue
        found = environ.get(f"AZURE_STORAGE_{key.upper()}") or parser.get("storage", key, fallback="")
        if found:
            out[name] = found
    return out


def _credentials(
    remote: Mapping[str, Any], values: Mapping[str, str]
) -> tuple[str, str, dict[str, object], AzureCredentialProvider | None]:
    """Account, endpoint, obstore's settings for one way to sign in, and a provider for the default chain."""
    if "connection_string" in values:
        values = {"connection_string": "", **_connection(values["connection_string"])}
        named = remote.get("account_name")
        if named and not remote.get("connection_string") and named != values["account_name"]:
            raise Invalid(
                f"The environment's connection string is of another account than the remote's {named!r}.",
                kind="remote-option",
                mend="Unset AZURE_STORAGE_CONNECTION_STRING, or set the remote's own connection_string.",
            )
    account = values.get("account_name")
    if not account:
        raise NotFound(
            f"No storage account is named for {remote.get('url')}.",
            kind="no-credentials",
            mend="dvc remote modify --local REMOTE connection_string ..., or account_name ...",
        )
    endpoint = values.get("endpoint") or f"https://{account}.blob.core.windows.net"
    if all(name in values for name in _SERVICE) and "connection_string" not in values:
        service = {name: values[name] for name in _SERVICE}
        return account, endpoint, {"credential_type": "client_secret", **service}, None
    if "account_key" in values:
        key = {"credential_type": "access_key", "account_key": values["account_key"]}
        return account, endpoint, dict(key), None
    if "sas_token" in values:
        sas = {"credential_type": "sas_token", "sas_key": values["sas_token"].removeprefix("?")}
        return account, endpoint, dict(sas), None
    for name in _SERVICE:
        if name in values:
            raise refused(name, f"A service principal needs all of {', '.join(_SERVICE)}.")
    if remote.get("allow_anonymous_login") or "connection_string" in values:
        return account, endpoint, {"skip_signature": True}, None
    return account, endpoint, {}, _by_azure_identity(remote)


def _connection(text: str) -> dict[str, str]:
    """The parts of a connection string.

    Source: https://learn.microsoft.com/en-us/azure/storage/common/storage-configure-connection-string
    """
    parts = dict(one.split("=", 1) for one in text.strip().strip(";").split(";") if "=" in one)
    if _EMULATOR in parts:
        raise refused("connection_string", f"{_EMULATOR}: write the emulator's own BlobEndpoint instead.")
    account = parts.get("AccountName", "")
    suffix = parts.get("EndpointSuffix", "core.windows.net")
    endpoint = parts.get("BlobEndpoint", "").rstrip("/")
    if not account and endpoint:
        account = (urlsplit(endpoint).hostname or "").partition(".")[0]
    if not account:
        raise Invalid(
            "The `connection_string` names neither an account nor an endpoint.", kind="remote-option"
        )
    scheme = parts.get("DefaultEndpointsProtocol", "https")
    found = {
        "account_name": account,
        "endpoint": endpoint or f"{scheme}://{account}.blob.{suffix}",
        "account_key": parts.get("AccountKey", ""),
        "sas_token": parts.get("SharedAccessSignature", ""),
    }
    return {name: value for name, value in found.items() if value}


def _by_azure_identity(remote: Mapping[str, Any]) -> AzureCredentialProvider:
    try:
        import azure.identity
        from obstore.auth.azure import AzureCredentialProvider
    except ImportError as error:
        raise missing_extra(
            f"The remote {remote['url']} names no key; Azure's default credentials need azure-identity.",
            "azure",
        ) from error
    excluded = {name: bool(remote.get(name)) for name in _EXCLUDES}
    return AzureCredentialProvider(azure.identity.DefaultAzureCredential(**excluded))
