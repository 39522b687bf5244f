"""MLflow's artifact repository for `placet:` URIs (entry point `mlflow.artifact_repository`).

What a run logs becomes outputs of the node's workspace, tracked and pushed to its internal tier. Nothing is
published by that: what was logged is proposed, and approved, like any other output. What is read is proven by
SHA-256 on its way; in a clone of a Ctrl repository only what was published is read at all.

`import mlflow` loads this, in every program of the environment: so what does the work is imported when it is
used.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from mlflow.entities.file_info import FileInfo
from mlflow.store.artifact.artifact_repo import ArtifactRepository

from placet.core.location import parse_location
from placet.errors import NotFound


class PlacetArtifactRepository(ArtifactRepository):
    """Artifacts in a node's workspace, or in a clone of a Ctrl repository.

    What a run logs at its top is one output each: `log_artifact("a.csv")` the file, `log_artifacts("plots",
    "plots")` the directory; `log_artifacts` without a path, as models are logged, makes all of it one.
    """

    def __init__(
        self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
    ) -> None:
        """Args as MLflow gives them."""
        super().__init__(artifact_uri, tracking_uri, registry_uri)
        self._at = parse_location(artifact_uri)

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Place, track and push one file. Idempotent; raises as `mlflow_store.log`."""
        from placet.integrations.mlflow_store import joined, log

        name = joined(artifact_path, Path(local_file).name)
        log(self._at, {name: Path(local_file)}, whole=False)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Place, track and push all files of a folder. Idempotent; raises as `mlflow_store.log`."""
        from placet.integrations.mlflow_store import files_of, joined, log

        top = Path(local_dir)
        files = {joined(artifact_path, one.relative_to(top).as_posix()): one for one in files_of(top)}
        if files:
            log(self._at, files, whole=not joined(artifact_path, ""))

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        """What lies directly under a path; nothing if it is a file, or not there."""
        from placet.integrations.mlflow_store import listed

        return [FileInfo(one.path, one.is_dir, one.size) for one in listed(self._at, path)]

    def download_artifacts(self, artifact_path: str | None, dst_path: str | None = None) -> str:
        """Copy a file or a folder to this disk, proven; where it is. Raises as `mlflow_store.download`."""
        from placet.integrations.mlflow_store import download

        if dst_path is not None and not Path(dst_path).is_dir():
            raise NotFound(f"There is no folder {dst_path}.", kind="no-file")
        return str(download(self._at, artifact_path, Path(dst_path or tempfile.mkdtemp()).absolute()))

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Nothing: outputs are removed in the workspace, and their objects by `placet gc`."""

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        with tempfile.TemporaryDirectory(prefix="placet-") as folder:
            shutil.move(self.download_artifacts(remote_file_path, folder), local_path)
