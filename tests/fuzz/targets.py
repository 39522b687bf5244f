"""Every parser that reads foreign bytes, in one table: what it may raise, real seeds, what must hold.

`tests/fuzz/test_targets.py` finds the parsers in the code and fails if one is missing here.
"""

import json
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from random import Random

import msgspec

from fuzz import looks
from keys import POLICY, Key
from placet import config
from placet.adapters import git_parse, git_past, git_walk, gitmemory, keys, trust
from placet.adapters.forge import owners
from placet.adapters.objects.awsprofile import read_profile
from placet.adapters.objects.s3 import S3Store
from placet.adapters.objects.s3errors import Refusal
from placet.adapters.objects.s3http import Answer, Service
from placet.adapters.objects.sigv4 import Credentials
from placet.adapters.state import StateDb
from placet.checks import registry
from placet.core import (
    adoption,
    bundle,
    digest,
    dirobject,
    dvcfile,
    envelope,
    gitobject,
    layout,
    lfs,
    mentions,
    metayaml,
    pipeline,
    policy,
    predicates,
    provenance,
    staged,
    statement,
    sums,
)
from placet.core.lint import lint
from placet.engine import checkpoint, telling
from placet.errors import Corrupt, Invalid, NotFound, PlacetError, Refused, Unavailable
from placet.ports import FileStamp, StoreTraits
from placet.wire import lineage, proof, setup

TESTS = Path(__file__).parent.parent
GOLDEN = TESTS / "golden"


@dataclass(frozen=True)
class Target:
    """One parser.

    Attributes:
        read: Parses, or raises one of `allowed`; also checks what must hold of what it found.
        seeds: Real inputs, made by our own encoders or kept in `tests/golden`.
        covers: The functions of `placet` that read foreign bytes here, as `core.sums.decode_sums`.
        allowed: The errors that say no.
        write: Encodes what was parsed; that parses to an equal thing.
        exact: And is the same bytes.
        cost: How much dearer than usual one input is; so much fewer are tried.
    """

    name: str
    read: Callable[[bytes], object]
    seeds: Callable[[], Sequence[bytes]]
    covers: Sequence[str] = ()
    allowed: tuple[type[PlacetError], ...] = (Invalid,)
    write: Callable[[object], bytes] | None = None
    exact: bool = False
    cost: int = 1

    def try_one(self, data: bytes) -> object | None:
        """Feed one input.

        Returns:
            What was parsed, or None where it was refused.

        Raises:
            Exception: a finding: a foreign error, or a promise that does not hold.
        """
        try:
            found = self.read(data)
        except self.allowed as refusal:
            str(refusal).encode()
            return None
        if self.write is not None:
            again = self.write(found)
            assert self.read(again) == found, "what was written does not parse to the same"
            assert not self.exact or again == data, "another spelling was accepted"
        return found


def unsigned(payload: bytes) -> bytes:
    """An envelope file around any payload; parsing proves no signature."""
    one = envelope.Signature("0" * 64, b"\0" * 64)
    return envelope.Envelope(payload, (one,)).to_bytes()


@cache
def statements(kind: type[predicates.Predicate]) -> tuple[bytes, ...]:
    """Payloads of this kind."""
    files = [envelope.parse_envelope(one.read_bytes()) for one in sorted(GOLDEN.glob("*.json"))]
    return tuple(one.payload for one in files if json.loads(one.payload)["predicateType"] == kind.TYPE)


def read_statement(kind: type[predicates.Predicate], payload: bytes) -> object:
    found = statement.parse(unsigned(payload), kind)
    assert found.digest == digest.sha256_hex(payload)
    if isinstance(found.body, predicates.Manifest):
        assert layout.is_id(statement.proposal_id(found.subjects, found.body))
    for name in ("person", "node", "tier", "actor"):
        text = getattr(found.body, name, None)
        assert text is None or "\n" not in text
    return found.subjects, found.body


