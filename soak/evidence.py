"""What the judge reads: Git by the `git` command, objects by S3, DSSE envelopes by hand. Nothing of Placet's."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_PAYLOAD = "application/vnd.in-toto+json"


def sha256(data: bytes) -> str:
    """In hex."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Statement:
    """A signed in-toto statement, taken apart; nothing of it is proven."""

    kind: str
    subject: list[dict[str, Any]]
    body: dict[str, Any]
    payload: bytes
    signatures: tuple[bytes, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of what was signed."""
        return sha256(self.payload)

    def signed_by(self, keys: list[str]) -> bool:
        """Has one of these keys signed it?"""
        name = _PAYLOAD.encode()
        message = b"DSSEv1 %d %s %d %s" % (len(name), name, len(self.payload), self.payload)
        return any(_verifies(key, one, message) for key in keys for one in self.signatures)


def statement(data: bytes) -> Statement:
    """From an envelope file."""
    outer = json.loads(data, object_pairs_hook=_once)
    if outer["payloadType"] != _PAYLOAD:
        raise ValueError(f"the payload is {outer['payloadType']}")
    payload = base64.b64decode(outer["payload"], validate=True)
    inner = json.loads(payload, object_pairs_hook=_once)
    kind = inner["predicateType"].split(":")[2]
    signatures = tuple(base64.b64decode(one["sig"], validate=True) for one in outer["signatures"])
    return Statement(kind, inner["subject"], inner["predicate"], payload, signatures)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _verifies(key: str, signature: bytes, message: bytes) -> bool:
    raw = base64.b64decode(key.removeprefix("ed25519:"), validate=True)
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, message)
    except InvalidSignature:
        return False
    return True


class Git:
    """A bare repository, by Git's own commands."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tree = lru_cache(maxsize=None)(self._tree)
        self.blob = lru_cache(maxsize=None)(self._blob)

    def run(self, *arguments: str, good: bool = True) -> bytes:
        """What a command prints."""
        done = subprocess.run(
            ["git", "--git-dir", str(self.path), *arguments], capture_output=True, check=False
        )
        if good and done.returncode:
            raise RuntimeError(f"git {arguments[0]}: {done.stderr.decode(errors='replace')[-500:]}")
        return done.stdout if good else done.stdout + done.stderr + (b"failed" if done.returncode else b"")

    def line(self, tip: str) -> list[str]:
        """The first-parent line, oldest first."""
        return self.run("rev-list", "--first-parent", "--reverse", tip).decode().split()

    def parents(self, commit: str) -> list[str]:
        """Of a commit."""
        return self.run("rev-parse", f"{commit}^@").decode().split()

    def message(self, commit: str) -> str:
        """Its first line."""
        return self.run("log", "-1", "--format=%s", commit).decode().strip()

    def refs(self) -> dict[str, str]:
        """Name -> commit."""
        rows = self.run("for-each-ref", "--format=%(refname) %(objectname)").decode().splitlines()
        return dict(row.split(" ") for row in rows)

    def _tree(self, commit: str) -> dict[str, str]:
        rows = self.run("ls-tree", "-r", "-z", commit).decode().split("\0")
        return {path: row.split(" ")[2] for row, _, path in (one.partition("\t") for one in rows if one)}

    def _blob(self, ident: str) -> bytes:
        return self.run("cat-file", "blob", ident)


@dataclass
class Bucket:
    """One tier, as one credential reads it; `client` is botocore's."""

    client: Any
    name: str
    prefix: str

    def __post_init__(self) -> None:
        self._read: dict[str, str | None] = {}
        self._bodies: dict[str, bytes] = {}

    @cached_property
    def keys(self) -> list[str]:
        """All keys that can be read now."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=self.prefix)
        return [one["Key"].removeprefix(self.prefix) for page in pages for one in page.get("Contents", [])]

    def read(self, key: str) -> bytes | None:
        """The bytes, or None."""
        if key not in self._bodies:
            try:
                answer = self.client.get_object(Bucket=self.name, Key=self.prefix + key)
            except self.client.exceptions.ClientError:
                return None
            self._bodies[key] = answer["Body"].read()
        return self._bodies[key]

    def digest(self, key: str) -> str | None:
        """SHA-256 of what is there, or None."""
        data = self.read(key)
        return None if data is None else sha256(data)

    def versions(self) -> list[tuple[str, str]]:
        """Key and SHA-256 of every version that was ever written (needs an administrator)."""
        pages = self.client.get_paginator("list_object_versions").paginate(
            Bucket=self.name, Prefix=self.prefix
        )
        found = [one for page in pages for one in page.get("Versions", [])]
        out = []
        for one in found:
            place = {"Bucket": self.name, "Key": one["Key"], "VersionId": one["VersionId"]}
            out.append(
                (one["Key"].removeprefix(self.prefix), sha256(self.client.get_object(**place)["Body"].read()))
            )
        return out

    def kept(self) -> set[str]:
        """The keys of which there is any version, or a marker over it (needs an administrator)."""
        pages = self.client.get_paginator("list_object_versions").paginate(
            Bucket=self.name, Prefix=self.prefix
        )
        rows = (one for page in pages for part in ("Versions", "DeleteMarkers") for one in page.get(part, []))
        return {one["Key"].removeprefix(self.prefix) for one in rows}

    def uploads(self) -> list[str]:
        """The keys of unfinished uploads."""
        listed = self.client.list_multipart_uploads(Bucket=self.name, Prefix=self.prefix)
        return [one["Key"].removeprefix(self.prefix) for one in listed.get("Uploads", [])]


METAFILE = re.compile(
    r"outs:\n- md5: (?P<md5>[0-9a-f]{32})(?P<dir>\.dir)?\n  size: (?P<size>[0-9]+)\n"
    r"(?:  nfiles: (?P<files>[0-9]+)\n)?  hash: md5\n  path: (?P<path>[^\n]+)\n"
)
