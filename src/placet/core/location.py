"""`placet:` URIs as other tools hold them: where an output is, and which bytes are meant.

    placet://<repository>/artifacts/<node>/<path>?sha256=<digest>    an artifact of a Ctrl repository
    placet://<node>/<path>                                           an output of a node's workspace

The first names the same bytes everywhere, and for ever; what is written (`layout.artifact_uri`) is
percent-encoded. The second is a place where a job writes, and says nothing about what lies there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import SplitResult, quote, unquote, urlsplit

from placet.core import layout
from placet.errors import Invalid

_PIN = "sha256="


@dataclass(frozen=True, slots=True)
class Location:
    """What a `placet:` URI says.

    Attributes:
        node: Whose workspace, or whose artifact.
        path: Relative to the workspace; empty for all of it.
        repository: The Ctrl repository's id, of an artifact.
        sha256: Which version, by the digest of its subject; None: the one that is there.
    """

    node: str
    path: str
    repository: str | None = None
    sha256: str | None = None

    @property
    def uri(self) -> str:
        """The URI; the same location always has the same."""
        if self.repository is None:
            place = f"{layout.ARTIFACT_SCHEME}://{self.node}/{quote(self.path)}"
        else:
            place = layout.artifact_uri(self.repository, self.node, self.path).rstrip("/")
        return f"{place}?{_PIN}{self.sha256}" if self.sha256 else place

    def below(self, name: str) -> Location:
        """A path below it.

        Raises:
            Invalid: kind `unsafe-path`.
        """
        name = name.strip("/")
        if not name:
            return self
        layout.require_safe(name, "an artifact", strict=False)
        return replace(self, path=f"{self.path}/{name}" if self.path else name)


def parse_location(uri: str) -> Location:
    """Read a `placet:` URI; hostile: it may come from a server that anybody writes to.

    Raises:
        Invalid: kind `location`.
    """
    parts = _split(uri)
    path = unquote(parts.path, errors="replace").strip("/")
    pin = parts.query.removeprefix(_PIN) if parts.query else None
    repository, node = None, parts.netloc
    if layout.is_id(parts.netloc):
        repository = parts.netloc
        kind, _, rest = path.partition("/")
        node, _, path = rest.partition("/")
        if f"{kind}/" != layout.ARTIFACTS:
            raise _bad(uri, f"after the repository's id comes {layout.ARTIFACTS}<node>/<path>")
    if not layout.is_name(node):
        raise _bad(uri, f"{node!r} is no name of a node")
    if pin is not None and not (parts.query.startswith(_PIN) and layout.is_sha256(pin)):
        raise _bad(uri, f"a query is {_PIN} and 64 hex digits")
    reason = layout.unsafe(path, strict=False) if path else None
    if reason is not None:
        raise _bad(uri, f"its path {reason}")
    return Location(node, path, repository, pin)


def _split(uri: str) -> SplitResult:
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise _bad(uri, str(error)) from error
    if parts.scheme != layout.ARTIFACT_SCHEME or parts.fragment:
        raise _bad(uri, "it begins with placet://, and has no fragment")
    return parts


def _bad(uri: str, why: str) -> Invalid:
    return Invalid(
        f"{uri[:200]!r} is no location of Placet.",
        kind="location",
        why=f"{why[0].upper()}{why[1:]}.",
        mend="Write placet://<node>/<path>, or placet://<repository>/artifacts/<node>/<path>?sha256=<digest>",
    )
