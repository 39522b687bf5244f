"""The whole path on Gitea: proposed, decided, merged in every way that the forge has, published, pulled with stock tools."""

import shutil
import time

import httpx
import pytest

from gitea import world
from placet.demo.world import World, fresh_folder

pytestmark = pytest.mark.gitea

REPO = f"repos/{world.OWNER}/{world.NAME}"


@pytest.fixture(scope="module")
def stage(tmp_path_factory, gitea_alone):
    with World.start(fresh_folder(tmp_path_factory.mktemp("gitea-path") / "stack")) as made:
        for name in ("dana", "alice", "bob", "site-a"):
            made[name].public = made[name].placet("keygen", f"{name}.key").json["public"]
        world.people(made, gitea_alone)
        policy = world.policy(made, gitea_alone)
        text = f'person = "dana"\nctrl = "{made.ctrl_url}"\nkey = "dana.key"\n{world.FORGE}'
        (made["dana"].folder / "placet.toml").write_text(text)
        arguments = ("--policy", str(policy), "--agent", "site-a", "--agent", "site-a-agent")
        begun = made["dana"].placet("init", "--forge", *arguments).json
        made.trust_root = begun["trust_root"]
        world.settle(made, gitea_alone)
        yield made


def propose(stage, name, text):
    node = stage["site-a"]
    workspace = node.folder / "workspace"
    (workspace / "outputs").mkdir(exist_ok=True)
    (workspace / f"outputs/{name}.csv").write_text(text)
    return node.placet("propose", f"outputs/{name}.csv", "-m", name, cwd=workspace).json["id"]


def promoted(stage, ident, expect=0):
    """How far the agent gets with one proposal."""
    done = stage["site-a-agent"].placet("agent", "--once", expect=expect).json["promotions"]
    return next(one["state"] for one in done if one["id"] == ident)


def approve(stage, server, ident):
    """Both reviewers sign; the second one's `approve` sets the commit status that the protection asks for."""
    for name in ("alice", "bob"):
        stage[name].placet("approve", ident)
    return world.pull(server, ident)


def button(server, login, number, how="merge", **more):
    """Merge on the forge's pages; the status that it answers with, once it has looked whether it can be merged."""
    deadline = time.monotonic() + 30
    headers = {"authorization": f"token {server.token(login)}"}
    while True:
        url = f"{server.url}/api/v1/{REPO}/pulls/{number}/merge"
        done = httpx.post(url, json={"Do": how, **more}, headers=headers, trust_env=False, timeout=60)
        if "try again later" not in done.text or time.monotonic() > deadline:
            return done
        time.sleep(0.2)


@pytest.mark.parametrize("how", ["merge", "squash", "rebase", "rebase-merge"])
def test_every_way_of_merging_publishes_what_was_approved(stage, gitea_alone, how):
    ident = propose(stage, how, f"measurement,n\n{how},221\n")
    found = world.pull(gitea_alone, ident)
    assert (found.state, found.author.login) == ("open", "site-a")
    assert button(gitea_alone, "bob", found.number, how).status_code == 405, "not without the commit status"
    approve(stage, gitea_alone, ident)
    done = button(gitea_alone, "bob", found.number, how)
    assert done.status_code == 200, done.text
    assert promoted(stage, ident) == "PUBLISHED"
    assert world.pull(gitea_alone, ident).state == "merged"


def test_a_researcher_pulls_with_stock_tools(stage):
    researcher = stage["researcher"]
    results = researcher.folder / "results"
    researcher.git("clone", "-q", stage.ctrl_url, str(results))
    access, secret = stage.store.credentials("researcher")
    for key, value in (("access_key_id", access), ("secret_access_key", secret)):
        researcher.dvc("remote", "modify", "--local", "publication-storage", key, value, cwd=results)
    researcher.dvc("pull", "-r", "publication-storage", cwd=results)
    assert (results / "artifacts/site-a/outputs/squash.csv").read_text() == "measurement,n\nsquash,221\n"
    assert researcher.git("status", "--porcelain", cwd=results).out == ""
    verified = researcher.placet("verify", cwd=results, env={"PLACET_TRUST_ROOT": stage.trust_root}).json
    assert {one["data"] for one in verified["artifacts"]} == {"verified"}
    assert len(verified["artifacts"]) == 4
    shutil.rmtree(results)


