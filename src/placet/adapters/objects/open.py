"""From a DVC remote's configuration to its object store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from placet.adapters.objects.local import LocalStore
from placet.adapters.objects.options import require_known
from placet.errors import Invalid
from placet.ports import ObjectStore, StoreTraits

_LOCAL = frozenset({"type", "protected", "shared", "slow_link_warning"})
_BY_DVC = frozenset(
    {"ssh", "webdav", "webdavs", "http", "https", "hdfs", "webhdfs", "oss", "gdrive"}
)  # fmt: skip


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
        remote: The remote's options, merged, as DVC's `Config` gives them; `remote://` is resolved already.
        environ: Where credentials are looked for if the remote names none, as the services' own tools do.
        now: The clock that signatures are made with.
        root: What a relative local path is relative to.
        traits: What an S3 service can do, if it shall not be probed.

    Raises:
        Invalid: kinds `remote-not-supported`, `remote-option`, `remote-not-installed`.
        NotFound: kind `no-credentials`.
        Refused: kind `credentials-failed`.
    """
    url = str(remote.get("url", ""))
    scheme = urlsplit(url).scheme
    if scheme == "s3":
        from placet.adapters.objects.s3open import open_s3

        return open_s3(remote, environ=environ, now=now, traits=traits)
    if scheme == "gs":
        from placet.adapters.objects.gcs import open_gcs

        return open_gcs(remote, environ)
    if scheme == "azure":
        from placet.adapters.objects.azure import open_azure

        return open_azure(remote, environ)
    if scheme in _BY_DVC:
        from placet.adapters.objects.dvcfs import DvcFsStore

        return DvcFsStore(remote)
    if scheme in {"", "file", "local"} and url:
        require_known(remote, _LOCAL)
        path = Path(urlsplit(url).path if scheme else url)
        place = path if path.is_absolute() else (root or Path()) / path
        return LocalStore(place, shared=remote.get("shared") == "group")
    raise Invalid(
        f"Placet has no path to {url.rsplit('@', maxsplit=1)[-1]!r}.",
        kind="remote-not-supported",
        why=f"It speaks S3, GCS, Azure, local paths and, by DVC's own classes, {', '.join(sorted(_BY_DVC))}.",
        mend="See docs/reference/remotes.md.",
    )
