"""The DVC firewall (I6): what a proposal may carry, in every view and in the hook, and what it costs to refuse.

Each attack here goes past the hook, as on a forge that has none; then the hook is asked too.
"""

import hashlib
import subprocess
from pathlib import Path

import msgspec
import pytest

from governance.lab import ENV, MAIN, TIER
from governance.test_promote import hold, keys, land, land_folder, make
from keys import Key
from placet.adapters import git
from placet.core import layout, limits
from placet.core.digest import md5_hex, sha256_hex
from placet.core.dvcfile import MAX_METAFILE, Output, encode_metafile
from placet.core.envelope import MAX_ENVELOPE, MAX_PAYLOAD
from placet.core.layout import Occupied
from placet.core.limits import Bounds
from placet.core.policy import MAX_POLICY
from placet.core.predicates import DirObject
from placet.core.statement import Signed, proposal_id, subject
from placet.engine import cases, contents, firewall, gate
from placet.errors import Invalid, NotFound, Refused
from placet.ports import RefUpdate, TreeEntry

METAFILE = layout.metafile("site-b", "outputs/a.csv")
HOSTILE = (
    b"outs:\n- md5: %s\n  size: 8\n  hash: md5\n  path: a.csv\n  remote: evil\n" % md5_hex(b"x").encode()
)
LONG = "deep/" * 70 + "x"


def branch_of(ident):
    return f"refs/heads/proposals/{ident}"


def put(lab, ident, tip):
    """Put a commit on a proposal's branch past every hook; what a view says of it then."""
    lab.force(branch_of(ident), tip)
    view = lab.view()
    said = [
        alarm.text for alarm in view.alarms if alarm.text.startswith(f"branch proposals/{ident} is refused")
    ]
    return ident in view.open, " ".join(said)


def refused(lab, ident, tip, words):
    """Nobody sees the proposal, an alarm names what it carried; the hook refuses it as well."""
    before = lab.branch(ident)
    seen, said = put(lab, ident, tip)
    assert not seen
    assert words in said, said
    lab.force(branch_of(ident), before)
    refused_by_the_hook(lab, RefUpdate(branch_of(ident), lab.branch(ident), tip))


def refused_by_the_hook(lab, update):
    with pytest.raises(Refused) as caught:
        lab.judge(update)
    assert caught.value.kind == "push-refused"


FOREIGN = {
    ".dvc/config": b"['remote \"publication-storage\"']\n    url = s3://evil\n",
    ".dvc/config.local": b"x",
    ".gitattributes": b"* filter=x\n",
    ".gitmodules": b"x",
    ".gitignore": b"",
    ".dvcignore": b"*",
    "dvc.yaml": b"stages: {}\n",
    ".github/workflows/run.yml": b"on: push\n",
    ".gitea/workflows/run.yml": b"on: push\n",
    "hooks/post-checkout": b"#!/bin/sh\n",
    ".placet/policy.yaml": b"x",
    ".placet/ledger/0/1.json": b"{}",
    "artifacts/site-a/outputs/a.csv.dvc": b"x",
    "artifacts/site-b/outputs/other.csv.dvc": encode_metafile(Output("other.csv", "0" * 32, 1)),
    "artifacts/site-b/outputs/a.csv": b"the data itself",
}


def test_a_branch_that_touches_anything_else(lab):
    good = lab.propose("outputs/good.csv", b"good")
    ident = lab.propose()
    for path, data in FOREIGN.items():
        refused(lab, ident, lab.commit(lab.branch(ident), {path: data}), repr(path))
    put(lab, ident, lab.commit(lab.branch(ident), FOREIGN))
    view = lab.view()
    assert list(view.open) == [good], "a bad proposal takes no other down"
    assert list(view.refused) == [ident]
    with pytest.raises(Refused, match="which is not part of proposal") as caught:
        view.find(ident[:8])
    assert caught.value.kind == "proposal-refused"
    assert view.find(good[:8]).id == good


def test_each_commit_is_looked_at_not_the_last_one_alone(lab):
    ident = lab.propose()
    there = lab.commit(lab.branch(ident), {".gitattributes": b"x"})
    refused(lab, ident, lab.commit(there, {".gitattributes": None}), "'.gitattributes'")


