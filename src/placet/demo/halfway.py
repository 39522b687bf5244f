"""One promotion that comes half-way: it says so when so many objects are there, and waits to be killed."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from placet.config import load_settings
from placet.core.digest import Digests
from placet.ports import CopyWay, Fan, ObjectStore
from placet.wire.ctrl import Wire


class Halting:
    """A store in which, once it was given so many objects, nothing goes on."""

    def __init__(self, inner: ObjectStore, objects: int) -> None:
        self._inner = inner
        self._left = objects
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - everything else is the inner store's
        return getattr(self._inner, name)

    def put(self, key: str, *args: Any, **kwargs: Any) -> bool:  # noqa: ANN401
        """Write one object, and count it."""
        written = self._inner.put(key, *args, **kwargs)
        self._count()
        return written

    def copy_from(self, source: ObjectStore, key: str, want: Digests, *, fan: Fan = map) -> CopyWay | None:
        """Copy one object inside the service, and count it."""
        way = self._inner.copy_from(source, key, want, fan=fan)
        if way is not None:
            self._count()
        return way

    def _count(self) -> None:
        with self._lock:
            self._left -= 1
            left = self._left
        if left == 0:
            print("half-way", flush=True)
        if left <= 0:
            threading.Event().wait()


def main(ident: str, objects: str) -> None:
    """Promote `ident` in the working directory's settings, until `objects` of it are there."""
    promoter = Wire(load_settings(), Path.cwd(), None).promoter()
    halting: dict[str, Any] = {
        tier: replace(target, store=Halting(target.store, int(objects)))
        for tier, target in promoter.targets.items()
    }
    replace(promoter, targets=halting).run([ident])


if __name__ == "__main__":
    main(*sys.argv[1:])
