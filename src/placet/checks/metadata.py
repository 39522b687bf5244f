"""What goes to Git is readable by many and hard to take back: it is scanned before the push.

Fields are named in the refusal, values never. The same detectors as for data: secrets, and identifiers by
their exact form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from placet.checks import patterns, secrets
from placet.core.guards import guard
from placet.core.predicates import Predicate
from placet.errors import Refused

MAX_FIELD = 1 << 20


@guard(29)
def refuse_telling(fields: Mapping[str, str]) -> None:
    """Refuse metadata that hold a secret or name a person directly.

    Args:
        fields: What the field is called, and its text.

    Raises:
        Refused: kind `telling-metadata`.
    """
    for name, text in fields.items():
        kind = _telling(text)
        if kind:
            raise Refused(
                f"The field {name} holds what must not be published: {kind}. Nothing was pushed.",
                kind="telling-metadata",
                why="It would be readable by everybody who can read the Ctrl repository, for good.",
                mend="Rename the file or write another text, then run the same command again.",
            )


def told(body: Predicate) -> dict[str, str]:
    """Every text of a statement, by the name of its field: `message`, `artifacts[0].path`, ..."""
    return dict(_texts(msgspec.to_builtins(body), ""))


def _texts(value: Any, name: str) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - of JSON
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for number, (key, one) in enumerate(value.items()):
            yield f"{name}[key {number}]".lstrip("."), str(key)
            yield from _texts(one, f"{name}.{key}".lstrip("."))
    elif isinstance(value, list | tuple):
        for number, one in enumerate(value):
            yield from _texts(one, f"{name}[{number}]")


def _telling(text: str) -> str:
    if len(text) > MAX_FIELD:
        return f"more than {MAX_FIELD} characters"
    for one in {text, unquote(text)}:
        kind = secrets.find(one) or next(patterns.exact(one), "")
        if kind:
            return kind
    return ""
