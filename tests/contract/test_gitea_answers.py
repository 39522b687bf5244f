"""The Gitea adapter on answers that a server gives seldom or never: ghosts, races, other makes, hostile ones.

What Gitea itself does is in tests/gitea.
"""

import json
from datetime import UTC, datetime
from urllib.parse import unquote

import httpx
import pytest

from placet.adapters.forge.gitea import GiteaForge
from placet.adapters.forge.http import ForgeHttp, Place
from placet.errors import Conflict, Invalid, NotFound, PlacetError, Refused
from placet.ports import Account, Commission

REPO, HEAD, OTHER = "repos/study/ctrl", "1" * 40, "2" * 40
NEW = f"{REPO}/pulls/main/proposals/1"
PAGE = "https://git.example.org/study/ctrl/pulls/7"
PULL = {
    "number": 7, "html_url": "https://evil.example.org/study/ctrl/pulls/7", "state": "open", "title": "title",
    "body": "body", "user": {"id": 3, "login": "site-a"}, "head": {"label": "proposals/1", "sha": HEAD, "repo_id": 1},
    "base": {"label": "main", "sha": "", "repo_id": 1},
}  # fmt: skip


class Server:
    """Answers by method and path: a value, or a list of (status, value) one after the other."""

    def __init__(self, **_):
        self.answers = {("GET", NEW): PULL, ("GET", f"{REPO}/pulls/7"): PULL}
        self.asked = []
        self.slept = []
        place = Place(
            "https://git.example.org/api/v1", dict, lambda: datetime.now(UTC), sleep=self.slept.append
        )
        self.forge = GiteaForge(ForgeHttp(place, httpx.MockTransport(self._handle)), "study", "ctrl")

    def _handle(self, request):
        path = unquote(request.url.path).removeprefix("/api/v1/")
        self.asked.append((request.method, path, json.loads(request.content or b"null")))
        found = self.answers.get((request.method, path), [(404, {"message": "none"})])
        status, value = (
            (found.pop(0) if len(found) > 1 else found[0]) if isinstance(found, list) else (200, found)
        )
        return httpx.Response(status, json=value)

    def said(self, method):
        return [(path, body) for verb, path, body in self.asked if verb == method]


@pytest.fixture
def server():
    return Server()


@pytest.mark.parametrize(
    "change",
    [
        {"number": 0},
        {"state": "locked"},
        {"number": "7"},
        {"head": {"label": "proposals/1", "sha": "../../etc"}},
        {"user": {"id": 3, "login": "a\nb"}},
        {"user": {"id": 3, "login": "@everyone"}},
        {"title": None},
    ],
)
def test_a_pull_request_of_another_form_is_none(server, change):
    server.answers["GET", NEW] = {**PULL, **change}
    with pytest.raises(Invalid) as caught:
        server.forge.pull("proposals/1")
    assert caught.value.kind == "forge-answer"


def test_the_page_is_where_the_settings_say(server):
    """Whatever address the forge names."""
    assert server.forge.pull("proposals/1").url == PAGE
    assert server.forge.opened("1", "proposals/1", "title", "body") == PAGE
    server.answers["POST", f"{REPO}/pulls/7/merge"] = [(405, {"message": "no"})]
    with pytest.raises(Refused) as caught:
        server.forge.merge("proposals/1", HEAD)
    assert caught.value.mend == f"Look at {PAGE}"


def test_whoever_was_deleted_is_a_ghost(server):
    server.answers["GET", NEW] = {**PULL, "user": None}
    review = {"id": 1, "state": "APPROVED", "commit_id": HEAD, "submitted_at": "2026-11-24T11:00:00+01:00"}
    server.answers["GET", f"{REPO}/pulls/7/reviews"] = [
        (200, [{**review, "user": {"id": -1, "login": "Ghost"}}, {**review, "id": 2, "state": "LATER"}])
    ]
    [found] = server.forge.reviews(7)
    assert (found.account, found.time) == (Account(0, "ghost"), "2026-11-24T10:00:00Z")
    assert server.forge.pull("proposals/1").author == Account(0, "ghost")


def test_beside_a_closed_one_a_newer_is_looked_for(server):
    """By base and head Gitea tells any of several; forks have branches of the same names."""
    server.answers["GET", NEW] = {**PULL, "state": "closed"}
    fork = {**PULL, "number": 9, "head": {**PULL["head"], "repo_id": 2}}
    other = {**PULL, "number": 10, "head": {**PULL["head"], "label": "proposals/2"}}
    newer = {**PULL, "number": 8}
    server.answers["GET", f"{REPO}/pulls"] = [(200, [other, fork, newer, {**PULL, "state": "closed"}])]
    assert server.forge.pull("refs/heads/proposals/1").number == 8
    server.answers["GET", f"{REPO}/pulls"] = [(200, [other, fork, {**PULL, "state": "closed"}])]
    assert (server.forge.pull("proposals/1").number, server.forge.pull("proposals/1").state) == (7, "closed")


def test_what_was_pushed_just_now_is_waited_for(server):
    server.answers["GET", NEW] = [(404, {}), (200, PULL)]
    server.answers["POST", f"{REPO}/pulls"] = [(404, {}), (404, {}), (201, PULL)]
    assert server.forge.opened("1", "proposals/1", "title", "body") == PAGE
    assert server.slept == [0.5, 0.5]
    server.answers["GET", NEW] = [(404, {})]
    server.answers["POST", f"{REPO}/pulls"] = [(404, {})]
    with pytest.raises(NotFound):
        server.forge.opened("1", "proposals/1", "title", "body")


