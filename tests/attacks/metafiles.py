"""Attacks by what a proposal carries: paths, lists, links, options, configuration, types, sizes."""

import contextlib
import pickle
import socket

from attacks.field import MAIN, METAFILE, NO_PROPOSAL, AttackSucceeded, changed
from keys import Key
from placet.core import layout
from placet.core.digest import digest, sha256_hex
from placet.core.dvcfile import Output, encode_metafile
from placet.core.envelope import sign
from placet.core.predicates import CheckResult, Manifest
from placet.core.statement import parse, proposal_id
from placet.engine.cases import check_manifest
from placet.engine.contents import read_contents
from placet.errors import PlacetError
from placet.ports import RefUpdate, TreeEntry

ESCAPES = (
    "../../../x", "/etc/x", "a/../../x", ".git/hooks/post-checkout", "a/.GIT/config", ".dvc/config", "git~1/x",
    "x.dvc", "dvc.yaml", "sub/.gitattributes", ".gitignore", "con.txt", "a:b", "a ", "x" * 256,
)  # fmt: skip
CLASHES = (("a", "A"), ("\u00e9", "e\u0301"), ("a", "a/b"), ("stra\u00dfe", "STRASSE"))


def directory_that_escapes(ground):
    """A node signs a directory whose file would be written outside of a researcher's clone."""
    field = ground.at("new")
    files = [("../../../x", b"x")]
    ident = field.land(field.propose_these(field.folder_candidate(files)))
    with field.refused("a file outside of the directory was published", "dir-object"):
        field.promote(ident)


def names_that_escape(ground):
    """The same with every other name that some system takes for its own."""
    field = ground.at("new")
    ident = field.propose_these(field.folder_candidate([("a", b"a")]))
    honest = field.view().find(ident).manifest
    for name in ESCAPES:
        with field.refused(f"the name {name!r} was accepted", "dir-object", reads=True):
            _read_folder(field, honest, [(name, b"a")])


def names_that_clash(ground):
    """Two names of one directory that are one on other systems: the second file replaces the first."""
    field = ground.at("new")
    ident = field.propose_these(field.folder_candidate([("a", b"a")]))
    honest = field.view().find(ident).manifest
    for names in CLASHES:
        with field.refused(f"the names {names} were accepted side by side", "dir-object", reads=True):
            _read_folder(field, honest, sorted((name, name.encode()) for name in names))


def _read_folder(field, honest, files):
    """Read the contents of the honest manifest, as if the node had signed these files."""
    one = field.folder_candidate(files)
    artifact = type(honest.body.artifacts[0])(
        path=one.path,
        md5=one.md5,
        size=one.size,
        files=one.files,
        metafile=sha256_hex(one.metafile),
        dir=one.dir,
    )
    subject = type(honest.subjects[0])(name=honest.subjects[0].name, digest={"dirHash": one.sha256})
    body = changed(honest.body, artifacts=(artifact,))
    read_contents(field.internal, type(honest).make((subject,), body, Key("site-b").pair))


def artifact_in_a_reserved_place(ground):
    """A node proposes an artifact whose path is DVC's own or none on Windows, past its own client."""
    field = ground.at("new")
    for path in ("outputs/.dvc/config", "outputs/con"):
        ident = field.past_the_client(field.file_candidate(b"x", path))
        with field.refused(f"an artifact was proposed at {path}", "push-refused"):
            field.push(RefUpdate(field.branch_ref(ident), None, field.branch(ident)))


def artifact_inside_another(ground):
    """An artifact below another one: every stock `dvc pull` breaks. Past the client, merged by hand."""
    field = ground.at("new")
    inner = field.propose_these(field.file_candidate(b"inner", "outputs/a/b"))
    field.decide(inner, "alice", "bob")
    field.landed("outputs/a", b"outer")
    evil = field.merge_commit(inner)
    with field.refused("an artifact inside another one landed", "push-refused"):
        field.push(RefUpdate(MAIN, field.tip(), evil))


def symlink_for_a_metafile(ground):
    """The approved `.dvc` file is merged as a symbolic link with the same text, or made executable."""
    field = ground.at("approved")
    entry = field.files_of()[METAFILE]
    for mode in ("120000", "100755"):
        evil = field.merge_commit(more={METAFILE: TreeEntry(mode, entry.blob, 0)})
        with field.refused(f"a metafile of mode {mode} passed the gate", "push-refused"):
            field.push(RefUpdate(MAIN, field.tip(), evil))


