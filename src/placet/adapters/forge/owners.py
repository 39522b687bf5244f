"""CODEOWNERS: whom a forge asks about every change of the policy. Binds nobody; signatures do."""

from __future__ import annotations

from collections.abc import Sequence

from placet.core import layout


def text(logins: Sequence[str]) -> bytes:
    """The file; its patterns mean the same to GitHub, which has globs, and to Gitea, which has regexes."""
    people = " ".join(f"@{one}" for one in logins)
    lines = [f"{path} {people}" for path in (layout.POLICY, layout.DVC_CONFIG, layout.CODEOWNERS)]
    return "\n".join(["# By `placet init --forge`: who may change the policy.", *lines, ""]).encode()


def lacking(data: bytes, logins: Sequence[str]) -> list[str]:
    """Of these logins those whom the file does not name for the policy."""
    rows = (line.split() for line in data.decode("utf-8", "replace").splitlines())
    named = {one.removeprefix("@").lower() for row in rows if row[:1] == [layout.POLICY] for one in row[1:]}
    return [one for one in logins if one.lower() not in named]
