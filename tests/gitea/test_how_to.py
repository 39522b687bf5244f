"""docs/how-to/gitea.md as written, on Gitea and a real object store, every party with an account of its own."""

import re
import textwrap
from pathlib import Path

import pytest

from gitea import world
from placet.demo.world import World, fresh_folder

pytestmark = pytest.mark.gitea

PAGE = (Path(__file__).parent.parent.parent / "docs/how-to/gitea.md").read_text()
BLOCKS = re.findall(
    r"^( *)<!-- run: ([a-z-]+)( workspace)? -->\n *```sh\n(.*?)^ *```", PAGE, re.MULTILINE | re.DOTALL
)


@pytest.fixture(scope="module")
def stage(tmp_path_factory, gitea):
    with World.start(fresh_folder(tmp_path_factory.mktemp("gitea-world") / "stack")) as made:
        for name in ("dana", "alice", "bob", "site-a"):
            made[name].public = made[name].placet("keygen", f"{name}.key").json["public"]
        world.people(made, gitea)
        world.policy(made, gitea)
        yield made


def test_the_page_works_as_written(stage, gitea):
    (settings,) = re.findall(r"^ *```toml\n(.*?)^ *```", PAGE, re.MULTILINE | re.DOTALL)
    known = {"https://git.example.org": gitea.url}
    dana = stage["dana"].folder / "placet.toml"
    dana.write_text(textwrap.dedent(settings).replace("https://git.example.org", gitea.url))
    keys = zip(("RESEARCHER_KEY", "RESEARCHER_SECRET"), stage.store.credentials("researcher"), strict=True)
    known |= dict(keys)
    said = []
    for _, name, inside, block in BLOCKS:
        text = textwrap.dedent(block)
        for old, new in known.items():
            text = text.replace(old, new)
        party = stage["site-a-agent" if name == "agent" else name]
        cwd = party.folder / "workspace" if inside else party.folder
        out = world.shell(party, text, cwd, stdin=f"{gitea.token(name)}\n" if "cat >" in text else "")
        said.append(out)
        if "init --forge" in text:
            stage.trust_root = known["THE_DIGEST"] = re.search(r"sha256:([0-9a-f]{64})", out)[1]
            world.settle(stage, gitea)
            outputs = stage["site-a"].folder / "workspace/outputs"
            outputs.mkdir()
            (outputs / "summary.csv").write_text("measurement,n,mean\nbmi,221,26.4\n")
        if "propose" in text:
            known["ID"] = re.search(r"\b[0-9a-f]{32}\b", out)[0]
    assert said[1].strip() == f'"id":{gitea.account("alice")}'
    assert "no hole seen in the protection of main and what is published" in said[3]
    assert "Everything that is here is exactly what was approved." in said[-1]
    assert re.search(rf"trust root +pinned, sha256:{stage.trust_root}", said[-1])
    made = (stage["site-a"].folder / "workspace/outputs/summary.csv").read_bytes()
    assert (stage["researcher"].folder / "results/artifacts/site-a/outputs/summary.csv").read_bytes() == made


def test_the_repository_can_be_made_too(stage, gitea):
    """By the same command, where it is asked to; who may not write yet is told, and whoever is not named stays."""
    dana, repo = stage["dana"], "repos/erin/made"
    gitea.account("erin", ("write:repository", "write:issue", "write:user"))
    folder = dana.folder / "made"
    folder.mkdir()
    settings = f'person = "dana"\nctrl = "{gitea.url}/erin/made.git"\nkey = "{dana.folder / "dana.key"}"\n'
    (folder / "placet.toml").write_text(settings + world.FORGE)
    world.token(folder, gitea, "erin")

    def init(*more, expect=0):
        return dana.placet("init", "--forge", *more, cwd=folder, expect=expect).json

    policy = ("--policy", str(dana.folder / "policy.yaml"))
    assert "add --create" in init(*policy, expect=1)["mend"]
    refused = init("--create", *policy, "--agent", "site-a-agent", expect=12)
    assert refused["what"].startswith("site-a-agent may not write to the repository")
    assert gitea.call("erin", "GET", repo)["private"] is True
    for name in ("site-a-agent", "alice"):
        gitea.call("erin", "PUT", f"{repo}/collaborators/{name}", {"permission": "write"})
    again = init("--create", *policy, "--agent", "site-a-agent", expect=11)
    assert "Leave out --policy and --create" in again["mend"]
    first = init("--agent", "site-a-agent")
    second = init("--witness", "alice")
    assert first | {"may_push": second["may_push"]} == second
    assert "alice" in str(second["may_push"]) and "alice" not in str(first["may_push"])
    rules = gitea.call("erin", "GET", f"{repo}/branch_protections")
    assert {one["rule_name"]: sorted(one["push_whitelist_usernames"]) for one in rules} == {
        "main": ["alice", "site-a-agent"],
        "published": ["site-a-agent"],
        "published-*": ["site-a-agent"],
    }
