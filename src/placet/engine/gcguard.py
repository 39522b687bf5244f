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
    mine = _merged(tiers.remotes[name], tiers.remotes)
    tier = tiers.at(place_of(mine, tiers.remotes, tiers.base))
    if tier is not None:
        raise _tier(name, f"Its place is that of the publication tier {tier}.")
    for other in sorted(filter(tiers.has, tiers.remotes)):
        theirs = _merged(tiers.remotes[other], tiers.remotes)
        if _credential(mine) is not None and _credential(mine) == _credential(theirs):
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
    real = cache.resolve(), (cache / "files" / "md5").resolve()
    for one in real:
        tier = tiers.at(("", "", one.parts))
        if tier is not None:
            raise _tier(str(cache), f"Its place is that of the publication tier {tier}.")
    if (shared or not all(one.is_relative_to(root) for one in real)) and not owned:
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
    url = str(_merged(remote, remotes).get("url", ""))
    parts = urlsplit(url)
    if parts.scheme in _LOCAL:
        local = Path(parts.path if parts.scheme else url)
        return "", "", (local if local.is_absolute() else base / local).resolve().parts
    folders = tuple(one for one in parts.path.split("/") if one)
    return parts.scheme, parts.netloc.rpartition("@")[2].lower(), folders


def _merged(remote: Mapping[str, Any], remotes: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """A remote's options; one at `remote://other/more` has the other's too."""
    found = remote
    for _ in range(_MAX_HOPS):
        parts = urlsplit(str(found.get("url", "")))
        if parts.scheme != "remote":
            return found
        other = remotes.get(parts.netloc.lower())
        if other is None:
            break
        found = {**other, **found, "url": f"{other.get('url', '')}/{parts.path.lstrip('/')}"}
    raise Invalid(f"The URL {remote.get('url')} names no remote that is one.", kind="remote-option")


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
