"""An OpenLineage backend, told in a process of its own: its client bounds no answer."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from placet.adapters.apart import Apart
from placet.core.lineageevent import LineageEvent
from placet.errors import Unavailable

_TRIES = 2
_MORE_S = 1.0


class LineageApart:
    """The port `placet.ports.lineage.LineageSink`.

    Args:
        url: Address of the backend.
        endpoint: Where it takes events, relative to it.
        token: Its API key.
        timeout_s: Seconds that it has to answer, twice: one that cannot be reached is tried once more.
        environ: Of the process: proxies and CA files.
    """

    def __init__(
        self, url: str, endpoint: str, token: str | None, timeout_s: float, environ: Mapping[str, str]
    ) -> None:
        target = "placet.adapters.openlineage:open_http"
        self._apart = Apart(target, url, endpoint, token, timeout_s, environ=environ)
        self._seconds = timeout_s * _TRIES + _MORE_S
        self._name = url

    def send(self, event: LineageEvent) -> None:
        """As the port says."""
        try:
            self._apart.ask(type(None), self._seconds, "send", msgspec.to_builtins(event))
        except (TimeoutError, ConnectionError) as error:
            why = str(error) or f"It did not answer within {self._seconds:g} s."
            raise Unavailable(
                f"{self._name} did not take the lineage event.",
                kind="lineage-unreachable",
                why=why,
                mend="It is sent again later.",
            ) from error

    def close(self) -> None:
        """As the port says."""
        self._apart.close()
