"""What Placet needs of a registry of models and of the runs that made them. What it says is never believed.

Of every call:

    Unavailable: kind `mlflow-unreachable`: no answer, or none in time; `mlflow-error`: it answers an error.
    Refused: kind `mlflow-refused`: this credential may not do it.
    Invalid: kind `mlflow-answer`: an answer longer than any should be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a registered model, as the server has it; of its tags those of Placet."""

    name: str
    version: str
    source: str
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Page:
    """Some versions, and by what the next page is asked for; None: it was the last."""

    versions: tuple[Version, ...]
    token: str | None


class ModelServer(Protocol):
    """A registry, and a store of runs."""

    def versions(self, token: str | None) -> Page:
        """Versions of all models whose source is a `placet:` URI, by pages."""
        ...

    def aliases(self, model: str) -> Mapping[str, str]:
        """Alias -> version of a model; nothing if there is no such model."""
        ...

    def run_tags(self, run: str) -> Mapping[str, str] | None:
        """A run's tags; None if there is no such run, or it was deleted."""
        ...

    def set_alias(self, model: str, alias: str, version: str | None) -> None:
        """Put an alias to a version, or take it away. Idempotent."""
        ...

    def set_version_tag(self, model: str, version: str, key: str, value: str) -> None:
        """Set a tag of a version. Idempotent."""
        ...

    def set_run_tag(self, run: str, key: str, value: str) -> None:
        """Set a tag of a run. Idempotent."""
        ...
