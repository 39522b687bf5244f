"""Where artifacts came from, by the names of SLSA's build provenance v1, bounded; part of a manifest."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self, TypeVar, get_args

import msgspec

from placet.core.envelope import strict_json
from placet.errors import Invalid

MANUAL = "urn:placet:build:manual:v1"
"""The build type of what a person proposed by hand, and named what went in."""

Line = Annotated[str, msgspec.Meta(max_length=300)]
# Characters of RFC 3986 only, no password: an address is shown to people, and followed by some.
Uri = Annotated[
    str,
    msgspec.Meta(
        max_length=4000,
        pattern=r"^(?![^/]*//[^/?#]*:[^/?#]*@)[a-z][a-z0-9+.-]*:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+$(?!\n)",
    ),
]
WebUrl = Annotated[
    str,
    msgspec.Meta(
        max_length=4000,
        pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~:/?#@!$&*+,;=%-]*)?$(?!\n)",
    ),
]
Algorithm = Literal["sha256", "dirHash", "gitCommit", "gitTree", "sha512", "md5"]  # in-toto's names
Hex = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32,128}$(?!\n)")]


class _Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Resource(_Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run used, as an in-toto ResourceDescriptor.

    Attributes:
        uri: Of a Placet artifact `layout.artifact_uri`, with its `sha256` or `dirHash` as digest.
    """

    uri: Uri
    name: Line = ""
    digest: Annotated[dict[Algorithm, Hex], msgspec.Meta(max_length=6)] = msgspec.field(default_factory=dict)


