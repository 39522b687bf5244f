"""Freeze windows: times in which nothing is published, and when they end. Pure; the time is an argument.

The effective policy at the judged commit decides. Windows hold back publications only: what takes something
back is never in their way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, datetime, timedelta

from placet.core import globs
from placet.core.guards import guard
from placet.core.policy import Policy
from placet.core.policyform import Day, Weekly, Window
from placet.core.predicates import Manifest
from placet.core.statement import format_time, parse_time

_DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Closed:
    """A window in which a time lies; `until` is when publishing begins again, None for never."""

    window: str
    reason: str
    until: datetime | None


@guard(21)
def window_problem(policy: Policy, manifest: Manifest, when: datetime) -> str:
    """Why a manifest may not be published at this time, and when it may, or empty."""
    paths = [f"{manifest.node}/{artifact.path}" for artifact in manifest.artifacts]
    found = closed(policy, paths, manifest.tier or "", when)
    return told(found[0]) if found and manifest.kind == "publish" else ""


def told(one: Closed) -> str:
    """A closed window in words."""
    end = f"until {format_time(one.until)}" if one.until else "without end"
    return f"nothing is published {end} (window {one.window}: {one.reason})"


def closed(policy: Policy, paths: Sequence[str], tier: str, when: datetime) -> list[Closed]:
    """The windows that hold some of these `<node>/<path>` back at a time; all end together."""
    windows = dict(applying(policy, paths, tier))
    end = _end(list(windows.values()), when)
    return [Closed(name, one.reason, end) for name, one in windows.items() if _ends([one], when)]


def applying(policy: Policy, paths: Sequence[str], tier: str) -> Iterator[tuple[str, Window]]:
    """The windows that are about some of these `<node>/<path>` and this tier, whatever the time."""
    for name, window in policy.form.windows.items():
        if window.tiers is not None and tier not in window.tiers:
            continue
        if window.paths is None or any(
            globs.matches(pattern, path) for pattern in window.paths for path in paths
        ):
            yield name, window


def _end(windows: Sequence[Window], when: datetime) -> datetime | None:
    """When the spans that follow one another without a gap end; None: the hours of the week never do."""
    weekly_since = end = when
    while (later := max(_ends(windows, end), default=end)) > end:
        if later.year == MAXYEAR:
            return None
        if _between(windows, end):
            weekly_since = later
        elif later - weekly_since > _WEEK:
            return None
        end = later
    return end


def _ends(windows: Sequence[Window], when: datetime) -> list[datetime]:
    """When the spans end that a time lies in."""
    return _between(windows, when) + [
        end for window in windows for hours in window.weekly for end in _weekly(hours, when)
    ]


def _between(windows: Sequence[Window], when: datetime) -> list[datetime]:
    spans = [span for window in windows for span in window.between]
    return [
        parse_time(span.until) for span in spans if parse_time(span.begin) <= when < parse_time(span.until)
    ]


def _weekly(hours: Weekly, when: datetime) -> Iterator[datetime]:
    midnight = when.replace(hour=0, minute=0, second=0, microsecond=0)
    begin, until = _clock(hours.begin), _clock(hours.until)
    length = (until - begin) % timedelta(days=1) or timedelta(days=1)
    for back in range(2):
        day = midnight - timedelta(days=back)
        if _DAYS[day.weekday()] in hours.days and day + begin <= when < day + begin + length:
            yield day + begin + length


def _clock(text: str) -> timedelta:
    hours, minutes = text.split(":")
    return timedelta(hours=int(hours), minutes=int(minutes))