def test_records_of_other_proposals_and_odd_names(lab):
    ident, other = lab.propose(), lab.propose("outputs/b.csv", b"b")
    for path in (
        layout.decision_path(other, "bob", 1),
        f"{layout.folder(ident)}receipt.json",
        f"{layout.folder(ident)}decisions/bob-01.json",
        f"{layout.folder(ident)}decisions/../manifest.json/x",
        f"{layout.folder(ident).upper()}x",
    ):
        refused(lab, ident, lab.commit(lab.branch(ident), {path.replace("..", "dots"): b"{}"}), "not part of")


def test_the_guards_of_foreign_files_are_what_refuses(lab, monkeypatch):
    ident = lab.propose()
    monkeypatch.setattr(firewall, "require_own", lambda *_: None)
    seen, _ = put(lab, ident, lab.commit(lab.branch(ident), {".gitattributes": b"* filter=x\n"}))
    assert seen


@pytest.mark.parametrize("mode", ["120000", "100755", "160000"])
def test_no_links_submodules_or_programs(lab, mode, monkeypatch):
    ident = lab.propose()
    tip = lab.branch(ident)
    proposed = lab.view().line[-1].id
    files = lab.repo.tree(tip)
    blob = files[METAFILE].blob if mode != "160000" else tip
    files[METAFILE] = TreeEntry(mode, blob, 0)
    refused(lab, ident, lab.commit(proposed, files), METAFILE)
    files = lab.repo.tree(tip)
    files[layout.decision_path(ident, "bob", 1)] = TreeEntry(mode, blob, 0)
    refused(lab, ident, lab.commit(proposed, files), "bob-1.json")
    lab.decide(ident, "bob")
    files = lab.repo.tree(lab.branch(ident))
    decision = files[layout.decision_path(ident, "bob", 1)]
    files[layout.decision_path(ident, "bob", 1)] = TreeEntry("100755", decision.blob, 0)
    odd = lab.commit(proposed, files)
    refused(lab, ident, odd, "bob-1.json")
    monkeypatch.setattr(firewall, "require_plain", lambda _: None)
    assert put(lab, ident, odd)[0]


METAFILES = {
    "remote": HOSTILE,
    "executable": encode_metafile(Output("a.csv", md5_hex(b"a,b\n1,2\n"), 8)).replace(
        b"  hash", b"  isexec: true\n  hash"
    ),
    "push": encode_metafile(Output("a.csv", md5_hex(b"a,b\n1,2\n"), 8)) + b"  push: false\n",
    "deps": b"frozen: true\ndeps:\n- path: http://127.0.0.1:9/x\n"
    + encode_metafile(Output("a.csv", "0" * 32, 8)),
    "wdir": b"wdir: ..\n" + encode_metafile(Output("a.csv", md5_hex(b"a,b\n1,2\n"), 8)),
    "two outputs": encode_metafile(Output("a.csv", "0" * 32, 8)) * 2,
    "aliases": b"a: &a [x,x]\nb: &b [*a,*a]\nouts: [*b]\n",
    "another size": encode_metafile(Output("a.csv", md5_hex(b"a,b\n1,2\n"), 9)),
    "crlf": encode_metafile(Output("a.csv", md5_hex(b"a,b\n1,2\n"), 8)).replace(b"\n", b"\r\n"),
    "huge": b"#" * (MAX_METAFILE + 1),
    "nothing": b"",
}


def test_only_the_canonical_metafile_is_one(lab, monkeypatch):
    ident = lab.propose()
    right = lab.repo.tree(lab.branch(ident))
    odd = {name: lab.commit(lab.view().main, {**right, METAFILE: data}) for name, data in METAFILES.items()}
    for tip in odd.values():
        refused(lab, ident, tip, METAFILE)
    monkeypatch.setattr(firewall, "require_canonical", lambda *_: None)
    for tip in odd.values():
        assert put(lab, ident, tip)[0]


def test_a_metafile_that_is_missing_or_stood_there_already(lab):
    ident = lab.propose()
    files = lab.repo.tree(lab.branch(ident))
    del files[METAFILE]
    refused(lab, ident, lab.commit(lab.view().main, files), METAFILE)
    landed = lab.landed("outputs/b.csv", b"same")
    lab.later(days=31)
    assert lab.state(landed) == "EXPIRED"
    again = lab.propose("outputs/b.csv", b"same")
    assert again != landed
    assert lab.state(again) == "PROPOSED", "its metafile stands on main as it is wanted"


