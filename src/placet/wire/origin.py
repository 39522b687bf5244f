"""The provenance of a proposal that is made from a workspace."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from placet.core import layout
from placet.core.provenance import MANUAL, Algorithm, Provenance, Resource
from placet.engine.artifact import load_artifact
from placet.errors import Invalid
from placet.wire.ctrl import Wire


def origin(wire: Wire, given: Provenance | None, inputs: Iterable[str | Path], repository: str) -> Provenance:
    """What is known of a run, and what else went in.

    Args:
        wire: The workspace's.
        given: As the caller knows it.
        inputs: Tracked outputs of the workspace, as they are tracked now, or URIs.
        repository: The Ctrl repository's id.
    """
    used = tuple(_resource(wire, str(one), repository) for one in inputs)
    if given is None or given.build_definition is None:
        if not used:
            return given or Provenance()
        given = Provenance.of(build_type=MANUAL, builder=f"pkg:pypi/placet@{version('placet')}")
    return given.using(used)


def _resource(wire: Wire, text: str, repository: str) -> Resource:
    if "://" in text or text.startswith("urn:"):
        return Resource(uri=text)
    found = load_artifact(wire.workspace, text, wire.state, wire.settings.jobs).tracked
    if not found.digests.sha256:
        raise Invalid(
            f"The SHA-256 of {found.path} is not known here, so it cannot be named as an input.",
            kind="no-digest",
            mend=f"placet track {found.path}",
        )
    uri = layout.artifact_uri(repository, wire.settings.node or "", found.path)
    algorithm: Algorithm = "dirHash" if found.is_dir else "sha256"
    return Resource(name=found.path[-300:], uri=uri, digest={algorithm: found.digests.sha256})
