"""From a DVC remote's options to an S3 store: where the bucket is, whose keys, which headers.

Options, variables and profile are looked at in the order in which botocore, and so stock DVC, does.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from placet.adapters.objects.awskeys import credentials
from placet.adapters.objects.awsprofile import Profile, read_profile
from placet.adapters.objects.options import place_of, refused, require_known, require_unset
from placet.adapters.objects.s3 import S3Store
from placet.adapters.objects.s3http import S3Http, Service
from placet.adapters.objects.sigv4 import Credentials
from placet.core.digest import digest
from placet.errors import Invalid
from placet.ports import StoreTraits

_GRANTS = {
    "grant_read": "x-amz-grant-read",
    "grant_read_acp": "x-amz-grant-read-acp",
    "grant_write_acp": "x-amz-grant-write-acp",
    "grant_full_control": "x-amz-grant-full-control",
}
_KNOWN = frozenset(
    {
        "endpointurl", "region", "profile", "credentialpath", "configpath", "access_key_id",
        "secret_access_key", "session_token", "use_ssl", "ssl_verify", "allow_anonymous_login",
        "read_timeout", "connect_timeout", "cache_regions", "sse", "sse_kms_key_id",
        "sse_customer_algorithm", "sse_customer_key", "acl", *_GRANTS,
    }
)  # fmt: skip
_SSE = "x-amz-server-side-encryption"
_SSE_KINDS = ("AES256", "aws:kms", "aws:kms:dsse")
_AWS_REGION = "us-east-1"
_OBSTORE_ENCRYPTS = frozenset(
    {
        "AWS_SERVER_SIDE_ENCRYPTION", "AWS_SSE_KMS_KEY_ID", "AWS_SSE_CUSTOMER_KEY_BASE64",
        "AWS_SSE_BUCKET_KEY_ENABLED",
    }
)  # fmt: skip
_OTHER_ENDPOINTS = ("use_fips_endpoint", "use_dualstack_endpoint", "use_accelerate_endpoint")


def open_s3(
    remote: Mapping[str, Any],
    *,
    environ: Mapping[str, str],
    now: Callable[[], datetime],
    traits: StoreTraits | None = None,
) -> S3Store:
    """The store of an S3 remote; see `open_store`."""
    require_known(remote, _KNOWN)
    place = place_of(remote)
    require_unset(
        environ,
        _OBSTORE_ENCRYPTS,
        "It would encrypt short objects and not long ones.",
        "Unset it; set `sse`, `sse_kms_key_id` or `sse_customer_key` of the remote.",
    )
    profile = read_profile(remote, environ)
    endpoint = _endpoint(remote, profile, environ)
    known = _region(remote, profile, environ)
    address = endpoint or _aws(known or _AWS_REGION, use_ssl=remote.get("use_ssl", True) is not False)
    found = credentials(remote, profile, environ, now)
    service = Service(
        endpoint=address,
        region=known or _AWS_REGION,
        bucket=place.netloc,
        credentials=found if isinstance(found, Credentials) else None,
        source=None if isinstance(found, Credentials) else found,
        now=now,
        virtual_host=_virtual(place.netloc, profile, endpoint),
        verify=_verify(remote, profile, environ),
        connect_s=float(remote.get("connect_timeout") or 10),
        read_s=float(remote.get("read_timeout") or 60),
        proxy=_proxy(address, environ),
        written=_written(remote),
        sealed=_sealed(remote),
    )
    if not known and not endpoint and remote.get("cache_regions", True):
        region = bucket_region(service)
        service = replace(service, region=region, endpoint=service.endpoint.replace(_AWS_REGION, region))
    return S3Store(service, place.path.strip("/"), traits)


def bucket_region(service: Service) -> str:
    """The region that AWS says a bucket is in, whoever asks; the service's own if it says none."""
    unsigned = replace(service, credentials=None, source=None)
    answer = S3Http(unsigned).call("HEAD", "", good=(200, 301, 307, 400, 403, 404))
    return answer.headers.get("x-amz-bucket-region", service.region)


def _region(remote: Mapping[str, Any], profile: Profile, environ: Mapping[str, str]) -> str | None:
    found = remote.get("region") or environ.get("AWS_DEFAULT_REGION") or environ.get("AWS_REGION")
    return str(found) if found else profile.values.get("region")


def _aws(region: str, *, use_ssl: bool) -> str:
    scheme, suffix = "https" if use_ssl else "http", ".cn" if region.startswith("cn-") else ""
    return f"{scheme}://s3.{region}.amazonaws.com{suffix}"


def _endpoint(remote: Mapping[str, Any], profile: Profile, environ: Mapping[str, str]) -> str | None:
    found = remote.get("endpointurl")
    ignored = (
        environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"),
        profile.values.get("ignore_configured_endpoint_urls"),
    )
    if not found and "true" not in {str(one).lower() for one in ignored}:
        found = (
            environ.get("AWS_ENDPOINT_URL_S3")
            or environ.get("AWS_ENDPOINT_URL")
            or profile.service.get("endpoint_url")
            or profile.values.get("endpoint_url")
        )
    if not found:
        _require_usual(profile, environ)
        return None
    endpoint = str(found).rstrip("/")
    parts = _split(endpoint)
    more = parts and (parts.path.strip("/") or parts.query or parts.username)
    if parts is None or parts.scheme not in {"http", "https"} or more:
        raise Invalid(
            f"{endpoint.rsplit('@', maxsplit=1)[-1]!r} is no endpoint of an object store.",
            kind="remote-option",
            mend="Set `endpointurl` to http(s)://host[:port], without a path or a credential.",
        )
    return endpoint