def signed_by_the_node(lab, **changes):
    """A proposal of a node that signs whatever it likes, written by hand: (id, commit)."""
    view = lab.view()
    base = "outputs/base.csv"
    known = next((one for one in view.open.values() if one.manifest.body.artifacts[0].path == base), None)
    if known is None:
        lab.propose(base)
        return signed_by_the_node(lab, **changes)
    manifest = known.manifest
    artifact = msgspec.structs.replace(manifest.body.artifacts[0], **changes)
    name = f"artifacts/site-b/{artifact.path}"
    kind = artifact.dir is not None
    subjects = (subject(name, manifest.subjects[0].value, directory=kind),)
    try:
        data = cases.canonical_metafile(artifact)
    except Invalid:
        data = b"x"
    artifact = msgspec.structs.replace(artifact, metafile=sha256_hex(data))
    body = msgspec.structs.replace(manifest.body, artifacts=(artifact,))
    evil = proposal_id(subjects, body)
    made = Signed.make(subjects, body, Key("site-b").pair)
    files = {
        layout.manifest_path(evil): made.envelope.to_bytes(),
        f"{name}.dvc": data,
    }
    return evil, lab.commit(view.main, files)


def test_names_that_no_artifact_may_have(lab, monkeypatch):
    tips = {}
    for name in (".gitignore", ".gitattributes", "dvc.yaml", "x.dvc", "x.dvc/y", ".dvcignore"):
        evil, tips[name] = signed_by_the_node(lab, path=f"outputs/{name}")
        seen, said = put(lab, evil, tips[name])
        assert not seen
        assert "has the path" in said
    with monkeypatch.context() as patch:
        patch.setattr(layout, "forbidden_artifact", lambda _: None)
        for name in tips:
            evil, tip = signed_by_the_node(lab, path=f"outputs/{name}")
            assert put(lab, evil, tip)[0]
    for name in ("con", "a\u200bb", ".dvc/x", "a:b", "d/" * 63 + "x"):
        evil, tip = signed_by_the_node(lab, path=f"outputs/{name}")
        assert "has the path" in put(lab, evil, tip)[1]


def test_lists_that_nobody_reads_to_their_end(lab, monkeypatch):
    store = make(lab).source
    many, long = limits.DIR_FILES + 1, limits.DIR_BYTES + 1
    for files, size in ((many, 1000), (1, long), (1, 1 << 50), (10, 100_000), (0, 3)):
        listing = DirObject(sha256="1" * 64, size=size)
        evil, tip = signed_by_the_node(lab, dir=listing, files=files, path="outputs/folder")
        seen, said = put(lab, evil, tip)
        assert not seen
        assert "longer lists" in said
        with monkeypatch.context() as patch:
            patch.setattr(cases, "listable", lambda _: True)
            assert put(lab, evil, tip)[0]
            manifest = lab.view().open[evil].manifest
        with pytest.raises(Invalid) as caught:
            contents.read_contents(store, manifest)
        assert caught.value.kind == "too-large"
        with monkeypatch.context() as patch:
            patch.setattr(contents, "require_listable", lambda _: None)
            with pytest.raises(NotFound):
                contents.read_contents(store, manifest)


def test_paths_that_clash_with_what_stands(lab, monkeypatch):
    lab.landed("outputs/a.csv")
    lab.landed("outputs/caf\u00e9", b"e")
    for path in ("outputs/A.csv", "outputs/a.csv/inner", "outputs/cafe\u0301"):
        evil, tip = signed_by_the_node(lab, path=path)
        seen, said = put(lab, evil, tip)
        assert not seen, path
        assert "clash" in said
        refused_by_the_hook(lab, RefUpdate(branch_of(evil), None, tip))
    evil, tip = signed_by_the_node(lab, path="outputs/A.csv")
    monkeypatch.setattr(firewall, "require_free", lambda *_: None)
    assert put(lab, evil, tip)[0]


def test_occupied_says_what_clash_says():
    paths = ["a/b", "a/c", "x", "caf\u00e9/x", "A/d/e"]
    taken = Occupied(paths)
    for one in ("a", "A/B", "a/b/c", "X/y", "cafe\u0301", "a/d", "a/e", "a/bc", "y", "xx", "a/b", "\u00c9"):
        others = [path for path in paths if path != one]
        assert (taken.clash(one) is None) == (layout.clash([one, *others]) is None), one


def test_a_path_that_stands_itself_does_not_hide_one_of_another_spelling():
    for paths in (["x/A", "x/a"], ["x/a", "x/A"]):
        assert Occupied(paths).clash("x/A") == "x/a"
        assert Occupied(paths).clash("x/a") == "x/A"


