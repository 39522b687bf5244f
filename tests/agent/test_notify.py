"""People are told: by a real SMTP server and a real webhook, by the command and by the agent."""

import json
import logging
import os
import re
import stat
import subprocess
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from requests.adapters import HTTPAdapter

import mailboxes
from agent.site import PLACET, Agent
from governance.lab import Lab
from placet import Client
from placet.adapters import messenger as messengers
from placet.adapters.messenger import AppriseMessenger
from placet.adapters.told import FileRecord
from placet.agent.board import Board
from placet.config import load_settings
from placet.core.defang import defang
from placet.core.happening import Happening
from placet.core.notice import line, notice
from placet.engine.telling import Trouble
from placet.errors import Conflict, Corrupt, Invalid, NotFound, Refused, Unavailable
from placet.wire import doctor

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # Apprise's own
ROOT = Path(__file__).resolve().parent.parent.parent
LIMIT_S = 60


@pytest.fixture
def mail():
    with mailboxes.smtp() as served:
        yield served


@pytest.fixture
def hook():
    with mailboxes.webhook() as served:
        yield served


class Party:
    """A steward's folder with no key, on a Ctrl repository by path."""

    def __init__(self, folder):
        self.lab = Lab.make(folder, ("governance:\n", "governance:\n  freeze: [trustees]\n"))
        self.lab.clock.time = self.lab.clock.time.now(self.lab.clock.time.tzinfo)
        self.folder = folder / "alice"
        (self.folder / ".dvc").mkdir(parents=True)
        self.home = folder / "home"
        self.targets = {}

    def target(self, name, url, **more):
        self.targets[name] = more
        path = self.folder / f"{name}.url"
        path.write_text(url + "\n")
        path.chmod(0o600)
        lines = [
            'person = "alice"',
            f'ctrl = "{self.lab.folder / "ctrl.git"}"',
            f'trust_root = "{self.lab.trust_root}"',
        ]
        lines += ["[notify]", "pause = 1"]
        for key, one in self.targets.items():
            lines += [f"[notify.targets.{key}]", f'url_file = "{key}.url"']
            lines += [f"{word} = {json.dumps(value)}" for word, value in one.items()]
        (self.folder / "placet.toml").write_text("\n".join(lines) + "\n")

    def run(self, *argv, expect=0, **environ):
        kept = {
            key: one for key, one in os.environ.items() if not key.startswith(("DVC_", "PLACET_", "GIT_"))
        }
        done = subprocess.run(
            [PLACET, *argv], cwd=self.folder, env=kept | {"PLACET_HOME": str(self.home)} | environ,
            capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
        assert done.returncode == expect, (done.stdout, done.stderr)
        return done

    def client(self):
        return Client(self.folder, settings=load_settings(self.folder, {"PLACET_HOME": str(self.home)}))

    def told(self):
        with self.client() as client:
            return [(one.target, one.lines) for one in client.notify().deliveries]

    def notify(self, *argv, expect=0):
        return json.loads(self.run("notify", "--json", *argv, expect=expect).stdout)


@pytest.fixture
def party(tmp_path):
    made = Party(tmp_path)
    yield made
    made.lab.repo.close()


def mail_url(port):
    return f"mailto://127.0.0.1:{port}/?from=placet@example.org&to=alice@example.org"


def test_by_mail_and_by_webhook(party, mail, hook):
    (letters, smtp_port), (posts, http_port) = mail, hook
    party.target("mail", mail_url(smtp_port), events=["proposed", "frozen"])
    party.target("hook", f"json://127.0.0.1:{http_port}/secret-token-1/x")
    done = party.notify("--test")["deliveries"]
    assert [(one["target"], one["error"]) for one in done] == [("mail", None), ("hook", None)]
    assert "nothing happened" in letters.wait(1)[0].get_body().get_content()
    ident = party.lab.propose(
        "outputs/@everyone evil.com.csv", message="<b>x</b> [y](http://z.example)\r\nBcc: all@x"
    )
    found = party.notify("--dry-run")
    assert [one["kind"] for one in found["happened"]] == ["proposed"] and len(posts.messages) == 1
    found = party.notify()
    assert [(one["target"], one["lines"]) for one in found["deliveries"]] == [("mail", 1), ("hook", 1)]
    letter, (path, _, post) = letters.wait(2)[1], posts.wait(2)[1]
    text = letter.get_body(("plain", "html")).get_content()
    assert letter["To"].endswith("alice@example.org>") or "alice@example.org" in letter["To"]
    assert letter["Bcc"] is None and "proposed" in letter["Subject"]
    for said in (text, letter["Subject"], post["message"], post["title"]):
        assert not any(one in said for one in ("@everyone", "evil.com", "<b>", "](", "http:"))
    assert path == "/secret-token-1/x" and f"placet show {ident[:12]}" in post["message"]
    assert "a,b" not in post["message"] and "site-b proposes to publish" in post["message"]
    assert party.told() == [] and len(posts.messages) == 2
    record = next((party.home / "told").glob("*.json"))
    assert stat.S_IMODE(record.stat().st_mode) == 0o600 and "secret-token" not in record.read_text()


def test_who_cannot_be_reached_is_told_later_and_no_secret_is_said(party, hook):
    posts, port = hook
    party.target("good", f"json://127.0.0.1:{port}/good")
    party.target("bad", "json://user:hush-hush@127.0.0.1:9/secret-token-2")
    party.lab.propose()
    done = party.run("notify", "-v", expect=1)
    assert len(posts.messages) == 1 and "bad  The target bad of [notify] was not told" in done.stdout
    for said in (done.stdout, done.stderr):
        assert "hush-hush" not in said and "secret-token-2" not in said
    (party.folder / "bad.url").write_text(f"json://127.0.0.1:{port}/bad\n")

    deadline = time.monotonic() + LIMIT_S
    while party.told() != [("bad", 1)]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert [path for path, _, _ in posts.messages] == ["/good", "/bad"]


@pytest.mark.parametrize(
    ("url", "mode", "kind"),
    [
        ("nosuch://hush-hush", 0o600, "notify-url"),
        ("one://a\ntwo://b", 0o600, "notify-url"),
        ("# nothing", 0o600, "notify-url"),
        ("json://hush-hush", 0o644, "key-permissions"),
        (None, 0o600, "notify-url"),
    ],
)
def test_urls_that_cannot_be_used_are_not_shown(party, url, mode, kind):
    party.target("one", url or "")
    (party.folder / "one.url").chmod(mode)
    if url is None:
        (party.folder / "one.url").unlink()
    with party.client() as client:
        (done,) = client.notify_test()
        assert done.error.kind == kind and "hush-hush" not in json.dumps(done.error.to_dict())
        (found,) = doctor._notify(client._wire)
    assert (found.name, found.level) == ("notify target one", "fail") and "hush-hush" not in str(found)


def test_settings_and_words_of_the_command(party, hook):
    _, port = hook
    party.target("one", f"json://127.0.0.1:{port}/a")
    with party.client() as client, pytest.raises(NotFound, match="no target 'two'"):
        client.notify_test(["two"])
    assert party.notify("one", expect=2)["kind"] == "usage"
    assert "Nothing is new." in party.run("notify").stdout
    toml = party.folder / "placet.toml"
    toml.write_text(toml.read_text().partition("[notify]")[0])
    with party.client() as client, pytest.raises(NotFound, match="Nobody is to be told"):
        client.notify()
    toml.write_text(toml.read_text() + '[notify.targets.a]\nurl_env = "PLACET_X"\n')
    with party.client() as client:
        (done,) = client.notify_test()
        assert done.error.kind == "notify-url"
    party.run("notify", "--test", PLACET_X=f"json://127.0.0.1:{port}/b")


def test_two_at_once_do_not_tell_twice(tmp_path):
    one, two = FileRecord(tmp_path / "a" / "b.json"), FileRecord(tmp_path / "a" / "b.json")
    with one.alone(), pytest.raises(Conflict), two.alone():
        pass
    with two.alone():
        assert two.read() is None
        two.write(b"x")
    assert one.read() == b"x" and sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "b.json",
        "b.lock",
    ]
    (tmp_path / "a" / "b.json").unlink()
    (tmp_path / "a" / "b.json").mkdir()
    with pytest.raises(Unavailable, match="Removing the file costs repeated messages only"):
        one.read()


