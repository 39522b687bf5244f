"""Scopes of freezes: which publications one stops. Pure.

`all`, `node:<name>`, `tier:<name>`, `path:<glob of <node>/<path>, as in rules>`; nothing else is a scope.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal

from placet.core import globs, layout
from placet.core.predicates import Manifest
from placet.errors import Invalid


@dataclass(frozen=True, slots=True)
class Scope:
    """A scope that was read; `value` is empty for `all`."""

    kind: Literal["all", "node", "path", "tier"]
    value: str = ""


def parse_scope(text: str) -> Scope:
    """Read a scope.

    Raises:
        Invalid: kind `freeze-scope`.
    """
    kind, colon, value = text.partition(":")
    if text == "all":
        return Scope("all")
    if kind == "node" and layout.is_name(value):
        return Scope("node", value)
    if kind == "tier" and layout.is_name(value):
        return Scope("tier", value)
    if kind == "path" and colon and value and not any(map(_hidden, value)):
        return Scope("path", value)
    raise Invalid(
        f"{text[:80]!a} is no scope of a freeze.",
        kind="freeze-scope",
        mend="Write all, node:<name>, tier:<name> or path:<node>/<glob>.",
    )


def covers(text: str, manifest: Manifest, tier: str) -> bool:
    """Does a freeze of this scope stop the publication of this manifest to a tier?

    What is no scope stops everything: who froze something is not ignored for a slip of the pen. For that
    reason too a path is matched as paths clash: neither case nor Unicode's forms tell two apart.
    """
    try:
        scope = parse_scope(text)
    except Invalid:
        return True
    if scope.kind == "node":
        return scope.value == manifest.node
    if scope.kind == "tier":
        return scope.value == tier
    paths = (f"{manifest.node}/{artifact.path}" for artifact in manifest.artifacts)
    return scope.kind == "all" or any(_matches(scope.value, path) for path in paths)


def _matches(pattern: str, path: str) -> bool:
    return globs.matches(pattern, path) or globs.matches(layout.fold(pattern), layout.fold(path))


def _hidden(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Cf", "Cs"}
