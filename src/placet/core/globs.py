"""Path globs of policy rules: `*` and `?` within a part, `**` for any number of parts; nothing else."""

from __future__ import annotations

import re
from functools import lru_cache


def matches(pattern: str, path: str) -> bool:
    """Does the whole path match the pattern? Case matters."""
    return _compiled(pattern).fullmatch(path) is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    *folders, last = pattern.split("/")
    out = ["(?:[^/]+/)*" if part == "**" else f"{_part(part)}/" for part in folders]
    return re.compile("".join(out) + (".+" if last == "**" else _part(last)), re.DOTALL)


def _part(part: str) -> str:
    return "".join({"*": "[^/]*", "?": "[^/]"}.get(char, re.escape(char)) for char in part)