def test_a_service_that_never_ends_its_answer_is_left_alone(hook, monkeypatch):
    box, port = hook
    monkeypatch.setattr(messengers, "_LIMIT_S", 0.2)
    place = AppriseMessenger("one", f"json://127.0.0.1:{port}/a?rto=30")
    box.hold.clear()
    for why in (*["did not answer within"] * 3, "has not answered the messages before"):
        with pytest.raises(Unavailable) as caught:
            place.send("t", "x", loud=False)
        assert why in caught.value.why
    box.hold.set()
    box.wait(3)
    for one in place._hanging:
        one.join(LIMIT_S)
    monkeypatch.setattr(messengers, "_LIMIT_S", LIMIT_S)
    place.send("t", "the fourth", loud=False)
    assert box.wait(4)[3][2]["message"] == "the fourth"


def test_no_redirect_takes_a_message_elsewhere(hook):
    box, port = hook
    box.redirect = f"http://127.0.0.1:{port}/elsewhere"
    with pytest.raises(Unavailable):
        AppriseMessenger("one", f"json://127.0.0.1:{port}/a").send("t", "x", loud=False)
    assert [path for path, _, _ in box.messages] == ["/a"]


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(NotFound, match="Apprise") as caught:
        AppriseMessenger("one", "json://localhost")
    assert "placet[notify]" in caught.value.mend


