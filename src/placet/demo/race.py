"""One promotion in which an attacker swaps an object between the agent's check and its copy."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from placet.config import load_settings
from placet.core.digest import Digests, digest
from placet.ports import CopyWay, Fan, ObjectStore
from placet.testing import twins
from placet.wire.ctrl import Wire
from placet.wire.data import open_store


class Racing:
    """A store to which copies begin only after something else has happened."""

    def __init__(self, inner: ObjectStore, before: Callable[[str], None]) -> None:
        self._inner = inner
        self._before = before

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - everything else is the inner store's
        return getattr(self._inner, name)

    def copy_from(self, source: ObjectStore, key: str, want: Digests, *, fan: Fan = map) -> CopyWay | None:
        """Let the attacker act, then copy."""
        self._before(key)
        return self._inner.copy_from(source, key, want, fan=fan)


def main(ident: str, key: str) -> int:
    """Promote `ident` in the working directory's settings; `key` is swapped just before its copy."""
    env = os.environ
    attacker = open_store(
        {
            "url": env["RACE_URL"],
            "endpointurl": env["RACE_ENDPOINT"],
            "access_key_id": env["RACE_KEY"],
            "secret_access_key": env["RACE_SECRET"],
        }
    )

    def swap(copied: str) -> None:
        if copied == key:
            attacker.put(key, [twins.B], digest(twins.B), overwrite=True)

    parts = Wire(load_settings(), Path.cwd(), None)
    promoter = parts.promoter()
    racing: dict[str, Any] = {
        tier: replace(target, store=Racing(target.store, swap)) for tier, target in promoter.targets.items()
    }
    (done,) = replace(promoter, targets=racing).run([ident])
    parts.close()
    print(done.error or done.state)
    return done.error.exit_code if done.error else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
