"""Where a `placet:` URI leads on this machine: its node's workspace, or a clone of its Ctrl repository.

The working folder lies in it, or the variable PLACET_WORKSPACE names it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from placet.client import Client
from placet.config import environment, find_dvc
from placet.core import layout
from placet.core.location import Location
from placet.core.mlflowform import MlflowForm
from placet.core.outputs import Tracking
from placet.engine.cases import Case
from placet.engine.copyout import Held
from placet.errors import Invalid, NotFound, Refused

WORKSPACE = "PLACET_WORKSPACE"


@dataclass(frozen=True, slots=True)
class Place:
    """A location that was found here.

    Attributes:
        project: The DVC project's root.
        path: Of the location in it.
        published: It is a clone: what lies here was published, and nothing is written.
    """

    client: Client
    at: Location
    project: Path
    path: str
    published: bool

    def outputs(self, path: str) -> list[Tracking]:
        """The tracked outputs at, around or below a path of the project; none if there are none."""
        try:
            return list(self.client.outputs([self.project / path]))
        except NotFound as error:
            if error.kind != "not-tracked":
                raise
            return []

    def held(self, output: Tracking) -> Held:
        """A whole output, if it is what the location means.

        Raises:
            NotFound: kind `no-version`: another version is here.
            Refused: kind `not-pinned`, `other-repository`.
        """
        found = self.client.held(output)
        wanted = self.at
        if found.repository and wanted.repository not in {None, found.repository}:
            raise Refused(
                f"{wanted.uri} is an artifact of another Ctrl repository.",
                kind="other-repository",
                why=f"This is a clone of {found.repository}.",
                mend=f"Work in a clone of {wanted.repository}, or set {WORKSPACE}.",
            )
        if not self.published and wanted.repository is not None and wanted.sha256 is None:
            raise Refused(
                f"{wanted.uri} does not say which version is meant.",
                kind="not-pinned",
                why="A workspace holds what its jobs wrote last, not what was published.",
                mend="Add ?sha256=<digest>, or read it in a clone of the Ctrl repository.",
            )
        if wanted.sha256 not in {None, found.sha256}:
            raise NotFound(
                f"{output.path} is here in another version than {wanted.uri}.",
                kind="no-version",
                why=f"It has sha256:{found.sha256}.",
                mend="In a clone: git pull; or git switch to a commit that has this version.",
            )
        return found

    @contextmanager
    def proposed(self, path: str) -> Iterator[Path]:
        """The version that the location means, as it was proposed once, from the node's internal tier.

        Args:
            path: Of the artifact, or of something in it.

        Yields:
            A folder in which paths are those of the workspace.

        Raises:
            NotFound: kind `no-version`: it was never proposed.
        """
        view = self.client.view()
        for case in (*view.cases().values(), *view.ended().values()):
            if self._is_of(case, path):
                with tempfile.TemporaryDirectory(prefix="placet-") as folder:
                    root = Path(folder) / "proposal"
                    self.client.fetch_proposal(case.id, root)
                    yield root
                return
        raise NotFound(
            f"Nobody proposed {self.at.uri}.",
            kind="no-version",
            mend="placet list --path shows what was; the workspace holds the last version only.",
        )

    def _is_of(self, case: Case, path: str) -> bool:
        """Does the proposal have the version that the location means of what is at this path?"""
        body = case.manifest.body
        pairs = zip(body.artifacts, case.manifest.subjects, strict=body.kind == "publish")
        return (body.kind, body.node) == ("publish", self.at.node) and any(
            subject.value == self.at.sha256 and layout.at_or_below(path, artifact.path)
            for artifact, subject in pairs
        )

    def require_writable(self) -> None:
        """Refuse to write where only what was approved may be.

        Raises:
            Refused: kind `read-only`.
        """
        if self.published or self.at.repository is not None or self.at.sha256 is not None:
            raise Refused(
                f"Nothing is written to {self.at.uri}.",
                kind="read-only",
                why="It names what was proposed or published; that is changed by a proposal alone.",
                mend=f"Give the experiment a location in the workspace: placet://{self.at.node}/outputs/mlflow",
            )

    def require_chosen(self, paths: Iterable[str], outputs: Iterable[Tracking]) -> None:
        """Refuse what lies outside of the folder that is MLflow's: a server says where a run logs.

        Args:
            paths: Of the project, where something is to be written.
            outputs: What is tracked at, around or below the location.

        Raises:
            Refused: kind `outside-folder`.
        """
        folder = (self.client.settings.mlflow or MlflowForm()).folder
        if folder == ".":
            return
        outside = next((one for one in paths if not one.startswith(f"{folder}/")), None)
        around = next((one.path for one in outputs if folder.startswith(f"{one.path}/")), None)
        if outside is None and around is None:
            return
        raise Refused(
            f"Nothing is logged to {outside!r}."
            if outside is not None
            else f"Nothing is logged to {folder}: it lies in the tracked output {around}.",
            kind="outside-folder",
            why=f"An MLflow server says where its runs log, and may choose a place in {folder} only.",
            mend=f"Use placet://{self.at.node}/{folder}, or set folder in the table [mlflow] of placet.toml.",
        )


@contextmanager
def found(at: Location) -> Iterator[Place]:
    """Open the place that a location leads to.

    Raises:
        Invalid: kind `no-place`: this is neither the node's workspace nor a clone.
    """
    folder = Path(environment().get(WORKSPACE) or ".").absolute()
    with Client(folder) as client:
        project = find_dvc(folder)
        if project is not None and client.in_clone:
            path = f"{layout.ARTIFACTS}{at.node}/{at.path}".rstrip("/")
            yield Place(client, at, project, path, published=True)
        elif project is not None and client.settings.node == at.node:
            yield Place(client, at, project, at.path, published=False)
        else:
            raise Invalid(
                f"{at.uri} leads nowhere from {folder}.",
                kind="no-place",
                why=f"It is neither the workspace of node {at.node} nor a clone of a Ctrl repository.",
                mend=f"Run it there, or set {WORKSPACE} to that folder.",
            )