def test_nothing_of_a_url_is_logged(hook, caplog):
    _, port = hook
    with caplog.at_level(logging.DEBUG):
        AppriseMessenger("one", f"json://127.0.0.1:{port}/secret-token-3").send("t", "x", loud=True)
        with pytest.raises(Unavailable):
            AppriseMessenger("two", "json://u:secret-token-4@127.0.0.1:9/x").send("t", "x", loud=True)
    assert "secret-token" not in caplog.text


def test_nothing_of_a_url_is_logged_by_a_library_that_nobody_thought_of(hook, caplog, monkeypatch):
    box, port = hook
    place = AppriseMessenger("one", f"json://127.0.0.1:{port}/secret-token-5")
    real, library = HTTPAdapter.send, logging.getLogger("some.library")

    def send(self, request, **more):
        library.warning("%s", request.url)
        sent.append(request.url)
        return real(self, request, **more)

    sent = []
    monkeypatch.setattr(HTTPAdapter, "send", send)
    library.warning("before")
    place.send("t", "x", loud=True)
    library.warning("after")
    assert len(sent) == len(box.messages) == 1
    assert [one.getMessage() for one in caplog.records] == ["before", "after"]


def test_a_message_that_hangs_keeps_nobody_elses_log_silent(hook, caplog, monkeypatch):
    box, port = hook
    monkeypatch.setattr(messengers, "_LIMIT_S", 0.2)
    place = AppriseMessenger("one", f"json://127.0.0.1:{port}/secret-token-6?rto=30")
    real, late = HTTPAdapter.send, logging.getLogger("late")

    def send(self, request, **more):
        made = logging.getLogger("made.while.it.is.sent")
        made.warning("%s", request.url)
        threads = [
            threading.Thread(target=made.warning, args=(request.url,), name=f"{one}-1")
            for one in ("apprise", "paho")
        ]
        for one in threads:
            one.start()
            one.join()
        return real(self, request, **more)

    monkeypatch.setattr(HTTPAdapter, "send", send)
    box.hold.clear()
    with pytest.raises(Unavailable):
        place.send("t", "x", loud=True)
    late.warning("of another thread")
    box.hold.set()
    for one in place._hanging:
        one.join(LIMIT_S)
    assert len(box.messages) == 1
    assert [one.getMessage() for one in caplog.records] == ["of another thread"]


def test_what_a_plug_in_raises_does_not_show_its_url(monkeypatch):
    def broken(url, **_):
        raise ValueError(url)

    monkeypatch.setattr("apprise.Apprise.instantiate", broken)
    word = "-".join(["hush"] * 2)
    with pytest.raises(Invalid) as caught:
        AppriseMessenger("one", f"json://{word}")
    told = "".join(traceback.format_exception(caught.value))
    assert caught.value.kind == "notify-url" and word not in told


HOSTILE = (
    "<!channel> <!here> <@U024BE7LH> @channel @here @room @everyone [x](https://evil.example) **bold** ~~s~~"
    " `c` #general :tada:\r\nBcc: all@evil.example\r\n\r\n<at>everyone</at> &lt;!here&gt; <b>b</b>"
)
LIVE = (
    "<!", "<@", "<b", "<a", "@channel", "@here", "@room", "@everyone", "](", "evil.example", "https:", "**", "~~",
    "`", "#general :", ":tada:", "&lt;!", "Bcc:",
)  # fmt: skip


