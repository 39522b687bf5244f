"""GitHub as far as Placet asks it, with people on it; each request and answer is held to GitHub's description.

Answers are GitHub's own examples with the values of here. What is known of GitHub beyond its description is
kept too: who is refused and in which words, and that a review's commit moves along with a forced push.
"""

import base64
import hashlib
import json
import re
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from github.spec import Mismatch, spec
from placet.ports import Account

REPOSITORY = "/repos/{owner}/{repo}"
NOTHING = "0" * 40
FORKS = (
    "run_workflows_from_fork_pull_requests",
    "send_write_tokens_to_workflows",
    "send_secrets_and_variables",
    "require_approval_for_fork_pr_workflows",
)
STATES = {"approve": "APPROVED", "return": "CHANGES_REQUESTED", "comment": "COMMENTED", "draft": "PENDING"}


@dataclass
class Reply:
    """An answer."""

    status: int
    body: object = None
    headers: dict = field(default_factory=dict)

    @property
    def data(self):
        return b"" if self.body is None else json.dumps(self.body).encode()


class Refusal(Exception):
    """An error that GitHub answers with."""

    def __init__(self, code, message, **more):
        super().__init__(message)
        self.reply = Reply(
            code, {"message": message, "documentation_url": "https://docs.github.com/rest", **more}
        )


