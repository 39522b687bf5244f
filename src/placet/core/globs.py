"""Path globs of policy rules: `*` and `?` within a part, `**` for any number of parts; nothing else.

The path is a proposer's, so matching takes no more than the square of its length: what stands between two
stars is taken where it comes first and never looked for again (atomic groups), as a later star can only
take in what an earlier one left.
"""

from __future__ import annotations

import itertools
import re
from functools import lru_cache


def matches(pattern: str, path: str) -> bool:
    """Does the whole path match the pattern? Case matters."""
    return _compiled(pattern).fullmatch(path) is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    *folders, last = pattern.split("/")
    runs = [
        "".join(f"{_part(part)}/" for part in run)
        for wild, run in itertools.groupby(folders, lambda part: part == "**")
        if not wild
    ]
    first = runs.pop(0) if folders and folders[0] != "**" else ""
    final = runs.pop() if runs and folders[-1] != "**" else ""
    skipped = "(?:[^/]+/)*" if "**" in folders else ""
    between = "".join(f"(?>(?:[^/]+/)*?{run})" for run in runs)
    return re.compile(f"{first}{between}{skipped}{final}{'.+' if last == '**' else _part(last)}", re.DOTALL)


def _part(part: str) -> str:
    first, *others = (re.escape(text).replace(r"\?", "[^/]") for text in part.split("*"))
    if not others:
        return first
    *between, last = others
    return first + "".join(f"(?>[^/]*?{text})" for text in between if text) + f"[^/]*{last}"
