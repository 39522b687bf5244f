"""Git LFS pointer files, strictly (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from placet.errors import Invalid

MAX_POINTER = 1024
_VERSION = b"version https://git-lfs.github.com/spec/v1\n"
_POINTER = re.compile(rb"version [^\n]+\n((?:ext-[^\n]+\n)*)oid sha256:([0-9a-f]{64})\nsize ([0-9]{1,18})\n?")


@dataclass(frozen=True, slots=True)
class Pointer:
    """What stands in Git for a file: the SHA-256 and the length of its bytes."""

    sha256: str
    size: int

    @property
    def key(self) -> str:
        """Where LFS keeps the object below its `objects` folder."""
        return f"{self.sha256[:2]}/{self.sha256[2:4]}/{self.sha256}"


def read_pointer(data: bytes) -> Pointer | None:
    """The pointer that a blob is; None if it is an ordinary file.

    Raises:
        Invalid: kind `lfs-pointer`: it says that it is a pointer, and is not one that can be followed.
    """
    if not data.startswith(_VERSION):
        return None
    found = _POINTER.fullmatch(data) if len(data) <= MAX_POINTER else None
    if found is None:
        raise Invalid("The pointer of Git LFS cannot be read.", kind="lfs-pointer")
    if found[1]:
        raise Invalid(
            "The pointer of Git LFS names an extension, which has changed the bytes.",
            kind="lfs-pointer",
            mend="Check the file out by `git lfs pull`, copy it here, and `placet track` it.",
        )
    return Pointer(found[2].decode(), int(found[3]))
