"""The table `[mlflow]` of a party's settings, strict: which MLflow server is kept true to the ledger."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from placet.core import layout
from placet.core.formed import formed
from placet.errors import Invalid

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Alias = Annotated[str, msgspec.Meta(pattern=r"^(?![vV]\d+\Z)(?!latest\Z)[A-Za-z0-9_-]{1,255}\Z")]
_Seconds = Annotated[float, msgspec.Meta(ge=1, le=86_400)]


class MlflowForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What may be set."""

    tracking_uri: Annotated[
        _Text | None,
        msgspec.Meta(description="the tracking server; `MLFLOW_TRACKING_URI` if it is not set"),
    ] = None
    registry_uri: Annotated[
        _Text | None,
        msgspec.Meta(description="the model registry, where that is another server"),
    ] = None
    tier: Annotated[_Text, msgspec.Meta(description="the publication tier that the alias is about")] = (
        layout.DEFAULT_TIER
    )
    alias: Annotated[
        _Alias, msgspec.Meta(description="the alias of the model version that stands published")
    ] = "published"
    folder: Annotated[
        _Text,
        msgspec.Meta(description="the folder of the workspace below which runs may log; `.` for all of it"),
    ] = "outputs/mlflow"
    interval: Annotated[
        _Seconds, msgspec.Meta(description="seconds between two looks of the agent at what has changed")
    ] = 60.0


def read_mlflow(table: object) -> MlflowForm:
    """The table as TOML gave it.

    Raises:
        Invalid: kind `settings`.
    """
    try:
        form = msgspec.convert(table, MlflowForm, strict=False)
    except msgspec.ValidationError as error:
        raise _bad(str(error)) from error
    reason = layout.unsafe(form.folder) if form.folder != "." else None
    if reason is not None:
        raise _bad(f"the folder {form.folder!r} {reason}")
    for uri in (form.tracking_uri, form.registry_uri):
        if uri is not None and re.match(r"https?://[^/]*@", uri, re.IGNORECASE):
            raise Invalid(
                "A URI in the setting mlflow holds a name or a password.",
                kind="settings",
                why="It would be written to logs and manifests.",
                mend="Take it out; MLflow reads MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD,"
                " MLFLOW_TRACKING_TOKEN, or ~/.mlflow/credentials.",
            )
    return form


def _bad(why: str) -> Invalid:
    return Invalid(
        f"The setting mlflow cannot be used: {why}.", kind="settings", mend="See docs/how-to/mlflow.md."
    )


formed(MlflowForm)
