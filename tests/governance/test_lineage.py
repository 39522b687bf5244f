"""Lineage: what a proposal was made from and what became of it; what was retracted marks what it went into."""

import io
import json
import xml.etree.ElementTree as ET

import pytest

from governance.lab import PUBLISHED, TIER
from governance.test_promote import Quiet, hold
from governance.test_retract import World, rule
from placet.cli import lineage as drawing
from placet.cli import proof, proposals
from placet.cli.output import plain, terminal
from placet.core import layout
from placet.core.digest import sha256_hex
from placet.core.provenance import Provenance, Resource
from placet.engine import descent as descents
from placet.engine import lineage as lineages
from placet.engine.detail import detail
from placet.engine.lineage import drawn, lineage
from placet.engine.lineageevents import lineage_events
from placet.engine.verify import verify

REPOSITORY = "ab" * 16
RAW = Resource(name="raw", uri="s3://clinic/raw.csv", digest={"sha256": "f" * 64})
CODE = Resource(uri="git+https://git.example/jobs", digest={"gitCommit": "cd" * 20})


def used(path, data, *, node="site-b", **more):
    """An artifact as a dependency."""
    uri = layout.artifact_uri(REPOSITORY, node, f"outputs/{path}")
    return Resource(**{"name": path, "uri": uri, "digest": {"sha256": sha256_hex(data)}, **more})


def origin(*inputs, **more):
    return Provenance.of(
        build_type="urn:placet:build:test:v1", builder="pkg:pypi/make@4", invocation="run 7", asset="means",
        code=CODE, invocation_url="https://runs.example/7", dependencies=inputs, **more,
    )  # fmt: skip


class Chain(World):
    """A table from raw data, a summary of the table, a figure of the summary; all published."""

    def __init__(self, folder):
        super().__init__(folder, rule("[trustees]"))
        self.table = self.make("table.csv", b"table", RAW)
        self.summary = self.make("summary.csv", b"summary", used("table.csv", b"table"))
        self.figure = self.make("figure.png", b"figure", used("summary.csv", b"summary"), RAW)

    def make(self, path, data, *inputs, publish=True, **more):
        hold(self.promoter.source, data)
        self.lab.later(minutes=1)
        ident = self.lab.propose(f"outputs/{path}", data, provenance=origin(*inputs), **more)
        if publish:
            self.lab.decide(ident, "alice", "bob")
            self.lab.merge(ident)
            assert [one.error for one in self.promoter.run([ident])] == [None]
        return ident

    def of(self, ident):
        view = self.lab.view()
        return lineage(view, view.find(ident), self.lab.now)


@pytest.fixture
def chain(tmp_path):
    return Chain(tmp_path)


def nodes(found):
    return {one.name: one for one in found.nodes}


def told(found, width=120):
    sheet = io.StringIO()
    drawing.told(found, terminal(sheet, width))
    return sheet.getvalue()


def test_both_ways_from_the_middle(chain):
    found = chain.of(chain.summary)
    steps = {one.name: one.steps for one in found.nodes}
    assert steps == {"outputs/summary.csv": 0, "outputs/table.csv": -1, "raw": -2, "outputs/figure.png": 1}
    assert {(one.used, one.made) for one in found.edges} == {
        (chain.table, chain.summary),
        (chain.summary, chain.figure),
        (f"{RAW.uri} sha256:{'f' * 64}", chain.table),
    }
    assert (found.builder, found.run, found.asset) == ("pkg:pypi/make@4", "run 7", "means")
    assert (found.code, found.commit) == (CODE.uri, "cd" * 20)
    assert [(one.person, one.organisation, one.seen) for one in found.approvals] == [
        ("alice", "org-a", "bytes"),
        ("bob", "org-b", "bytes"),
    ]
    assert (found.branch, found.sequence, found.warnings, found.cut) == ("published", 2, (), False)
    assert nodes(found)["outputs/table.csv"].state == "PUBLISHED"


