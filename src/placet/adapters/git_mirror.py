"""A party's own copy of the Ctrl repository as a folder: made, locked, and made again when it is damaged.

The copy is a cache. All that is of worth in it is on the server, and what was verified before is remembered
elsewhere (`ports.TrustMemory`), so that throwing it away forgets nothing.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from placet.adapters import git_process as process
from placet.errors import Unavailable

_LOCK = "placet.lock"


def make(path: Path, environ: Mapping[str, str]) -> None:
    """An empty bare repository at `path`, unless something is there; what is no repository is replaced.

    Raises:
        Unavailable: kind `disk`.
        Corrupt: kind `cache-corrupt`: what is there cannot be used, and is not Placet's to remove.
    """
    if not path.exists():
        _make(path, environ, lambda _: None, replace=False)
    found = process.run(["rev-parse", "--git-dir"], environ=environ, git_dir=path)
    if not found.returncode:
        return
    words = process.said(found)
    if "not a git repository" not in words.lower():
        raise process.broken(path, words)
    _make(path, environ, lambda _: None, replace=True)


def renew(path: Path, environ: Mapping[str, str], fill: Callable[[Path], None]) -> None:
    """Put a new repository, as `fill` makes it, in the place of the one at `path`; or leave that as it is.

    The caller holds `alone(path)`. Processes that read the old one meanwhile may fail, and find the new one
    when they run again.

    Raises:
        Unavailable: kind `disk`; and what `fill` raises.
    """
    _make(path, environ, fill, replace=True)


def _make(path: Path, environ: Mapping[str, str], fill: Callable[[Path], None], *, replace: bool) -> None:
    """A new repository as `fill` makes it; one that is there by now stays, unless it is to be replaced."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".placet-") as aside:
            made, old = Path(aside) / "new", Path(aside) / "old"
            process.check(process.run(["init", "-q", "--bare", str(made)], environ=environ), "init")
            fill(made)
            if replace and path.exists():
                path.rename(old)
            _settle(made, path)
    except OSError as error:
        raise Unavailable(f"{path} cannot be made: {error}", kind="disk") from error


def _settle(made: Path, path: Path) -> None:
    """Give it its name, unless another process was faster."""
    try:
        made.rename(path)
    except OSError:
        if not path.exists():
            raise


def is_whole(path: Path, environ: Mapping[str, str]) -> bool:
    """Is everything there that a ref needs, as it was written, and no lock left behind by a Git that died?

    Reads all of it. The caller holds `alone(path)`, so that a lock is nobody's but a dead process's.
    """
    if any(one.name != _LOCK for one in _locks(path)):
        return False
    checked = ["fsck", "--full", "--no-dangling", "--no-reflogs", "--no-progress"]
    return process.run(checked, environ=environ, git_dir=path).returncode == 0


def _locks(path: Path) -> Iterator[Path]:
    yield from path.glob("*.lock")
    yield from (path / "refs").rglob("*.lock")


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """One writer of refs at a time, among threads and processes: Git itself does not wait for locks.

    Raises:
        Unavailable: kind `disk`.
    """
    while True:
        try:
            lock = (path / _LOCK).open("w")
        except OSError as error:
            raise Unavailable(f"{path} cannot be written: {error.strerror}.", kind="disk") from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _is_there(lock.fileno(), path / _LOCK):
                yield
                return


def _is_there(descriptor: int, path: Path) -> bool:
    """Is it still the lock of this place? The whole folder may have been renewed while we waited."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
