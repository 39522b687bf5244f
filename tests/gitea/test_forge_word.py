"""Reviews on Gitea that count by the word of a witness; and a pull request's text, as Gitea itself renders it."""

import re
from contextlib import closing

import httpx
import pytest

from gitea import world
from gitea.scene import place
from gitea.test_path import REPO, button, propose
from placet.adapters.forge.gitea import GiteaForge
from placet.adapters.forge.http import ForgeHttp
from placet.demo.world import World, fresh_folder

pytestmark = pytest.mark.gitea

HOSTILE = "@bob fixes #1 <script>alert(1)</script> [x](http://evil.example) http://evil.example ![i](http://evil.example/i.png) :smile:"


@pytest.fixture(scope="module")
def stage(tmp_path_factory, gitea_alone):
    with World.start(fresh_folder(tmp_path_factory.mktemp("gitea-witness") / "stack")) as made:
        for name in ("dana", "alice", "bob", "site-a"):
            made[name].public = made[name].placet("keygen", f"{name}.key").json["public"]
        world.people(made, gitea_alone)
        policy = world.policy(made, gitea_alone)
        office = made["dana"].folder / "office"
        office.mkdir()
        key = made["dana"].placet("keygen", "office.key", cwd=office).json["public"]
        witness = f'witnesses:\n  office: {{organisation: consortium, keys: ["{key}"], forges: [gitea], operators: [dana]}}\n'
        text = policy.read_text().replace("tiers:\n", f"{witness}tiers:\n", 1)
        policy.write_text(text.replace("    expires_days: 30", "    accept: [forge]\n    expires_days: 30"))
        begin = f'person = "dana"\nctrl = "{made.ctrl_url}"\nkey = "dana.key"\n{world.FORGE}'
        (made["dana"].folder / "placet.toml").write_text(begin)
        arguments = ("--policy", str(policy), "--agent", "site-a", "--agent", "site-a-agent")
        made.trust_root = made["dana"].placet("init", "--forge", *arguments).json["trust_root"]
        world.settle(made, gitea_alone)
        gitea_alone.account("office")
        world.permit(gitea_alone, "office", "write")
        world.token(office, gitea_alone, "office")
        made.settings(office, ['witness = "office"', 'key = "office.key"', world.FORGE])
        yield made


def pull(server, ident):
    """A proposal's pull request, as Gitea tells it."""
    with closing(ForgeHttp(place(server, server.token("dana")))) as http:
        return GiteaForge(http, world.OWNER, world.NAME).pull(f"proposals/{ident}")


def look(stage):
    """What the witness notes now."""
    dana = stage["dana"]
    done = dana.placet("witness", "--once", cwd=dana.folder / "office").json["proposals"]
    return [(new["person"], new["verdict"]) for one in done for new in one["noted"]]


def review(server, login, number, event, **more):
    """As somebody does on the pages."""
    return server.call(
        login, "POST", f"{REPO}/pulls/{number}/reviews", {"event": event, "body": HOSTILE, **more}
    )["id"]


def state(stage, ident):
    return stage["bob"].placet("show", ident).json["state"]


def test_a_review_and_a_signature_publish(stage, gitea_alone):
    ident = propose(stage, "reviewed", "measurement,n\nx,1\n")
    found = pull(gitea_alone, ident)
    assert "**PROPOSED**" in found.body
    asked = gitea_alone.call("dana", "GET", f"{REPO}/pulls/{found.number}")["requested_reviewers"]
    assert {one["login"] for one in asked} == {"alice", "bob"}
    review(gitea_alone, "bob", found.number, "APPROVED")
    assert button(gitea_alone, "bob", found.number).status_code == 405, "the forge's word alone is nothing"
    stage["alice"].placet("approve", ident)
    assert state(stage, ident) == "PROPOSED"
    assert look(stage) == [("bob", "approve")]
    assert look(stage) == []
    shown = stage["bob"].placet("show", ident).json
    assert shown["state"] == "APPROVED"
    assert [(one["person"], one["witness"], one["counts"]) for one in shown["observations"]] == [
        ("bob", "office", True)
    ]
    assert [one["text"] for one in shown["remarks"]] == [HOSTILE]
    found = pull(gitea_alone, ident)
    assert "**APPROVED**" in found.body
    done = button(gitea_alone, "bob", found.number, "squash")
    assert done.status_code == 200, done.text
    promotions = stage["site-a-agent"].placet("agent", "--once").json["promotions"]
    assert [(one["id"], one["state"]) for one in promotions] == [(ident, "PUBLISHED")]
    entries = stage["bob"].placet("log").json["entries"]
    assert entries[-1]["attested"] == ["bob"]


def test_changes_requested_and_a_dismissed_review(stage, gitea_alone):
    ident = propose(stage, "returned", "measurement,n\nx,2\n")
    number = pull(gitea_alone, ident).number
    stage["alice"].placet("approve", ident)
    first = review(gitea_alone, "bob", number, "APPROVED")
    assert look(stage) == [("bob", "approve")]
    assert state(stage, ident) == "APPROVED"
    gitea_alone.call("dana", "POST", f"{REPO}/pulls/{number}/reviews/{first}/dismissals", {"message": "no"})
    assert look(stage) == [("bob", "none")]
    assert state(stage, ident) == "PROPOSED"
    review(gitea_alone, "bob", number, "REQUEST_CHANGES")
    assert look(stage) == [("bob", "return")]
    assert state(stage, ident) == "RETURNED"


def test_what_somebody_wrote_does_nothing_on_its_page(stage, gitea_alone):
    node = stage["site-a"]
    workspace = node.folder / "workspace"
    (workspace / "outputs/hostile.csv").write_text("measurement,n\nx,3\n")
    ident = node.placet("propose", "outputs/hostile.csv", "-m", HOSTILE, cwd=workspace).json["id"]
    found = pull(gitea_alone, ident)
    assert not re.search(r"[@#<>\[\]!:]", found.title)
    rendered = {"Text": found.body, "Mode": "gfm", "Context": f"{world.OWNER}/{world.NAME}", "Wiki": False}
    page = html(gitea_alone, rendered)
    assert HOSTILE.partition("<")[0].strip() in page
    for sign in ("<script", "<img", 'evil.example"', 'class="mention"', "<a ", 'class="ref-issue"', "emoji"):
        assert sign not in page, sign


def html(server, rendered):
    headers = {"authorization": f"token {server.token('dana')}"}
    done = httpx.post(
        f"{server.url}/api/v1/markdown", json=rendered, headers=headers, trust_env=False, timeout=60
    )
    assert done.status_code == 200, done.text
    return done.text


def test_the_forge_is_down_for_the_witness(stage, gitea_alone):
    gitea_alone.halt()
    dana = stage["dana"]
    dana.placet("witness", "--once", cwd=dana.folder / "office", expect=1)
    gitea_alone.resume()
    assert look(stage) == []