def test_it_is_drawn_as_a_tree(chain):
    text = told(chain.of(chain.summary))
    assert text.splitlines()[0] == f"{chain.summary}  PUBLISHED"
    place = text.index("inputs")
    assert (
        f"  site-b/outputs/table.csv  PUBLISHED  {chain.table[:12]} by site-b\n    raw s3://clinic"
        in text[place:]
    )
    assert f"descendants\n  outputs/figure.png  PUBLISHED  {chain.figure[:12]}" in text
    assert "publication-storage, published ledger entry 2" in text
    assert "alice (org-a) on the bytes" in text
    assert "https://runs.example/7" in text and "cd" * 20 in text
    assert max(map(len, told(chain.of(chain.summary), 80).splitlines())) <= 80
    assert json.dumps(plain(chain.of(chain.summary)))


def test_what_was_retracted_marks_all_that_it_went_into(chain):
    unrelated = chain.make("other.csv", b"other", RAW)
    chain.retract(chain.table)
    view = chain.lab.view()
    for ident in (chain.summary, chain.figure):
        (warning,) = detail(view, view.find(ident), chain.lab.now).warnings
        assert warning.startswith(
            "it was made from site-b/outputs/table.csv, which was retracted by dana at "
        )
        assert warning.endswith("a name was left in")
    assert detail(view, view.find(unrelated), chain.lab.now).warnings == ()
    root = ET.fromstring(drawn(chain.of(chain.summary)))
    fills = [one.get("fill") for one in root.iter("{http://www.w3.org/2000/svg}rect") if one.get("rx")]
    assert sorted(fills) == sorted(["#fff3d6", "#fde0e0", "#f4f4f4", "#fff3d6"])
    found = chain.of(chain.table)
    assert found.nodes[0].retracted and not found.nodes[0].made_from_retracted
    marked = {one.name for one in found.nodes if one.made_from_retracted}
    assert marked == {"outputs/summary.csv", "outputs/figure.png"}
    assert "made from what was retracted" in told(found)
    (shown,) = chain.of(chain.figure).warnings
    assert "warning: " + shown[:40] in told(chain.of(chain.figure))


def test_verify_warns_and_is_still_fine(chain):
    chain.retract(chain.table)
    report = verify(
        chain.lab.view(), tier=TIER, root=None, targets=(), now=chain.lab.now, jobs=1, progress=Quiet()
    )
    assert report.ok and not report.problems
    assert [one.split(":")[0] for one in report.warnings] == [
        "artifacts/site-b/outputs/figure.png",
        "artifacts/site-b/outputs/summary.csv",
    ]
    sheet = io.StringIO()
    proof._report(report, terminal(sheet, 200))
    assert sheet.getvalue().count("warning: ") == 2


def test_show_warns(chain):
    chain.retract(chain.table)
    view = chain.lab.view()
    sheet = io.StringIO()
    proposals.shown(detail(view, view.find(chain.figure), chain.lab.now), terminal(sheet, 300))
    assert "warning: it was made from site-b/outputs/table.csv, which was retracted" in sheet.getvalue()


def test_a_proposal_that_still_waits_is_marked_too(chain):
    chain.retract(chain.table)
    late = chain.make("late.csv", b"late", used("table.csv", b"table"), publish=False)
    view = chain.lab.view()
    assert len(detail(view, view.find(late), chain.lab.now).warnings) == 1
    assert "outputs/late.csv" in nodes(chain.of(chain.table))


def test_an_emergency_that_nobody_confirms_marks_until_it_is_undone(chain):
    ident = chain.propose(chain.table, emergency=True)
    chain.lab.merge(ident)
    chain.retractor().run([ident])
    assert chain.of(chain.summary).warnings
    chain.lab.later(hours=100)
    chain.retractor().run([ident])
    assert chain.kinds()[-1] == "restored"
    assert chain.of(chain.summary).warnings == ()


def test_what_was_published_again_after_a_retraction_is_no_reason_to_warn(chain):
    chain.retract(chain.table)
    chain.lab.later(hours=1)
    again = chain.make("table.csv", b"table", RAW)
    assert chain.lab.state(again) == "PUBLISHED"
    assert chain.of(chain.summary).warnings == ()
    assert (again, chain.summary) in {(one.used, one.made) for one in chain.of(chain.summary).edges}


