"""Types that msgspec reads, made ready while only one thread can.

Of a type that two threads read for the first time at the same moment, msgspec 0.22 shows the one what the
other has half done, and the process crashes (SIGSEGV). So each module that has such types makes them ready
when it is imported, which Python does once.
"""

from __future__ import annotations

from typing import Any

import msgspec


def formed(*kinds: Any) -> None:  # noqa: ANN401 - types of any kind
    """Have msgspec learn these types, and all that they consist of, now."""
    for kind in kinds:
        msgspec.json.Decoder(kind)