class BuildParameters(_Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """What was run: SLSA's `externalParameters`; `source` is the URI of the code among the dependencies."""

    asset: Line = ""
    code_version: Line = ""
    source: Uri | None = None


class BuildDefinition(_Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """SLSA's `buildDefinition`."""

    build_type: Uri
    external_parameters: BuildParameters
    resolved_dependencies: Annotated[tuple[Resource, ...], msgspec.Meta(max_length=201)] = ()


class Builder(_Struct, frozen=True, kw_only=True):
    """SLSA's `builder`: what ran it, by a URI."""

    id: Uri


class RunMetadata(_Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """SLSA's `metadata` of a run, and its page as an extension field, named as SLSA asks for."""

    invocation_id: Line = ""
    invocation_url: WebUrl | None = msgspec.field(default=None, name="placet_invocationUrl")


class RunDetails(_Struct, frozen=True, kw_only=True, omit_defaults=True):
    """SLSA's `runDetails`."""

    builder: Builder
    metadata: RunMetadata = msgspec.field(default_factory=RunMetadata)


class Provenance(_Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Where the artifacts came from, by the node's word: the predicate of SLSA's build provenance v1.

    Empty if nothing is known. Format: https://slsa.dev/spec/v1.1/provenance.
    """

    build_definition: BuildDefinition | None = None
    run_details: RunDetails | None = None

    @classmethod
    def of(
        cls,
        *,
        build_type: str,
        builder: str,
        invocation: str = "",
        invocation_url: str | None = None,
        asset: str = "",
        code_version: str = "",
        code: Resource | None = None,
        dependencies: tuple[Resource, ...] = (),
    ) -> Self:
        """What is known of one run.

        Args:
            build_type: URI of the way of running: says how to read the rest.
            builder: URI of what ran it, with its version: `pkg:pypi/dagster@1.13.27`.
            invocation: The run's id there.
            invocation_url: The run's page, `https` or `http`.
            asset: What was made, as the builder calls it.
            code_version: As the builder tells it, where that is no commit.
            code: Where the code is, `git+https://...`, with the `gitCommit` that ran.
            dependencies: All else that went in.

        Raises:
            Invalid: kind `statement`: something is longer than it may be, or no URI.
        """
        parameters = BuildParameters(
            asset=asset, code_version=code_version, source=code.uri if code is not None else None
        )
        used = (code, *dependencies) if code is not None else dependencies
        made = cls(
            build_definition=BuildDefinition(
                build_type=build_type, external_parameters=parameters, resolved_dependencies=used
            ),
            run_details=RunDetails(
                builder=Builder(id=builder),
                metadata=RunMetadata(invocation_id=invocation, invocation_url=invocation_url),
            ),
        )
        return _checked(made)

    def using(self, more: tuple[Resource, ...]) -> Self:
        """The same with more dependencies, each once.

        Raises:
            Invalid: kind `statement`: they are too many, or one is none.
        """
        if self.build_definition is None:
            return self
        used = list(self.build_definition.resolved_dependencies)
        used += [one for one in more if one not in used]
        definition = msgspec.structs.replace(self.build_definition, resolved_dependencies=tuple(used))
        return _checked(msgspec.structs.replace(self, build_definition=definition))

    @property
    def build_type(self) -> str:
        """URI of the way of running, or empty."""
        return self.build_definition.build_type if self.build_definition else ""

    @property
    def asset(self) -> str:
        """What was made, as the builder calls it, or empty."""
        return self.build_definition.external_parameters.asset if self.build_definition else ""

    @property
    def code_version(self) -> str:
        """The version of the code as the builder tells it, or empty."""
        return self.build_definition.external_parameters.code_version if self.build_definition else ""

    @property
    def code(self) -> Resource | None:
        """Where the code is, with the digest of its commit."""
        if self.build_definition is None:
            return None
        source = self.build_definition.external_parameters.source
        return next((one for one in self.build_definition.resolved_dependencies if one.uri == source), None)

    @property
    def dependencies(self) -> tuple[Resource, ...]:
        """What went in beside the code."""
        used = self.build_definition.resolved_dependencies if self.build_definition else ()
        code = self.code
        return tuple(one for one in used if one is not code)

    @property
    def builder(self) -> str:
        """URI of what ran it, or empty."""
        return self.run_details.builder.id if self.run_details else ""

    @property
    def invocation(self) -> str:
        """The run's id, or empty."""
        return self.run_details.metadata.invocation_id if self.run_details else ""

    @property
    def invocation_url(self) -> str | None:
        """The run's page."""
        return self.run_details.metadata.invocation_url if self.run_details else None


P = TypeVar("P", bound=Provenance)

_SHAPE = {
    "buildDefinition": {
        "buildType": None,
        "externalParameters": {"asset": None, "codeVersion": None, "source": None},
        "resolvedDependencies": [{"uri": None, "name": None, "digest": dict.fromkeys(get_args(Algorithm))}],
    },
    "runDetails": {
        "builder": {"id": None},
        "metadata": {"invocationId": None, "placet_invocationUrl": None},
    },
}
"""What is read of SLSA's predicate: the classes above."""

_REGEX = re.compile(r"`str` matching regex (['\"])(.*)\1(?= - at|$)")
_WORDS = {
    repr(get_args(kind)[1].pattern)[1:-1]: words
    for kind, words in (
        (Uri, "a URI (RFC 3986, no spaces, no password)"),
        (WebUrl, "an address that begins with https:// or http://"),
        (Hex, "32 to 128 hex digits"),
    )
}


def read_provenance(data: bytes) -> Provenance:
    """What a manifest can hold of a SLSA predicate as any builder writes it (JSON); the rest is left out.

    Where no `source` is told, the code is the first dependency with a commit.

    Raises:
        Invalid: kinds `json`, `statement`: what is not left out must be as in a manifest.
    """
    found = _converted(_kept(strict_json(data), _SHAPE), Provenance)
    definition = found.build_definition
    if definition is None or definition.external_parameters.source is not None:
        return found
    code = next((one for one in definition.resolved_dependencies if "gitCommit" in one.digest), None)
    if code is None:
        return found
    parameters = msgspec.structs.replace(definition.external_parameters, source=code.uri)
    definition = msgspec.structs.replace(definition, external_parameters=parameters)
    return msgspec.structs.replace(found, build_definition=definition)


def _kept(value: object, shape: object) -> object:
    if isinstance(shape, dict) and isinstance(value, dict):
        return {key: _kept(value[key], one) for key, one in shape.items() if key in value}
    if isinstance(shape, list) and isinstance(value, list):
        return [_kept(one, shape[0]) for one in value]
    return value


def _checked(made: P) -> P:
    return _converted(msgspec.to_builtins(made), type(made))


def _converted(value: object, kind: type[P]) -> P:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        words = _REGEX.sub(lambda found: _WORDS.get(found[2], "another text"), str(error))
        raise Invalid(
            f"The provenance is not valid: {words}.",
            kind="statement",
            mend="What it may hold: docs/reference/formats.md#provenance",
        ) from error
