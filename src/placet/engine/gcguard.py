"""What gc never touches: publication tiers, and what others use whom it does not know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from placet.errors import Invalid, Refused

_LOCAL = frozenset({"", "file", "local"})
_MAX_HOPS = 8

Place = tuple[str, str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Tiers:
    """Where what is published may be.

    Attributes:
        remotes: All remotes of DVC's configuration.
        names: Names of publication tiers, and of the remotes that the settings give them.
        urls: Of publication tiers, as the policy has them.
        base: What relative local paths are relative to.
    """

    remotes: Mapping[str, Mapping[str, Any]]
    names: frozenset[str]
    urls: tuple[str, ...]
    base: Path

    def has(self, name: str) -> bool:
        """Is this the name of a publication tier or its remote?"""
        return name in self.names or name.startswith("publication")

    def at(self, place: Place) -> str | None:
        """The publication tier whose place this is, or overlaps."""
        named = {one: remote for one, remote in self.remotes.items() if self.has(one)}
        for one, remote in sorted({**named, **{url: {"url": url} for url in self.urls}}.items()):
            if overlaps(place, place_of(remote, self.remotes, self.base)):
                return one
        return None


def refuse_remote(name: str, tiers: Tiers, *, owned: Iterable[str]) -> None:
    """Refuse a remote that holds what is published, or whose users are not all known.

    Endpoints are not compared: one store can have many names, and two tiers never share bucket and prefix.

    Args:
        name: The remote.
        tiers: Where what is published may be.
        owned: Remotes that only the named workspaces use.

    Raises:
        Refused: kinds `gc-publication-tier`, `gc-shared-remote`.
        Invalid: kind `remote-option`: a remote's URL leads nowhere.
    """
    if tiers.has(name):
        raise _tier(name, "It is a publication tier.")
    mine = tiers.remotes[name]
    tier = tiers.at(place_of(mine, tiers.remotes, tiers.base))
    if tier is not None:
        raise _tier(name, f"Its place is that of the publication tier {tier}.")
    for other in sorted(filter(tiers.has, tiers.remotes)):
        if _credential(mine) is not None and _credential(mine) == _credential(tiers.remotes[other]):
            raise _tier(name, f"It has the credential of the publication tier {other}.")
    if name not in set(owned):
        raise Refused(
            f"It is not known who else uses the remote {name}; nothing is removed from it.",
            kind="gc-shared-remote",
            why="What other workspaces have pushed would be lost.",
            mend=f'Name all of them in placet.toml: [gc] workspaces = [...] remotes = ["{name}"]',
        )


def refuse_cache(cache: Path, root: Path, tiers: Tiers, *, shared: bool, owned: bool) -> None:
    """Refuse a cache that others use too, unless all of them are named; and one that is a publication tier.

    Raises:
        Refused: kinds `gc-shared-cache`, `gc-publication-tier`.
    """
    tier = tiers.at(("", "", cache.resolve().parts))
    if tier is not None:
        raise _tier(str(cache), f"Its place is that of the publication tier {tier}.")
    if (shared or not cache.resolve().is_relative_to(root)) and not owned:
        raise Refused(
            f"It is not known who else uses the cache {cache}; nothing is removed from it.",
            kind="gc-shared-cache",
            why="It lies outside of the workspace, or `cache.shared` is set.",
            mend="Name all of them in placet.toml: [gc] workspaces = [...] cache = true",
        )


def place_of(remote: Mapping[str, Any], remotes: Mapping[str, Mapping[str, Any]], base: Path) -> Place:
    """Protocol, bucket and folders of a remote; `remote://other/more` is followed as DVC does.

    Raises:
        Invalid: kind `remote-option`.
    """
    url, more = str(remote.get("url", "")), ""
    for _ in range(_MAX_HOPS):
        parts = urlsplit(url)
        if parts.scheme != "remote":
            break
        url, more = str(remotes.get(parts.netloc, {}).get("url", url)), f"{parts.path}{more}"
    else:
        raise Invalid(f"The URL {remote.get('url')} names no remote that is one.", kind="remote-option")
    if parts.scheme in _LOCAL:
        local = Path(parts.path if parts.scheme else url)
        folder = (local if local.is_absolute() else base / local) / more.strip("/")
        return "", "", folder.resolve().parts
    path = f"{parts.path}{more}"
    return parts.scheme, parts.netloc.rpartition("@")[2].lower(), tuple(one for one in path.split("/") if one)


def overlaps(one: Place, two: Place) -> bool:
    """Is one of the places the other, or within it?"""
    length = min(len(one[2]), len(two[2]))
    return one[:2] == two[:2] and one[2][:length] == two[2][:length]


def _credential(remote: Mapping[str, Any]) -> tuple[object, ...] | None:
    """What the remote's options say of its credential; None where it comes from the surroundings."""
    if remote.get("access_key_id"):
        return ("key", remote["access_key_id"])
    named = (remote.get("credentialpath"), remote.get("profile"))
    return named if any(named) else None


def _tier(name: str, why: str) -> Refused:
    return Refused(
        f"{name} is never collected.",
        kind="gc-publication-tier",
        why=f"{why} What was published stays, until a governed retraction.",
        mend="Name another remote, with a place and a credential of its own.",
    )
