"""Git LFS pointer files, strictly (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from placet.errors import Invalid

MAX_POINTER = 1024
_VERSIONS = (
    b"version https://git-lfs.github.com/spec/v1",
    b"version https://hawser.github.com/spec/v1",
    b"version http://git-media.io/v/2",
)
_POINTER = re.compile(
    rb"(?:%s)\r?\n((?:ext-[^\r\n]+\r?\n)*)oid sha256:([0-9a-f]{64})\r?\nsize ([0-9]{1,18})(?:\r?\n)?"
    % b"|".join(map(re.escape, _VERSIONS))
)


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

    As LFS's own client does, it takes the names that LFS had before, and lines that end as on Windows.

    Raises:
        Invalid: kind `lfs-pointer`: it says that it is a pointer, and is not one that can be followed.
    """
    if not data.startswith(_VERSIONS):
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
