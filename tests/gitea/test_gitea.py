"""The Gitea adapter on Gitea itself. Not part of `make test` (Go must build it first): `make test-gitea`."""

from dataclasses import replace

import httpx
import pytest

from gitea.scene import GiteaScene, grant, place
from placet.adapters.forge.gitea import GiteaForge
from placet.adapters.forge.http import ForgeHttp
from placet.errors import Conflict, NotFound, Refused
from placet.testing.forge_suite import COMMISSION, ForgeContract, open_one

pytestmark = pytest.mark.gitea


@pytest.fixture(scope="module")
def shared(gitea, tmp_path_factory):
    made = GiteaScene(gitea, tmp_path_factory.mktemp("scene"))
    yield made
    made.close()


class TestGitea(ForgeContract):
    @pytest.fixture
    def scene(self, shared):
        return shared


@pytest.fixture
def scene(gitea, tmp_path):
    made = GiteaScene(gitea, tmp_path)
    yield made
    made.close()


@pytest.fixture
def closing():
    opened = []

    def make(server, login, owner, name, token=None):
        opened.append(ForgeHttp(place(server, token or server.token(login))))
        return GiteaForge(opened[-1], owner, name)

    yield make
    for one in opened:
        one.close()


def test_a_draft_stays_one_when_its_text_is_brought_up_to_date(scene):
    branch = "proposals/1"
    scene.push(branch)
    made = open_one(scene.forge, branch)
    scene.draft(made.number, on=True)
    scene.forge.opened("1", branch, "fresh", "fresh text")
    found = scene.forge.pull(branch)
    assert (found.title, found.body, found.draft) == ("WIP: fresh", "fresh text", True)


def test_a_fork_with_a_branch_of_the_same_name_is_another(scene):
    """A pull request from somebody's own copy is none of the proposal's."""
    scene.push("proposals/2")
    scene.server.account("mallory")
    grant(scene.server, scene.owner, scene.name, "mallory", "read")
    scene.server.call("mallory", "POST", f"{scene.repo}/forks", {})
    files = {"branch": "main", "new_branch": "proposals/3", "content": "eA==", "message": "x"}
    scene.server.call("mallory", "POST", f"repos/mallory/{scene.name}/contents/x", files)
    pull = {"base": "main", "head": "mallory:proposals/3", "title": "evil", "body": ""}
    scene.server.call("mallory", "POST", f"{scene.repo}/pulls", pull)
    assert scene.forge.pull("proposals/3") is None
    made = open_one(scene.forge, "proposals/2")
    scene.forge.close(made.number)
    scene.push("proposals/3")
    mine = open_one(scene.forge, "proposals/3")
    assert mine.author == scene.me()


def test_a_credential_that_is_wrong_or_too_weak(scene, closing):
    strange = closing(scene.server, "", scene.owner, scene.name, "0" * 40)
    with pytest.raises(Refused) as caught:
        strange.pull("proposals/4")
    assert caught.value.kind == "forge-refused"
    scene.server.account("stranger")
    with pytest.raises(NotFound) as caught:
        closing(scene.server, "stranger", scene.owner, scene.name).holes(COMMISSION)
    assert caught.value.kind == "forge-missing"
    grant(scene.server, scene.owner, scene.name, "reader", "read")
    with pytest.raises(Refused):
        closing(scene.server, "reader", scene.owner, scene.name).protect(COMMISSION)


HOLES = [
    ("main", {"enable_push": True, "enable_push_whitelist": False}, "Whoever may write may push to main."),
    ("main", {"enable_status_check": False}, "main takes a pull request without the commit status placet."),
    ("main", {"status_check_contexts": ["other"]}, "main takes a pull request without the commit status placet."),
    ("main", {"block_on_rejected_reviews": False}, "main takes a pull request for which somebody has requested changes."),
    (
        "main",
        {"dismiss_stale_approvals": True},
        "Reviews of a pull request to main end with each push, a signed decision among them.",
    ),
    ("main", {"block_admin_merge_override": False}, "Administrators may merge into main whatever its rule says."),
    ("published", {"enable_force_push": True}, "Somebody may replace the history of published by a forced push."),
    ("published", {"push_whitelist_usernames": ["placet", "rita"]}, "rita may push to published, and is no agent."),
    ("published-*", {"enable_push": True, "enable_push_whitelist": True, "push_whitelist_deploy_keys": True}, "Teams or deploy keys may push to published-*, whoever has them."),
    ("published-*", {"enable_push": True, "enable_push_whitelist": False}, "Whoever may write may push to published-*."),
]  # fmt: skip


