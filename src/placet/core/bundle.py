"""The form of a bundle: the proof of one publication in one file (JSON, canonical, bounded).

It holds Git's own commit objects with their changes, and the blobs that judging them reads; so that the
code that judges a repository judges a bundle. The JSON Schema in `docs/reference/schemas/` is generated
from the classes here.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Final, Literal

import msgspec

from placet.core.formats import newer, newer_version
from placet.core.formed import formed
from placet.core.predicates import CommitId, Id, Name, Sha256
from placet.errors import Invalid

FORMAT: Final = "urn:placet:bundle:v1"
MAX_BUNDLE = 1 << 28
MAX_LISTS = 1 << 26

Base64 = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9+/]*={0,2}$")]
GitPath = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
Mode = Literal["", "100644", "100755", "120000", "160000"]
BlobId = Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{40}([0-9a-f]{24})?)?$")]


class _Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class _Named(msgspec.Struct, frozen=True):
    format: str


class BundledCommit(_Form, frozen=True, kw_only=True):
    """A commit object as Git keeps it, and what it changes against its first parent: path, mode, blob."""

    object: Base64
    changes: Annotated[tuple[tuple[GitPath, Mode, BlobId], ...], msgspec.Meta(max_length=100_000)]


class Bundle(_Form, frozen=True, kw_only=True):
    """Everything that the proof of one publication needs.

    Attributes:
        format: Name and version of this form.
        repository: The Ctrl repository.
        trust_root: Digest of its policy 0: a claim, to be compared with one's own pin.
        tier: The publication tier.
        proposal: What was published.
        published: The tip of the published branch.
        main: `main`'s first-parent line from its first commit to the last judged one.
        branch: The published branch's line after that first commit.
        blobs: Git blob id -> the files that judging reads: policies, statements, metafiles.
        lists: SHA-256 -> the digest lists of directories, where the maker could read them.
        checkpoint: An envelope of the maker's checkpoint of the branch, if they signed one.
    """

    format: Literal["urn:placet:bundle:v1"]
    repository: Id
    trust_root: Sha256
    tier: Name
    proposal: Id
    published: CommitId
    main: Annotated[tuple[BundledCommit, ...], msgspec.Meta(min_length=1, max_length=1_000_000)]
    branch: Annotated[tuple[BundledCommit, ...], msgspec.Meta(min_length=1, max_length=1_000_000)]
    blobs: dict[CommitId, Base64]
    lists: dict[Sha256, str]
    checkpoint: Base64 | None


def encode_bundle(bundle: Bundle) -> bytes:
    """The file: JSON with sorted keys, no spaces, LF at its end. The same bundle is the same bytes.

    Raises:
        Invalid: kind `bundle`: it would be larger than 256 MiB, or holds a path that is not UTF-8.
    """
    try:
        data = msgspec.json.encode(bundle, order="sorted") + b"\n"
    except UnicodeEncodeError as error:
        raise _bad("cannot be made: a path in the repository is not UTF-8") from error
    if len(data) > MAX_BUNDLE:
        raise _bad("cannot be made: it would be larger than 256 MiB")
    return data


def decode_bundle(data: bytes) -> Bundle:
    """Read a bundle; only what `encode_bundle` writes passes. Proves nothing yet.

    Raises:
        Invalid: kinds `bundle`, `newer-format`.
    """
    if len(data) > MAX_BUNDLE:
        raise _bad("is larger than 256 MiB")
    try:
        bundle = msgspec.json.decode(data, type=Bundle)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _newer(data) or _bad(f"is not valid: {error}") from error
    if encode_bundle(bundle) != data:
        raise _bad("is not in its canonical form")
    return bundle


def text(data: bytes) -> str:
    """Bytes as they stand in a bundle."""
    return base64.b64encode(data).decode()


def raw(value: str) -> bytes:
    """Bytes that stand in a bundle.

    Raises:
        Invalid: kind `bundle`.
    """
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _bad("holds invalid base64") from error
    if text(data) != value:
        raise _bad("holds base64 in another form")
    return data


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the form."""
    (inner,), components = msgspec.json.schema_components([Bundle], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": FORMAT,
        "title": "Bundle",
        **inner,
        "$defs": components,
    }


def _newer(data: bytes) -> Invalid | None:
    try:
        version = newer_version(msgspec.json.decode(data, type=_Named).format, FORMAT)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return None if version is None else newer("The bundle", version, int(FORMAT.rpartition(":v")[2]))


def _bad(why: str) -> Invalid:
    return Invalid(
        f"The bundle {why}.", kind="bundle", mend="Get it again from who made it: placet bundle ID -o FILE"
    )


formed(Bundle)