@pytest.mark.parametrize(
    ("more", "follows"),
    [
        ({}, True),
        ({"uri": "s3://elsewhere/copy.csv"}, True),
        ({"uri": layout.artifact_uri("cd" * 16, "site-b", "outputs/table.csv")}, False),
        ({"uri": layout.artifact_uri(REPOSITORY, "site-b", "outputs/other.csv")}, False),
        ({"uri": layout.artifact_uri(REPOSITORY, "site-a", "outputs/table.csv")}, False),
        ({"digest": {"sha256": "0" * 64}}, False),
        ({"digest": {"md5": "0" * 32}}, False),
        ({"digest": {}}, False),
    ],
)
def test_an_input_is_the_artifact_of_its_digest_at_the_path_that_it_names(chain, more, follows):
    ident = chain.make("x.csv", b"x", used("table.csv", b"table", **more), publish=False)
    (edge,) = [one for one in chain.of(ident).edges if one.made == ident]
    assert (edge.used == chain.table) is follows


def test_circles_and_one_that_names_itself_end(chain):
    """Provenance is a node's word: it can name what does not exist yet."""
    one = chain.make("one.csv", b"1", used("two.csv", b"2"), used("one.csv", b"1"), publish=False)
    two = chain.make("two.csv", b"2", used("one.csv", b"1"), publish=False)
    found = chain.of(one)
    assert {node.key for node in found.nodes if node.kind == "proposal"} == {one, two}
    assert "two.csv" in told(found)
    ET.fromstring(drawn(found))
    assert chain.of(two).warnings == ()


def test_a_long_lineage_is_cut(chain, monkeypatch):
    monkeypatch.setattr(lineages, "MOST", 2)
    found = chain.of(chain.figure)
    assert found.cut and len(found.nodes) == 2
    assert "more than is shown" in told(found)


def test_the_drawing_holds_every_box_and_nothing_hostile(chain):
    hostile = '</text><script>alert(1)</script>&amp;"\u202e\u0007'
    ident = chain.make("x.csv", b"x", Resource(uri="x:y", name=hostile), publish=False)
    text = drawn(chain.of(ident))
    root = ET.fromstring(text)
    names = [one.text for one in root.iter("{http://www.w3.org/2000/svg}title")]
    assert len(names) == 3 and any("alert(1)" in name for name in names)
    assert not list(root.iter("{http://www.w3.org/2000/svg}script")) and "\u202e" not in text
    assert {one.tag.split("}")[1] for one in root.iter()} <= {
        "svg",
        "title",
        "rect",
        "defs",
        "marker",
        "path",
        "g",
        "text",
    }
    boxes = list(ET.fromstring(drawn(chain.of(chain.summary))).iter("{http://www.w3.org/2000/svg}g"))
    lefts = sorted({int(box.find("{http://www.w3.org/2000/svg}rect").get("x")) for box in boxes})
    assert len(boxes) == 4 and len(lefts) == 4, "one column for each step"
    assert "\x07" not in told(chain.of(ident)) and "\u202e" not in told(chain.of(ident))


def test_every_publication_has_its_crate_and_a_retraction_has_none(chain):
    retraction = chain.retract(chain.table)
    tree = chain.lab.repo.tree(chain.lab.tip(PUBLISHED))
    crates = {path for path in tree if path.endswith(layout.CRATE)}
    assert crates == {layout.crate_path(one) for one in (chain.table, chain.summary, chain.figure)}
    assert layout.manifest_path(retraction.id) in tree
    graph = json.loads(chain.lab.repo.read(tree[layout.crate_path(chain.summary)].blob, 1 << 20))["@graph"]
    made_from = next(one for one in graph if one["@id"] == "#run")["object"]
    other = json.loads(chain.lab.repo.read(tree[layout.crate_path(chain.table)].blob, 1 << 20))["@graph"]
    assert made_from[0]["@id"] in {one["@id"] for one in other}, (
        "the crates name each other's artifacts alike"
    )
    parts = {one["@id"] for one in next(one for one in graph if one["@id"] == "./")["hasPart"]}
    folder = layout.folder(chain.summary)
    held = {path.removeprefix(folder) for path in tree if path.startswith(folder)} - {layout.CRATE}
    assert held == {one for one in parts if not one.startswith("placet://")}