class FakeGitHub:
    """One repository, and the accounts that write to it.

    `api` is where it is asked; `heads` and `land` are the repository's Git, which may be a real one.
    """

    def __init__(self, *, owner="clinic", name="ctrl", api="https://api.github.test", land=None, there=True):
        self.spec = spec()
        self.api = api
        self.owner, self.name, self.number = owner, name, 4711
        self.there, self.private, self.organisations = there, True, {"clinic", "study"}
        self.former = set()
        self.heads = {"main": "a" * 40}
        self.land_in_git = land
        self.ticks = 0
        self.users = {}
        self.outsiders = set()
        self.pulls, self.reviews, self.comments = {}, {}, {}
        self.statuses, self.activity, self.hooks, self.rulesets = {}, [], {}, {}
        self.settings = {"delete_branch_on_merge": True, "default_branch": "published"}
        self.protection = {}
        self.files = {}
        self.actions_approve, self.actions_token, self.actions = True, "write", True
        self.runners, self.secrets, self.strangers = [], 0, "all_external_contributors"
        self.forks = dict.fromkeys(FORKS, False)
        self.sees_bypass = True
        self.tokens = {"ghp_placet_token_0001": self.account("placet-bot").id}
        self.app, self.app_key, self.app_tokens = 77, None, {}
        self.asked_for = []
        self.instead = deque()
        self.reachable = True
        self.limit_s = 3600

    # --- the API ----------------------------------------------------------------------------------

    def ask(self, method, path, query, headers, body):
        """One request, as HTTP has it."""
        if self.instead:
            return self.instead.popleft()
        moved = self._moved(method, path)
        if isinstance(moved, Reply):
            return moved
        self.asked_for.append((method, moved, dict(query)))
        given = json.loads(body) if body else None
        try:
            self._check_headers(headers, body)
            template, values, _ = self.spec.route(method, moved)
            self.spec.check_request(method, moved, query, given)
            account = self._account_of(headers, template)
            act = ROUTES[method, template]
            reply = act(self, account, values, query, given)
        except Refusal as error:
            reply = error.reply
            template = None
        self.spec.check_answer(method, moved, reply.status, reply.body)
        return self._tagged(reply, headers) if method == "GET" and reply.status == 200 else reply

    def _moved(self, method, path):
        found = re.match(r"/repos/([^/]+/[^/]+)(.*)", path)
        if found and found[1] in self.former:
            target = f"{self.api}/repositories/{self.number}{found[2]}"
            status = 301 if method == "GET" else 307
            return Reply(status, {"message": "Moved", "url": target}, {"location": target})
        return path.replace(f"/repositories/{self.number}", f"/repos/{self.owner}/{self.name}", 1)

    def _check_headers(self, headers, body):
        expected = {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}
        for name, value in expected.items():
            if headers.get(name) != value:
                raise Mismatch(f"{name}: {headers.get(name)!r}")
        if not headers.get("user-agent"):
            raise Mismatch("GitHub wants a User-Agent")
        if body and headers.get("content-type") != "application/json":
            raise Mismatch("the body is not said to be JSON")

    def _account_of(self, headers, template):
        """The user, or the App itself, that a request is from."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme != "Bearer":
            raise Refusal(401, "Requires authentication", status="401")
        as_app = template in {"/app", REPOSITORY + "/installation"} or template.startswith("/app/")
        if as_app:
            return self._app_of(token)
        if token in self.tokens:
            return self.tokens[token]
        until = self.app_tokens.get(token)
        if until is None or until <= self.now():
            raise Refusal(401, "Bad credentials", status="401")
        if template == "/user":
            raise Refusal(403, "Resource not accessible by integration", status="403")
        return -self.app

    def _app_of(self, jwt):
        try:
            head, claims, signature = jwt.split(".")
            self.app_key.verify(_unbase64(signature), f"{head}.{claims}".encode(), PKCS1v15(), SHA256())
            claims = json.loads(_unbase64(claims))
        except (ValueError, InvalidSignature):
            raise Refusal(401, "A JSON web token could not be decoded", status="401") from None
        now = self.now().timestamp()
        if not claims["iat"] <= now < claims["exp"] <= now + 600 or claims["iss"] not in {
            str(self.app),
            "Iv1.placet",
        }:
            raise Refusal(
                401, "'Expiration time' claim ('exp') must be a numeric value in time", status="401"
            )
        return -self.app

    def _tagged(self, reply, headers):
        tag = f'W/"{hashlib.sha256(reply.data).hexdigest()}"'
        if headers.get("if-none-match") == tag:
            return Reply(304, None, {"etag": tag})
        reply.headers["etag"] = tag
        return reply

    # --- people, and what they do -----------------------------------------------------------------

    def now(self):
        return datetime(2026, 11, 24, 9, tzinfo=UTC) + timedelta(seconds=self.ticks)

    def tick(self, seconds=1):
        self.ticks += seconds
        return f"{self.now():%Y-%m-%dT%H:%M:%SZ}"

    def account(self, login):
        """Somebody with this login; made at the first use."""
        found = [ident for ident, known in self.users.items() if known == login]
        ident = found[0] if found else 1000 + len(self.users)
        self.users[ident] = login
        return Account(ident, login)

    def rename(self, login, fresh):
        self.users[self.account(login).id] = fresh

    def remove(self, login):
        ident = self.account(login).id
        self.users[ident] = None

    def move(self, owner, name):
        """Give the repository another owner or name."""
        self.former.add(f"{self.owner}/{self.name}")
        self.owner, self.name = owner, name

    def pushed(self, branch, sha, kind):
        """A branch is at another commit."""
        branch = branch.removeprefix("refs/heads/")
        before = self.heads.get(branch, NOTHING)
        self.heads[branch] = sha
        self.activity.append((self.tick(), f"refs/heads/{branch}", before, sha, kind))
        for number, pull in self.pulls.items():
            if pull["branch"] == branch and pull["state"] == "open":
                pull["head"] = sha
                if kind == "force_push":
                    for review in self.reviews[number]:
                        review["commit"] = sha

    def push(self, branch, *, force=False):
        branch = branch.removeprefix("refs/heads/")
        sha = hashlib.sha1(f"{self.ticks}{branch}".encode()).hexdigest()
        kind = "branch_creation" if branch not in self.heads else "force_push" if force else "push"
        self.pushed(branch, sha, kind)
        return sha

    def cut(self, branch):
        branch = branch.removeprefix("refs/heads/")
        if branch not in self.heads:
            return
        self.activity.append(
            (self.tick(), f"refs/heads/{branch}", self.heads.pop(branch), NOTHING, "branch_deletion")
        )
        for pull in self.pulls.values():
            if pull["branch"] == branch and pull["state"] == "open":
                pull["state"] = "closed"

    def review(self, number, login, word, text=""):
        ident = 5_000_000_000 + sum(map(len, self.reviews.values()))
        user = self.account(login).id
        made = {
            "id": ident,
            "user": user,
            "state": STATES[word],
            "body": text,
            "commit": self.pulls[number]["head"],
        }
        self.reviews[number].append({**made, "time": self.tick()})
        self.pulls[number]["asked"].discard(user)
        return ident

    def dismiss(self, number, review):
        for one in self.reviews[number]:
            if one["id"] == review:
                one["state"] = "DISMISSED"

    def say(self, number, login, text, app=None):
        user = self.account(login).id
        ident = 9_000_000_000 + sum(map(len, self.comments.values()))
        self.comments[number].append(
            {"id": ident, "user": user, "body": text, "time": self.tick(), "app": app}
        )
        return self.comments[number][-1]

    def draft(self, number, *, on):
        self.pulls[number]["draft"] = on

    def land(self, number, method="merge"):
        pull = self.pulls[number]
        head = pull["head"]
        main = self.land_in_git(head, method) if self.land_in_git else hashlib.sha1(head.encode()).hexdigest()
        self.pushed("main", main, "pr_merge")
        pull |= {"state": "closed", "merged": self.tick()}
        if self.settings["delete_branch_on_merge"]:
            self.cut(pull["branch"])
        return main

    def asked(self, number):
        return set(self.pulls[number]["asked"])

    @contextmanager
    def down(self):
        self.reachable = False
        try:
            yield
        finally:
            self.reachable = True

    # --- answers ----------------------------------------------------------------------------------

    def user(self, ident, example=None):
        """A `simple-user`; null for whoever was deleted."""
        if ident < 0:
            return {**(example or SIMPLE()), "id": 900 - ident, "login": "placet-app[bot]", "type": "Bot"}
        login = self.users[ident]
        return (
            None if login is None else {**(example or SIMPLE()), "id": ident, "login": login, "type": "User"}
        )

    def shown(self, pull, template, method="GET"):
        example = self.spec.example(method, template, 201 if method == "POST" else 200)
        known = {"id": self.number, "full_name": f"{self.owner}/{self.name}", "name": self.name}
        fork = {"id": 99, "full_name": "fork/ctrl"}
        ends = {
            "head": (pull["branch"], pull["head"], fork if pull.get("fork") else known),
            "base": (pull.get("base", "main"), self.heads["main"], known),
        }
        for end, (ref, sha, repo) in ends.items():
            whole = {**(example[end]["repo"] or {}), **repo}
            example[end] |= {"ref": ref, "sha": sha, "label": f"{self.owner}:{ref}", "repo": whole}
        example |= {
            "number": pull["number"], "html_url": f"https://github.test/{self.owner}/{self.name}/pull/{pull['number']}",
            "state": pull["state"], "draft": pull["draft"], "title": pull["title"], "body": pull["body"],
            "user": self.user(pull["author"]), "merged_at": pull["merged"],
            "requested_reviewers": [self.user(one) for one in sorted(pull["asked"])], "requested_teams": [],
        }  # fmt: skip
        if "merged" in example:
            example["merged"] = pull["merged"] is not None
        return example

    def page(self, query, items, show=lambda one: one):
        """One page of a list, and where the next one is."""
        size, number = min(int(query.get("per_page", 30)), 100), int(query.get("page", 1))
        some = [show(one) for one in items[(number - 1) * size : number * size]]
        more = number * size < len(items)
        link = f'<{self.api}/repositories/{self.number}/x?per_page={size}&page={number + 1}>; rel="next", <{self.api}/x>; rel="last"'
        return Reply(200, some, {"link": link} if more else {})

    def pull_at(self, values, key="pull_number"):
        found = self.pulls.get(int(values[key]))
        if found is None:
            raise Refusal(404, "Not Found", status="404")
        return found


def SIMPLE():  # noqa: N802 - an example
    return spec().example("GET", REPOSITORY + "/pulls/{pull_number}")["user"]


def _unbase64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


# --- the routes -----------------------------------------------------------------------------------

ROUTES = {}


def on(method, template):
    def take(act):
        ROUTES[method, template] = act
        return act

    return take


def invalid(message, **error):
    return Refusal(422, "Validation Failed", errors=[{"message": message, **error}])


@on("GET", "/user")
def me(hub, account, values, query, body):
    return Reply(200, hub.user(account, hub.spec.example("GET", "/user")))


@on("GET", "/user/{account_id}")
def user_by_id(hub, account, values, query, body):
    ident = int(values["account_id"])
    if hub.users.get(ident) is None:
        raise Refusal(404, "Not Found", status="404")
    return Reply(200, hub.user(ident, hub.spec.example("GET", "/users/{username}")))


@on("GET", "/users/{username}")
def user_by_login(hub, account, values, query, body):
    for ident, login in hub.users.items():
        if login == values["username"]:
            return Reply(200, hub.user(ident, hub.spec.example("GET", "/users/{username}")))
    raise Refusal(404, "Not Found", status="404")


@on("GET", "/app")
def app(hub, account, values, query, body):
    return Reply(200, hub.spec.example("GET", "/app") | {"id": hub.app, "slug": "placet-app"})


@on("GET", "/apps/{app_slug}")
def app_by_slug(hub, account, values, query, body):
    if values["app_slug"] != "placet-app":
        raise Refusal(404, "Not Found", status="404")
    return Reply(200, hub.spec.example("GET", "/apps/{app_slug}") | {"id": hub.app})


@on("GET", REPOSITORY + "/installation")
def installation(hub, account, values, query, body):
    if not hub.there:
        raise Refusal(404, "Not Found", status="404")
    return Reply(200, hub.spec.example("GET", REPOSITORY + "/installation") | {"id": 31, "app_id": hub.app})


@on("POST", "/app/installations/{installation_id}/access_tokens")
def access_token(hub, account, values, query, body):
    if values["installation_id"] != "31" or body["repositories"] != [hub.name]:
        raise Refusal(422, "There is at least one repository that does not exist or is not accessible")
    token, until = f"ghs_installation_{len(hub.app_tokens)}", hub.now() + timedelta(hours=1)
    hub.app_tokens[token] = until
    made = {"token": token, "expires_at": f"{until:%Y-%m-%dT%H:%M:%SZ}"}
    return Reply(
        201, hub.spec.example("POST", "/app/installations/{installation_id}/access_tokens", 201) | made
    )


@on("POST", "/user/repos")
def new_repository(hub, account, values, query, body):
    return _made(hub, hub.users[account], body)


@on("POST", "/orgs/{org}/repos")
def new_repository_of_organisation(hub, account, values, query, body):
    if values["org"] not in hub.organisations:
        raise Refusal(404, "Not Found", status="404")
    return _made(hub, values["org"], body)


def _made(hub, owner, body):
    if hub.there and (owner, body["name"]) == (hub.owner, hub.name):
        raise invalid(
            "name already exists on this account", resource="Repository", code="custom", field="name"
        )
    hub.owner, hub.name, hub.there, hub.private = owner, body["name"], True, body["private"]
    return Reply(201, repository(hub, None, {"owner": owner, "repo": hub.name}, {}, None).body)


@on("GET", REPOSITORY)
def repository(hub, account, values, query, body):
    if not hub.there or f"{values['owner']}/{values['repo']}" != f"{hub.owner}/{hub.name}":
        raise Refusal(404, "Not Found", status="404")
    found = hub.spec.example("GET", REPOSITORY)
    found = {key: one for key, one in found.items() if key not in {"parent", "source", "template_repository"}}
    found["owner"]["login"] = hub.owner
    found |= {
        "id": hub.number,
        "name": hub.name,
        "full_name": f"{hub.owner}/{hub.name}",
        "archived": False,
        "private": hub.private,
        "language": None,
    }
    return Reply(200, found | hub.settings)


@on("PATCH", REPOSITORY)
def change_repository(hub, account, values, query, body):
    hub.settings |= body
    return repository(hub, account, values, query, body)


@on("GET", REPOSITORY + "/actions/permissions/workflow")
def workflow(hub, account, values, query, body):
    example = hub.spec.example("GET", REPOSITORY + "/actions/permissions/workflow")
    known = {"can_approve_pull_request_reviews": hub.actions_approve}
    return Reply(200, example | known | {"default_workflow_permissions": hub.actions_token})


@on("PUT", REPOSITORY + "/actions/permissions/workflow")
def change_workflow(hub, account, values, query, body):
    hub.actions_approve = body["can_approve_pull_request_reviews"]
    hub.actions_token = body["default_workflow_permissions"]
    return Reply(204)


@on("GET", REPOSITORY + "/actions/permissions")
def actions(hub, account, values, query, body):
    return Reply(200, hub.spec.example("GET", REPOSITORY + "/actions/permissions") | {"enabled": hub.actions})


@on("GET", REPOSITORY + "/actions/permissions/fork-pr-contributor-approval")
def strangers(hub, account, values, query, body):
    if hub.private:
        raise Refusal(404, "Not Found", status="404")
    return Reply(200, {"approval_policy": hub.strangers})


@on("GET", REPOSITORY + "/actions/permissions/fork-pr-workflows-private-repos")
def forks(hub, account, values, query, body):
    if not hub.private:
        raise Refusal(404, "Not Found", status="404")
    return Reply(200, dict(hub.forks))


@on("GET", REPOSITORY + "/actions/runners")
def runners(hub, account, values, query, body):
    example = hub.spec.example("GET", REPOSITORY + "/actions/runners")["runners"][0]
    return Reply(
        200, {"total_count": len(hub.runners), "runners": [example | {"name": one} for one in hub.runners]}
    )


@on("GET", REPOSITORY + "/actions/secrets")
def secrets(hub, account, values, query, body):
    example = hub.spec.example("GET", REPOSITORY + "/actions/secrets")
    return Reply(200, example | {"total_count": hub.secrets})


@on("GET", REPOSITORY + "/activity")
def activity(hub, account, values, query, body):
    found = [one for one in reversed(hub.activity) if one[1] == query.get("ref", one[1])]
    size, start = min(int(query.get("per_page", 30)), 100), int(query.get("after", "0"))
    example = hub.spec.example("GET", REPOSITORY + "/activity")
    some = [
        example | {"id": start + place, "ref": ref, "before": before, "after": after, "timestamp": when, "activity_type": kind, "actor": None}
        for place, (when, ref, before, after, kind) in enumerate(found[start : start + size], 1)
    ]  # fmt: skip
    link = f'<{hub.api}/repositories/{hub.number}/activity?per_page={size}&after={start + size}>; rel="next"'
    return Reply(200, some, {"link": link} if start + size < len(found) else {})


@on("GET", REPOSITORY + "/pulls")
def pulls(hub, account, values, query, body):
    def wanted(pull):
        owner = "fork" if pull.get("fork") else hub.owner
        return (
            query.get("state", "open") in {"all", pull["state"]}
            and query.get("head") in {None, f"{owner}:{pull['branch']}"}
            and query.get("base") in {None, pull.get("base", "main")}
        )

    found = sorted(filter(wanted, hub.pulls.values()), key=lambda one: one["number"])
    found = found[::-1] if query.get("direction") == "desc" else found
    return hub.page(query, found, lambda one: hub.shown(one, REPOSITORY + "/pulls"))


@on("POST", REPOSITORY + "/pulls")
def open_pull(hub, account, values, query, body):
    branch = body["head"].removeprefix(f"{hub.owner}:")
    if branch not in hub.heads:
        raise invalid("head is invalid", resource="PullRequest", field="head", code="invalid")
    for one in hub.pulls.values():
        if one["branch"] == branch and one["state"] == "open":
            raise invalid(
                f"A pull request already exists for {hub.owner}:{branch}.",
                resource="PullRequest",
                code="custom",
            )
    made = {
        "number": len(hub.pulls) + 1, "branch": branch, "base": body["base"], "head": hub.heads[branch], "state": "open",
        "title": body["title"], "body": body.get("body"), "draft": body.get("draft", False), "author": account,
        "merged": None, "asked": set(),
    }  # fmt: skip
    hub.tick()
    number = made["number"]
    hub.pulls[number], hub.reviews[number], hub.comments[number] = made, [], []
    return Reply(201, hub.shown(made, REPOSITORY + "/pulls", "POST"))


@on("GET", REPOSITORY + "/pulls/{pull_number}")
def one_pull(hub, account, values, query, body):
    return Reply(200, hub.shown(hub.pull_at(values), REPOSITORY + "/pulls/{pull_number}"))


@on("PATCH", REPOSITORY + "/pulls/{pull_number}")
def change_pull(hub, account, values, query, body):
    pull = hub.pull_at(values)
    if len(body.get("body", "")) > 65536:
        raise invalid(
            "body is too long (maximum is 65536 characters)",
            resource="PullRequest",
            field="body",
            code="custom",
        )
    pull |= body
    return one_pull(hub, account, values, query, body)


@on("PUT", REPOSITORY + "/pulls/{pull_number}/merge")
def merge(hub, account, values, query, body):
    pull = hub.pull_at(values)
    method = body.get("merge_method", "merge")
    if pull["state"] == "closed":
        raise Refusal(405, "Pull Request is not mergeable", status="405")
    if pull["draft"]:
        raise Refusal(405, "Pull Request is still a draft", status="405")
    if hub.settings.get({"merge": "allow_merge_commit"}.get(method, f"allow_{method}_merge")) is False:
        raise Refusal(405, f"{method} merges are not allowed on this repository.", status="405")
    if body.get("sha", pull["head"]) != pull["head"]:
        raise Refusal(409, "Head branch was modified. Review and try the merge again.", status="409")
    for one in hub.rulesets.values():
        checks = {
            check["context"]
            for rule in one["rules"]
            if rule["type"] == "required_status_checks"
            for check in rule["parameters"]["required_status_checks"]
        }
        good = {
            one["context"] for one in hub.statuses.get(pull["head"], [])[-1:] if one["state"] == "success"
        }
        if checks - good and account not in {actor["actor_id"] for actor in one["bypass_actors"]}:
            raise Refusal(405, f"Required status check {sorted(checks)} is expected.", status="405")
    sha = hub.land(pull["number"], method)
    return Reply(200, {"sha": sha, "merged": True, "message": "Pull Request successfully merged"})


@on("POST", REPOSITORY + "/pulls/{pull_number}/requested_reviewers")
def ask(hub, account, values, query, body):
    pull = hub.pull_at(values)
    for login in body["reviewers"]:
        ident = next((one for one, known in hub.users.items() if known == login), None)
        if ident == pull["author"]:
            raise Refusal(422, "Review cannot be requested from pull request author.")
        if ident is None or login in hub.outsiders:
            raise Refusal(
                422,
                "Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a collaborator of the repository.",
            )
    pull["asked"] |= {hub.account(login).id for login in body["reviewers"]}
    return Reply(201, hub.shown(pull, REPOSITORY + "/pulls"))


@on("GET", REPOSITORY + "/pulls/{pull_number}/reviews")
def reviews(hub, account, values, query, body):
    pull = hub.pull_at(values)
    example = hub.spec.example("GET", REPOSITORY + "/pulls/{pull_number}/reviews")
    found = [
        one for one in hub.reviews[pull["number"]] if one["state"] != "PENDING" or one["user"] == account
    ]

    def show(one):
        known = {"id": one["id"], "state": one["state"], "body": one["body"], "commit_id": one["commit"]}
        shown = example | known | {"user": hub.user(one["user"]), "submitted_at": one["time"]}
        if one["state"] == "PENDING":
            del shown["submitted_at"]
        return shown

    return hub.page(query, found, show)


@on("GET", REPOSITORY + "/issues/{issue_number}/comments")
def comments(hub, account, values, query, body):
    pull = hub.pull_at(values, "issue_number")
    return hub.page(query, hub.comments[pull["number"]], lambda one: _comment(hub, one, "GET"))


@on("POST", REPOSITORY + "/issues/{issue_number}/comments")
def new_comment(hub, account, values, query, body):
    pull = hub.pull_at(values, "issue_number")
    made = hub.say(pull["number"], "x" if account < 0 else hub.users[account], body["body"])
    made |= {"user": account, "app": hub.app if account < 0 else None}
    return Reply(201, _comment(hub, made, "POST"))


def _comment(hub, one, method):
    example = hub.spec.example(
        method, REPOSITORY + "/issues/{issue_number}/comments", 201 if method == "POST" else 200
    )
    app_of = {"id": one["app"]} if one["app"] else None
    by = app_of and hub.spec.example("GET", "/apps/{app_slug}") | app_of
    known = {"id": one["id"], "body": one["body"], "created_at": one["time"], "updated_at": one["time"]}
    return example | known | {"user": hub.user(one["user"]), "performed_via_github_app": by}


@on("GET", REPOSITORY + "/commits/{ref}/status")
def status(hub, account, values, query, body):
    example = hub.spec.example("GET", REPOSITORY + "/commits/{ref}/status")
    sent = hub.statuses.get(values["ref"], [])
    newest = {one["context"]: one for one in sent}
    known = [example["statuses"][0] | one for one in newest.values()]
    return Reply(200, example | {"sha": values["ref"], "statuses": known, "total_count": len(known)})


@on("POST", REPOSITORY + "/statuses/{sha}")
def new_status(hub, account, values, query, body):
    if len(body.get("description") or "") > 140:
        raise invalid("description is too long (maximum is 140 characters)", resource="Status", code="custom")
    full = {"description": None, "target_url": None, "context": "default", **body}
    hub.statuses.setdefault(values["sha"], []).append(full)
    return Reply(201, hub.spec.example("POST", REPOSITORY + "/statuses/{sha}", 201) | full)


@on("GET", REPOSITORY + "/hooks")
def hooks(hub, account, values, query, body):
    return hub.page(query, list(hub.hooks.values()), lambda one: _hook(hub, one))


@on("POST", REPOSITORY + "/hooks")
def new_hook(hub, account, values, query, body):
    hub.hooks[len(hub.hooks) + 1] = {"id": len(hub.hooks) + 1, **body}
    return Reply(201, _hook(hub, hub.hooks[len(hub.hooks)]))


@on("PATCH", REPOSITORY + "/hooks/{hook_id}")
def change_hook(hub, account, values, query, body):
    hub.hooks[int(values["hook_id"])] |= body
    return Reply(200, _hook(hub, hub.hooks[int(values["hook_id"])]))


def _hook(hub, one):
    example = hub.spec.example("GET", REPOSITORY + "/hooks")
    config = dict(one["config"])
    if "secret" in config:
        config["secret"] = "********"
    return example | {"id": one["id"], "active": one["active"], "events": one["events"], "config": config}


@on("GET", REPOSITORY + "/rulesets")
def rulesets(hub, account, values, query, body):
    return hub.page(query, list(hub.rulesets.values()), lambda one: _ruleset(hub, one, GIVEN))


@on("POST", REPOSITORY + "/rulesets")
def new_ruleset(hub, account, values, query, body):
    if any(one["name"] == body["name"] for one in hub.rulesets.values()):
        raise Refusal(422, "Validation Failed", errors=["Name must be unique"])
    ident = len(hub.rulesets) + 1
    hub.rulesets[ident] = {"id": ident, **body}
    return Reply(201, _ruleset(hub, hub.rulesets[ident]))


@on("GET", REPOSITORY + "/rulesets/{ruleset_id}")
def one_ruleset(hub, account, values, query, body):
    found = hub.rulesets.get(int(values["ruleset_id"]))
    if found is None:
        raise Refusal(404, "Not Found", status="404")
    me = ("Integration", -account) if account < 0 else ("User", account)
    around = {(one["actor_type"], one["actor_id"]) for one in found["bypass_actors"]}
    mine = {"current_user_can_bypass": "always" if me in around else "never"}
    return Reply(200, _ruleset(hub, found) | mine)


@on("PUT", REPOSITORY + "/rulesets/{ruleset_id}")
def change_ruleset(hub, account, values, query, body):
    hub.rulesets[int(values["ruleset_id"])] |= body
    return one_ruleset(hub, account, values, query, body)


GIVEN = {"bypass_actors", "conditions", "rules"}


def _ruleset(hub, one, hidden=frozenset()):
    base = {"source_type": "Repository", "source": f"{hub.owner}/{hub.name}"}
    hidden = hidden if hub.sees_bypass else {*hidden, "bypass_actors"}
    return base | {key: value for key, value in one.items() if key not in hidden}


@on("GET", REPOSITORY + "/rules/branches/{branch}")
def rules(hub, account, values, query, body):
    found = []
    for one in hub.rulesets.values():
        names = one["conditions"]["ref_name"]["include"]
        if one["enforcement"] == "active" and any(
            fnmatchcase(f"refs/heads/{values['branch']}", name) for name in names
        ):
            origin = {
                "ruleset_id": one["id"],
                "ruleset_source_type": "Repository",
                "ruleset_source": hub.name,
            }
            found += [rule | origin for rule in one["rules"]]
    return hub.page(query, found)


@on("GET", REPOSITORY + "/branches/{branch}/protection")
def protection(hub, account, values, query, body):
    found = hub.protection.get(values["branch"])
    if found is None:
        raise Refusal(404, "Branch not protected", status="404")
    return Reply(200, found)


@on("POST", REPOSITORY + "/pulls/{pull_number}/reviews")
def new_review(hub, account, values, query, body):
    pull = hub.pull_at(values)
    if pull["author"] == account and body["event"] == "APPROVE":
        raise Refusal(422, "Unprocessable Entity", errors=["Can not approve your own pull request"])
    words = {"APPROVE": "approve", "REQUEST_CHANGES": "return", "COMMENT": "comment"}
    hub.review(pull["number"], hub.users[account], words[body["event"]], body.get("body", ""))
    return Reply(200, reviews(hub, account, values, {"per_page": "100"}, None).body[-1])


@on("GET", REPOSITORY + "/commits/{ref}/statuses")
def every_status(hub, account, values, query, body):
    example = hub.spec.example("GET", REPOSITORY + "/commits/{ref}/statuses")
    return hub.page(query, hub.statuses.get(values["ref"], [])[::-1], lambda one: example | one)


@on("GET", REPOSITORY + "/git/ref/{ref}")
def reference(hub, account, values, query, body):
    branch = values["ref"].removeprefix("heads/")
    if branch not in hub.heads:
        raise Refusal(404, "Not Found", status="404")
    example = hub.spec.example("GET", REPOSITORY + "/git/ref/{ref}")
    return Reply(
        200,
        example | {"ref": f"refs/heads/{branch}", "object": example["object"] | {"sha": hub.heads[branch]}},
    )


@on("POST", REPOSITORY + "/git/refs")
def new_reference(hub, account, values, query, body):
    hub.pushed(body["ref"], body["sha"], "branch_creation")
    return Reply(201, reference(hub, account, {"ref": body["ref"].removeprefix("refs/")}, {}, None).body)


@on("PATCH", REPOSITORY + "/git/refs/{ref}")
def move_reference(hub, account, values, query, body):
    hub.pushed(
        values["ref"].removeprefix("heads/"), body["sha"], "force_push" if body.get("force") else "push"
    )
    return reference(hub, account, values, {}, None)


@on("DELETE", REPOSITORY + "/git/refs/{ref}")
def remove_reference(hub, account, values, query, body):
    hub.cut(values["ref"].removeprefix("heads/"))
    return Reply(204)


@on("GET", REPOSITORY + "/branches/{branch}")
def branch(hub, account, values, query, body):
    if values["branch"] not in hub.heads:
        raise Refusal(404, "Branch not found", status="404")
    example = hub.spec.example("GET", REPOSITORY + "/branches/{branch}")
    return Reply(200, example | {"name": values["branch"]})


@on("GET", REPOSITORY + "/contents/{path}")
def file(hub, account, values, query, body):
    if (query["ref"], values["path"]) not in hub.files:
        raise Refusal(404, "Not Found", status="404")
    example = hub.spec.example("PUT", REPOSITORY + "/contents/{path}", 201)["content"]
    data = hub.files[query["ref"], values["path"]]
    sha = hashlib.sha1(data).hexdigest()
    content = base64.encodebytes(data).decode()
    known = {"path": values["path"], "type": "file", "sha": sha, "encoding": "base64", "content": content}
    return Reply(200, example | known)


@on("PUT", REPOSITORY + "/contents/{path}")
def new_file(hub, account, values, query, body):
    if any(one["name"] == "Placet: what lands" for one in hub.rulesets.values()) and body["branch"] == "main":
        raise Refusal(409, "Repository rule violations found", status="409")
    hub.files[body["branch"], values["path"]] = base64.b64decode(body["content"])
    sha = hub.push(body["branch"])
    example = hub.spec.example("PUT", REPOSITORY + "/contents/{path}", 201)
    return Reply(201, example | {"commit": example["commit"] | {"sha": sha}})