def test_somebody_else_opened_it_at_the_same_time(server):
    server.answers["GET", NEW] = [(404, {}), (200, PULL)]
    server.answers["POST", f"{REPO}/pulls"] = [(409, {"message": "already exists"})]
    assert server.forge.opened("1", "proposals/1", "title", "body") == PAGE
    assert server.said("PATCH") == []
    server.answers["GET", NEW] = [(404, {})]
    with pytest.raises(Conflict):
        server.forge.opened("1", "proposals/1", "title", "body")


@pytest.mark.parametrize(
    ("answers", "after", "error", "kind"),
    [
        ([(405, {"message": "Please try again later"}), (200, {})], {"merged": True}, None, ""),
        (
            [(409, {"message": "head out of date"})],
            {"head": {**PULL["head"], "sha": OTHER}},
            Conflict,
            "ref-moved",
        ),
        ([(409, {"message": "conflict"})], {}, Refused, "forge-refused"),
        ([(405, {"message": "Not all required status checks successful"})], {}, Refused, "forge-refused"),
        ([(405, {"message": ""})], {"merged": True}, None, ""),
        ([(403, {"message": "no"})], {}, Refused, "forge-refused"),
    ],
)
def test_a_merge_is_what_the_pull_request_says_afterwards(server, answers, after, error, kind):
    server.answers["POST", f"{REPO}/pulls/7/merge"] = answers
    server.answers["GET", f"{REPO}/pulls/7"] = {**PULL, **after}
    if error is None:
        assert server.forge.merge("proposals/1", HEAD) is True
        assert server.said("POST")[0][1] == {"Do": "merge", "head_commit_id": HEAD}
    else:
        with pytest.raises(error) as caught:
            server.forge.merge("proposals/1", HEAD)
        assert caught.value.kind == kind


def test_nobody_is_asked_twice(server):
    """Nor who has reviewed this head; who has reviewed another one is asked again."""

    def review(ident, state, commit):
        user = {"id": ident, "login": f"u{ident}"}
        return {
            "id": ident,
            "user": user,
            "state": state,
            "commit_id": commit,
            "submitted_at": "2026-11-24T10:00:00Z",
        }

    reviews = [review(11, "REQUEST_REVIEW", ""), review(12, "APPROVED", HEAD), review(13, "APPROVED", OTHER)]
    server.answers["GET", f"{REPO}/pulls/7/reviews"] = [(200, reviews)]
    server.answers["GET", "users/search"] = {"data": [{"id": one, "login": f"u{one}"} for one in range(20)]}
    server.answers["POST", f"{REPO}/pulls/7/requested_reviewers"] = [(422, {"message": "may not read"})]
    server.forge.request(7, [3, 11, 12, 13, 13, 99])
    assert [body["reviewers"] for _, body in server.said("POST")] == [["u13"]]


def test_forgejo_binds_administrators_by_another_name(server):
    rule = {"rule_name": "published", "enable_push": False, "apply_to_admins": True}
    main = {**rule, "rule_name": "main", "enable_status_check": True, "status_check_contexts": ["placet"]}
    main |= {"block_on_rejected_reviews": True}
    server.answers["GET", f"{REPO}/branch_protections"] = [(200, [rule, main])]
    server.answers["GET", REPO] = {"default_branch": "published"}
    commission = Commission(main="main", published=("published",), status="placet")
    assert list(server.forge.holes(commission)) == []
    server.answers["GET", f"{REPO}/branch_protections"] = [(200, [rule, {**main, "apply_to_admins": False}])]
    assert [one.what for one in server.forge.holes(commission)] == [
        "Administrators may merge into main whatever its rule says."
    ]


def test_a_file_that_is_no_base64_is_refused(server):
    server.answers["GET", f"{REPO}/branch_protections"] = [(200, [])]
    server.answers["GET", REPO] = {"default_branch": "published"}
    server.answers["GET", f"{REPO}/contents/CODEOWNERS"] = {"sha": "x", "content": "é"}
    with pytest.raises(PlacetError) as caught:
        list(server.forge.holes(Commission(main="main", published=("published",), status="placet")))
    assert caught.value.kind == "forge-answer"


def test_many_runners_are_named_in_part(server):
    """And where the forge is too old to tell of them, nothing is said."""
    server.answers["GET", f"{REPO}/branch_protections"] = [(200, [])]
    server.answers["GET", REPO] = {"default_branch": "published", "has_actions": True}
    server.answers["GET", f"{REPO}/actions/secrets"] = [(200, [])]
    runners = [{"name": f"runner-{one}"} for one in range(9)]
    server.answers["GET", f"{REPO}/actions/runners"] = {"runners": runners, "total_count": 9}
    commission = Commission(main="main", published=("published",), status="placet")
    [hole] = [one.what for one in server.forge.holes(commission) if "unners" in one.what]
    assert "(runner-0, runner-1, runner-2, runner-3, runner-4, ...)" in hole
    del server.answers["GET", f"{REPO}/actions/runners"]
    assert not any("unners" in one.what for one in server.forge.holes(commission))


def test_somebody_else_made_the_repository_at_the_same_time(server):
    server.answers["GET", "user"] = {"id": 3, "login": "Study"}
    server.answers["GET", REPO] = [(404, {}), (200, {"default_branch": "main"})]
    server.answers["POST", "user/repos"] = [(409, {"message": "already exists"})]
    assert server.forge.ensure() is False
    [(_, body)] = server.said("POST")
    assert body == {"name": "ctrl", "private": True, "default_branch": "main"}
    server.answers["GET", REPO] = [(404, {})]
    with pytest.raises(Conflict):
        server.forge.ensure()