@pytest.fixture(scope="module")
def protected(gitea, tmp_path_factory):
    made = GiteaScene(gitea, tmp_path_factory.mktemp("holes"))
    made.account("rita")
    made.push("published")
    yield made
    made.close()


@pytest.mark.parametrize(
    ("rule", "change", "what"), HOLES, ids=lambda one: "-".join(one) if isinstance(one, dict) else ""
)
def test_each_hole_is_named_and_closed_again(protected, rule, change, what):
    wanted = replace(COMMISSION, agents=("placet",))
    protected.forge.protect(wanted)
    assert list(protected.forge.holes(wanted)) == []
    protected.server.call("placet", "PATCH", f"{protected.repo}/branch_protections/{rule}", change)
    found = protected.forge.holes(wanted)
    assert [one.what for one in found] == [what]
    protected.forge.protect(wanted)
    assert list(protected.forge.holes(wanted)) == []


def test_holes_beside_the_rules(protected, closing):
    server, forge = protected.server, protected.forge
    rita = protected.account("rita")
    hook = "http://127.0.0.1:9/webhook"
    wanted = replace(COMMISSION, agents=("placet",), owners=(rita.id,), hook=hook, secret="s" * 16)
    forge.protect(COMMISSION)
    server.call("placet", "PATCH", protected.repo, {"default_branch": "main"})
    server.call("placet", "DELETE", f"{protected.repo}/branch_protections/published")
    found = {one.what for one in forge.holes(wanted)}
    assert found == {
        "Whoever may write may push to published, and replace it.",
        "A plain clone gets main, not published, where only what is published is.",
        "rita may change the policy, and CODEOWNERS does not name them.",
        f"No webhook tells {hook} of a push.",
    }
    reader = closing(server, "rita", protected.owner, protected.name)
    assert [one.what for one in reader.holes(wanted)] == [
        "Whoever may write may push to published, and replace it."
    ]
    for rule in ("main", "published-*"):
        server.call("placet", "DELETE", f"{protected.repo}/branch_protections/{rule}")
    forge.protect(wanted)
    forge.protect(wanted)
    assert list(forge.holes(wanted)) == []
    assert list(reader.holes(wanted)) == []
    hooks = server.call("placet", "GET", f"{protected.repo}/hooks")
    assert [one["config"]["url"] for one in hooks] == [hook]
    assert server.call("placet", "GET", protected.repo)["default_branch"] == "published"


def test_a_rule_that_overrules_is_found(scene):
    scene.push("published")
    scene.server.call(
        "placet", "POST", f"{scene.repo}/branch_protections", {"rule_name": "ma*", "enable_push": True}
    )
    scene.forge.protect(COMMISSION)
    found = [one.what for one in scene.forge.holes(COMMISSION)]
    assert found in ([], ["Another rule, ma*, comes before that of main."])


def test_what_the_protection_does(scene):
    """Tried, not read back: pushes, forced pushes and deletions by whoever may write."""
    scene.push("published")
    scene.forge.protect(COMMISSION)
    scene.push("published")
    with pytest.raises(AssertionError, match="protected"):
        scene.push("published", force=True)
    with pytest.raises(AssertionError, match="cannot be deleted"):
        scene.cut("published")
    with pytest.raises(AssertionError, match="protected"):
        scene.push("main")
    scene.push("proposals/5")


def registered(scene, name):
    """A runner as `act_runner register` makes one, by the same call."""
    token = scene.server.call("placet", "POST", f"{scene.repo}/actions/runners/registration-token")["token"]
    wanted = {"name": name, "token": token, "version": "v0.2.13", "labels": ["ubuntu-latest"]}
    path = f"{scene.server.url}/api/actions/runner.v1.RunnerService/Register"
    done = httpx.post(path, json=wanted, trust_env=False, timeout=60)
    assert done.status_code == 200, done.text


