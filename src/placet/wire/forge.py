"""Which forge the settings mean, with whose credential, for its API and for Git."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from placet import config
from placet.adapters import keys
from placet.adapters.forge.plain import PlainForge
from placet.adapters.git_process import credential
from placet.core import layout
from placet.core.digest import sha256_hex
from placet.core.forgeform import ForgeForm
from placet.core.policy import Policy
from placet.errors import Invalid, NotFound
from placet.ports import Clock, Commission, Forge
from placet.wire.forgetoken import file_of, token

if TYPE_CHECKING:
    from placet.adapters.forge.http import Place
    from placet.config import Settings

STATUS = "placet"


def open_forge(settings: Settings, clock: Clock, closing: ExitStack) -> Forge:
    """Where people see proposals; its connections end with `closing`.

    Raises:
        Invalid: kind `settings`.
        NotFound: kind `no-library`: `placet[forge]` is not installed.
        NotFound, Unavailable, Refused: as of a key file: the token cannot be read.
    """
    form = settings.forge
    if form is None:
        return PlainForge()
    if find_spec("httpx") is None:
        raise NotFound(
            f"{form.known_as} cannot be reached from here.",
            kind="no-library",
            mend="Install Placet with the extra `forge`; see README.md.",
        )
    owner, name = form.place(settings.ctrl)
    if form.kind in {"gitea", "forgejo"}:
        from placet.adapters.forge.gitea import API, GiteaForge
        from placet.adapters.forge.http import ForgeHttp

        headers = {"authorization": f"token {token(settings, form)}"}
        place = _place(settings, form, f"{form.origin(settings.ctrl)}/{API}", headers, clock)
        http = closing.enter_context(contextlib.closing(ForgeHttp(place)))
        return GiteaForge(http, owner, name, name=form.known_as)
    from placet.wire import github

    place = _place(settings, form, github.api(settings, form), {}, clock)
    return github.open_github(settings, form, place, closing)


def commission(
    policy: Policy,
    name: str,
    agents: Sequence[str] | None = None,
    witnesses: Sequence[str] | None = None,
    hook: str | None = None,
    secret: bytes | None = None,
    mine: Sequence[str] = (),
) -> Commission:
    """How a Ctrl repository with this policy is to be set up on the forge that the policy calls `name`."""
    first = layout.published_name(next(iter(policy.form.tiers)))
    branches = (first, layout.published_name(layout.DEFAULT_TIER), layout.published_name("*"))
    people = (policy.form.people[person].forges for person in sorted(policy.governors()))
    return Commission(
        main=layout.MAIN.removeprefix("refs/heads/"),
        published=tuple(dict.fromkeys(branches)),
        status=STATUS,
        agents=None if agents is None else tuple(agents),
        witnesses=None if witnesses is None else tuple(witnesses),
        mine=tuple(mine),
        owners=tuple(one[name] for one in people if name in one),
        hook=hook,
        secret=secret.decode("ascii") if secret is not None else None,
    )


def may_push(forge: Forge, wanted: Commission) -> str:
    """Who may push to which branches of the forge; empty where it does not tell."""
    found = forge.pushers(wanted)
    return "; ".join(f"to {name}: {', '.join(who) or 'nobody'}" for name, who in found.items())


def git_credential(settings: Settings) -> Mapping[str, str]:
    """What lets Git use the forge's token for the Ctrl repository, where that is on the forge, by HTTP.

    Raises:
        NotFound, Unavailable, Refused: as of a key file.
    """
    form, ctrl = settings.forge, urlsplit(settings.ctrl or "")
    if form is None or ctrl.scheme not in {"http", "https"} or (form.token is None and form.app is None):
        return {}
    origin = form.origin(settings.ctrl)
    if urlsplit(origin)[:2] != (ctrl.scheme, ctrl.netloc.rpartition("@")[2]):
        return {}
    origin = f"{ctrl.scheme}://{urlsplit(origin).netloc}"
    if form.token is not None:
        token(settings, form)
        return credential(origin, file_of(settings, form.token))
    renew = (sys.executable, "-P", "-m", "placet", "git-token", str(settings.root))
    return credential(origin, app_token_file(settings, form), renew)


def renew_app_token(settings: Settings, clock: Clock) -> Path:
    """Write a GitHub App's token of the next hour to where Git reads it.

    Raises:
        Invalid: kind `settings`: no App is set.
        NotFound, Unavailable, Refused: as of a key file, and as of the forge.
    """
    form = settings.forge
    if form is None or form.app is None:
        raise Invalid("No GitHub App is set.", kind="settings")
    from placet.wire import github

    file = app_token_file(settings, form)
    fresh = github.app_token(settings, form, _place(settings, form, github.api(settings, form), {}, clock))
    keys.write_secret(file, fresh.encode("ascii"))
    return file


def app_token_file(settings: Settings, form: ForgeForm) -> Path:
    """Where an App's token is kept while it lasts."""
    name = "\0".join([form.origin(settings.ctrl), *form.place(settings.ctrl), str(form.app)])
    return settings.home / "forge" / f"{sha256_hex(name.encode())[:16]}.token"


def _place(settings: Settings, form: ForgeForm, base: str, headers: Mapping[str, str], clock: Clock) -> Place:
    from placet.adapters.forge.http import Place

    return Place(
        base=base,
        headers=lambda: headers,
        now=clock.now,
        ca=str(file_of(settings, form.ca)) if form.ca else None,
        proxy=_proxy(base, config.environment()),
    )


def _proxy(url: str, environ: Mapping[str, str]) -> str | None:
    """The HTTP proxy that variables name for this address, as other tools read them."""
    from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed lacks it

    parts = urlsplit(url)
    names = (f"{parts.scheme}_proxy", f"{parts.scheme}_PROXY".upper(), "all_proxy", "ALL_PROXY")
    found = next((environ[name] for name in names if environ.get(name)), None)
    exempt = {"no": environ.get("no_proxy") or environ.get("NO_PROXY") or ""}
    return None if found is None or proxy_bypass_environment(parts.netloc, exempt) else found
