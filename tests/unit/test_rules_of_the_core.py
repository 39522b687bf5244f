import itertools
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from keys import Key
from placet.core import layout
from placet.core.digest import Digests, Hasher, digest, digest_chunks, md5_hex, sha256_hex, tee
from placet.core.globs import matches
from placet.core.ledger import check_next, holds
from placet.core.predicates import Checkpoint
from placet.core.statement import Signed
from placet.core.states import TRANSITIONS, State, StateFacts, derive, mermaid
from placet.errors import Corrupt, Invalid, PlacetError, Refused
from unit.test_statement import ABOUT, ENTRY, SHA

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("pattern", "path", "hit"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/B", False),
        ("a/*", "a/b", True),
        ("a/*", "a/b/c", False),
        ("a/**", "a/b/c", True),
        ("a/**", "a", False),
        ("**", "a/b", True),
        ("**/x.csv", "x.csv", True),
        ("**/x.csv", "a/b/x.csv", True),
        ("a/**/x", "a/x", True),
        ("a/**/x", "a/b/c/x", True),
        ("a/**/x", "b/a/x", False),
        ("*.csv", "a/x.csv", False),
        ("x?z", "xyz", True),
        ("x?z", "x/z", False),
        ("a.c", "abc", False),
        ("[ab]", "a", False),
        ("[ab]", "[ab]", True),
    ],
)
def test_globs(pattern, path, hit):
    assert matches(pattern, path) is hit


