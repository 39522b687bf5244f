"""The options of a DVC remote (dvc/config_schema.py): what is common to all, and refusals by name."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import SplitResult, urlsplit

from placet.adapters.objects.obs import translate
from placet.errors import Invalid, NotFound, PlacetError, Refused, Unavailable

if TYPE_CHECKING:
    from obstore.store import ClientConfig

# `verify` is what Placet always does, `jobs` is read where work is shared out, the rest is obsolete in DVC.
_EVERYWHERE = frozenset({"url", "verify", "jobs", "checksum_jobs", "no_traverse", "listobjects"})
_UNKEYED = ("version_aware", "worktree")
_NO_PLACE = re.compile(r"<Code>(NoSuchBucket|ContainerNotFound)</Code>|bucket does not exist")
_UNUSED, _ALL_HOSTS = "http://127.0.0.1:9", "*,0.0.0.0/0,::/0"  # obstore: without a proxy of its own finding
_SLOWER = "Remove it, or use `dvc push` and `dvc pull` for this remote: they are slower, and know it."


def require_known(remote: Mapping[str, Any], known: AbstractSet[str]) -> None:
    """Refuse what this kind of remote cannot honour.

    Args:
        remote: The remote's options, merged.
        known: Those that are honoured, beside the ones that every remote has.

    Raises:
        Invalid: kind `remote-option`; it names the option.
    """
    for name in _UNKEYED:
        if remote.get(name):
            raise Invalid(
                f"Version-aware and worktree remotes do not keep objects by their hash ({name!r} is set).",
                kind="remote-option",
                why="What cannot be found by its hash can be neither verified nor approved.",
                mend="Use a plain DVC remote, or `dvc push` and `dvc pull` for this one.",
            )
    for name in sorted(set(remote) - known - _EVERYWHERE - set(_UNKEYED)):
        raise refused(name, "Going on without it could store something else than you asked for.")


def refused(name: str, why: str) -> Invalid:
    """The error for an option that cannot be honoured."""
    return Invalid(
        f"Placet cannot honour the option {name!r} of this remote.",
        kind="remote-option",
        why=why,
        mend=_SLOWER,
    )


def require_unset(environ: Mapping[str, str], names: AbstractSet[str], why: str, mend: str) -> None:
    """Refuse variables that obstore reads for itself, and that nothing in its configuration can overrule.

    Raises:
        Invalid: kind `remote-option`; it names the variable, never its value.
    """
    for name in sorted(environ):
        if name.upper() in names:
            raise Invalid(
                f"Placet cannot honour the variable {name}.", kind="remote-option", why=why, mend=mend
            )


def place_of(remote: Mapping[str, Any]) -> SplitResult:
    """The remote's `url`, whose host is a bucket or container.

    Raises:
        Invalid: kind `remote-option`: there is none.
    """
    place = urlsplit(str(remote["url"]))
    if not place.netloc:
        raise Invalid(
            f"The url {remote['url']} names no bucket.",
            kind="remote-option",
            mend=f"dvc remote modify REMOTE url {place.scheme}://BUCKET/PATH",
        )
    return place


def client_options(
    endpoint: str, *, connect_s: float, read_s: float, verify: bool | str = True, proxy: str | None = None
) -> ClientConfig:
    """What obstore's HTTP client shall do.

    Args:
        endpoint: With its scheme.
        connect_s: Seconds to connect.
        read_s: Seconds between two reads.
        verify: Check certificates: by the system's roots, by a CA file too, or not.
        proxy: URL of the proxy to use; empty for none; None as obstore reads the environment.
    """
    options = cast("ClientConfig", {})
    options["allow_http"] = endpoint.startswith("http:")
    options["connect_timeout"] = f"{connect_s * 1000:.0f}ms"
    options["read_timeout"] = f"{read_s * 1000:.0f}ms"
    options["timeout"] = "6h"
    if verify is False:
        options["allow_invalid_certificates"] = True
    elif isinstance(verify, str):
        options["root_certificate"] = _certificate(verify)
    if proxy is not None:
        options["proxy_url"] = proxy or _UNUSED
    if proxy == "":
        options["proxy_excludes"] = _ALL_HOSTS
    return options


def _certificate(path: str) -> bytes:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        return Path(path).read_bytes()
    except OSError as error:  # ssl.SSLError is one
        raise Invalid(
            f"The CA file {path} cannot be read, or has no certificate.",
            kind="remote-option",
            why=str(error),
            mend="Set `ssl_verify` of the remote, or AWS_CA_BUNDLE, to a file of PEM certificates.",
        ) from error


def missing_extra(what: str, extra: str) -> Invalid:
    """The error where a package is not installed that `dvc[extra]` brings; `what` is a whole sentence."""
    return Invalid(what, kind="remote-not-installed", mend=f'pip install "dvc[{extra}]"')


def explain(place: str, endpoint: str) -> Callable[[Exception, str], PlacetError]:
    """Turns one of obstore's errors and a key into one of ours, where services say more than obstore does.

    Args:
        place: Bucket or container, as a person would say it.
        endpoint: Where it is.
    """

    def told(error: Exception, key: str) -> PlacetError:
        text = str(error)
        if _NO_PLACE.search(text):
            return NotFound(
                f"There is no {place} at {endpoint}.",
                kind="no-bucket",
                mend="Make it, or mend the `url` of the DVC remote.",
            )
        status = re.search(r"status code: (\d{3})", text)
        if status is not None and status[1] in {"401", "403"}:
            return Refused(
                f"The store does not let this credential use {place}, {key}.",
                kind="store-denied",
                why=said(error),
                mend="Check the credential of the DVC remote, and what it may do.",
            )
        if status is None and "HTTP error" in text:
            return Unavailable(
                f"The object store {endpoint} does not answer.",
                kind="store-unreachable",
                why=said(error),
                mend="Check the DVC remote and the network, then run it again.",
            )
        return translate(error, key)

    return told


def said(error: Exception) -> str:
    """What obstore says, without the form of its data."""
    return str(error).split("\n", 1)[0][:300]
