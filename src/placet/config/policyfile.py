"""What a policy file needs that no person can write."""

from __future__ import annotations

import contextlib
import json
import os
import re


def complete_policy(data: bytes) -> bytes:
    """A policy (YAML or JSON) with what `init --ctrl` adds: `repository` (random), `number`, `previous`."""
    lines = {"repository": f'"{os.urandom(16).hex()}"', "number": "0", "previous": "null"}
    with contextlib.suppress(ValueError, RecursionError):
        if isinstance(given := json.loads(data), dict):
            lacking = [f'"{key}": {value}, ' for key, value in lines.items() if key not in given]
            return data.replace(b"{", b"{" + "".join(lacking).encode(), 1)
    lacking = [
        f"{key}: {value}\n"
        for key, value in lines.items()
        if not re.search(rf"""(?m)^(["']?){key}\1\s*:""".encode(), data)
    ]
    return data.rstrip(b"\n") + b"\n" + "".join(lacking).encode() if lacking else data