def program_in_a_proposal(ground):
    """A decision in the proposal's folder is an executable file, or a symbolic link."""
    field = ground.at("approved")
    files, path = field.files_of(), layout.decision_path(field.ident, "bob", 1)
    for mode in ("100755", "120000"):
        evil = field.commit(field.tip(), {**files, path: TreeEntry(mode, files[path].blob, 0)})
        with field.refused(f"a file of mode {mode} was let into a proposal", "push-refused"):
            field.push(RefUpdate(field.branch_ref(), None, evil))


def symlink_written_past_the_gate(ground):
    """The same, by somebody who has the server's files: the agent must see no landed proposal."""
    field = ground.at("approved")
    entry = field.files_of()[METAFILE]
    field.force(MAIN, field.merge_commit(more={METAFILE: TreeEntry("120000", entry.blob, 0)}))
    with field.refused("a symbolic link was taken for the approved metafile", *NO_PROPOSAL):
        field.promote()


EXTRAS = (
    "  remote: elsewhere\n", "  push: false\n", "  cache: false\n", "wdir: ..\n", "frozen: true\n", "cmd: touch x\n",
    "  fs_config: {endpointurl: http://evil}\n", "# a comment\n", "desc: " + "x" * 1000 + "\n",
)  # fmt: skip


def metafile_with_options(ground):
    """A `.dvc` file with a remote, `push: false`, a folder, a command: signed by its node, approved by all."""
    field = ground.at("new")
    text = _with(field, EXTRAS[0])
    ident = field.propose_these(field.file_candidate(b"x", "outputs/x", metafile=text))
    branch = field.branch(ident)
    with field.refused("a metafile with options was let into the repository", "push-refused"):
        field.push(RefUpdate(field.branch_ref(ident), None, branch))
    for extra in EXTRAS[1:]:
        with field.refused(f"{extra!r} in a metafile was proposed", "manifest", reads=True):
            _proposal_of(field, ident, _with(field, extra))


def metafile_with_options_past_the_gate(ground):
    """The same, written into `main` with its approvals by somebody who has the server's files."""
    field = ground.at("new")
    ident = field.propose_these(field.file_candidate(b"x", "outputs/x", metafile=_with(field, EXTRAS[0])))
    with contextlib.suppress(PlacetError):
        field.decide(ident, "alice", "bob")
    field.land_by_hand(ident)
    with field.refused("a metafile with options was published", *NO_PROPOSAL, "not-approved"):
        field.promote(ident)


def _with(field, extra):
    return encode_metafile(Output("x", digest(b"x").md5, 1)) + extra.encode()


def _proposal_of(field, ident, text):
    honest = field.manifest(ident)
    artifact = changed(honest.body.artifacts[0], metafile=sha256_hex(text))
    body = changed(honest.body, artifacts=(artifact,))
    check_manifest(
        proposal_id(honest.subjects, body), type(honest).make(honest.subjects, body), body.repository
    )


def forged_import(ground):
    """A `.dvc` file that makes whoever pulls ask an address inside the node's network, or read its files."""
    field = ground.at("new")
    with socket.create_server(("127.0.0.1", 0)) as inside:
        inside.setblocking(False)
        extra = f"frozen: true\ndeps:\n- path: http://127.0.0.1:{inside.getsockname()[1]}/secret\n"
        ident = field.propose_these(field.file_candidate(b"x", "outputs/x", metafile=_with(field, extra)))
        with contextlib.suppress(PlacetError):
            field.decide(ident, "alice", "bob")
        field.land_by_hand(ident)
        with field.refused("a forged import was published", *NO_PROPOSAL, "not-approved"):
            field.promote(ident)
        with contextlib.suppress(BlockingIOError):
            inside.accept()[0].close()
            raise AttackSucceeded("an address of the proposal's choice was asked")


POISON = (
    ".dvc/config", ".dvc/config.local", ".gitattributes", ".gitmodules", ".gitignore", "dvc.yaml", "hooks/pre-push",
    "artifacts/.gitattributes", "artifacts/site-b/dvc.yaml", ".github/workflows/x.yml", "artifacts/site-a/outputs/y.dvc",
)  # fmt: skip


def poisoned_files_in_a_proposal(ground):
    """The branch of a proposal also carries configuration, attributes, hooks, or another node's metafile."""
    field = ground.at("proposed")
    tip = field.branch(field.ident)
    for path in POISON[1::2]:
        with field.refused(f"{path} was let into a proposal", "push-refused"):
            field.push(RefUpdate(field.branch_ref(), tip, field.commit(tip, {path: b"[core]\n"})))