@pytest.mark.parametrize(
    "url",
    [
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "workflows://host.example/643a063aba0b4b1f8cd3ae5b8e9d2d1b/C0sNWJAeEtiUoCJHQPpxbLvVNvR9dAdzEYtSxDfJQ4o/",
        "matrixs://user:word@host.example/!room:host.example",
        "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
        "jsons://host.example/x",
    ],
    ids=lambda url: url.partition(":")[0],
)
def test_what_others_wrote_reaches_a_service_with_nothing_in_it_that_it_obeys(url, monkeypatch):
    """The real plug-ins make the request; what would be sent is read on its way."""
    sent = []

    def take(_, request, **__):
        body = request.body or b""
        sent.append(body if isinstance(body, str) else body.decode())
        answer = requests.Response()
        answer.status_code = 200
        slack = "slack.com" in request.url
        answer._content = b"ok" if slack else b'{"access_token": "t", "user_id": "@u:h", "room_id": "!r:h"}'
        return answer

    monkeypatch.setattr(HTTPAdapter, "send", take)
    one = Happening("proposed", defang(HOSTILE, 400), f"a proposal: {defang(HOSTILE, 400)}", "ab" * 16)
    title, text = notice(HOSTILE, [line(one, 0.0)], 0, 2000)
    with suppress(Unavailable):  # what a service says afterwards is not the matter
        AppriseMessenger("one", url).send(title, text, loud=True)
    (said,) = [one for one in sent if "a proposal" in one]
    read = json.dumps(json.loads(said), ensure_ascii=False)
    assert "Bcc\N{RATIO}" in read and [one for one in LIVE if one in read] == []
    assert all(one in HOSTILE for one in LIVE), "each is live before"


def test_importing_placet_does_not_import_it():
    code = "import placet, sys; placet.Client; import placet.wire.notify; assert 'apprise' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- the agent ---------------------------------------------------------------------------------


def test_the_board_knows_what_fails_and_wakes_who_tells():
    board = Board()
    woken = []
    board.changed = lambda: woken.append(board.told()[0])
    gone = Unavailable("gone", kind="ctrl-unreachable")
    board.bad("job promote", gone)
    board.bad("job promote", gone)
    assert len(woken) == 1 and not board.told()[0]["job promote"].lasting
    board.good("job promote")
    board.good("job promote")
    assert board.told() == ({"job promote": None}, ()) and len(woken) == 2
    board.bad("job promote", Corrupt("bad", kind="trust-root"))
    assert board.told()[0]["job promote"].lasting
    board.unpromoted("ab" * 16, Refused("no", kind="checks-failed"))
    board.unpromoted("cd" * 16, Refused("later", kind="window"))
    board.unpromoted("ef" * 16, gone)
    found = board.told()[0]
    assert {name: one.lasting for name, one in found.items() if one and name.startswith("promotion")} == {
        "promotion of abababababab": True, "promotion of efefefefefef": False,
    }  # fmt: skip
    board.waiting(["ef" * 16])
    found, whole = board.told()
    assert found["promotion of abababababab"] is None and whole == ("promotion of ",)


def test_the_agent_tells_what_happens_and_what_fails(site, hook):
    posts, port = hook
    site.configure(f'[notify]\npause = 1\n[notify.targets.ops]\nurl_file = "{site.folder}/ops.url"\n')
    (site.folder / "ops.url").write_text(f"json://127.0.0.1:{port}/ops")
    (site.folder / "ops.url").chmod(0o600)
    ident = site.land()
    lost = site.lab.landed("outputs/lost.csv", b"never,pushed\n1,2\n")
    with Agent(site, "--interval", "0.2") as agent:
        agent.wait("notified")
        agent.ever("published", proposal=ident)
        agent.ever("quarantined", proposal=lost)
        seen = ""
        count = 1
        while not all(word in seen for word in ("published outputs/a.csv", f"promotion of {lost[:12]}")):
            seen = "\n".join(post["message"] for _, _, post in posts.wait(count))
            count = len(posts.messages) + 1
        assert "1,2" not in seen
        assert agent.stop() == 0
    told = len(posts.messages)
    with Agent(site, "--interval", "0.2") as agent:
        agent.wait("job-done", job="notify")
        agent.ever("quarantined", proposal=lost)
        agent.wait("job-done", job="notify")
        assert agent.stop() == 0
    assert len(posts.messages) == told


