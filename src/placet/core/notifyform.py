"""The table `[notify]` of a party's settings, strict: who is told what, and where."""

from __future__ import annotations

from typing import Annotated

import msgspec

from placet.core.formed import formed
from placet.core.happening import Happening, Kind
from placet.core.predicates import Name
from placet.errors import Invalid

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Variable = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*\Z")]
_Names = Annotated[tuple[Name, ...], msgspec.Meta(max_length=200)]


class TargetForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One place that is told; its URL holds a credential, so it is never in the settings themselves."""

    url_file: Annotated[
        _Text | None,
        msgspec.Meta(description="file with its Apprise URL, readable by its owner only"),
    ] = None
    url_env: Annotated[
        _Variable | None, msgspec.Meta(description="variable with its Apprise URL, instead")
    ] = None
    events: Annotated[
        Annotated[tuple[Kind, ...], msgspec.Meta(min_length=1)] | None,
        msgspec.Meta(description="what it is told of; everything by default"),
    ] = None
    person: Annotated[
        Name | None,
        msgspec.Meta(description="only what this person can decide about, has decided about, or runs"),
    ] = None
    rules: Annotated[
        _Names,
        msgspec.Meta(description="of proposals: only those judged by these rules of the policy"),
    ] = ()
    nodes: Annotated[_Names, msgspec.Meta(description="of proposals: only those of these nodes")] = ()

    def wants(self, one: Happening) -> bool:
        """Is this target to be told of it?"""
        if self.events is not None and one.kind not in self.events:
            return False
        if self.person is not None and self.person not in one.concerns:
            return False
        if not one.proposal:
            return True
        by_rule = not self.rules or not set(self.rules).isdisjoint(one.rules)
        return by_rule and (not self.nodes or one.node in self.nodes)


class NotifyForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What may be set; paths as they were written."""

    targets: Annotated[dict[Name, TargetForm], msgspec.Meta(min_length=1, max_length=100)]
    pause: Annotated[
        float,
        msgspec.Meta(
            ge=1,
            le=86_400,
            description="seconds between two messages to one target, at least; the next has all of them",
        ),
    ] = 60.0
    patience: Annotated[
        float,
        msgspec.Meta(
            ge=0, le=86_400, description="seconds that a job of the agent fails before somebody is told"
        ),
    ] = 300.0


def read_notify(table: object) -> NotifyForm:
    """The table as TOML gave it.

    Raises:
        Invalid: kind `settings`.
    """
    try:
        form = msgspec.convert(table, NotifyForm)
    except msgspec.ValidationError as error:
        raise Invalid(
            f"The setting notify cannot be used: {error}.",
            kind="settings",
            mend="See docs/how-to/notify.md.",
        ) from error
    for name, one in form.targets.items():
        if (one.url_file is None) == (one.url_env is None):
            raise Invalid(
                f"The target {name} of [notify] needs url_file or url_env, and not both.",
                kind="settings",
                why="Its URL holds a credential, which belongs into no file of settings.",
                mend="See docs/how-to/notify.md.",
            )
    return form


formed(NotifyForm)