def test_a_policy_proposal_carries_its_policy_and_what_follows_from_it(lab, monkeypatch):
    ident = lab.change_policy(("project: test", "project: other"), merge=False, approvers=())
    assert lab.state(ident) == "PROPOSED"
    tip, main = lab.branch(ident), lab.view().main
    files = lab.repo.tree(tip)
    for path in (layout.POLICY, layout.DVC_CONFIG, layout.GITIGNORE, layout.DVC_GITIGNORE):
        refused(lab, ident, lab.commit(main, {**files, path: b"evil\n"}), path)
    refused(lab, ident, lab.commit(main, {**files, METAFILE: b"x"}), METAFILE)
    odd = lab.commit(main, {**files, layout.DVC_CONFIG: b"evil\n"})
    monkeypatch.setattr(firewall, "require_derived", lambda *_: None)
    assert put(lab, ident, odd)[0]


def test_what_was_proposed_never_changes(lab):
    ident = lab.decide(lab.propose(), "alice")
    other = lab.repo.tree(lab.branch(ident))[METAFILE]
    for path in (layout.manifest_path(ident), layout.decision_path(ident, "alice", 1), METAFILE):
        refused(lab, ident, lab.commit(lab.branch(ident), {path: None}), "changes or removes")
        changed = b"x" if path == METAFILE else other
        refused(lab, ident, lab.commit(lab.branch(ident), {path: changed}), "changes or removes")


def test_without_the_guard_a_decision_could_be_exchanged(lab, monkeypatch):
    ident = lab.propose()
    proposed, path = lab.branch(ident), layout.decision_path(ident, "alice", 1)
    lab.decide(ident, "alice")
    tip = lab.branch(ident)
    lab.force(branch_of(ident), proposed)
    lab.decide(ident, "alice", verdict="return")
    other = lab.repo.tree(lab.branch(ident))[path]
    odd = lab.commit(tip, {path: other})
    lab.force(branch_of(ident), tip)
    refused(lab, ident, odd, "changes or removes")
    monkeypatch.setattr(firewall, "require_new", lambda *_: None)
    assert put(lab, ident, odd)[0]


# --- a branch that is too large to be read ------------------------------------------------------------


def plumbing(lab, *arguments, data=b""):
    command = ["git", "--git-dir", str(lab.folder / "cache.git"), *arguments]
    return (
        subprocess.run(command, env=ENV, input=data, check=True, capture_output=True).stdout.decode().strip()
    )


def on_a_branch(lab, tree, *, parents=(), count=1):
    """A commit of any tree, or many of them, written by `fast-import`-like plumbing."""
    tip = parents[0] if parents else None
    for _ in range(count):
        person = b"x <x@x> 1700000000 +0000"
        above = f"parent {tip}\n".encode() if tip else b""
        body = b"tree %b\n%bauthor %b\ncommitter %b\n\nx\n" % (tree.encode(), above, person, person)
        tip = plumbing(lab, "hash-object", "-t", "commit", "-w", "--stdin", data=body)
    return tip


def bomb(lab, depth=9):
    """Some hundred bytes that stand for 10^depth files: trees whose entries are all the same tree."""
    blob = plumbing(lab, "hash-object", "-w", "--stdin", data=b"x")
    mode, ident = "100644", blob
    for _ in range(depth):
        lines = "".join(f"{mode} {'blob' if ident == blob else 'tree'} {ident}\t{n}\n" for n in range(10))
        mode, ident = "040000", plumbing(lab, "mktree", data=lines.encode())
    return ident


def test_a_tree_that_unfolds_without_end(lab, monkeypatch):
    good, ident = lab.propose("outputs/good.csv", b"good"), lab.propose()
    top = plumbing(lab, "mktree", data=f"040000 tree {bomb(lab)}\tartifacts\n".encode())
    odd = on_a_branch(lab, top, parents=[lab.view().main])
    refused(lab, ident, odd, f"more than {limits.BRANCH_CHANGES} paths")
    assert good in lab.view().open
    monkeypatch.setattr(git, "LISTING_BYTES", 1 << 16)
    with pytest.raises(Invalid) as caught:
        lab.repo.tree(odd)
    assert caught.value.kind == "too-large"


