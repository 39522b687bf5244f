"""What was adopted from elsewhere, and whether anybody ever approved it: a file in the workspace.

It says where each version of an artifact came from. It proves nothing, and nothing is decided by it: what was
published is what the Ctrl repository says.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from placet.core.formed import formed
from placet.errors import Invalid

FILE = "placet-adopted.json"
MAX_BYTES = 1 << 28

Kind = Literal["dvc", "lfs", "bucket"]
Standing = Literal["never approved", "published"]
NEVER: Standing = "never approved"
PUBLISHED: Standing = "published"


class Version(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One version of one artifact.

    Attributes:
        source: From which kind of place.
        origin: From where, without a credential: a commit, a remote and folder.
        sha256: Of a directory `dirHash`; empty where not all of its bytes are here.
        standing: `published` if these bytes of this path were, by the Ctrl repository; else never approved.
        proposal: The newest that holds them, or empty; `state` is where it stands.
    """

    path: str
    source: Kind
    origin: str
    md5: str
    sha256: str
    size: int | None
    files: int | None
    standing: Standing = NEVER
    proposal: str = ""
    state: str = ""


class Adopted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    version: Literal[1] = 1
    versions: tuple[Version, ...] = ()


def read_adopted(data: bytes | None) -> Adopted:
    """The file's content; nothing where there is none.

    Raises:
        Invalid: kind `adopted`.
    """
    if data is None:
        return Adopted()
    try:
        return msgspec.json.decode(data, type=Adopted)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Invalid(
            f"{FILE} cannot be read: {error}.", kind="adopted", mend=f"git checkout {FILE}, or remove it."
        ) from error


def merged(known: Adopted, new: Iterable[Version]) -> Adopted:
    """The file with these versions in it, in an order of its own."""
    found = {_key(one): one for one in (*known.versions, *new)}
    return Adopted(versions=tuple(found[key] for key in sorted(found)))


def encoded(adopted: Adopted) -> bytes:
    """The file's bytes: the same content gives the same."""
    return msgspec.json.format(msgspec.json.encode(adopted), indent=1) + b"\n"


def _key(one: Version) -> tuple[str, str, str, str]:
    """A version of a history is one, whichever commit was found to hold it."""
    return one.path, one.source, "" if one.source == "dvc" else one.origin, one.md5


formed(Adopted)
