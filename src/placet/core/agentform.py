"""The table `[agent]` of a party's settings, strict: how its agent runs."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from placet.core.formed import formed
from placet.errors import Invalid

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Listen = Annotated[str, msgspec.Meta(pattern=r"^([^\s/]+:)?[0-9]{1,5}\Z")]
_Hours = Annotated[float, msgspec.Meta(gt=0, le=8784)]
_Rate = Annotated[int, msgspec.Meta(ge=1)]
_Seconds = Annotated[float, msgspec.Meta(ge=0.1, le=86_400)]


class AgentForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What may be set; paths as they were written."""

    interval: Annotated[
        float,
        msgspec.Meta(
            ge=0.1,
            le=3600,
            description="seconds between two looks at the Ctrl repository, at most",
        ),
    ] = 5.0
    listen: Annotated[
        _Listen | None,
        msgspec.Meta(
            description="port, or address and port (127.0.0.1 by default), of health, metrics and webhook;"
            " none of them is served if it is not set",
        ),
    ] = None
    webhook_secret: Annotated[
        _Text | None,
        msgspec.Meta(
            description="file with the webhook's secret, at least 16 bytes, readable by its owner only;"
            " without one there is no webhook",
        ),
    ] = None
    workspaces: Annotated[
        tuple[str, ...],
        msgspec.Meta(description="folders that one agent serves, each with its own `placet.toml`; this one by"
                     " default"),
    ] = ()  # fmt: skip
    log: Annotated[
        Literal["text", "json"], msgspec.Meta(description="form of a log line; `--json` means json")
    ] = "text"
    ready: Annotated[
        _Seconds, msgspec.Meta(description="seconds since the last good look after which it is not ready")
    ] = 60.0
    overdue: Annotated[
        _Seconds,
        msgspec.Meta(
            description="seconds without a sign of life after which a lane that is at work counts as hung"
        ),
    ] = 1200.0
    stop: Annotated[
        _Seconds, msgspec.Meta(description="seconds that work under way has to end when the agent is stopped")
    ] = 30.0

    scrub_hours: Annotated[
        _Hours | None,
        msgspec.Meta(description="hours between two scrubs of a publication tier; none if it is not set"),
    ] = None
    scrub_remote: Annotated[
        _Text | None, msgspec.Meta(description="the tier that is scrubbed; `publication-storage` by default")
    ] = None
    scrub_read: Annotated[bool, msgspec.Meta(description="a scrub reads every object")] = False
    scrub_repair: Annotated[
        bool, msgspec.Meta(description="a scrub brings back what is this node's own and wrong or missing")
    ] = False
    scrub_rate: Annotated[
        _Rate | None, msgspec.Meta(description="bytes a second that a scrub reads at most")
    ] = None

    @property
    def place(self) -> tuple[str, int] | None:
        """Address and port to listen on."""
        if self.listen is None:
            return None
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]") or "127.0.0.1", int(port)


def read_agent(table: object) -> AgentForm:
    """The table as TOML gave it, overridden by texts of the environment.

    Raises:
        Invalid: kind `settings`.
    """
    if isinstance(table, dict) and type(table.get("listen")) is int:
        table = table | {"listen": str(table["listen"])}
    try:
        return msgspec.convert(table, AgentForm, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(
            f"The setting agent cannot be used: {error}.",
            kind="settings",
            mend="See docs/reference/agent.md.",
        ) from error


formed(AgentForm)