def test_runners_and_secrets_at_the_repository(scene, closing):
    scene.forge.protect(COMMISSION)
    assert list(scene.forge.holes(COMMISSION)) == []
    registered(scene, "site-a-runner")
    scene.server.call("placet", "PUT", f"{scene.repo}/actions/secrets/KEY", {"data": "x"})
    runners, secrets = scene.forge.holes(COMMISSION)
    assert "registered with the Ctrl repository (site-a-runner)" in runners.what
    assert "secrets for workflows (1)" in secrets.what
    grant(scene.server, scene.owner, scene.name, "adele", "admin")
    [unseen] = closing(scene.server, "adele", scene.owner, scene.name).holes(COMMISSION)
    assert "cannot see" in unseen.what
    scene.server.call("placet", "PATCH", scene.repo, {"has_actions": False})
    assert list(scene.forge.holes(COMMISSION)) == []


def test_a_repository_is_made_private_and_where_one_may(scene, closing):
    for organisation in (False, True):
        forge = scene.nowhere(organisation=organisation)
        assert forge.ensure() is True
        assert scene.server.call("root", "GET", forge._repo)["private"] is True
        owner, name = forge._owner, forge._repository
        scene.server.account("stranger")
        with pytest.raises((Refused, Conflict, NotFound)):
            closing(scene.server, "stranger", owner, name).ensure()
        with pytest.raises(NotFound):
            closing(scene.server, "stranger", owner, name).holes(COMMISSION)
    weak = closing(scene.server, "placet", scene.owner, "another")
    with pytest.raises(Refused) as caught:
        weak.ensure()
    assert "write:user" in caught.value.why


def test_a_witness_pushes_to_main_and_publishes_nothing(scene, closing):
    for one in ("site-agent", "office"):
        grant(scene.server, scene.owner, scene.name, one)
    scene.push("published")
    agent, witness = (closing(scene.server, one, scene.owner, scene.name) for one in ("site-agent", "office"))
    scene.forge.protect(replace(COMMISSION, agents=("site-agent",)))
    mine = replace(COMMISSION, mine=("main",))
    scene.server.account("nobody")
    with pytest.raises(Refused) as caught:
        scene.forge.protect(replace(COMMISSION, agents=("site-agent", "nobody")))
    assert caught.value.what.startswith("nobody may not write")
    [hole] = witness.holes(mine)
    assert hole.what == "This account, office, may not push to main, and has to."
    assert hole.mend.endswith("with --witness office")
    assert list(agent.holes(replace(COMMISSION, mine=("main", "published", "published-none")))) == []
    named = replace(COMMISSION, agents=("site-agent",), witnesses=("office",))
    scene.forge.protect(named)
    assert list(scene.forge.holes(named)) == []
    assert list(witness.holes(mine)) == []
    scene.forge.protect(COMMISSION)
    assert list(witness.holes(mine)) == [], "whoever is not named stays"
    assert list(agent.holes(replace(mine, mine=("main", "published")))) == []
    [hole] = witness.holes(replace(mine, mine=("main", "published")))
    assert "may not push to published" in hole.what
    found = [one.what for one in scene.forge.holes(replace(COMMISSION, agents=("site-agent",)))]
    assert found == ["office may push to main, and is no agent."]
    scene.forge.protect(replace(COMMISSION, witnesses=("site-agent",)))
    assert len(witness.holes(mine)) == 1


def test_whoever_may_push_is_told_and_can_be_taken_away(scene, closing):
    """Also whom somebody else let push before."""
    for one in ("site-agent", "stranger"):
        grant(scene.server, scene.owner, scene.name, one)
    by_hand = {"rule_name": "main", "enable_push": True, "enable_push_whitelist": True}
    path = f"{scene.repo}/branch_protections"
    scene.server.call("placet", "POST", path, by_hand | {"push_whitelist_usernames": ["stranger"]})
    scene.forge.protect(replace(COMMISSION, agents=("site-agent",)))
    published = {one: ["site-agent"] for one in COMMISSION.published}
    assert scene.forge.pushers(COMMISSION) == {"main": ["site-agent", "stranger"], **published}
    assert closing(scene.server, "stranger", scene.owner, scene.name).pushers(COMMISSION) == {}
    scene.forge.protect(replace(COMMISSION, witnesses=()))
    assert scene.forge.pushers(COMMISSION) == {"main": ["site-agent"], **published}
    scene.forge.protect(replace(COMMISSION, agents=()))
    nobody = {one: [] for one in ("main", *COMMISSION.published)}
    assert scene.forge.pushers(COMMISSION) == nobody
