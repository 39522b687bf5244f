"""Scopes of freezes: what each stops, and what is none."""

import msgspec
import pytest

from placet.core.predicates import Artifact, Manifest
from placet.core.provenance import Provenance
from placet.core.scope import covers, parse_scope
from placet.errors import Invalid

BODY = Manifest(
    repository="ab" * 16, time="2026-11-24T10:00:00Z", kind="publish", node="site-a", person=None, project="p",
    tier="publication-storage", policy="a" * 64, follows=None, checks=(), provenance=Provenance(), message="m",
    expires="2026-12-24T10:00:00Z",
    artifacts=tuple(Artifact(path=path, md5="a" * 32, size=1, files=1, metafile="a" * 64)
                    for path in ("outputs/a.csv", "outputs/b")),
)  # fmt: skip


@pytest.mark.parametrize(
    ("scope", "stopped"),
    [
        ("all", True),
        ("node:site-a", True),
        ("node:site-b", False),
        ("tier:publication-storage", True),
        ("tier:other", False),
        ("path:site-a/outputs/b", True),
        ("path:site-a/**", True),
        ("path:*/outputs/*", True),
        ("path:**", True),
        ("path:outputs/**", False),
        ("path:site-a", False),
        ("path:site-b/**", False),
    ],
)
def test_what_a_scope_stops(scope, stopped):
    assert parse_scope(scope)
    assert covers(scope, BODY, "publication-storage") is stopped


@pytest.mark.parametrize(
    "scope", ["path:site-b/Outputs/**", "path:site-b/outputs/donn\u00e9es.csv", "path:*/*/DONNE\u0301ES.*"]
)
def test_a_path_is_frozen_however_its_letters_are_written(scope):
    one = msgspec.structs.replace(BODY.artifacts[0], path="outputs/donne\u0301es.csv")
    body = msgspec.structs.replace(BODY, node="site-b", artifacts=(one,))
    assert covers(scope, body, "publication-storage")


@pytest.mark.parametrize(
    "text",
    ["", "All", "all:", "node", "node:", "node:Site", "node:../x", "tier:", "path", "path:", "path:a\nb",
     "path:a\u202eb", "path:a\ud800", "reviewer:alice", " all", "node:a.lock"],
)  # fmt: skip
def test_what_is_no_scope_is_refused_and_past_every_gate_stops_everything(text):
    with pytest.raises(Invalid) as caught:
        parse_scope(text)
    assert caught.value.kind == "freeze-scope"
    assert caught.value.what.isascii()
    assert covers(text, BODY, "publication-storage")
