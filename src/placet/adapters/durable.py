"""Small files of a party's own that a crash of the machine must not leave half written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def replace(path: Path, data: bytes) -> None:
    """Write a file for its owner only: the new bytes or the old ones are on the disk, never a part.

    Its folder must be there. What cannot be finished leaves nothing beside the file.

    Raises:
        OSError: the caller says what it means.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temp = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temp.replace(path)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
