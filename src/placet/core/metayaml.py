"""YAML that may be hostile, as plain values: the one parser of DVC's files, and checks of their form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from placet.errors import Invalid

MAX_READ = 1 << 24
MAX_DEPTH = 200
BAD_YAML = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


def load_yaml(data: bytes, typ: str = "safe") -> dict[str, Any]:
    """A YAML mapping as plain values, or (`rt`) as ruamel keeps it for writing it again.

    Raises:
        Invalid: kind `metafile`: not such YAML, or longer than `MAX_READ` bytes.
    """
    from ruamel.yaml import YAML  # noqa: PLC0415 - slow to load, and often not needed
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    if len(data) > MAX_READ:
        raise invalid("larger than 16 MiB")
    try:
        if data.count(b"[") + data.count(b"{") > MAX_DEPTH:
            _refuse_deep(YAML(typ=typ, pure=True).parse(data.decode("utf-8")))
        tree = YAML(typ=typ, pure=True).load(data.decode("utf-8")) or {}
    except (YAMLError, *BAD_YAML) as error:
        raise invalid("not valid YAML") from error
    if not isinstance(tree, dict):
        raise invalid("not a mapping")
    return tree


def _refuse_deep(events: Iterable[Any]) -> None:
    """The parser needs the square of the time for nested flow collections: seconds for some thousand of them."""
    depth = 0
    for event in events:
        name = type(event).__name__
        depth += name.endswith("StartEvent") - name.endswith("EndEvent")
        if depth > MAX_DEPTH:
            raise invalid("nested too deeply")


def mapping(value: object, what: str) -> dict[Any, Any]:
    """The mapping that a key of DVC's schema holds, or nothing. Raises as `load_yaml`."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid(f"`{what}` is not of DVC's schema")
    return value


def sequence(holder: object, key: str) -> list[Any]:
    """The list that a key of a mapping holds, or nothing. Raises as `load_yaml`."""
    value = mapping(holder, key).get(key) or []
    if not isinstance(value, list):
        raise invalid(f"`{key}` is not of DVC's schema")
    return value


def texts(tree: object) -> Iterator[str]:
    """All strings of a tree, those of a container that aliases repeat once: a few bytes can name billions."""
    todo, seen = [tree], set[int]()
    while todo:
        one = todo.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict | list | tuple | set | frozenset) and id(one) not in seen:
            seen.add(id(one))
            todo += [*one, *one.values()] if isinstance(one, dict) else one


def invalid(why: str) -> Invalid:
    """The refusal of a metafile."""
    return Invalid(f"A DVC metafile cannot be used: {why}.", kind="metafile")
