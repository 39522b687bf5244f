"""People and `git push` on a real Gitea, behind the adapter's back."""

import itertools
import subprocess
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from placet.adapters import git_process
from placet.adapters.forge.gitea import API, GiteaForge
from placet.adapters.forge.http import ForgeHttp, Place
from placet.ports import Account
from placet.testing.gitserver import free_port

_EVENTS = {"approve": "APPROVED", "return": "REQUEST_CHANGES", "comment": "COMMENT", "draft": "PENDING"}
_REPOSITORIES = itertools.count(1)


def place(server, token):
    headers = {"authorization": f"token {token}"}
    return Place(f"{server.url}/{API}", lambda: headers, lambda: datetime.now(UTC))


def grant(server, owner, name, login, right="write"):
    """An account that may write to a repository."""
    ident = server.account(login)
    server.call(owner, "PUT", f"repos/{owner}/{name}/collaborators/{login}", {"permission": right})
    return ident


class GiteaScene:
    """An empty Ctrl repository of the account `placet`, whose token the adapter has."""

    owner = "placet"

    def __init__(self, server, folder):
        self.server = server
        self.name = f"ctrl-{next(_REPOSITORIES)}"
        server.account(self.owner)
        made = {"name": self.name, "private": True, "default_branch": "main"}
        server.call("root", "POST", f"admin/users/{self.owner}/repos", made)
        self.repo = f"repos/{self.owner}/{self.name}"
        self.folder = folder / self.name
        self.env = {**git_process.environment({"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder)})}
        token = folder / "token"
        token.write_text(server.token(self.owner))
        self.env |= git_process.credential(server.url, token)
        who = {"NAME": "a", "EMAIL": "a@placet.invalid"}
        self.env |= {f"GIT_{role}_{key}": one for role in ("AUTHOR", "COMMITTER") for key, one in who.items()}
        self._git("init", "-q", "-b", "main", str(self.folder), cwd=folder)
        self._git("commit", "-q", "--allow-empty", "-m", "root")
        self._git("remote", "add", "origin", f"{server.url}/{self.owner}/{self.name}.git")
        self._git("push", "-q", "origin", "main")
        self._commits = itertools.count(1)
        self.http = ForgeHttp(place(server, server.token(self.owner)))
        self.forge = GiteaForge(self.http, self.owner, self.name)
        self._allowed = {self.owner}
        self.opened = []

    def _git(self, *argv, cwd=None):
        done = subprocess.run(
            ["git", *argv], cwd=cwd or self.folder, env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def me(self):
        return Account(self.server.account(self.owner), self.owner)

    def account(self, login):
        if login not in self._allowed:
            self._allowed.add(login)
            grant(self.server, self.owner, self.name, login)
        return Account(self.server.account(login), login)

    def rename(self, login, fresh):
        self.server.rename(login, fresh)
        self._allowed.remove(login)

    def push(self, branch, *, force=False):
        name = branch.removeprefix("refs/heads/")
        known = self._git("ls-remote", "origin", f"refs/heads/{name}").split("\t")[0]
        base = "main" if force or not known else known
        self._git("checkout", "-q", "--detach", base)
        (self.folder / f"file-{next(self._commits)}").write_text(name)
        self._git("add", ".")
        self._git("commit", "-q", "-m", "a change")
        self._git("push", "-q", *(["--force"] if force else []), "origin", f"HEAD:refs/heads/{name}")
        return self._git("rev-parse", "HEAD")

    def cut(self, branch):
        self._git("push", "-q", "origin", "--delete", branch)

    def review(self, number, login, word, text=""):
        self.account(login)
        text = text or ("" if word == "approve" else "text")
        self.server.call(
            login, "POST", f"{self.repo}/pulls/{number}/reviews", {"event": _EVENTS[word], "body": text}
        )

    def dismiss(self, number, review):
        path = f"{self.repo}/pulls/{number}/reviews/{review}/dismissals"
        self.server.call(self.owner, "POST", path, {"message": "no"})

    def say(self, number, login, text):
        self.account(login)
        self.server.call(login, "POST", f"{self.repo}/issues/{number}/comments", {"body": text})

    def draft(self, number, *, on):
        title = self.server.call(self.owner, "GET", f"{self.repo}/pulls/{number}")["title"]
        title = f"WIP: {title}" if on else title.removeprefix("WIP: ")
        self.server.call(self.owner, "PATCH", f"{self.repo}/pulls/{number}", {"title": title})

    def land(self, number, how="merge"):
        self.wait_for_checks(number)
        self.server.call(self.owner, "POST", f"{self.repo}/pulls/{number}/merge", {"Do": how})

    def wait_for_checks(self, number):
        deadline = time.monotonic() + 30
        while not self.server.call(self.owner, "GET", f"{self.repo}/pulls/{number}")["mergeable"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def statuses(self, commit):
        found = self.server.call(self.owner, "GET", f"{self.repo}/commits/{commit}/statuses?sort=leastindex")
        return [
            (one["status"], one["description"], one["target_url"] or None)
            for one in sorted(found, key=lambda one: one["id"])
            if one["context"] == "placet"
        ]

    def asked(self, number):
        found = self.server.call(self.owner, "GET", f"{self.repo}/pulls/{number}")
        return {one["id"] for one in found["requested_reviewers"] or ()}

    def nowhere(self, *, organisation, login="maker"):
        """By an account whose token may make repositories, which others' need not."""
        self.server.account(login, ("write:repository", "write:issue", "write:user", "write:organization"))
        owner = login
        if organisation:
            owner = f"org-{next(_REPOSITORIES)}"
            self.server.call("root", "POST", f"admin/users/{login}/orgs", {"username": owner})
        http = ForgeHttp(place(self.server, self.server.token(login)))
        self.opened.append(http)
        return GiteaForge(http, owner, f"made-{next(_REPOSITORIES)}")

    def close(self):
        for one in (self.http, *self.opened):
            one.close()

    @contextmanager
    def down(self):
        real = self.http._place
        self.http._place = replace(real, base=f"http://127.0.0.1:{free_port()}/{API}", sleep=lambda _: None)
        try:
            yield
        finally:
            self.http._place = real
