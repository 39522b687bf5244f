"""docs/how-to/github.md as written, with the demo's parties and store, on the fake GitHub and a real Git server."""

import os
import re
import sys
import textwrap
from pathlib import Path

import pytest

from gitea.world import FORGE, shell
from github.server import GitHubOnGit, serving
from placet.demo import cast
from placet.demo.world import PUBLICATION, World, fresh_folder
from placet.testing.gitserver import GitServer

PAGE = (Path(__file__).parent.parent.parent / "docs/how-to/github.md").read_text()
BLOCKS = re.findall(
    r"^ *<!-- run: ([a-z-]+)( workspace)?[a-z_ ]*-->\n *```sh\n(.*?)^ *```", PAGE, re.MULTILINE | re.DOTALL
)
WRITERS = ("dana", "alice", "bob", "site-a", "site-a-agent")


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    with World.start(fresh_folder(tmp_path_factory.mktemp("github-world") / "stack")) as made:
        yield made


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    folder = tmp_path_factory.mktemp("github")
    made = GitHubOnGit(folder / "ctrl.git", owner="study")
    made.tokens = {f"ghp_{name}_000000000000": made.account(name).id for name in WRITERS}
    with GitServer(folder) as server, serving(made) as made.pages:
        made.url = server.url("ctrl.git")
        yield made


def settle(stage, hub, table):
    """Settings of everybody, each with their own token."""
    for name in WRITERS:
        folder = stage[name].folder
        folder.mkdir(exist_ok=True)
        with os.fdopen(
            os.open(folder / "forge.token", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w"
        ) as file:
            file.write(f"ghp_{name}_000000000000\n")
    for name in ("alice", "bob"):
        cast._person(stage, stage[name])
        with (stage[name].folder / "placet.toml").open("a") as file:
            file.write(table)
    node, agent = stage["site-a"], stage["site-a-agent"]
    workspace = node.folder / "workspace"
    stage.project(
        node, workspace, {"internal-storage": stage.remote("internal-site-a", "site-a-job")}, git=True
    )
    (workspace / "forge.token").write_bytes((node.folder / "forge.token").read_bytes())
    (workspace / "forge.token").chmod(0o600)
    own = ['node = "site-a"', f'key = "{node.folder / "site-a.key"}"', 'internal = "internal-storage"', table]
    stage.settings(workspace, own)
    remotes = {
        "internal-storage": stage.remote("internal-site-a", "site-a-promoter"),
        "publication-storage": stage.remote(PUBLICATION, "site-a-promoter"),
    }
    stage.project(agent, agent.folder, remotes, git=False)
    stage.settings(agent.folder, own)
    outputs = workspace / "outputs"
    outputs.mkdir()
    (outputs / "summary.csv").write_text("measurement,n,mean\nbmi,221,26.4\n")


def policy(stage, hub):
    for name in ("dana", "alice", "bob", "site-a", "site-b"):
        stage[name].public = stage[name].placet("keygen", f"{name}.key").json["public"]
    text = cast._POLICY
    for name in ("dana", "alice", "bob"):
        known = f'keys: ["{{{name}}}"]'
        text = text.replace(known, f"{known}\n    forges: {{{{github: {hub.account(name).id}}}}}")
    keys = {
        name.replace("-", "_"): stage[name].public for name in ("dana", "alice", "bob", "site-a", "site-b")
    }
    file = stage["dana"].folder / "policy.yaml"
    file.write_text(text.format(**keys, bucket=PUBLICATION, endpoint=stage.store.endpoint))


class OnGitHub:
    """In the place of the demo's Git server."""

    def __init__(self, hub):
        self.url = lambda _: hub.url


def test_the_page_works_as_written(stage, hub):
    stage.server = OnGitHub(hub)
    policy(stage, hub)
    place = f'url = "{hub.pages}"\nrepository = "study/ctrl"\n'
    table = f"{FORGE.replace('gitea', 'github')}{place}"
    settings = textwrap.dedent(re.findall(r"^ *```toml\n(.*?)^ *```", PAGE, re.MULTILINE | re.DOTALL)[0])
    known = {"https://github.com/study/ctrl.git": hub.url, "https://api.github.com": hub.api}
    (stage["dana"].folder / "placet.toml").write_text(
        settings.replace("https://github.com/study/ctrl.git", hub.url) + place
    )
    keys = zip(("RESEARCHER_KEY", "RESEARCHER_SECRET"), stage.store.credentials("researcher"), strict=True)
    known |= dict(keys)
    said = {}
    for name, inside, block in BLOCKS:
        text = textwrap.dedent(block)
        for old, new in known.items():
            text = text.replace(old, new)
        party = stage["site-a-agent" if name == "agent" else name]
        cwd = party.folder / "workspace" if inside else party.folder
        if "placet merge" in text:
            agent = stage["site-a-agent"]
            announce = "from placet.client import Client; Client('.').announce()"
            shell(agent, f'{sys.executable} -c "{announce}"', agent.folder)
        out = shell(party, text, cwd, stdin=f"ghp_{name}_000000000000\n" if "cat >" in text else "")
        said[text.split("\n")[-2].split(" -")[0].split("#")[0].strip()] = out
        if "init --forge" in text:
            stage.trust_root = known["THE_DIGEST"] = re.search(r"sha256:([0-9a-f]{64})", out)[1]
            toml = stage["dana"].folder / "placet.toml"
            toml.write_text(f'trust_root = "{stage.trust_root}"\n{toml.read_text()}')
            settle(stage, hub, table)
        if "propose" in text:
            known["ID"] = re.search(r"\b[0-9a-f]{32}\b", out)[0]
    assert hub.mistakes == []
    assert f'"id":{hub.account("alice").id}' in next(iter(list(said.values())[1:2])).replace(" ", "")
    assert "no hole seen in the protection of main and what is published" in said["placet doctor"]
    assert "Everything that is here is exactly what was approved." in said["placet verify"]
    assert re.search(rf"trust root +pinned, sha256:{stage.trust_root}", said["placet verify"])
    [pull] = hub.pulls.values()
    assert [one["state"] for one in hub.statuses[pull["head"]]][-1] == "success"
    assert (pull["branch"], pull["merged"] is not None) == (f"proposals/{known['ID']}", True)
    made = (stage["site-a"].folder / "workspace/outputs/summary.csv").read_bytes()
    assert (stage["researcher"].folder / "results/artifacts/site-a/outputs/summary.csv").read_bytes() == made
