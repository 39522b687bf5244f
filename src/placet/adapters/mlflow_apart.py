"""An MLflow server, asked in a process of its own: no answer takes more memory or time than it may."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Self, TypeVar

from placet.adapters.apart import Apart
from placet.errors import Unavailable
from placet.ports.models import Page

ASK_S = 60.0
WHOLE_S = 900.0

T = TypeVar("T")


class MlflowApart:
    """The port `placet.ports.models.ModelServer`; each call may take a minute, all together a quarter hour.

    Args:
        tracking: Address of the tracking server.
        registry: Address of the model registry, where that is another server.
        environ: Where MLflow looks for credentials.
        ask_s: Seconds for one answer.
        whole_s: Seconds from the first question on; what is asked later is not asked at all.
    """

    def __init__(
        self,
        tracking: str,
        registry: str | None,
        environ: Mapping[str, str],
        *,
        ask_s: float = ASK_S,
        whole_s: float = WHOLE_S,
    ) -> None:
        target = "placet.adapters.mlflow_server:open_server"
        self._apart = Apart(target, tracking, registry, environ=environ)
        self._ask_s, self._whole_s = ask_s, whole_s
        self._until: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._apart.close()

    def versions(self, token: str | None) -> Page:
        """As the port says."""
        return self._ask(Page, "versions", token)

    def aliases(self, model: str) -> Mapping[str, str]:
        """As the port says."""
        return self._ask(dict[str, str], "aliases", model)

    def run_tags(self, run: str) -> Mapping[str, str] | None:
        """As the port says."""
        return self._ask(dict[str, str] | None, "run_tags", run)  # type: ignore[arg-type]

    def set_alias(self, model: str, alias: str, version: str | None) -> None:
        """As the port says."""
        self._ask(type(None), "set_alias", model, alias, version)

    def set_version_tag(self, model: str, version: str, key: str, value: str) -> None:
        """As the port says."""
        self._ask(type(None), "set_version_tag", model, version, key, value)

    def set_run_tag(self, run: str, key: str, value: str) -> None:
        """As the port says."""
        self._ask(type(None), "set_run_tag", run, key, value)

    def _ask(self, kind: type[T], method: str, *args: str | None) -> T:
        now = time.monotonic()
        self._until = self._until or now + self._whole_s
        left = min(self._ask_s, self._until - now)
        if left <= 0:
            raise _gone(f"Its answers took longer than {self._whole_s:g} s.")
        try:
            return self._apart.ask(kind, left, method, *args)
        except TimeoutError as error:
            raise _gone(f"It did not answer within {left:.0f} s.") from error
        except ConnectionError as error:
            raise _gone(f"Its answer took too much memory: {error}.") from error


def _gone(why: str) -> Unavailable:
    return Unavailable(
        "The MLflow server does not answer as it should.",
        kind="mlflow-unreachable",
        why=why,
        mend="Run it again when it does: placet mlflow sync",
    )
