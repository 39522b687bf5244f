"""AWS's shared files (`~/.aws/config`, `~/.aws/credentials`): one profile, with its nested S3 settings.

The form: https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html.
"""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from placet.errors import Invalid


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile of the shared files.

    Attributes:
        name: Its name.
        named: The remote itself chose the profile or the file: other sources of credentials do not count.
        values: Its keys, those of the credentials file first.
        s3: The nested section `s3`.
        service: The nested section `s3` of its `services` section.
        config: The configuration file.
        credentials: The credentials file.
    """

    name: str
    named: bool
    config: Path
    credentials: Path
    values: Mapping[str, str] = field(repr=False)
    s3: Mapping[str, str]
    service: Mapping[str, str]


def read_profile(remote: Mapping[str, Any], environ: Mapping[str, str]) -> Profile:
    """The profile that the remote names, else the environment; empty if it is not there.

    Raises:
        Invalid: kind `remote-option`: a file that is no AWS configuration.
    """
    home = Path(environ.get("HOME", "~")).expanduser()
    name = str(remote.get("profile") or environ.get("AWS_PROFILE") or "default")
    config = _path(remote.get("configpath") or environ.get("AWS_CONFIG_FILE"), home / ".aws/config")
    credentials = _path(
        remote.get("credentialpath") or environ.get("AWS_SHARED_CREDENTIALS_FILE"), home / ".aws/credentials"
    )
    values: dict[str, str] = {}
    services: dict[str, str] = {}
    for path in (config, credentials):
        parser = _parse(path)
        for section in (name, f"profile {name}"):
            if parser.has_section(section):
                values |= dict(parser.items(section))
        wanted = f"services {values.get('services', '')}"
        if parser.has_section(wanted):
            services |= dict(parser.items(wanted))
    return Profile(
        name=name,
        named=bool(remote.get("profile") or remote.get("credentialpath")),
        config=config,
        credentials=credentials,
        values=values,
        s3=_nested(values.get("s3", "")),
        service=_nested(services.get("s3", "")),
    )


def _path(given: object, default: Path) -> Path:
    return Path(str(given)).expanduser() if given else default


def _parse(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise Invalid(f"{path} is no AWS configuration file.", kind="remote-option") from error
    return parser


def _nested(text: str) -> dict[str, str]:
    """A value that is a section of its own: lines `key = value` below an empty first line."""
    pairs = (line.partition("=") for line in text.splitlines())
    return {key.strip(): value.strip() for key, equals, value in pairs if equals}
