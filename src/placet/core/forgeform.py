"""The table `[forge]` of a party's settings, strict: which forge, where, and with whose credential."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from placet.core.formed import formed
from placet.core.predicates import Name
from placet.errors import Invalid

Kind = Literal["git", "gitea", "forgejo", "github"]

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
_Number = Annotated[int, msgspec.Meta(ge=1)]
_REPOSITORY = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_GITHUB = "https://github.com"


class ForgeForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What may be set; paths as they were written."""

    kind: Annotated[
        Kind, msgspec.Meta(description="what the forge is; `git` has no pages, and needs nothing else")
    ] = "git"
    url: Annotated[
        _Text | None,
        msgspec.Meta(
            description="its address, `https://...`; by default the origin of `ctrl`, if that is HTTPS"
        ),
    ] = None
    repository: Annotated[
        _Text | None,
        msgspec.Meta(description="`owner/name` of the Ctrl repository there; by default the end of `ctrl`"),
    ] = None
    token: Annotated[
        _Text | None,
        msgspec.Meta(
            description="file with an access token of this party's account, readable by its owner only"
        ),
    ] = None
    name: Annotated[
        Name | None,
        msgspec.Meta(description="the name that the policy has for it in `people.<name>.forges`; its kind by"
                     " default"),
    ] = None  # fmt: skip
    ca: Annotated[
        _Text | None, msgspec.Meta(description="file of certificates to trust instead of the system's")
    ] = None
    app: Annotated[_Number | None, msgspec.Meta(description="GitHub: id of an App, instead of a token")] = (
        None
    )
    installation: Annotated[
        _Number | None, msgspec.Meta(description="GitHub: id of the App's installation; looked up if not set")
    ] = None
    app_key: Annotated[
        _Text | None,
        msgspec.Meta(description="GitHub: file with the App's private key (PEM), readable by its owner only"),
    ] = None

    @property
    def known_as(self) -> str:
        """What the policy calls it."""
        return self.name or self.kind

    def origin(self, ctrl: str | None) -> str:
        """Where its pages are, without a slash at the end.

        Raises:
            Invalid: kind `settings`: neither `url` nor `ctrl` says so, or it is not encrypted.
        """
        parts = urlsplit(ctrl or "")
        by_ctrl = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        url = self.url or (by_ctrl if parts.scheme in {"http", "https"} else "")
        url = (url or (_GITHUB if self.kind == "github" else "")).rstrip("/")
        found = urlsplit(url)
        if found.scheme not in {"http", "https"} or not found.hostname or "@" in found.netloc:
            raise _bad("url", "it must be the address of the forge's pages, without a password")
        if found.scheme == "http" and found.hostname not in _LOOPBACK:
            raise _bad("url", "a token is sent there, so it must begin with https://")
        return url

    def place(self, ctrl: str | None) -> tuple[str, str]:
        """Owner and name of the Ctrl repository.

        Raises:
            Invalid: kind `settings`.
        """
        path = urlsplit(ctrl or "").path if "://" in (ctrl or "") else (ctrl or "").rpartition(":")[2]
        said = self.repository or "/".join(path.strip("/").removesuffix(".git").split("/")[-2:])
        if not _REPOSITORY.fullmatch(said) or {".", ".."} & set(said.split("/")):
            raise _bad("repository", "it must be `owner/name`")
        owner, _, name = said.partition("/")
        return owner, name


def read_forge(value: object) -> ForgeForm:
    """The setting as TOML gave it: a table, or the kind alone.

    Raises:
        Invalid: kind `settings`.
    """
    try:
        return msgspec.convert({"kind": value} if isinstance(value, str) else value, ForgeForm)
    except msgspec.ValidationError as error:
        raise Invalid(
            f"The setting forge cannot be used: {error}.",
            kind="settings",
            mend="See docs/reference/settings.md.",
        ) from error


def _bad(key: str, why: str) -> Invalid:
    return Invalid(
        f"The setting {key} of [forge] cannot be used: {why}.",
        kind="settings",
        mend="See docs/reference/settings.md.",
    )


formed(ForgeForm)
