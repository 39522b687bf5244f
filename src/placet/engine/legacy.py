"""Objects of DVC 2 (`md5-dos2unix`): their names are no MD5 of their bytes, so they are verified here.

DVC 3 keeps them at their old place, in the cache and in the remote, beside its own (dvc/cachemgr.py,
dvc/data_cloud.py); so does Placet. State databases hold true digests of them only.
"""

from __future__ import annotations

from placet.core import layout
from placet.core.digest import Digests, digest_legacy
from placet.engine.disk import Cache, chunks, corrupt_cache, disk, write_all
from placet.engine.threads import fan_out, guarded
from placet.engine.transfer import bounded, twice
from placet.errors import Corrupt, NotFound
from placet.ports import ObjectStore


def digest_file(path: str) -> tuple[Digests, str]:
    """A file's digests, and its hash as DVC 2 had it."""
    return digest_legacy(guarded(chunks(path)))


def verified(cache: Cache, md5: str) -> Digests:
    """The true digests of an object in the cache, which is read.

    Raises:
        NotFound: kind `not-in-cache`.
        Corrupt: kind `cache-corrupt`.
    """
    key = layout.legacy_key(md5)
    if not cache.has(key):
        raise NotFound(f"There is no verified {key} in the cache.", kind="not-in-cache", mend="placet fetch")
    known, legacy = digest_file(cache.path(key))
    if legacy != md5:
        raise corrupt_cache(cache.path(key), md5)
    return known


def download(store: ObjectStore, cache: Cache, md5: str, limit: int) -> Digests:
    """Bring one object into the cache; atomic, and a wrong byte never gets its name.

    Raises:
        Corrupt: kind `digest-mismatch`.
        NotFound: kind `no-object`.
    """
    return twice(lambda: _download(store, cache, md5, limit))


def _download(store: ObjectStore, cache: Cache, md5: str, limit: int) -> Digests:
    key = layout.legacy_key(md5)
    with cache.temp(key) as temp:
        with disk(temp), open(temp, "xb", buffering=0) as out:  # noqa: PTH123 - hot path
            for chunk in bounded(store.get(key, fan=fan_out), limit, key):
                write_all(out.fileno(), chunk)
        known, legacy = digest_file(temp)
        if legacy != md5:
            raise Corrupt(
                f"CORRUPT: object {key} of the remote is not what its name says.",
                kind="digest-mismatch",
                why="Its DVC 2 digest differs from the expected one; it was not put into the cache.",
                mend="Take it from another remote that has it right: placet fetch --verify.",
            )
        cache.place(temp, key)
    return known
