"""Plug-ins for real, in their own process: they fail closed, are bounded, and hold no credential."""

import os
import socket
import tempfile
import time
from pathlib import Path

import pytest

from placet.adapters import sandbox as sandboxing
from placet.adapters.sandbox import Sandbox
from placet.checks import worker
from placet.core.digest import sha256_hex
from placet.core.policy import parse_policy
from placet.engine.checks import ArtifactFiles, FileSource, check_artifacts
from placet.errors import Corrupt, Refused

PLUGIN = """
import os
import socket
import subprocess

from placet.checks.api import Check, Finding, Options


class WordOptions(Options, frozen=True, kw_only=True):
    word: str
    least: int = 1


class Word(Check):
    api = 1
    tool = "words 1.0"
    Options = WordOptions

    def look(self, file, options):
        count = file.stream.read().decode().count(options.word)
        problem = "" if count >= options.least else "the word is missing"
        return Finding(problem, {"words": count, "listed": len(file.listing)})

    def conclude(self, facts, options):
        return "too many words" if facts["words"] > 99 else ""


class Base(Check):
    api = 1
    tool = "odd 1.0"


class Raises(Base):
    def look(self, file, options):
        raise ValueError(file.stream.read().decode())


class Dies(Base):
    def look(self, file, options):
        if file.name == "a":
            os._exit(0)
        return Finding()


class Hangs(Base):
    def look(self, file, options):
        while True:
            pass


class Eats(Base):
    def look(self, file, options):
        return Finding(str(len(bytearray(6 << 30))))


class Answers(Base):
    def look(self, file, options):
        return {"passed": True}


class Facts(Base):
    def look(self, file, options):
        return Finding("", {"name": file.stream.read().decode()})


class Negative(Base):
    def look(self, file, options):
        return Finding("", {"rows": -1})


class Talks(Base):
    def look(self, file, options):
        return Finding("x" * 5000 + "\\n")


class Peeks(Base):
    def look(self, file, options):
        secrets = [name for name in os.environ if "SECRET" in name or "AWS" in name or "HOME" in name]
        try:
            socket.create_connection(("127.0.0.1", PORT), timeout=2)
            secrets.append("network")
        except OSError:
            pass
        return Finding(" ".join(secrets))


class Starts(Base):
    def look(self, file, options):
        child = subprocess.Popen(["sleep", "600"])
        return Finding("", {"child": child.pid})


class Old(Check):
    api = 0
    tool = "old"


class NoApi(Check):
    tool = "none"


NoCheck = dict
"""
NAMES = {
    "word": "Word", "raises": "Raises", "dies": "Dies", "hangs": "Hangs", "eats": "Eats", "answers": "Answers",
    "facts": "Facts", "negative": "Negative", "talks": "Talks", "peeks": "Peeks", "old": "Old", "starts": "Starts",
    "no-api": "NoApi", "no-check": "NoCheck", "no-module": "Nothing",
}  # fmt: skip


def install(folder, entries, source=PLUGIN):
    """A plug-in as `pip install` leaves it: a module and its dist-info."""
    (folder / "examplecheck.py").write_text(source)
    info = folder / "examplecheck-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: examplecheck\nVersion: 1.0\n")
    lines = "".join(f"{name} = examplecheck:{attribute}\n" for name, attribute in entries.items())
    (info / "entry_points.txt").write_text(f"[placet.checks]\n{lines}")
    return folder


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(install(tmp_path, NAMES)))


def ask(box, check, data=b"word word", files=("a",), **options):
    listing = {name: sha256_hex(data) for name in files}
    with box.session({check: options}, listing, 2) as session:
        return [look(session, check, name, data) for name in files], session.tools


def look(session, check, name, data):
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        return session.look(name, sha256_hex(data), len(data), file)[check]


def test_an_installed_plug_in_looks_with_its_options(plugins, sandbox):
    (found,), tools = ask(sandbox, "word", word="word", least=2)
    assert (found.problem, found.facts) == ("", {"words": 2, "listed": 1}) and tools == {"word": "words 1.0"}
    (found,), _ = ask(sandbox, "word", word="word", least=3)
    assert found.problem == "the word is missing"


@pytest.mark.parametrize(
    "options", [{}, {"word": 1}, {"word": "a", "unknown": True}, {"word": "a", "least": "2"}]
)
def test_wrong_options_are_refused(plugins, sandbox, options):
    with pytest.raises(Refused) as caught:
        ask(sandbox, "word", **options)
    assert caught.value.kind == "check-options"


@pytest.mark.parametrize("name", ["missing", "old", "no-api", "no-check", "no-module"])
def test_what_is_not_installed_or_no_check_of_this_version_is_refused(plugins, sandbox, name):
    with pytest.raises(Refused) as caught:
        ask(sandbox, name)
    assert caught.value.kind == "unknown-check"


