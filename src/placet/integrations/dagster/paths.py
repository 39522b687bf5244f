"""Where the output of an asset lies: keys of assets and partitions as parts of a path."""

from __future__ import annotations

from urllib.parse import quote

import dagster as dg

from placet.core import layout
from placet.core.digest import sha256_hex
from placet.errors import Invalid

_PLAIN = "-_~=+,@"
_LONGEST = 150
_HERE = "{partition}"


def safe_part(text: str) -> str:
    """A part of a key as one of a path; different parts give different ones, and none has a point in it.

    What is long is cut, and followed by `%~` and 32 hex of its SHA-256.
    """
    quoted = quote(text, safe=_PLAIN).replace(".", "%2E")
    if len(quoted) > _LONGEST:
        return f"{quoted[:_LONGEST]}%~{sha256_hex(text.encode())[:32]}"
    if not text or layout.unsafe(quoted) is not None:
        return "".join(f"%{byte:02X}" for byte in text.encode()) or "%"
    return quoted


def usual_path(folder: str, key: dg.AssetKey, partition: str | None) -> str:
    """Where an asset's output lies if nobody says otherwise, without a suffix."""
    return "/".join([folder, *(safe_part(one) for one in key.path), *_parts(partition)])


def given_path(path: str, key: dg.AssetKey, partition: str | None) -> str:
    """Where it lies if somebody said so, with `{partition}` for the key of a partition.

    Raises:
        Invalid: kind `many-partitions`: it is the same path for all partitions, or this is not one of them.
    """
    if partition is None and _HERE in path:
        raise Invalid(
            f"The path {path} of {key.to_user_string()} is for one partition, and this run is not.",
            kind="many-partitions",
            mend="Make one partition a run: BackfillPolicy.multi_run(max_partitions_per_run=1).",
        )
    if partition is not None and _HERE not in path:
        raise Invalid(
            f"The path {path} of {key.to_user_string()} is the same for all partitions.",
            kind="many-partitions",
            mend=f"Write {_HERE} where the partition's key belongs.",
        )
    return path.replace(_HERE, "/".join(_parts(partition)))


def _parts(partition: str | None) -> list[str]:
    if partition is None:
        return []
    if isinstance(partition, dg.MultiPartitionKey):
        return [safe_part(key) for _, key in sorted(partition.keys_by_dimension.items())]
    return [safe_part(partition)]
