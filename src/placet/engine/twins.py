"""One MD5 never stands for two contents: not within a proposal, nor against any other (threat 2).

DVC keeps objects by MD5, so a second content under the same key would be handed out as the approved one.
Compared are keys of objects with the SHA-256 that a manifest, a digest list or the bytes themselves give.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from placet.core import layout
from placet.core.guards import guard
from placet.core.predicates import Manifest
from placet.core.statement import Subject
from placet.errors import Corrupt

Pair = tuple[str, str]


@guard(2)
def refuse_twins(known: Mapping[str, str], found: Iterable[Pair]) -> None:
    """Does every key stand for one content, among those found and as known before?

    Args:
        known: Key of an object -> SHA-256.
        found: Pairs of the same.

    Raises:
        Corrupt: kind `md5-twin`.
    """
    seen: dict[str, str] = {}
    for key, sha256 in found:
        if known.get(key, sha256) != sha256 or seen.setdefault(key, sha256) != sha256:
            raise twin(key)


def objects_of(subjects: Iterable[Subject], manifest: Manifest) -> Iterator[Pair]:
    """The objects that a manifest itself names: files, and `.dir` objects of directories."""
    for artifact, subject in zip(manifest.artifacts, subjects, strict=False):
        if artifact.dir is None:
            yield layout.data_key(artifact.md5), subject.value
        else:
            yield layout.data_key(artifact.md5, is_dir=True), artifact.dir.sha256


def twin(key: str) -> Corrupt:
    """The refusal of two contents with one MD5: DVC would take one for the other."""
    md5 = (layout.hash_of(key) or ("?", False))[0]
    return Corrupt(
        f"TWIN: two different contents have the MD5 {md5}.",
        kind="md5-twin",
        why=f"Object {key} would stand for bytes that were not approved.",
        mend="This does not happen by chance. Stop, and ask who made the file.",
    )