UNSAFE = [
    "", "/a", "a//b", "a/", "./a", "a/.", "..", "a/../b", "a\\b", "a\nb", "a\x00b", "a\x7f", "a\u200bb", ".git/x",
    "a/.GIT/config", ".gIt", "git~1/x", ".dvc/config", ".placet/x", "a/.git.", "a/.git ", "con", "a/NUL.txt", "com1",
    "a/b.", "a/b ", "a:b", "a*", 'a"b', "a<b", "x" * 256, "a/" * 600 + "b", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("path", UNSAFE)
def test_unsafe_paths(path):
    assert layout.unsafe(path)
    with pytest.raises(Invalid) as caught:
        layout.require_safe(path, "a test")
    assert caught.value.kind == "unsafe-path"


@pytest.mark.parametrize(
    "path", ["a", "a/b.csv", "ünï/é", "with space/x", "…", "a" * 255, ".hidden", "gitty", "confidential"]
)
def test_safe_paths(path):
    assert layout.unsafe(path) is None
    assert layout.require_safe(path, "a test") == path


@pytest.mark.parametrize(
    "name",
    ["x.dvc", "a/X.DVC", "dvc.yaml", "a/dvc.lock", ".dvcignore", ".GitIgnore", ".gitattributes", "../x"],
)
def test_names_that_break_a_stock_pull_are_kept_out_of_directories(name):
    assert layout.forbidden_in_directory(name)


@pytest.mark.parametrize(
    "name", ["a:b", "what?", "con.txt", "x ", "x.", ".gitignore", "a/.gitattributes", "\u200d"]
)
def test_names_that_are_not_governed(name):
    assert layout.forbidden_in_directory(name)
    assert layout.forbidden_in_directory(name, strict=False) is None


@pytest.mark.parametrize(
    "name",
    [
        "x.dvc", "a/X.DVC", "dvc.yaml", "a/dvc.lock", ".dvcignore", "../x", "/a", "", "a//b", "a/", "./a", "a\\b",
        "a\nb", "a\0b", ".git/x", "s/.GIT/x", ".dvc/x", ".Placet/x", "\ud800", "x" * 256, "a/" * 600 + "a",
    ],
)  # fmt: skip
def test_names_that_nobody_may_use(name):
    assert layout.forbidden_in_directory(name, strict=False)


def test_names_in_directories_that_are_fine():
    assert layout.forbidden_in_directory("a/dvc.yaml.csv") is None


@pytest.mark.parametrize(
    ("paths", "clash"),
    [
        (["a", "b"], False),
        (["a", "a"], True),
        (["a", "a/b"], True),
        (["a", "ab"], False),
        (["a/b", "a-b", "a/b/c"], True),
        (["A/x", "a/X"], True),
        (["e\u0301", "\u00e9"], True),
        (["straße", "STRASSE"], True),
        ([], False),
    ],
)
def test_clashes(paths, clash):
    assert (layout.clash(paths) is not None) is clash


def test_names_and_places():
    ident = "ab" + "0" * 30
    assert layout.data_key("0123") == "files/md5/01/23"
    assert layout.data_key("0123", is_dir=True) == "files/md5/01/23.dir"
    assert layout.sums_key("abcd") == "placet/sums/ab/cd"
    assert layout.metafile("n", "a/b") == "artifacts/n/a/b.dvc"
    assert layout.proposal_of(layout.manifest_path(ident)) == (ident, "manifest.json")
    assert layout.proposal_of(f".placet/proposals/ff/{ident}/manifest.json") is None
    assert layout.decision_of("decisions/alice-12.json") == ("alice", 12)
    for name in (
        "decisions/alice-0.json",
        "decisions/alice-01.json",
        "decisions/A-1.json",
        "decisions/a-1.txt",
        "x",
    ):
        assert layout.decision_of(name) is None
    assert layout.decision_path(ident, "a-b", 2).endswith("/decisions/a-b-2.json")
    assert layout.withdrawal_path(ident).endswith("/withdraw.json")
    assert layout.receipt_path(ident).endswith("/receipt.json")
    assert layout.ledger_path(1234) == ".placet/ledger/1/1234.json"
    assert layout.freeze_path("x") == ".placet/freezes/x.json"
    assert layout.freeze_ref("x") == "refs/heads/freezes/x"
    assert layout.closed_ref(ident) == f"refs/placet/closed/{ident}"
    assert layout.published_ref("publication-storage") == "refs/heads/published"
    assert layout.published_ref("other") == "refs/heads/published-other"
    assert layout.is_name("a.b-c_1")
    for name in ("", "A", "-a", "a-", "a..b", "a.lock", "a/b", "a" * 65):
        assert not layout.is_name(name)
    assert layout.is_id(ident)
    assert not layout.is_id(ident + "0")
    assert layout.is_sha256(SHA)


def test_digests():
    data = b"x" * 100_000
    hasher = Hasher()
    assert b"".join(tee([data[:7], data[7:]], hasher)) == data
    assert hasher.digests() == digest(data) == digest_chunks([data])
    assert digest(b"") == Digests(md5_hex(b""), sha256_hex(b""), 0)
    assert md5_hex(b"") == "d41d8cd98f00b204e9800998ecf8427e"


def all_facts():
    flags = ("withdrawn", "rejected", "returned", "stale", "expired", "allowed", "drift")
    for landed in ("no", "yes", "superseded", "reverted"):
        for published in ("no", "yes", "superseded", "retracted", "restored"):
            for values in itertools.product((False, True), repeat=len(flags)):
                yield StateFacts(landed=landed, published=published, **dict(zip(flags, values, strict=True)))


def test_every_combination_of_facts_has_a_state_and_every_state_is_reached():
    assert {derive(facts) for facts in all_facts()} == set(State) - {State.DRAFT}


def test_nothing_is_landed_without_approval_or_with_drift():
    for facts in all_facts():
        if derive(facts) is State.LANDED:
            assert facts.allowed
            assert not (facts.drift or facts.rejected or facts.returned or facts.stale or facts.expired)


def test_the_table_is_sound():
    ends = {one.source for one in TRANSITIONS} | {one.target for one in TRANSITIONS}
    assert ends == set(State)
    pairs = [(one.source, one.target) for one in TRANSITIONS]
    assert len(pairs) == len(set(pairs))
    assert all(one.by and one.record for one in TRANSITIONS)
    back = {one for one in pairs if one[0] in {State.SUPERSEDED, State.RETRACTED, State.WITHDRAWN}}
    assert back == {
        (State.SUPERSEDED, State.RETRACTED),
        (State.RETRACTED, State.PUBLISHED),
        (State.RETRACTED, State.SUPERSEDED),
    }
    assert mermaid().count("-->") == len(TRANSITIONS) + 1


def entry(**changes):
    return Signed.make(ABOUT, msgspec.structs.replace(ENTRY, **changes), Key("site-a").pair)


GENESIS = entry(sequence=0, previous=None, kind="genesis", time="2026-11-24T09:00:00Z")


def test_a_ledger_that_holds():
    check_next(None, GENESIS, NOW)
    check_next(GENESIS, entry(previous=GENESIS.digest), NOW)


@pytest.mark.parametrize(
    ("before", "changes"),
    [
        (None, {}),
        (None, {"sequence": 0, "kind": "genesis"}),
        (None, {"sequence": 0, "previous": None}),
        (GENESIS, {"sequence": 2}),
        (GENESIS, {"sequence": 0}),
        (GENESIS, {"kind": "genesis"}),
        (GENESIS, {"previous": SHA}),
        (GENESIS, {"branch": "published-x"}),
        (GENESIS, {"repository": "cd" * 16}),
        (GENESIS, {"time": "2026-11-24T08:59:59Z"}),
        (GENESIS, {"time": "2026-11-24T12:05:01Z"}),
    ],
)
def test_a_ledger_that_does_not_hold(before, changes):
    linked = {"previous": GENESIS.digest, **changes} if before else changes
    with pytest.raises(Corrupt) as caught:
        check_next(before, entry(**linked), NOW)
    assert caught.value.kind == "ledger"


def test_five_minutes_ahead_are_borne():
    check_next(GENESIS, entry(previous=GENESIS.digest, time="2026-11-24T12:05:00Z"), NOW + timedelta(0))


def test_a_checkpoint_holds_in_its_own_ledger_only():
    second = entry(previous=GENESIS.digest)
    base = {"repository": ENTRY.repository, "time": ENTRY.time, "branch": "published"}
    assert holds(Checkpoint(**base, sequence=1, entry=second.digest), [GENESIS, second])
    assert not holds(Checkpoint(**base, sequence=1, entry=SHA), [GENESIS, second])
    assert not holds(Checkpoint(**base, sequence=2, entry=second.digest), [GENESIS, second])
    assert not holds(
        Checkpoint(**{**base, "branch": "x"}, sequence=1, entry=second.digest), [GENESIS, second]
    )


def test_an_error_says_what_why_and_how_to_mend():
    error = Refused("It was refused.", kind="some-kind", why="Because.", mend="Do so.")
    assert str(error) == "It was refused. Because. Do so."
    assert error.to_dict() == {
        "error": "Refused",
        "kind": "some-kind",
        "what": "It was refused.",
        "why": "Because.",
        "mend": "Do so.",
        "exit_code": 12,
    }
    codes = {one.__name__: one.exit_code for one in PlacetError.__subclasses__()}
    assert codes == {
        "Invalid": 2, "Partial": 3, "NotFound": 10, "Conflict": 11, "Refused": 12, "Corrupt": 13,
        "Unavailable": 1, "Bug": 1,
    }  # fmt: skip
