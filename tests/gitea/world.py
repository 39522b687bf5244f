"""The demo's stage with its Ctrl repository on Gitea: accounts, rights and tokens as a site would have them."""

import os
import subprocess
from contextlib import closing
from dataclasses import dataclass

from gitea.scene import place
from placet.adapters.forge.gitea import GiteaForge
from placet.adapters.forge.http import ForgeHttp
from placet.demo import cast
from placet.demo.world import PUBLICATION

OWNER, NAME = "study", "ctrl"
WRITERS = ("alice", "bob", "site-a", "site-a-agent")
FORGE = '\n[forge]\nkind = "gitea"\ntoken = "forge.token"\n'


@dataclass
class OnGitea:
    """In the place of the demo's Git server."""

    address: str

    def url(self, name):
        return f"{self.address}/{OWNER}/{name}"


def people(stage, server):
    """Accounts, an empty repository of an organisation, and who may do what there."""
    for name in ("dana", *WRITERS, "researcher"):
        server.account(name)
    server.call("root", "POST", "admin/users/dana/orgs", {"username": OWNER})
    server.call("root", "POST", f"orgs/{OWNER}/repos", {"name": NAME, "private": True})
    for name in WRITERS:
        permit(server, name, "write")
    permit(server, "researcher", "read")
    stage.server = OnGitea(server.url)
    for name in ("dana", *WRITERS):
        token(stage[name].folder, server, name)
    netrc = stage["researcher"].folder / "home" / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login researcher password {server.token('researcher')}\n")


def permit(server, login, right):
    server.call("root", "PUT", f"repos/{OWNER}/{NAME}/collaborators/{login}", {"permission": right})


def token(folder, server, login):
    file = folder / "forge.token"
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as stream:
        stream.write(f"{server.token(login)}\n")


def policy(stage, server):
    """Policy 0, which knows the people by the numbers of their accounts."""
    for name in ("site-b",):
        stage[name].public = stage[name].placet("keygen", "site-b.key").json["public"]
    text = cast._POLICY
    for name in ("dana", "alice", "bob"):
        known = f'keys: ["{{{name}}}"]'
        text = text.replace(known, f"{known}\n    forges: {{{{gitea: {server.account(name)}}}}}")
    keys = {
        name.replace("-", "_"): stage[name].public for name in ("dana", "alice", "bob", "site-a", "site-b")
    }
    file = stage["dana"].folder / "policy.yaml"
    file.write_text(text.format(**keys, bucket=PUBLICATION, endpoint=stage.store.endpoint))
    return file


def settle(stage, server):
    """Settings of everybody, each with their own token."""
    for name in ("dana", "alice", "bob"):
        cast._person(stage, stage[name])
        with (stage[name].folder / "placet.toml").open("a") as stream:
            stream.write(FORGE)
    node, agent = stage["site-a"], stage["site-a-agent"]
    workspace = node.folder / "workspace"
    stage.project(
        node, workspace, {"internal-storage": stage.remote("internal-site-a", "site-a-job")}, git=True
    )
    own = ['node = "site-a"', f'key = "{node.folder / "site-a.key"}"', 'internal = "internal-storage"', FORGE]
    stage.settings(workspace, own)
    token(workspace, server, "site-a")
    remotes = {
        "internal-storage": stage.remote("internal-site-a", "site-a-promoter"),
        "publication-storage": stage.remote(PUBLICATION, "site-a-promoter"),
    }
    stage.project(agent, agent.folder, remotes, git=False)
    stage.settings(agent.folder, own)


def pull(server, ident):
    """A proposal's pull request, as the adapter tells it."""
    with closing(ForgeHttp(place(server, server.token("dana")))) as http:
        return GiteaForge(http, OWNER, NAME).pull(f"proposals/{ident}")


def shell(party, text, cwd=None, stdin=""):
    """A block of a page as this party; what it prints."""
    done = subprocess.run(
        ["sh", "-e", "-c", text],
        cwd=cwd or party.folder,
        env=party.env,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{party.name}: {text}\n{done.stdout}\n{done.stderr}"
    return done.stdout
