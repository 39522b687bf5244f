"""`secrets`: keys, tokens, passwords, by the detectors of detect-secrets; none is ever verified online."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import import_module
from importlib.metadata import version
from typing import IO, Any

from placet.checks.api import Check, File, Finding, Options
from placet.checks.tables import open_table
from placet.core.guards import guard

_DETECTORS = {
    "artifactory": "ArtifactoryDetector",
    "aws": "AWSKeyDetector",
    "azure_storage_key": "AzureStorageKeyDetector",
    "basic_auth": "BasicAuthDetector",
    "cloudant": "CloudantDetector",
    "discord": "DiscordBotTokenDetector",
    "github_token": "GitHubTokenDetector",
    "gitlab_token": "GitLabTokenDetector",
    "ibm_cloud_iam": "IbmCloudIamDetector",
    "ibm_cos_hmac": "IbmCosHmacDetector",
    "jwt": "JwtTokenDetector",
    "keyword": "KeywordDetector",
    "mailchimp": "MailchimpDetector",
    "npm": "NpmDetector",
    "openai": "OpenAIDetector",
    "private_key": "PrivateKeyDetector",
    "pypi_token": "PypiTokenDetector",
    "sendgrid": "SendGridDetector",
    "slack": "SlackDetector",
    "softlayer": "SoftlayerDetector",
    "square_oauth": "SquareOAuthDetector",
    "stripe": "StripeDetector",
    "telegram_token": "TelegramBotTokenDetector",
    "twilio": "TwilioKeyDetector",
}
_OWN = re.compile(
    r"(?P<encrypted_key>BEGIN ENCRYPTED PRIVATE KEY)|(?P<age_key>AGE-SECRET-KEY-1[A-Z0-9]{20})"
    r"|(?P<github_token>\bgithub_pat_\w{40})|(?P<hugging_face_token>\bhf_[A-Za-z0-9]{30})"
    r"|(?P<google_key>\bAIza[\w-]{35}(?![\w-]))|(?P<anthropic_key>\bsk-ant-[\w-]{40})"
    r"|(?P<openai_key>\bsk-(?:proj|svcacct|admin)-[\w-]{40})"
    r"|(?P<azure_signature>[?&]sig=[\w%+/-]{40})"
)
"""Forms that detect-secrets does not know, with what their issuers write; each name is said in the result."""
_BLOCK = 1 << 16
_OVERLAP = 4096


class SecretOptions(Options, frozen=True, kw_only=True):
    """`skip`: detectors by name that find too much in this data; `keywords`: also `password = ...` (true)."""

    skip: tuple[str, ...] = ()
    keywords: bool = True


class Secrets(Check):
    """Every byte, as text; the cells of a Parquet file too."""

    api = 1
    tool = f"detect-secrets {version('detect-secrets')}"
    Options = SecretOptions

    @guard(29)
    def look(self, file: File, options: SecretOptions) -> Finding:
        """Look through the file in windows that overlap."""
        unknown = set(options.skip) - set(_DETECTORS)
        if unknown:
            return Finding("options.secrets.skip names a detector that there is not")
        skip = {*options.skip, *([] if options.keywords else ["keyword"])}
        chosen = tuple(name for name in _DETECTORS if name not in skip)
        for text in _texts(file):
            kind = find(text, chosen)
            if kind:
                return Finding(f"it holds a secret: {kind}")
        return Finding("", {"bytes": file.size})


def find(text: str, detectors: Sequence[str] = tuple(_DETECTORS)) -> str:
    """The kind of the first secret in a text, or nothing."""
    own = _OWN.search(text)
    if own and own.lastgroup:
        return own.lastgroup.replace("_", " ")
    for name in detectors:
        detector = _detector(name)
        if name == "keyword":
            told = (line for line in text.splitlines() if _keywords().search(line))
            found = any(any(True for _ in detector.analyze_string(line)) for line in told)
        else:
            found = any(True for _ in detector.analyze_string(text))
        if found:
            return str(detector.secret_type)
    return ""


@lru_cache(maxsize=1)
def _keywords() -> re.Pattern[str]:
    """What a line must hold for the detector of keywords to find anything; it is slow without."""
    return re.compile("|".join(import_module("detect_secrets.plugins.keyword").DENYLIST), re.IGNORECASE)


@lru_cache(maxsize=64)
def _detector(name: str) -> Any:  # noqa: ANN401 - has no types
    return getattr(import_module(f"detect_secrets.plugins.{name}"), _DETECTORS[name])()


def _texts(file: File) -> Iterator[str]:
    head = file.stream.read(4)
    file.stream.seek(0)
    yield from _windows(file.stream)
    if head == b"PAR1":
        for batch in open_table(file.stream).batches():
            for values in batch.values:
                texts = [value for value in values if isinstance(value, str)]
                if texts:
                    yield "\n".join(texts)


def _windows(stream: IO[bytes]) -> Iterator[str]:
    tail = b""
    while block := stream.read(_BLOCK):
        window = tail + block
        yield window.decode("utf-8", "replace")
        tail = window[-_OVERLAP:]
