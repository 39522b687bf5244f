"""MLflow's dataset source for `placet:` URIs (entry point `mlflow.dataset_source`)."""

from __future__ import annotations

from typing import Any

from mlflow.data.dataset_source import DatasetSource

from placet.core.location import Location, parse_location
from placet.integrations.mlflow_artifacts import PlacetArtifactRepository


class PlacetDatasetSource(DatasetSource):
    """Where a dataset is, and which bytes of it are meant.

    MLflow makes a source of its own for every scheme that an artifact repository has, and takes texts by it;
    this one reads what both write, and takes a `Location`.
    """

    def __init__(self, uri: str) -> None:
        """Of a `placet:` URI.

        Raises:
            Invalid: kind `location`.
        """
        self.location = parse_location(uri)

    @property
    def uri(self) -> str:
        """The URI."""
        return self.location.uri

    def load(self, dst_path: str | None = None) -> str:
        """Copy it to this disk, each file proven by its SHA-256; where it is then."""
        return PlacetArtifactRepository(self.uri).download_artifacts("", dst_path)

    @staticmethod
    def _get_source_type() -> str:
        return "placet"

    @staticmethod
    def _can_resolve(raw_source: object) -> bool:
        return isinstance(raw_source, Location)

    @classmethod
    def _resolve(cls, raw_source: Any) -> PlacetDatasetSource:  # noqa: ANN401 - as MLflow has it
        return cls(raw_source.uri)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"uri": self.uri}

    @classmethod
    def from_dict(cls, source_dict: dict[Any, Any]) -> PlacetDatasetSource:
        """Of what `to_dict` gave, or anybody.

        Raises:
            Invalid: kind `location`.
        """
        return cls(str(source_dict.get("uri")))
