"""What goes to Git is readable by many and hard to take back: it is scanned before the push.

Fields are named in the refusal, values never. The same detectors as for data: secrets, and identifiers by
their exact form.
"""

from __future__ import annotations

from collections.abc import Mapping

from placet.checks import patterns, secrets
from placet.core.guards import guard
from placet.core.statement import Manifest
from placet.errors import Refused

MAX_FIELD = 1 << 20


@guard(29)
def refuse_telling(fields: Mapping[str, str]) -> None:
    """Refuse metadata that hold a secret or name a person directly.

    Args:
        fields: What the field is called, and its text.

    Raises:
        Refused: kind `telling-metadata`.
    """
    for name, text in fields.items():
        kind = _telling(text)
        if kind:
            raise Refused(
                f"The {name} holds what must not be published: {kind}. Nothing was pushed.",
                kind="telling-metadata",
                why="It would be readable by everybody who can read the Ctrl repository, for good.",
                mend="Rename the file or write another text, then run the same command again.",
            )


def told_by(body: Manifest, files: Mapping[str, bytes]) -> dict[str, str]:
    """What a proposal tells: paths, message, provenance, check results, and the files that go with it."""
    made = body.provenance
    fields = {
        **{f"path of artifact {number}": one.path for number, one in enumerate(body.artifacts, start=1)},
        "message": body.message,
        "orchestrator of the provenance": made.orchestrator,
        "asset of the provenance": made.asset,
        "run of the provenance": made.run,
        "code version of the provenance": made.code_version,
        **{f"input {number} of the provenance": one for number, one in enumerate(made.inputs, start=1)},
        **{f"summary of check {one.check}": f"{one.path} {one.summary} {one.tool}" for one in body.checks},
    }
    if body.kind == "policy":
        fields |= {path: data.decode("utf-8", "replace") for path, data in files.items()}
    return fields


def _telling(text: str) -> str:
    if len(text) > MAX_FIELD:
        return f"more than {MAX_FIELD} characters"
    return secrets.find(text) or next(patterns.exact(text), "")