def _require_usual(profile: Profile, environ: Mapping[str, str]) -> None:
    """Refuse what asks for another of AWS's endpoints than the region's usual one: FIPS is no wish."""
    for name in _OTHER_ENDPOINTS:
        variable = f"AWS_{name.upper()}"
        said = environ.get(variable) or profile.s3.get(name) or profile.values.get(name) or ""
        if str(said).lower() == "true":
            raise Invalid(
                f"Placet does not choose the endpoint that {name!r} asks for.",
                kind="remote-option",
                why=f"It is set by {variable} or in the profile.",
                mend="Set `endpointurl` to it, as https://s3-fips.us-east-1.amazonaws.com, and `region`.",
            )


def _virtual(bucket: str, profile: Profile, endpoint: str | None) -> bool:
    """Is the bucket in the host name? As `addressing_style` says; else for AWS, where the name allows it."""
    style = profile.s3.get("addressing_style", "auto")
    return style == "virtual" or (style == "auto" and endpoint is None and "." not in bucket)


def _verify(remote: Mapping[str, Any], profile: Profile, environ: Mapping[str, str]) -> bool | str:
    found = remote.get("ssl_verify")
    if found is None:
        found = environ.get("AWS_CA_BUNDLE") or profile.values.get("ca_bundle") or True
    return str(Path(found).expanduser()) if isinstance(found, str) else found is not False


def _proxy(endpoint: str, environ: Mapping[str, str]) -> str | None:
    """The proxy that variables name for this endpoint, as other tools read them."""
    parts = urlsplit(endpoint)
    # HTTP_PROXY in capitals may be a client's header inside a CGI process: others do not read it then either.
    known = {
        scheme: environ.get(f"{scheme}_proxy") or environ.get(f"{scheme}_PROXY".upper(), "")
        for scheme in ("http", "https")
        if not (scheme == "http" and "REQUEST_METHOD" in environ)
    }
    found = known.get(parts.scheme) or environ.get("all_proxy") or environ.get("ALL_PROXY")
    exempt = {"no": environ.get("no_proxy") or environ.get("NO_PROXY") or ""}
    if not found:
        return None
    from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed lacks it

    return None if proxy_bypass_environment(parts.netloc, exempt) else _http_proxy(found)


def _http_proxy(text: str) -> str:
    """A proxy's URL that both clients understand alike."""
    url = text if "://" in text else f"http://{text}"
    parts = _split(url)
    if parts is None or parts.scheme not in {"http", "https"}:
        raise Invalid(
            f"The proxy {url.rpartition('@')[2]!r} cannot be used.",
            kind="remote-option",
            why="Variables such as HTTPS_PROXY or ALL_PROXY name it; it must be an HTTP proxy.",
            mend="Set it to http://[USER:PASSWORD@]HOST:PORT, or add the store to NO_PROXY.",
        )
    return url


def _split(url: str) -> SplitResult | None:
    """The parts of a URL with a host and, if it has a port, a good one; else None."""
    try:
        parts = urlsplit(url)
        return parts if parts.hostname and parts.port != 0 else None
    except ValueError:
        return None


def _written(remote: Mapping[str, Any]) -> dict[str, str]:
    """The headers under which objects are written: encryption by the service, an ACL or grants."""
    out = {}
    kind, kms = remote.get("sse"), remote.get("sse_kms_key_id")
    if kind:
        if kind not in _SSE_KINDS:
            raise refused("sse", f"S3 has {', '.join(_SSE_KINDS)}, not {kind!r}.")
        out[_SSE] = str(kind)
    if kms:
        if kind not in {"aws:kms", "aws:kms:dsse"}:
            raise refused("sse_kms_key_id", "It needs the option `sse = aws:kms`.")
        out[f"{_SSE}-aws-kms-key-id"] = str(kms)
    if remote.get("acl"):
        out["x-amz-acl"] = str(remote["acl"])
    for name, header in _GRANTS.items():
        if remote.get(name):
            if remote.get("acl"):
                raise refused(name, "S3 takes `acl` or `grant_*`, not both.")
            out[header] = str(remote[name])
    return out


def _sealed(remote: Mapping[str, Any]) -> dict[str, str]:
    """The headers of encryption by the customer's own key (SSE-C)."""
    key, algorithm = remote.get("sse_customer_key"), remote.get("sse_customer_algorithm") or "AES256"
    if not key:
        if remote.get("sse_customer_algorithm"):
            raise refused("sse_customer_algorithm", "It needs the option `sse_customer_key`.")
        return {}
    if remote.get("sse") or remote.get("sse_kms_key_id"):
        raise refused("sse_customer_key", "S3 takes a customer's key or `sse`, not both.")
    if algorithm != "AES256":
        raise refused("sse_customer_algorithm", "S3 has AES256 only.")
    try:
        raw = base64.b64decode(str(key), validate=True)
    except ValueError:
        raw = b""
    if len(raw) != 32:  # noqa: PLR2004 - AES-256
        raise Invalid(
            "`sse_customer_key` is not the base64 form of 32 bytes.",
            kind="remote-option",
            mend="openssl rand -base64 32",
        )
    return {
        f"{_SSE}-customer-algorithm": "AES256",
        f"{_SSE}-customer-key": str(key),
        f"{_SSE}-customer-key-md5": base64.b64encode(bytes.fromhex(digest(raw).md5)).decode(),
    }