def test_a_target_that_is_down_keeps_no_promotion_waiting(site):
    site.configure(f'[notify]\n[notify.targets.ops]\nurl_file = "{site.folder}/ops.url"\n')
    (site.folder / "ops.url").write_text("json://127.0.0.1:9/x")
    (site.folder / "ops.url").chmod(0o600)
    ident = site.land()
    with Agent(site, "--interval", "0.2", "--listen", "0") as agent:
        agent.wait("published", proposal=ident)
        found = agent.ever("not-notified", target="ops")
        assert found["kind"] == "not-told" and "127.0.0.1" not in json.dumps(found)
        assert agent.stop() == 0


def test_a_target_that_keeps_silent_does_not_keep_the_agent_from_ending(site, hook):
    box, port = hook
    box.hold.clear()
    site.configure(f'[notify]\n[notify.targets.ops]\nurl_file = "{site.folder}/ops.url"\n')
    (site.folder / "ops.url").write_text(f"json://127.0.0.1:{port}/x?rto=50")
    (site.folder / "ops.url").chmod(0o600)
    ident = site.land()
    with Agent(site, "--interval", "0.2") as agent:
        agent.wait("published", proposal=ident)
        box.reached.wait(LIMIT_S)
        began = time.monotonic()
        assert agent.stop() == 0
        assert time.monotonic() - began < 20
    assert not agent.told("not-notified")
    box.hold.set()
    with Agent(site, "--interval", "0.2") as agent:
        agent.wait("notified", target="ops")
        assert agent.stop() == 0
    assert any("published outputs/a.csv" in post["message"] for _, _, post in box.messages)


def test_a_repository_that_does_not_verify_is_a_trouble_once(party, hook):
    posts, port = hook
    party.target("one", f"json://127.0.0.1:{port}/a")
    party.lab.propose()
    with party.client() as client:
        assert [one.kind for one in client.notify().happened] == ["proposed"]
        good = party.lab.tip()
        party.lab.force("refs/heads/main", party.lab.commit(None, {"x": b"another root"}))
        assert [one.kind for one in client.notify().happened] == ["failing"]
        assert client.notify().happened == ()
        party.lab.force("refs/heads/main", good)
        assert [one.kind for one in client.notify().happened] == ["recovered"]
    assert "proposed" in posts.messages[0][2]["title"]


def test_what_a_process_before_noted_makes_no_agent_look_again_at_once(party, hook):
    """Nothing is known of it until its lane has run, which may take hours."""
    party.target("one", f"json://127.0.0.1:{hook[1]}/a")
    passing = Trouble("store-unreachable", "It does not answer.", lasting=False)
    with party.client() as client:
        assert 200 < client.notify({"job scrub": passing}).next_s <= 300
    with party.client() as client:
        assert client.notify({}).next_s is None
        assert 200 < client.notify({"job scrub": passing}).next_s <= 300, "it is not forgotten"


def test_the_how_to_page_works_as_it_is_written(party, mail, hook):
    (letters, smtp_port), (posts, http_port) = mail, hook
    text = (ROOT / "docs" / "how-to" / "notify.md").read_text()
    install, begin, once = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    (person,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert install == "pip install '/path/to/placet[notify]'\n"
    party.target("x", "json://localhost")
    toml = party.folder / "placet.toml"
    toml.write_text(toml.read_text().partition("[notify]")[0])
    begin = begin.replace("mail.example.org:25", f"127.0.0.1:{smtp_port}")
    begin = begin.replace("hooks.example.org", f"127.0.0.1:{http_port}")
    ident = party.lab.propose()
    environ = os.environ | {
        "PLACET_HOME": str(party.home),
        "PATH": f"{Path(PLACET).parent}:{os.environ['PATH']}",
    }
    for script in (begin, once):
        done = subprocess.run(
            ["sh", "-ec", script], cwd=party.folder, env=environ, capture_output=True, text=True, check=False,
            timeout=LIMIT_S,
        )  # fmt: skip
        assert done.returncode == 0, (done.stdout, done.stderr)
    assert "proposed" in letters.wait(2)[1]["Subject"]
    assert ident[:12] in posts.wait(2)[1][2]["message"]
    (party.folder / "alice.url").write_text(f"json://127.0.0.1:{http_port}/alice")
    (party.folder / "alice.url").chmod(0o600)
    toml.write_text(toml.read_text() + person)
    party.notify("--test", "alice")


def test_a_url_of_another_kind_is_invalid():
    with pytest.raises(Invalid) as caught:
        AppriseMessenger("one", "nosuch://hush")
    assert "hush" not in str(caught.value)