def test_a_merge_that_nobody_approved_publishes_nothing(stage, gitea_alone):
    """The forge's administrator takes the protection away and merges: it is quarantined, and loud."""
    ident = propose(stage, "unapproved", "measurement,n\nx,1\n")
    gitea_alone.call("root", "DELETE", f"{REPO}/branch_protections/main")
    assert button(gitea_alone, "root", world.pull(gitea_alone, ident).number).status_code == 200
    assert promoted(stage, ident, expect=12) == "QUARANTINED"
    assert stage["alice"].placet("show", ident).json["state"] == "QUARANTINED"
    stage["dana"].placet("init", "--forge", "--agent", "site-a", "--agent", "site-a-agent")
    late = stage["alice"].placet("approve", ident, expect=12).json
    assert late["kind"] == "push-refused", "decisions on what has landed are pushed to main, by whoever may"


def test_the_command_merges_what_was_approved_and_nothing_else(stage, gitea_alone):
    ident = propose(stage, "command", "measurement,n\nx,2\n")
    refused = stage["bob"].placet("merge", ident, expect=12).json
    assert refused["kind"] == "not-approved"
    approve(stage, gitea_alone, ident)
    done = stage["bob"].placet("merge", ident).json
    assert stage["bob"].placet("merge", ident).json == done
    assert promoted(stage, ident, expect=12) == "PUBLISHED", "and the quarantined one is said again"


def test_a_head_that_is_replaced_after_the_approvals(stage, gitea_alone, tmp_path):
    """A writer force-pushes the proposal's branch: `merge` refuses it, and so does everybody who reads it."""
    ident = propose(stage, "replaced", "measurement,n\nx,3\n")
    approve(stage, gitea_alone, ident)
    alice = stage["alice"]
    (alice.folder / "home/.netrc").write_text(
        f"machine 127.0.0.1 login alice password {gitea_alone.token('alice')}\n"
    )
    clone = tmp_path / "clone"
    alice.git("clone", "-q", "-b", f"proposals/{ident}", stage.ctrl_url, str(clone))
    (clone / "stowaway").write_text("x")
    alice.git("add", ".", cwd=clone)
    alice.git("commit", "-q", "--amend", "-m", "replaced", cwd=clone)
    alice.git("push", "-q", "--force", cwd=clone)
    assert stage["bob"].placet("merge", ident, expect=12).json["kind"] == "proposal-refused"
    assert world.pull(gitea_alone, ident).state == "open"


def test_the_forge_is_down_for_a_while(stage, gitea_alone):
    agent = stage["site-a-agent"]
    ident = propose(stage, "later", "measurement,n\nx,4\n")
    approve(stage, gitea_alone, ident)
    assert button(gitea_alone, "bob", world.pull(gitea_alone, ident).number).status_code == 200
    gitea_alone.halt()
    said = agent.placet("promote", expect=1).json
    assert said["kind"] == "ctrl-unreachable"
    gitea_alone.resume()
    assert promoted(stage, ident, expect=12) == "PUBLISHED"


def test_the_token_is_in_no_argument_file_or_url(stage, gitea_alone):
    """Git asks the helper for it; what Placet keeps does not hold it."""
    token = gitea_alone.token("site-a-agent").encode()
    home = stage["site-a-agent"].folder / "home"
    held = [path for path in home.rglob("*") if path.is_file() and token in path.read_bytes()]
    assert held == []
    log = (stage.root / "commands.log").read_bytes()
    assert token not in log
