"""`python -m bench.floors WHAT ...`: the least work that a row needs, done as plainly as this machine allows.

What a row costs above its floor is ours to answer for; the floor itself is the limit of the machine, the
store and Python. No floor verifies, resumes, or writes a state.
"""

from __future__ import annotations

import hashlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_CHUNK = 1 << 20
_PART = 8 << 20
_DISK, _NET = os.cpu_count() or 1, 64


def main() -> None:
    """Do one floor."""
    {"start": lambda: None, "stat": stat, "read": read, "put": put, "get": get, "list": listing}[sys.argv[1]](
        *sys.argv[2:]
    )


def files(folder: str) -> list[str]:
    """All files of a folder, or the one file."""
    if os.path.isfile(folder):
        return [folder]
    return [os.path.join(base, name) for base, _, names in os.walk(folder) for name in names]


def stat(folder: str) -> None:
    """Look at each file."""
    for path in files(folder):
        os.stat(path)


def read(folder: str, target: str) -> None:
    """Read each file once, both digests, and write its bytes once."""
    os.makedirs(target)

    def one(job: tuple[int, str]) -> None:
        number, path = job
        md5, sha256 = hashlib.md5(), hashlib.sha256()
        with open(path, "rb", buffering=0) as source, open(f"{target}/{number}", "wb", buffering=0) as out:
            while chunk := source.read(_CHUNK):
                if beside is None:
                    md5.update(chunk)
                    sha256.update(chunk)
                    out.write(chunk)
                else:
                    list(beside.map(lambda use: use(chunk), (md5.update, sha256.update, out.write)))

    every = files(folder)
    beside = ThreadPoolExecutor(3) if len(every) == 1 else None
    with ThreadPoolExecutor(_DISK) as pool:
        list(pool.map(one, enumerate(every)))


def put(folder: str, url: str, endpoint: str) -> None:
    """Send each file, unverified."""
    import obstore

    store, prefix = _store(url, endpoint)

    def one(path: str) -> None:
        with open(path, "rb") as stream:
            large = os.path.getsize(path) > _PART
            obstore.put(
                store,
                f"{prefix}/{os.path.relpath(path, os.path.dirname(folder))}",
                stream if large else stream.read(),
                chunk_size=2 * _PART,
                max_concurrency=4,
                use_multipart=large,
            )

    with ThreadPoolExecutor(_NET) as pool:
        list(pool.map(one, files(folder)))


def get(url: str, endpoint: str, target: str) -> None:
    """Receive each object, and write it twice: cache and workspace."""
    import obstore

    store, prefix = _store(url, endpoint)
    os.makedirs(target)

    def span(job: tuple[str, int, int]) -> memoryview:
        key, start, end = job
        return memoryview(obstore.get_range(store, key, start=start, end=end))

    def one(job: tuple[int, dict[str, Any]]) -> None:
        number, found = job
        if found["size"] > _PART:
            starts = range(0, found["size"], _PART)
            spans = [(found["path"], at, min(at + _PART, found["size"])) for at in starts]
            with ThreadPoolExecutor(4) as ranges, open(f"{target}/{number}", "wb", buffering=0) as out:
                for first in range(0, len(spans), 4):
                    out.writelines(ranges.map(span, spans[first : first + 4]))
            with open(f"{target}/{number}", "rb") as source, open(f"{target}/{number}-two", "wb") as two:
                while os.sendfile(two.fileno(), source.fileno(), None, 1 << 30):
                    pass
            return
        data = obstore.get(store, found["path"]).bytes()
        for name in (f"{target}/{number}", f"{target}/{number}-two"):
            with open(name, "wb", buffering=0) as out:
                out.write(data)

    every = [dict(one) for batch in obstore.list(store, prefix) for one in batch]
    with ThreadPoolExecutor(_NET) as pool:
        list(pool.map(one, enumerate(every)))


def listing(url: str, endpoint: str) -> None:
    """List what is there."""
    import obstore

    store, prefix = _store(url, endpoint)
    for _ in obstore.list(store, prefix, chunk_size=1000):
        pass


def _store(url: str, endpoint: str) -> tuple[Any, str]:
    from obstore.store import S3Store

    place = urlsplit(url)
    store = S3Store(
        place.netloc,
        endpoint=endpoint,
        region="us-east-1",
        access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
        secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        client_options={"allow_http": True, "timeout": "1h"},
    )
    return store, place.path.strip("/")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    main()
