"""YAML that may be hostile, as plain values: the one parser of DVC's files, and checks of their form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from placet.errors import Invalid

MAX_READ = 1 << 24
MAX_DEPTH = 200
MAX_MERGED = 100_000
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
        if data.count(b"<<") > 1:
            _refuse_merges(YAML(typ=typ, pure=True).compose(data.decode("utf-8")))
        tree = YAML(typ=typ, pure=True).load(data.decode("utf-8")) or {}
    except (YAMLError, *BAD_YAML) as error:
        raise invalid("not valid YAML") from error
    if not isinstance(tree, dict):
        raise invalid("not a mapping")
    return tree


def _refuse_deep(events: Iterable[Any]) -> None:
    """The parser takes seconds for some thousand flow collections in one another."""
    depth = 0
    for event in events:
        name = type(event).__name__
        depth += name.endswith("StartEvent") - name.endswith("EndEvent")
        if depth > MAX_DEPTH:
            raise invalid("nested too deeply")


def _refuse_merges(tree: Any) -> None:  # noqa: ANN401 - ruamel's nodes
    """Merge keys (`<<`) that name one another by alias grow a few lines to billions of entries."""
    sizes: dict[int, int] = {}

    def entries(node: Any) -> int:  # noqa: ANN401
        """How many a mapping has with all that it merges, or the mappings of a list have together."""
        if id(node) not in sizes:
            pairs = ((None, one) for one in node.value) if isinstance(node.value, list) else ()
            merges = _pairs(node) or pairs
            sizes[id(node)] = sum(1 if key else entries(value) for key, value in merges)
        return sizes[id(node)]

    todo, seen = [tree], set[int]()
    while todo:
        node = todo.pop()
        if node is not None and id(node) not in seen and isinstance(node.value, list):
            seen.add(id(node))
            todo += [part for one in node.value for part in (one if isinstance(one, tuple) else (one,))]
            if any(key is None for key, _ in _pairs(node)) and entries(node) > MAX_MERGED:
                raise invalid("it merges too much")


def _pairs(node: Any) -> list[tuple[str | None, Any]]:  # noqa: ANN401
    """Key (None: `<<`) and value of a mapping; nothing of a list."""
    found = [one for one in node.value if isinstance(one, tuple)] if isinstance(node.value, list) else []
    return [(None if key.value == "<<" else "key", value) for key, value in found]


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