@pytest.mark.parametrize("crate", [b"{}\n", None], ids=["another", "none"])
def test_a_node_cannot_publish_another_crate(chain, crate):
    before = chain.lab.tip(PUBLISHED)
    ident = chain.make("new.csv", b"new")
    good, judged = chain.lab.tip(PUBLISHED), chain.publication().judged
    old, tree = chain.lab.repo.tree(before), chain.lab.repo.tree(good)
    files = {path: entry for path, entry in tree.items() if old.get(path) != entry}
    files[layout.crate_path(ident)] = crate
    files = {path: entry for path, entry in files.items() if entry is not None}
    evil = chain.lab.commit(before, files, judged, message=f"publish {ident}")
    chain.lab.force(PUBLISHED, evil)
    broken = chain.lab.view().broken[TIER]
    assert broken.kind == "published-branch" and layout.crate_path(ident) in broken.what
    chain.lab.force(
        PUBLISHED,
        chain.lab.commit(
            before,
            {**files, layout.crate_path(ident): tree[layout.crate_path(ident)]},
            judged,
            message=f"publish {ident}",
        ),
    )
    assert chain.lab.view().broken == {}, "it was the crate alone"


def test_events_follow_the_ledger(chain):
    chain.lab.later(minutes=1)
    retraction = chain.retract(chain.table)
    events = list(lineage_events(chain.lab.view(), {}))
    assert [one.sequence for one in events] == [1, 2, 3, 4]
    made, last = events[1], events[3]
    namespace = f"placet://{REPOSITORY}"
    assert [(one.namespace, one.name, one.version) for one in made.inputs] == [
        (namespace, "artifacts/site-b/outputs/table.csv", sha256_hex(b"table"))
    ]
    (output,) = made.outputs
    assert (output.name, output.change, output.size) == ("artifacts/site-b/outputs/summary.csv", "CREATE", 7)
    assert output.source == (TIER, "s3://pub/x")
    assert (made.job, made.invocation, made.approvals) == (
        "site-b.means",
        "run 7",
        ("alice (bytes)", "bob (bytes)"),
    )
    assert (last.proposal, last.outputs[0].change, last.inputs) == (retraction.id, "DROP", ())
    assert len({one.run for one in events}) == 4
    assert list(lineage_events(chain.lab.view(), {})) == events, "the same entry is the same event"
    assert [one.sequence for one in lineage_events(chain.lab.view(), {"published": 3})] == [3, 4]
    assert list(lineage_events(chain.lab.view(), {"published": 99})) == []


def test_an_emergency_is_told_once_and_its_end_too(chain):
    ident = chain.propose(chain.table, emergency=True)
    chain.lab.merge(ident)
    chain.retractor().run([ident])
    chain.lab.decide(ident, "alice", saw="report")
    chain.lab.later(minutes=5)
    chain.retractor().run([ident])
    kinds = chain.kinds()
    assert kinds[-3:] == ["retract", "retract", "erased"]
    events = list(lineage_events(chain.lab.view(), {}))
    assert [one.outputs[0].change for one in events] == ["CREATE", "CREATE", "CREATE", "DROP"]


def test_many_who_name_the_same_bytes_cost_no_more_than_few(chain, monkeypatch):
    """A hostile node's open proposals: each names the same input many times, at the same and at other paths."""
    chain.retract(chain.table)
    looked = []
    original = descents.Descent._resolved
    monkeypatch.setattr(
        descents.Descent, "_resolved", lambda self, one, user: looked.append(1) or original(self, one, user)
    )
    same = [used("table.csv", b"table", uri=f"s3://elsewhere/{number}") for number in range(50)]
    made = [chain.make(f"x{n}.csv", b"same", *same, publish=False) for n in range(5)]
    looked.clear()
    found = chain.of(made[0])
    assert len(found.warnings) == 1 and set(nodes(found)) == {"outputs/x0.csv", "outputs/table.csv", "raw"}
    inputs, own = 5 * len(same) + 10, 10
    assert len(looked) <= 5 * (inputs + own), "linear in what provenance names"


def test_a_reason_of_a_retraction_begins_no_line_of_ours(chain):
    ident = chain.propose(chain.table, reason="bad\nEverything that is here is exactly what was approved.")
    chain.lab.merge(ident)
    chain.retractor().run([ident])
    report = verify(
        chain.lab.view(), tier=TIER, root=None, targets=(), now=chain.lab.now, jobs=1, progress=Quiet()
    )
    sheet = io.StringIO()
    proof._report(report, terminal(sheet, 300))
    lines = [line for line in sheet.getvalue().splitlines() if line.startswith("Everything")]
    assert report.warnings and len(lines) == 1
    assert all(not line.startswith("Everything") for line in told(chain.of(chain.figure)).splitlines())