def read_artifact_uri(data: bytes) -> tuple[str, str, str]:
    found = layout.of_artifact_uri(data.decode("utf-8", "backslashreplace"))
    if found is None:
        raise Invalid("another URI", kind="statement")
    assert layout.is_id(found[0]) and layout.is_name(found[1]) and layout.unsafe(found[2]) is None
    return found


def statement_target(kind: type[predicates.Predicate]) -> Target:
    return Target(
        f"statement-{kind.__name__.lower()}",
        partial(read_statement, kind),
        partial(statements, kind),
        ["core.statement.parse"],
        write=lambda found: statement.encode(*found),
    )


def read_any_statement(data: bytes) -> object:
    """As the readers of the Ctrl repository do: an envelope file that must be of the kind that its place says."""
    found = None
    for kind in predicates.PREDICATES:
        try:
            found = statement.parse(data, kind)
        except Invalid:
            continue
    assert found is None or found.digest == digest.sha256_hex(found.envelope.payload)
    return found


def read_envelope(data: bytes) -> object:
    found = envelope.parse_envelope(data)
    assert found.digest == digest.sha256_hex(found.payload)
    found.signed_by([Key("alice").public])
    return found


def read_policy(data: bytes) -> object:
    found = (
        policy.parse_policy(config.complete_policy(data))
        if b"repository" not in data
        else policy.parse_policy(data)
    )
    form = found.form
    for name in (*form.people, *form.groups, *form.nodes, *form.tiers, *(rule.name for rule in form.rules)):
        assert layout.is_name(name), f"{name!r} would become a path or a branch"
    assert all(one.decode() for one in found.derived().values())
    lint(found)
    return found


def read_metafile(data: bytes) -> object:
    found = dvcfile.read_metafile(data)
    assert all(isinstance(one.path, str) for one in found.outs)
    return found


def read_update(data: bytes) -> object:
    """The workspace's own file, changed: what is written is what DVC reads."""
    out = dvcfile.Output("model.pkl", "c" * 32, 10)
    again = dvcfile.update_metafile(data, out)
    (mine,) = [one for one in dvcfile.read_metafile(again).outs if one.path == out.path]
    assert (mine.md5, mine.size) == (out.md5, out.size)
    assert dvcfile.update_metafile(again, out) == again
    return again


def read_form(data: bytes) -> object:
    """A file in DVC's form says what it said before, and has no other form."""
    form = dvcfile.normal_form(data)
    assert dvcfile.normal_form(form) == form
    assert dvcfile.read_metafile(form) == dvcfile.read_metafile(data)
    return form


def read_staged(data: bytes) -> object:
    """A commit's files: judged or objected to, never more."""
    files = [
        staged.Staged(name, "100644", "", len(data))
        for name in ("a.dvc", "artifacts/s/a.dvc", ".dvc/config", "a.txt")
    ]
    found = [staged.metafiles_in(files, lambda *_: data, governed=one) for one in (False, True)]
    return found, staged.data_in(files, lambda *_: data, lambda _: None, lambda *_: None)


def read_dir(data: bytes, *, strict: bool) -> object:
    found = dirobject.decode_dir(data, max_entries=1000, max_bytes=1 << 16, strict=strict)
    for one in found:
        parts = one.relpath.split("/")
        assert not {"", ".", "..", ".git", ".dvc"} & set(parts), f"{one.relpath!r} leads out"
        assert one.relpath.encode().decode() == one.relpath
    return found


def read_sums(data: bytes) -> object:
    return sums.decode_sums(data, max_entries=1000, max_bytes=1 << 16)


def read_pipeline(data: bytes) -> object:
    pipe, _, lock = data.partition(b"\n=====\n")
    return pipeline.read_pipeline(pipe, lock)


def read_mentions(data: bytes) -> object:
    found = list(mentions.mentioned(data))
    for name in ("x.dvc", "dvc.lock"):
        for md5, _ in found[:3]:
            mentions.claims(name, data, md5)
            mentions.paths_of(name, data, md5)
    assert all(len(md5) == 32 for md5, _ in found)
    return found, mentions.uncached(data)


