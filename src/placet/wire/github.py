"""GitHub by the settings: an account's token, or a GitHub App."""

from __future__ import annotations

import contextlib
from contextlib import ExitStack

from placet.adapters import keys
from placet.adapters.forge.github import GitHubForge, api_of, app_tokens, connect
from placet.adapters.forge.github_auth import App
from placet.adapters.forge.http import Place
from placet.config import Settings
from placet.core.forgeform import ForgeForm
from placet.errors import Invalid
from placet.wire.forgetoken import file_of, token


def api(settings: Settings, form: ForgeForm) -> str:
    """The API's address. Raises as `ForgeForm.origin`."""
    return api_of(form.origin(settings.ctrl))


def open_github(settings: Settings, form: ForgeForm, place: Place, closing: ExitStack) -> GitHubForge:
    """The Ctrl repository on GitHub; its connections end with `closing`.

    Raises:
        Invalid: kinds `settings`, `forge-key`.
        NotFound, Unavailable, Refused: as of a key file.
    """
    repository, name = _repository(settings, form), form.known_as
    if form.app is not None:
        app = _app(settings, form, place)
        return connect(place, repository, app, name=name, installation=form.installation, closing=closing)
    known = token(settings, form)
    return connect(place, repository, lambda: known, name=name, closing=closing)


def app_token(settings: Settings, form: ForgeForm, place: Place) -> str:
    """A token of the App's installation. Raises as `open_github`, and as of the forge."""
    app = _app(settings, form, place)
    tokens = app_tokens(place, _repository(settings, form), app, form.installation)
    with contextlib.closing(tokens):
        return tokens()


def _repository(settings: Settings, form: ForgeForm) -> str:
    return "/".join(form.place(settings.ctrl))


def _app(settings: Settings, form: ForgeForm, place: Place) -> App:
    if form.app_key is None or form.token is not None:
        raise Invalid(
            "A GitHub App needs `app_key`, and no `token` beside it.",
            kind="settings",
            mend='Write to [forge] of placet.toml: app_key = "app.pem", the private key that GitHub made.',
        )
    return App(str(form.app), keys.read_secret(file_of(settings, form.app_key)), place.now)