def poisoned_files_in_a_merge(ground):
    """The merge of an approved proposal brings them along."""
    field = ground.at("approved")
    tip, merged = field.tip(), field.merge_commit()
    for path in POISON[::2]:
        evil = field.repo.commit(
            merged,
            {path: b"[core]\n"},
            parents=[tip, field.branch(field.ident)],
            message="m",
            author="x",
            when=field.now,
        )
        with field.refused(f"{path} was let into main", "push-refused"):
            field.push(RefUpdate(MAIN, tip, evil))


def poisoned_configuration_past_the_gate(ground):
    """`.dvc/config` on main without `verify`, or with another URL, by somebody who has the server's files."""
    field = ground.at("landed")
    config = field.repo.read(field.repo.tree(field.tip())[layout.DVC_CONFIG].blob, 1 << 16)
    field.force(
        MAIN,
        field.commit(field.tip(), {layout.DVC_CONFIG: config.replace(b"verify = true", b"verify = false")}),
    )
    with field.refused("something was published beside a configuration that nobody approved", "not-approved"):
        field.promote()


def too_large_for_the_policy(ground):
    """An artifact above the policy's limits, approved by all who could, lands by hand."""
    field = ground.at("new", ("bytes: 1000000", "bytes: 100"))
    ident = field.past_the_client(field.file_candidate(b"x" * 101, "outputs/big.bin"))
    field.decide(ident, "alice", "bob")
    field.land_by_hand(ident)
    with field.refused("more bytes were published than the policy allows", "not-approved"):
        field.promote(ident)


def more_than_one_truth(ground):
    """A manifest with a key twice: who reads the first and who reads the last see different proposals."""
    field = ground.at("proposed")
    payload = field.manifest().envelope.payload
    double = payload.replace(b'"message":"m"', b'"message":"harmless","message":"m"', 1)
    assert double != payload
    with field.refused("a manifest that reads in two ways was accepted", "json"):
        parse(sign(double, Key("site-b").pair).to_bytes(), Manifest)


def oversized_files(ground):
    """Files of megabytes in a proposal's folder: whoever looks at the repository must not read them whole."""
    field = ground.at("proposed")
    huge = b"{" + b" " * (3 << 20) + b"}"
    tip = field.branch(field.ident)
    evil = field.commit(tip, {layout.decision_path(field.ident, "alice", 1): huge})
    with field.refused("a decision of megabytes was let in", "push-refused"):
        field.push(RefUpdate(field.branch_ref(), tip, evil))


def policy_with_aliases(ground):
    """A policy with YAML anchors, which can name billions of values and hide what they say."""
    field = ground.at("new")
    with field.refused("a policy with anchors was accepted", "policy"):
        field.change_policy(("project: test", "project: &x test"), approvers=(), merge=False)


def telling_metadata(ground):
    """A job writes a person's address into a path or message: what is pushed once is readable for good."""
    field = ground.at("new")
    mail = "anna.schmidt@klinik.example"
    for data, path in ((b"x", f"outputs/{mail}.csv"), (b"y", "outputs/AKIAIOSFODNN7EXAMPL2/a.csv")):
        with field.refused("metadata that tell were pushed", "telling-metadata"):
            field.propose_these(field.file_candidate(data, path))


def check_report_that_lies(ground):
    """A node signs that its checks passed on bytes on which they fail; people approve by its report."""
    rule = "    checks: [type]\n    recheck: true\n    expires_days: 30\n"
    field = ground.at("new", ("    expires_days: 30\n", rule))
    candidate = field.file_candidate(pickle.dumps({"a": 1}), "outputs/f.csv")
    fine = CheckResult(
        check="type", path=candidate.path, digest=candidate.sha256, passed=True, summary="fine"
    )
    ident = field.land(field.past_the_client(candidate, checks=(fine,)))
    with field.refused("a report that lies published what fails its checks", "checks-failed"):
        field.promote(ident)


def failed_check(ground):
    """A node signs that a check failed, or leaves it out, and everybody approves all the same."""
    field = ground.at("new", ("    expires_days: 30\n", "    expires_days: 30\n    checks: [formulas]\n"))
    candidate = field.file_candidate(b"a,b\n=1,2\n", "outputs/f.csv")
    failed = CheckResult(
        check="formulas", path=candidate.path, digest=candidate.sha256, passed=False, summary="1 of 1 files"
    )
    for checks in ((), (failed,)):
        ident = field.past_the_client(candidate, checks=checks)
        with contextlib.suppress(PlacetError):
            field.decide(ident, "alice", "bob")
        field.land_by_hand(ident)
        with field.refused("something was published without its checks", "not-approved"):
            field.promote(ident)
