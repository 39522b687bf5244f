"""The table `[lineage]` of a party's settings, strict: which OpenLineage backend is told of publications."""

from __future__ import annotations

from typing import Annotated

import msgspec

from placet.core.formed import formed
from placet.errors import Invalid

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Url = Annotated[str, msgspec.Meta(pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?\Z")]
_Seconds = Annotated[float, msgspec.Meta(ge=0.1, le=120)]


class LineageForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What may be set; paths as they were written."""

    url: Annotated[
        _Url | None,
        msgspec.Meta(description="address of a backend (Marquez, DataHub, ...), without a password in it"),
    ] = None
    endpoint: Annotated[
        Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._~-][A-Za-z0-9._~/-]*\Z")],
        msgspec.Meta(description="where it takes events, relative to `url`"),
    ] = "api/v1/lineage"
    token_file: Annotated[
        _Text | None, msgspec.Meta(description="file with its API key, readable by its owner only")
    ] = None
    file: Annotated[
        _Text | None, msgspec.Meta(description="file that gets one event a line, instead of a backend")
    ] = None
    timeout: Annotated[_Seconds, msgspec.Meta(description="seconds that the backend has to answer")] = 10.0


def read_lineage(table: object) -> LineageForm:
    """The table as TOML gave it.

    Raises:
        Invalid: kind `settings`.
    """
    try:
        form = msgspec.convert(table, LineageForm)
    except msgspec.ValidationError as error:
        raise _bad(f"{error}") from error
    if (form.url is None) == (form.file is None):
        raise _bad("it needs url or file, and not both")
    if form.token_file is not None and form.url is None:
        raise _bad("token_file goes with url")
    return form


def _bad(why: str) -> Invalid:
    return Invalid(
        f"The setting lineage cannot be used: {why.rstrip('.')}.",
        kind="settings",
        mend="See docs/how-to/lineage.md.",
    )


formed(LineageForm)
