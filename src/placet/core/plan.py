"""What is to be moved: a pure function of what is wanted and what is there; planning again is resuming."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

PAGE = 1000
PREFIXES = 256
_FEW_PAGES = 16


def missing(wanted: Mapping[str, int | None], present: Mapping[str, int]) -> list[str]:
    """The keys that have to be moved, in the order of `wanted`; a key of another size counts as missing.

    Args:
        wanted: Key -> bytes, or None where the size is not known.
        present: Key -> bytes.
    """
    return [key for key, size in wanted.items() if key not in present or size not in {None, present[key]}]


def shards(keys: Iterable[str]) -> dict[str, list[str]]:
    """Keys by the prefix under which one listing finds them: `files/md5/<2>/`, or all up to the last `/`."""
    out: dict[str, list[str]] = {}
    for key in keys:
        out.setdefault(key[: key.rindex("/") + 1] if "/" in key else "", []).append(key)
    return out


def common_folder(prefixes: Iterable[str]) -> str:
    """The folder, with a slash at its end, that all these prefixes are below; empty if there is none."""
    parts = [prefix.split("/")[:-1] for prefix in prefixes]
    common = itertools.takewhile(lambda names: len(set(names)) == 1, zip(*parts, strict=False))
    return "".join(f"{names[0]}/" for names in common)


def one_listing(sampled: int) -> bool:
    """Does one listing of the whole store cost no more time than one for each of its prefixes?

    Its pages come one after the other, the prefixes side by side; so: up to a few pages.

    Args:
        sampled: Objects that one prefix was found to hold.
    """
    return sampled * PREFIXES <= _FEW_PAGES * PAGE


def listing_limit(asked: int) -> int:
    """Up to how many objects one of DVC's 256 prefixes may hold for listing to need fewer requests.

    Asking for each key costs `asked` requests; listing costs a page for every 1000 objects of the store,
    and at least one for every prefix.
    """
    return asked * PAGE // PREFIXES if asked > PREFIXES else 0
