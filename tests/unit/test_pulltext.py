"""A pull request's text: a steward can decide from it, and nothing that somebody wrote does anything in it."""

import dataclasses
import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from markdown_it import MarkdownIt

from placet.core import markdown
from placet.core.predicates import CheckResult
from placet.core.provenance import Provenance, Resource
from placet.core.states import State
from placet.engine.detail import Detail
from placet.engine.detailviews import ArtifactView
from placet.engine.diff import ArtifactDiff, Diff, FactDiff
from placet.engine.pulltext import LIMIT, pull_text, status_of
from unit.test_show import Filler

MARK = "zqx"
HOSTILE = [
    "@org/team", "@someone", "<script>alert(1)</script>", "<!-- x", "<img src=x>", "</details>", "<b>",
    "[x](http://evil.example)", "![x](http://evil.example/x.png)", "http://evil.example", "https://evil.example/",
    "www.evil.example", "mail@evil.example", "#1", "GH-1", "fixes #1", "org/repo#1", "!1", "deadbeef", "ABC-123",
    "# heading", "\n\n# heading\n\n", "\r\n---\r\n", "\n```\n@team\n", "\n~~~~\n", "`", "``", "` @team `", "`` ` ``",
    "```", "a`b``c```d", "| a | b |\n|---|---|\n", "> quote", "\n> quote", "1. one", "- [ ] box", "**bold**", "_x_",
    "$x$", ":smile:", "&lt;b&gt;", "&#64;team", "\\@team", "\\`", "\u202egnp.exe", "\u200b", "\u2028# x", "\x00\x1b[2J",
    "    code", "\t- x", " ", "", "\ud800", "[x]: http://evil.example", "[^1]", "\x0b# x", "\x85# x", "[skip ci]",
]  # fmt: skip
NAMES = {
    "Message", "Artifacts", "Checks", "Policy", "Needed", "Who can approve", "Decided", "Where it comes from",
}  # fmt: skip
PLAIN = re.compile(r"[A-Za-z0-9 ,.;:()'-]*")


def detail(text, **changes):
    return dataclasses.replace(Filler(text)(Detail), **{"id": "ab" * 16, **changes})


def changes(text, *paths):
    """What changed, as everybody may know it."""
    artifacts = (
        ArtifactDiff(path, "changed", text, (10, 20), (1, 2), (None, "1" * 64), False, (), (0, 0, 0), 0,
                     (FactDiff(text, "rows", 1, 2),))
        for path in paths
    )  # fmt: skip
    return Diff("i" * 32, "m" * 64, "report", tuple(artifacts), (text, f"+{text}"))


def inline(children):
    """The run's page is the one link, and shows where it leads."""
    shown = None
    for child in children:
        if child.type == "link_open" and child.markup == "autolink":
            shown = child.attrs["href"]
        elif shown is None:
            yield child.type, child.content if child.type == "text" else ""
        elif child.type == "link_close":
            shown = None
        else:
            assert child.content == shown


def outside(body):
    """Everything in a text that is no code: kinds of tokens, and words."""
    for token in MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(body):
        if token.type in {"fence", "code_block"}:
            yield token.type, "" if token.info in {"text", ""} else token.info
        elif token.type == "inline":
            yield from inline(token.children)
        else:
            yield token.type, token.tag


KINDS = {
    "fence", "text", "code_inline", "softbreak", "strong_open", "strong_close", "paragraph_open", "paragraph_close",
    "heading_open", "heading_close", "bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close", "hr",
}  # fmt: skip


def harmless(body):
    for kind, text in outside(body):
        assert kind in KINDS, (kind, text)
        if kind == "text":
            assert PLAIN.fullmatch(text), text
            assert not re.search(r"(?i)www\.|://|\b[a-z]+-[0-9]", text), text
        if kind == "heading_open":
            assert text == "h3"
    titles = re.findall(r"^### (.*)$", re.sub(r"(?ms)^(`{3,})text\n.*?^\1$", "", body), re.MULTILINE)
    assert set(titles) <= NAMES


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_nothing_that_somebody_wrote_does_anything(hostile):
    for text in (f"{MARK}{hostile}", f"{hostile}{MARK}", f"{MARK}{hostile}{MARK}\n{hostile}"):
        found = detail(text)
        made = pull_text(found, changes(text, *(one.path for one in found.artifacts)))
        harmless(made.body)
        assert re.fullmatch(r"[^\W_]?(?:[^\W_]|[ ,.()-])*", made.title), made.title
        assert not re.search(r"-[0-9]", made.title)
        state, words = status_of(dataclasses.replace(found, state=State.PROPOSED))
        assert state == "failure" and len(words) <= 140
        assert markdown.visible(words) == words


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    some.lists(
        some.sampled_from([*"`<>@#[]()!*_~|$:&\\\n\r\t -=+", "http", "www.", MARK, "\u202e"]), max_size=40
    )
)
def test_no_mixture_of_signs_does_anything_either(parts):
    text = MARK + "".join(parts)
    harmless(f"- {markdown.code(text)} x\n- {markdown.words(text)} x\n\n{markdown.block(text, 500)}\n\nx\n")