def test_a_branch_of_more_commits_than_are_read(lab, monkeypatch):
    monkeypatch.setattr(firewall, "BOUNDS", Bounds(commits=20))
    ident = lab.propose()
    tip = lab.branch(ident)
    tree = plumbing(lab, "rev-parse", f"{tip}^{{tree}}")
    refused(lab, ident, on_a_branch(lab, tree, parents=[tip], count=20), "more than 20 commits")
    assert put(lab, ident, on_a_branch(lab, tree, parents=[tip], count=19))[0], "empty commits harm nobody"


def test_a_branch_of_very_many_commits_is_not_read(lab, monkeypatch):
    """The reader stops at its bound, however long the branch is: it asks for no more objects."""
    ident = lab.propose()
    tip, main = lab.branch(ident), lab.view().main
    stream = b"".join(
        b"commit refs/heads/long\nmark :%d\ncommitter x <x@x> 1700000000 +0000\ndata 1\nx\n%b\n"
        % (number, b"from " + (tip.encode() if number == 1 else b":%d" % (number - 1)) + b"\n")
        for number in range(1, 20_001)
    )
    plumbing(lab, "fast-import", "--quiet", data=stream)
    long = plumbing(lab, "rev-parse", "refs/heads/long")
    asked = []
    read = lab.repo._reader.read
    monkeypatch.setattr(
        lab.repo._reader, "read", lambda kind, *rest: (asked.append(kind), read(kind, *rest))[1]
    )
    with pytest.raises(Invalid) as caught:
        lab.repo.branch(long, {main}, firewall.BOUNDS)
    assert caught.value.kind == "too-large"
    assert asked == ["commit"] * limits.BRANCH_COMMITS


def test_folders_of_many_bytes_and_deep_ones(lab):
    main = lab.view().main
    blob = plumbing(lab, "hash-object", "-w", "--stdin", data=b"x")
    lines = "".join(f"100644 blob {blob}\t{n:0200}\n" for n in range(2000))
    wide = on_a_branch(lab, plumbing(lab, "mktree", data=lines.encode()), parents=[main])
    with pytest.raises(Invalid, match="bytes of folders"):
        lab.repo.branch(wide, {main}, Bounds(tree_bytes=100_000))
    deep = lab.commit(main, {LONG: b"x"})
    with pytest.raises(Invalid, match="deeper than"):
        lab.repo.branch(deep, {main}, Bounds())
    assert len(lab.repo.branch(wide, {main}, Bounds())[0].changes) > 2000


def test_a_huge_file_is_refused_by_its_size(lab, monkeypatch):
    ident = lab.propose()
    files = lab.repo.tree(lab.branch(ident))
    for path, size in ((METAFILE, MAX_METAFILE), (layout.manifest_path(ident), MAX_ENVELOPE)):
        asked = []
        ask = type(lab.repo._reader)._ask
        odd = lab.commit(lab.view().main, {**files, path: b"\0" * (size + 1)})
        seen, _ = put(lab, ident, odd)
        assert not seen
        monkeypatch.setattr(type(lab.repo._reader), "_ask", lambda *a, asked=asked, ask=ask: (asked.append(a[1:]), ask(*a))[1])  # fmt: skip
        assert not put(lab, ident, odd)[0]
        blob = lab.repo.tree(odd)[path].blob
        assert ("--batch", blob) not in asked, "its content was never asked for"
        assert ("--batch-check", blob) in asked
        monkeypatch.undo()


def test_the_bounds_are_what_stops_the_reader(lab, monkeypatch):
    ident = lab.propose()
    many = {f"artifacts/x/{n}.dvc": b"x" for n in range(30)}
    odd = lab.commit(lab.branch(ident), many)
    monkeypatch.setattr(firewall, "BOUNDS", Bounds(changes=20))
    assert "more than 20 paths" in put(lab, ident, odd)[1]
    main = lab.view().main
    monkeypatch.setattr(firewall, "own_commits", lambda history, tip: history.repo.line(tip, after=main))
    assert "more than" not in put(lab, ident, odd)[1]


def test_a_tree_that_names_an_entry_twice(lab):
    blob = plumbing(lab, "hash-object", "-w", "--stdin", data=b"x")
    raw = b"100644 a\0" + bytes.fromhex(blob)
    twice = plumbing(lab, "hash-object", "--literally", "-t", "tree", "-w", "--stdin", data=raw * 2)
    main = lab.view().main
    odd = on_a_branch(lab, twice, parents=[main])
    with pytest.raises(Exception, match="names an entry twice") as caught:
        lab.repo.branch(odd, {main}, Bounds())
    assert caught.value.kind == "git-tree"