def read_names(data: bytes) -> object:
    """All that takes a path or a name apart."""
    text = data.decode("utf-8", "surrogateescape")
    for strict in (True, False):
        if layout.unsafe(text, strict=strict) is None:
            assert not {"", ".", ".."} & set(text.split("/"))
            assert text.encode()
            layout.forbidden_in_directory(text, strict=strict)
    found = layout.proposal_of(text)
    if found is not None:
        assert text.startswith(layout.folder(found[0]))
        named = layout.decision_of(found[1])
        assert named is None or layout.decision_path(found[0], *named) == text
    key = layout.hash_of(text)
    assert key is None or len(key[0]) in {32, 64}
    layout.clash(text.split("\n"))
    return None


def read_key_text(data: bytes) -> object:
    text = data.decode("utf-8", "surrogateescape")
    return envelope.key_bytes(text)


def in_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """A parser that wants a file of this name."""

    def one(data: bytes) -> object:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_bytes(data)
            path.chmod(0o600)
            return read(path)

    return one


def read_state(path: Path) -> object:
    state = StateDb(path)
    stamp = FileStamp("/a", 1, 2, 3)
    try:
        (found,) = state.get_many([stamp])
        assert found is None or (len(found.md5), len(found.sha256)) == (32, 64)
    finally:
        state.close()
    return None


def state_seeds() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.db"
        state = StateDb(path)
        state.put_many([(FileStamp("/a", 1, 2, 3), digest.digest(b"abc"))])
        state.close()
        whole = path.read_bytes()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE files SET md5 = 'text', sha256 = 7")
            connection.commit()
        return [whole, path.read_bytes()]