def test_a_plug_in_does_not_take_the_name_of_a_built_in_check(tmp_path, monkeypatch, sandbox):
    monkeypatch.syspath_prepend(str(install(tmp_path, {"secrets": "Word"})))
    with pytest.raises(Refused, match="name of a built-in check") as caught:
        ask(sandbox, "secrets")
    assert caught.value.kind == "unknown-check"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("raises", "the check failed with ValueError"),
        ("eats", "the check needed more memory than it may have"),
        ("answers", "the check failed with AttributeError"),
        ("facts", "the check failed with ValidationError"),
        ("negative", "the check failed with ValidationError"),
    ],
)
def test_a_check_that_fails_fails_closed_and_tells_no_data(plugins, sandbox, name, said):
    (found,), _ = ask(sandbox, name, b"Anna Schmidt, 12.3.1970")
    assert found.problem == said and not found.facts


def test_what_a_check_says_is_bounded_and_on_one_line(plugins, sandbox):
    (found,), _ = ask(sandbox, "talks")
    assert len(found.problem) == 200 and found.problem.isprintable()


def test_a_process_that_dies_fails_its_file_and_the_next_goes_on(plugins, sandbox):
    found, _ = ask(sandbox, "dies", files=("a", "b"))
    assert [one.problem for one in found] == ["a check broke its process", ""]


def test_a_check_that_does_not_end_is_ended(plugins, sandbox, monkeypatch):
    monkeypatch.setattr(sandboxing, "LEAST_S", 3)
    (found,), _ = ask(sandbox, "hangs")
    assert found.problem in {"the checks took longer than 3 s", "a check broke its process"}


def test_a_check_sees_no_secret_of_who_started_it(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        source = PLUGIN.replace("PORT", str(server.getsockname()[1]))
        monkeypatch.syspath_prepend(str(install(tmp_path, NAMES, source)))
        box = Sandbox({**os.environ, "AWS_SECRET_ACCESS_KEY": "x", "PLACET_SECRET": "y", "HOME": "/root"})
        (found,), _ = ask(box, "peeks")
    assert found.problem in {"", "network"}, "the network is left where the system lets a process do so"


def test_no_process_is_left(plugins, sandbox):
    with sandbox.session({"word": {"word": "a"}}, {}, 2) as session:
        process = session._slots.queue[-1]._process
        assert process.poll() is None
    assert process.poll() is not None


def test_what_a_check_started_ends_with_it(plugins, sandbox):
    with sandbox.session({"starts": {}}, {}, 1) as session, tempfile.TemporaryFile() as file:
        found = session.look("a", "", 0, file)["starts"]
        child = found.facts["child"]
        os.kill(child, 0)
    deadline = time.monotonic() + 20
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _runs(child)


def _runs(process):
    """Is it there, and no zombie?"""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


POLICY_RULE = """\
  - name: default
    paths: ["*/outputs/**"]
    checks: [word]
    options: {word: {word: "a", least: 1}}
"""


def files(*pairs):
    return ArtifactFiles(
        "outputs/folder",
        sha256_hex(b"list"),
        [FileSource(name, sha256_hex(data), lambda data=data: iter([data])) for name, data in pairs],
    )


def run(artifact, box, progress, text):
    from keys import POLICY

    policy = POLICY.replace('  - name: default\n    paths: ["*/outputs/**"]\n', text)
    assert policy != POLICY
    return check_artifacts(
        parse_policy(policy.encode()), "site-b", "publication-storage", [artifact], box, 2, progress
    )


class Quiet:
    def start(self, phase, objects=None, size=None):
        return self

    def advance(self, objects=0, size=0):
        pass

    def done(self):
        pass


def test_a_result_names_digest_tool_and_facts(plugins, sandbox):
    (result,) = run(files(("a.txt", b"a a"), ("b.txt", b"a")), sandbox, Quiet(), POLICY_RULE)
    assert result.passed and result.digest == sha256_hex(b"list") and result.tool == "words 1.0"
    assert result.facts == {"words": 3, "listed": 4, "files": 2}
    (result,) = run(files(("a.txt", b"a"), ("b.txt", b"b")), sandbox, Quiet(), POLICY_RULE)
    assert not result.passed and result.summary == "1 of 2 files: b.txt: the word is missing"
    (result,) = run(files(("a.txt", b"a" * 60), ("b.txt", b"a" * 60)), sandbox, Quiet(), POLICY_RULE)
    assert not result.passed and "too many words" in result.summary


def test_bytes_that_are_not_what_they_should_be_are_not_checked(plugins, sandbox):
    changed = files(("a.txt", b"a"))
    source = FileSource("a.txt", sha256_hex(b"other"), changed.files[0].read)
    with pytest.raises(Corrupt):
        run(ArtifactFiles("outputs/a.txt", sha256_hex(b""), [source]), sandbox, Quiet(), POLICY_RULE)


def test_messages_have_a_limit():
    one, other = socket.socketpair()
    with one, other:
        worker.send(one, b"x" * 100)
        with pytest.raises(ValueError, match="100"):
            worker.receive(other, 50)
