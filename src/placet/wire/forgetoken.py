"""The access token of a forge, in the file that the settings name."""

from __future__ import annotations

import re
from pathlib import Path

from placet.adapters import keys
from placet.config import Settings
from placet.core.forgeform import ForgeForm
from placet.errors import Invalid, NotFound

_TOKEN = re.compile(r"[!-~]{1,1000}")


def token(settings: Settings, form: ForgeForm) -> str:
    """The access token, from its file.

    Raises:
        Invalid: kind `settings`: none is set, or the file holds something else.
        NotFound, Unavailable, Refused: as of a key file.
    """
    if form.token is None:
        raise Invalid(
            f"No token of {form.known_as} is set.",
            kind="settings",
            mend='Make one on the forge, and write to [forge] of placet.toml: token = "forge.token"',
        )
    file = file_of(settings, form.token)
    try:
        found = keys.read_secret(file).decode("ascii", "replace").strip()
    except NotFound as error:
        raise NotFound(
            f"There is no access token at {file}.",
            kind=error.kind,
            mend=f"Make one on {form.known_as}; then (umask 077; cat > {file}), paste it, Ctrl-D.",
        ) from error
    if not _TOKEN.fullmatch(found):
        raise Invalid(f"{file} holds no access token: one line without spaces.", kind="settings")
    return found


def file_of(settings: Settings, text: str) -> Path:
    """A file that the settings name."""
    return settings.root / Path(text).expanduser()