class Scripted:
    """In place of the connection: every answer is this one."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def call(self, *_: object, **__: object) -> Answer:
        return self.answer


@cache
def only_store() -> S3Store:
    service = Service("http://127.0.0.1:9", "us-east-1", "bucket", Credentials("a", "b"), now=lambda: None)
    return S3Store(service, "prefix", StoreTraits(verifies_sha256=True))


def s3_store(answer: Answer) -> S3Store:
    store = only_store()
    store._http = Scripted(answer)
    return store


def read_listing(data: bytes) -> object:
    body, _, _ = data.partition(b"\0")
    answer = Answer(200, {}, body.replace(b"NextContinuationToken", b"X"))
    return list(s3_store(answer)._list_odd("files/", ""))


def read_error(data: bytes) -> object:
    answer = Answer(403, {}, data)
    refusal = Refusal(
        answer.status, answer.code(), "GET", "bucket", "key", "http://127.0.0.1:9", "now"
    ).error()
    assert isinstance(refusal, PlacetError)
    return str(refusal)


def read_headers(data: bytes) -> object:
    names = ("content-length", "x-amz-checksum-sha256", "x-amz-version-id")
    values = [one.decode("latin-1") for one in data.split(b"\n")]
    found = s3_store(Answer(200, dict(zip(names, values, strict=False)), b"")).head("key")
    assert found is None or found.size >= 0
    return found


def read_updates(data: bytes) -> object:
    """What Git tells a hook."""
    return setup.read_updates(data)


def aws_profile(path: Path) -> object:
    return read_profile({"configpath": str(path), "credentialpath": str(path)}, {"HOME": str(path.parent)})


def settings(path: Path) -> object:
    return config.load_settings(path.parent, {"PLACET_HOME": str(path.parent), "HOME": str(path.parent)}).jobs


def trust_record(path: Path) -> object:
    memory = trust.FileMemory(path.parent)
    found = memory.recall("ab" * 16)
    hash(found.main)
    return None


def golden(*names: str) -> Callable[[], Sequence[bytes]]:
    return lambda: [(GOLDEN / f"{name}.json").read_bytes() for name in names]


def given(*seeds: bytes | str) -> Callable[[], Sequence[bytes]]:
    return lambda: [one.encode() if isinstance(one, str) else one for one in seeds]


PLAIN = dvcfile.encode_metafile(dvcfile.Output("model.pkl", "a1" * 16, 10))
FOLDER = dvcfile.encode_metafile(dvcfile.Output("d é: x", "a1" * 16, 10, 3, is_dir=True))
METAFILES = given(
    PLAIN,
    FOLDER,
    PLAIN + b"# note\nmeta: {a: [1, 2]}\n",
    "deps:\n- path: http://x/y\n  md5: a\nfrozen: true\nwdir: ..\n" + PLAIN.decode(),
    "outs:\n- path: 'a'\n  md5: 1\n  cloud:\n    s3: {version_id: x}\n  files:\n  - {relpath: a, md5: b}\n",
    'outs:\n- {md5: a, path: "\\ud800\\u0007\\x85"}\n',
    "outs: &a\n- {path: x, md5: y}\nmeta: *a\n",
)
LOCK = (
    "schema: '2.0'\nstages:\n  train:\n    cmd: python t.py\n    outs:\n    - path: m.pkl\n      hash: md5\n"
    f"      md5: {'c' * 32}\n      size: 4\n"
)
PIPELINE = (
    "stages:\n  train:\n    cmd: python t.py\n    wdir: sub\n    outs:\n    - m.pkl:\n        cache: false\n    metrics:\n    - s.json\n"
    "  each:\n    foreach: [a, b]\n    do:\n      outs: [${item}]\n"
)
DIR = dirobject.encode_dir([("a", "a" * 32), ("sub/é \u2028", "b" * 32), ("sub/quote\"'", "c" * 32)])
SUMS = sums.encode_sums([("a", "a" * 64), ("sub/é", "b" * 64)])
RAW = (
    b"1" * 40 + b"\0:100644 000000 " + b"2" * 40 + b" " + b"0" * 40 + b" D\0gone\0"
    b":000000 100644 " + b"0" * 40 + b" " + b"3" * 40 + b" A\0a\tb\n:c\xff\0" + b"4" * 40 + b"\0"
)
COMMIT = (
    b"tree "
    + b"1" * 40
    + b"\nparent "
    + b"2" * 40
    + b"\nparent "
    + b"3" * 40
    + b"\nauthor x <x> 1 +0000\n\nmerge\n"
)
TREE = b"100644 blob " + b"1" * 40 + b"      12\ta\xff\tb\0160000 commit " + b"2" * 40 + b"       -\tsub\0"
TREE_OBJECT = b"100644 a\xff\0" + b"1" * 20 + b"40000 b\0" + b"2" * 20
LISTING = (
    '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Contents>'
    "<Key>prefix/files/md5/aa/bb%20c</Key><LastModified>2026-11-24T10:00:00.000Z</LastModified><Size>12</Size></Contents>"
    "<NextContinuationToken>t</NextContinuationToken></ListBucketResult>"
)
ERROR = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
TOML = 'node = "site-a"\nctrl = "x"\ntrust_root = "sha256:' + "a" * 64 + '"\nkey = "~/k"\njobs = 4\n[tiers]\na = "b"\n[gc]\nworkspaces = ["a"]\ncache = true\n'  # fmt: skip
SLSA = msgspec.json.encode(
    provenance.Provenance.of(
        build_type="x:build",
        builder="pkg:pypi/dagster@1",
        invocation="7",
        asset="means",
        code_version="3",
        invocation_url="https://runs.example/7",
        code=provenance.Resource(uri="git+https://g/x", digest={"gitCommit": "ab" * 20}),
        dependencies=(provenance.Resource(uri="s3://b/x", name="x", digest={"sha256": "c" * 64}),),
    )
)
MEMORY = msgspec.json.encode({"main": "a" * 40, "published": {"published": ["b" * 40, 3, "c" * 64]}})
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12\n"
PEM = b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g\n-----END PRIVATE KEY-----\n"
PROFILE = "[default]\nregion = x\ns3 =\n  addressing_style = path\n[profile a]\nservices = b\n[services b]\ns3 =\n  endpoint_url = http://x\n"


def bundles() -> Sequence[bytes]:
    """A small bundle: one file on `main`, one published commit, a digest list."""
    repo = gitmemory.MemoryRepo(gitmemory.MemoryServer())
    when = datetime(2026, 11, 24, 10, tzinfo=UTC)
    root = repo.commit(None, {"a/b": b"x", "c": b"y"}, parents=[], message="m", author="a", when=when)
    tip = repo.commit(root, {"a/b": None, "d": b"z"}, parents=[root], message="m", author="a", when=when)

    def commit(ident: str) -> bundle.BundledCommit:
        changes = tuple((one.path, one.mode, one.blob) for one in repo.line(ident)[-1].changes)
        return bundle.BundledCommit(object=bundle.text(repo.raw(ident)), changes=changes)

    blobs = {gitobject.object_id("blob", one): bundle.text(one) for one in (b"x", b"y", b"z")}
    made = bundle.Bundle(
        format=bundle.FORMAT, repository="ab" * 16, trust_root="0" * 64, tier="publication-storage",
        proposal="cd" * 16, published=tip, main=(commit(root),), branch=(commit(tip),), blobs=blobs,
        lists={digest.sha256_hex(SUMS): SUMS.decode()}, checkpoint=None,
    )  # fmt: skip
    return [bundle.encode_bundle(made)]


def read_bundle(data: bytes) -> object:
    found = bundle.decode_bundle(data)
    repo = proof.repository(found)
    assert repo.line(found.published)[-1].id == found.published
    return found


def checkpoints() -> Sequence[bytes]:
    body = predicates.Checkpoint(
        repository="ab" * 16, time="2026-11-24T10:00:00Z", branch="published", sequence=7, entry="0" * 64
    )
    about = (statement.subject(layout.ledger_path(7), "0" * 64),)
    return [statement.Signed.make(about, body, Key("alice").pair).envelope.to_bytes()]


TARGETS: tuple[Target, ...] = (
    Target("bundle", read_bundle, bundles, ["core.bundle.decode_bundle"],
           allowed=(Invalid, Corrupt, NotFound), write=bundle.encode_bundle, exact=True, cost=3),
    Target("checkpoint", checkpoint.read_checkpoint, checkpoints, ["engine.checkpoint.read_checkpoint"]),
    Target("git-object", gitobject.head, given(COMMIT), ["core.gitobject.head"]),
    Target("envelope", read_envelope, lambda: [one.read_bytes() for one in sorted(GOLDEN.glob("*.json"))],
           ["core.envelope.parse_envelope"], write=lambda one: one.to_bytes()),
    Target("json", envelope.strict_json, lambda: [*statements(predicates.Manifest), b'{"a": [1, "x", null, true]}'],
           ["core.envelope.strict_json"], write=lambda one: json.dumps(one).encode()),
    *map(statement_target, predicates.PREDICATES),
    Target("statement-of-any-kind", read_any_statement, golden("manifest", "decision", "receipt", "ledger-entry"),
           ["core.statement.parse"]),
    Target("provenance", provenance.read_provenance, given(SLSA), ["core.provenance.read_provenance"], write=msgspec.json.encode),
    Target("artifact-uri", read_artifact_uri, given(f"placet://{'ab' * 16}/artifacts/site-a/a%20b.csv"), write=lambda found: layout.artifact_uri(*found).encode(), exact=True),
    Target("lineage-record", lambda data: dict(lineage._read(data)), given(b'{"published": 3}'), ["wire.lineage._read"], write=msgspec.json.encode),
    Target("policy", read_policy, given(POLICY, POLICY.replace("null", "'x'")),
           ["core.policy.parse_policy", "config.policyfile.complete_policy"], cost=25),
    Target("metafile-canonical", dvcfile.parse_canonical, given(PLAIN, FOLDER, PLAIN.replace(b"model.pkl", b'"\\ud800"')), ["core.dvcfile.parse_canonical"],
           write=dvcfile.encode_metafile, exact=True, cost=2),
    Target("metafile", read_metafile, METAFILES, ["core.dvcfile.read_metafile", "core.metayaml.load_yaml"], cost=4),
    Target("metafile-update", read_update, METAFILES, ["core.dvcfile.update_metafile"], cost=10),
    Target("metafile-form", read_form, METAFILES, ["core.dvcfile.normal_form"], cost=10),
    Target("staged", read_staged, METAFILES, ["core.staged._problems", "core.staged._governed", "core.staged._holds_secret"], cost=10),
    Target("lock", dvcfile.read_lock, given(LOCK), ["core.dvcfile.read_lock"], cost=4),
    Target("pipeline", read_pipeline, given(f"{PIPELINE}\n=====\n{LOCK}", f"{PIPELINE.partition('  each')[0]}\n=====\n{LOCK}"), ["core.pipeline.read_pipeline"], cost=6),
    Target("mentions", read_mentions, given(PLAIN, LOCK, PIPELINE, FOLDER),
           ["core.mentions.mentioned", "core.mentions.claims", "core.mentions.paths_of", "core.mentions.uncached"], cost=8),
    Target("yaml-round-trip", lambda data: metayaml.load_yaml(data, "rt"), METAFILES, ["core.metayaml.load_yaml"], cost=5),
    Target("dir", partial(read_dir, strict=True), given(DIR, b"[]"), ["core.dirobject.decode_dir"],
           write=lambda found: dirobject.encode_dir([(one.relpath, one.md5) for one in found]), exact=True),
    Target("dir-of-the-workspace", partial(read_dir, strict=False), given(DIR, b"[]"), ["core.dirobject.decode_dir"],
           write=lambda found: dirobject.encode_dir([(one.relpath, one.md5) for one in found]), exact=True),
    Target("sums", read_sums, given(SUMS, b""), ["core.sums.decode_sums"],
           write=lambda found: sums.encode_sums([(one.path, one.sha256) for one in found]), exact=True),
    Target("names", read_names, given(
        f".placet/proposals/ab/{'ab' * 16}/decisions/alice-1.json", "files/md5/aa/" + "b" * 30 + ".dir", "a/b\na/B", "con.txt")),
    Target("public-key", read_key_text, given(Key("alice").public), write=lambda raw: b"ed25519:" + __import__("base64").b64encode(raw), exact=True),
    Target("git-commit", git_parse.head, given(COMMIT), ["adapters.git_parse.head"], allowed=(Corrupt,)),
    Target("git-changes", git_parse.changes, given(RAW), ["adapters.git_parse.changes"], allowed=(Corrupt,)),
    Target("git-tree", lambda data: dict(git_parse.entries(data, "")), given(TREE), ["adapters.git_parse.entries"], allowed=(Corrupt,)),
    Target("git-tree-object", lambda data: git_walk._parsed(data, 20), given(TREE_OBJECT), ["adapters.git_walk._parsed"], allowed=(Corrupt,)),
    Target("git-past", lambda data: list(git_past._parse(data)), given(RAW), ["adapters.git_past._parse"], allowed=(Corrupt,)),
    Target("hook", read_updates, given(f"{'0' * 40} {'1' * 40} refs/heads/main\n", f"{'1' * 40} {'0' * 40} refs/heads/é\u2028x\n{'1' * 40} {'2' * 40} refs/heads/a\n"),
           ["wire.setup.read_updates"], allowed=(Refused,)),
    Target("s3-listing", read_listing, given(LISTING), allowed=(Unavailable,), cost=3),
    Target("s3-error", read_error, given(ERROR, LISTING), allowed=(Unavailable,)),
    Target("s3-headers", read_headers, given("12\n" + "A" * 43 + "=\nv1"), allowed=(Unavailable,), cost=3),
    Target("settings", in_file("placet.toml", settings), given(TOML), cost=3),
    Target("trust-memory", in_file("ab" * 16 + ".json", trust_record), given(MEMORY), allowed=(Unavailable,), cost=3),
    Target("key-file", in_file("node.key", keys.load), given(PEM, PEM.replace(b"PRIVATE", b"ENCRYPTED PRIVATE")),
           allowed=(Invalid, Refused), cost=3),
    Target("aws-profile", in_file("config", aws_profile), given(PROFILE), cost=3),
    Target("table", looks.read_table, looks.table_seeds, ["checks.tables.open_table", "checks.tables.lines"], cost=4),
    Target("archive", looks.read_archive, looks.archive_seeds, ["checks.archives.members"], cost=4),
    Target("zip", looks.read_zip, lambda: looks.archive_seeds()[:2], ["checks.zips.entries", "checks.zips.opened"], cost=4),
    Target("compressed", looks.read_inflated, looks.compressed_seeds, ["checks.zips.inflated"], cost=2),
    Target("array", looks.read_array, looks.array_seeds, ["checks.joblibs.holds_objects", "checks.joblibs.is_whole"], cost=2),
    Target("pickle", looks.read_pickle, looks.pickle_seeds, ["checks.pickles.walk", "checks.opcodes.run", "checks.joblibs.skip_array"], cost=2),
    *(
        Target(f"check-{name}", partial(looks.read_look, name), looks.look_seeds, [f"checks.{path.rpartition('.')[2].partition(':')[0]}.look"],
               allowed=(Invalid, Refused), cost=10)
        for name, path in registry.BUILT_IN.items()
    ),
    Target("lfs-pointer", lfs.read_pointer, given(LFS_POINTER, LFS_POINTER.replace(b"oid", b"ext-0-a sha256:0\noid")), ["core.lfs.read_pointer"]),
    Target("adopted", adoption.read_adopted, given(b'{"version":1,"versions":[]}'), ["core.adoption.read_adopted"]),
    Target("told", telling.read_told, given(b'{"version":1,"project":"p","troubles":{"a":"b"},"outboxes":{}}'), ["engine.telling.read_told"]),
    Target("codeowners", lambda data: owners.lacking(data, ["dana"]), given(owners.text(["dana"])), ["adapters.forge.owners.lacking"]),
    Target("state-database", in_file("state.db", read_state), state_seeds, cost=60),
)  # fmt: skip

NOT_PARSERS = {
    "adapters.git_process.run": "hands bytes to Git",
    "adapters.forge.github_auth._read": "hands them to the cryptography package",
    "adapters.forge.github_auth._base64url": "an encoder of our own bytes",
    "adapters.keys.write_secret": "writes our own bytes",
    "adapters.trust._replace": "writes our own bytes",
    "adapters.durable.replace": "writes our own bytes",
    "engine.artifact.listed_in": "hands them to core.dirobject.decode_dir",
    "engine.propose.propose_policy": "hands them to core.policy.parse_policy",
    "core.digest.digest": "hashes",
    "core.digest.sha256_hex": "hashes",
    "core.digest.md5_hex": "hashes",
    "checks.worker.send": "writes our own frames",
    "core.envelope.require_signature": "compares a signature that our own signer made",
    "core.gitobject.object_id": "hashes",
    "core.bundle.text": "an encoder of our own bytes",
    "adapters.gitmemory._corrupt": "words of an error",
    "wire.proof.judge": "hands them to core.bundle.decode_bundle",
    "wire.proof._judge": "hands them to core.bundle.decode_bundle",
    "engine.bundle.is_list": "compares a hash",
    "wire.ctrl.write_file": "writes our own bytes",
    "core.envelope.pae": "an encoder of our own payload",
    "core.envelope.sign": "an encoder of our own payload",
}


def inputs(target: Target, seed: int) -> Callable[[], bytes]:
    """An endless source of inputs, the same for the same seed."""
    from fuzz.mutate import mutated

    random, seeds = Random(f"{target.name}/{seed}"), list(target.seeds())
    return lambda: mutated(seeds, random)