def test_many_bad_branches_and_one_good(lab):
    good = lab.propose()
    evil = lab.commit(lab.view().main, {".gitattributes": b"x"})
    for number in range(10):
        lab.force(branch_of(hashlib.md5(bytes([number])).hexdigest()), evil)
    lab.force("refs/heads/proposals/not-an-id", evil)
    view = lab.view()
    assert list(view.open) == [good]
    assert sum("is refused" in alarm.text for alarm in view.alarms) == 11


# --- what has landed, and main itself -----------------------------------------------------------------


def test_it_is_admitted_again_before_its_objects_are_touched(lab, monkeypatch):
    """Who has the server's files puts another metafile on main, and no check of states would see it."""
    promoter = make(lab)
    ident = land(lab, promoter)
    lab.force(MAIN, lab.commit(lab.tip(), {METAFILE: HOSTILE}))
    monkeypatch.setattr("placet.engine.promote.publish_problem", lambda *_: "")
    done = promoter.run([ident])[0]
    assert done.error.kind == "metafile-changed"
    assert keys(promoter.targets[TIER].store) == set()
    monkeypatch.setattr(firewall, "require_canonical", lambda *_: None)
    promoter.run([ident])
    assert keys(promoter.targets[TIER].store)


def test_what_stands_on_main_and_follows_from_nothing_is_named(lab):
    assert lab.view().alarms == []
    lab.landed()
    lab.force(MAIN, lab.commit(lab.tip(), {".github/x.yml": b"x", "dvc.yaml": b"x"}))
    alarms = [alarm.text for alarm in lab.view().alarms]
    assert any("'.github/x.yml', 'dvc.yaml'" in text for text in alarms)
    assert lab.propose("outputs/b.csv", b"b") in lab.view().open, "it binds nobody"


def test_the_hook_lets_nothing_foreign_to_main(lab, monkeypatch):
    odd = lab.commit(lab.tip(), {".gitattributes": b"* filter=x\n"})
    refused_by_the_hook(lab, RefUpdate(MAIN, lab.tip(), odd))
    monkeypatch.setattr(gate, "_explained", lambda *_: True)
    lab.judge(RefUpdate(MAIN, lab.tip(), odd))


def test_names_of_branches_and_paths_are_shown_harmlessly(lab):
    ident = lab.propose()
    odd = lab.commit(lab.branch(ident), {"\x1b[2J" + "x" * 250: b"x", "a" * 200 + "/" + "b" * 200: b"x"})
    _, said = put(lab, ident, odd)
    assert said
    assert said.isprintable()
    assert len(said) < 700


def test_a_push_to_main_is_read_within_bounds(lab):
    top = plumbing(lab, "mktree", data=f"040000 tree {bomb(lab)}\tx\n".encode())
    odd = on_a_branch(lab, top, parents=[lab.tip()])
    with pytest.raises(Refused, match="more than"):
        lab.judge(RefUpdate(MAIN, lab.tip(), odd))


def test_a_directory_is_promoted_with_the_lists_of_its_own_only(lab):
    promoter = make(lab)
    ident = land_folder(lab, promoter, {"a/b.csv": b"1", "c": b"2"})
    assert str(promoter.run([ident])[0].state) == "PUBLISHED"
    hold(promoter.source, b"3")


# --- the numbers -------------------------------------------------------------------------------------


def test_the_limits_are_in_one_place_and_documented():
    assert (MAX_POLICY, MAX_METAFILE) == (limits.POLICY_BYTES, limits.METAFILE_BYTES)
    assert (MAX_PAYLOAD, MAX_ENVELOPE) == (limits.PAYLOAD_BYTES, limits.ENVELOPE_BYTES)
    page = (Path(__file__).parents[2] / "docs/reference/formats.md").read_text()
    for name, value in vars(limits).items():
        if name.isupper():
            assert f"| {value:,} |" in page, name


def test_only_admissible_paths_are_ordinary_to_the_layout(lab):
    for path in ("outputs/a.csv", "outputs/\u00fcn\u00efcode", "outputs/" + "d/" * 62 + "x"):
        assert layout.forbidden_artifact(path) is None
        evil, tip = signed_by_the_node(lab, path=path)
        assert put(lab, evil, tip)[0]