def test_without_the_guard_it_would(monkeypatch):
    """`code`, `block`, `title`, `link`: each is what stands between a text and the page."""
    from placet.engine import pulltext

    for name, plain in {
        "code": lambda text, *_: text,
        "block": lambda text, *_: text,
        "link": lambda text: f"[x]({text})",
    }.items():
        with monkeypatch.context() as patch:
            found = detail(f"{MARK} <b> @team\n\n# x")
            patch.setattr(pulltext, name, plain)
            if name == "code":
                patch.setattr(markdown, name, plain)
            with pytest.raises(AssertionError):
                harmless(pull_text(found, changes("x", *(one.path for one in found.artifacts))).body)
    monkeypatch.setattr(pulltext, "title", lambda text: text)
    assert "@team" in pull_text(detail("@team"), changes("x")).title


def test_it_never_grows_over_what_a_forge_takes():
    path = "\N{GRINNING FACE}" * 250
    artifacts = tuple(
        ArtifactView(f"{path}{n}", "file", 1, 1, "0" * 64, "0" * 32, "new", None) for n in range(1000)
    )
    checks = tuple(
        CheckResult(
            check="type", path=f"{path}{n}", digest="0" * 64, passed=bool(n % 2), summary="\x00" * 300
        )
        for n in range(5000)
    )
    used = tuple(Resource(uri=f"https://x/{'y' * 1400}", name="\x00" * 300) for _ in range(200))
    origin = Provenance.of(build_type="urn:x:y", builder="urn:x:y", dependencies=used)
    for message, artifact in itertools.product(("\x00" * 4000, "\n" * 4000, "`" * 4000), (artifacts, ())):
        found = detail("\x00" * 4000, message=message, artifacts=artifact, checks=checks, provenance=origin)
        made = pull_text(found, Diff("i", "m", "report", (), ("\x00" * 300,) * 5000))
        assert len(made.body.encode()) <= LIMIT
        assert "What counts is signed" in made.body
        assert "more lines that do not fit here" in made.body
        harmless(made.body)


def test_a_steward_can_decide_from_it():
    artifact = ArtifactView("outputs/model.pkl", "file", 2048, 1, "1" * 64, "0" * 32, "changed", "2" * 64)
    result = CheckResult(
        check="type",
        path="outputs/model.pkl",
        digest="1" * 64,
        passed=False,
        summary="a pickle",
        facts={"files": 1},
    )
    origin = Provenance.of(
        build_type="urn:x:y", builder="pkg:pypi/dagster@1.13", invocation="r1", asset="model",
        invocation_url="https://dagster.example/runs/r1",
        dependencies=(Resource(uri="https://x.example/a.csv", digest={"sha256": "3" * 64}),),
    )  # fmt: skip
    found = detail(
        "t", id="ab" * 16, state=State.PROPOSED, kind="publish", by="site-b", artifacts=(artifact,), checks=(result,),
        message="A better model.\nTrained on more.", because=("Rule default: 1 of 2 approvals are missing.",),
        provenance=origin, manifest="9" * 64, reasons=(), missing=("Rule default: 1 of 2 approvals are missing.",),
    )  # fmt: skip
    made = pull_text(found, changes("4" * 32, "outputs/model.pkl"))
    assert made.title == "A better model. (abababababab)"
    for words in (
        "**PROPOSED** publish by ` site-b `", "Rule default: 1 of 2 approvals are missing.", f"sha256:{'9' * 64}",
        "` outputs/model.pkl ` changed against ` 444444444444 ` (10 bytes), file, 2,048 bytes", f"sha256:{'1' * 64}",
        "**FAILED** ` type ` ` outputs/model.pkl `: ` a pickle ` (` files 1 `)", "Trained on more.",
        "<https://dagster.example/runs/r1>", "asset ` model `", f"sha256:{'3' * 64}", "placet approve abababababab",
    ):  # fmt: skip
        assert words in made.body, words
    assert made == pull_text(
        dataclasses.replace(found, at="2030-01-01T00:00:00Z"), changes("4" * 32, "outputs/model.pkl")
    )
    assert status_of(found) == ("pending", "PROPOSED: Rule default: 1 of 2 approvals are missing.")


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (State.APPROVED, "success"), (State.LANDED, "success"), (State.PUBLISHED, "success"),
        (State.RETURNED, "failure"), (State.REJECTED, "failure"), (State.STALE, "failure"),
        (State.EXPIRED, "failure"), (State.WITHDRAWN, "failure"), (State.QUARANTINED, "error"),
        (State.PROPOSED, "pending"),
    ],
)  # fmt: skip
def test_the_status_follows_from_the_state(state, status):
    found = detail("t", state=state, reasons=(), because=("why",), missing=("one",))
    why = "one" if state is State.PROPOSED else "why"
    assert status_of(found) == (status, f"{state}: {why}")


@pytest.mark.parametrize(
    "url", ["https://x.example/a b", "https://x.example/`", "https://user@x.example/", "javascript:x", "https://x/<b>",
            "https://x.example/" + "y" * 500, "https://x.example/\u202e"],
)  # fmt: skip
def test_an_address_that_could_be_more_is_no_link(url):
    assert markdown.link(url).startswith("`")
    assert markdown.link("https://x.example/runs/1?a=b#c") == "<https://x.example/runs/1?a=b#c>"
