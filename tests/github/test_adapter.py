"""What only GitHub has: forced pushes, Apps, rate limits, renamed repositories, rulesets."""

import json
from dataclasses import replace
from typing import ClassVar

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from github.fake import FakeGitHub, Reply
from github.scene import TOKEN, GitHubScene, app_key, pem
from github.spec import Mismatch, spec
from placet.adapters.forge.github import api_of
from placet.adapters.forge.github_auth import App
from placet.adapters.forge.github_record import Record
from placet.errors import Invalid, NotFound, Refused, Unavailable
from placet.ports import Account, Commission
from placet.testing.forge_suite import open_one

BRANCH = "refs/heads/proposals/" + "1" * 32
COMMISSION = Commission(
    main="main",
    published=("published", "published-*"),
    status="placet",
    agents=("placet-bot",),
    owners=(1001,),
    hook="https://agent.example/webhook",
    secret="a secret that is long",
)


@pytest.fixture
def scene():
    made = GitHubScene()
    assert made.account("dana").id == 1001
    return made


@pytest.fixture
def pull(scene):
    scene.push(BRANCH)
    found = open_one(scene.forge, BRANCH)
    scene.requests()
    return found


def commits(scene, number):
    return [one.commit for one in scene.forge.reviews(number)]


# --- what was reviewed ----------------------------------------------------------------------------


def test_github_moves_a_review_along_with_a_forced_push_and_placet_does_not_follow(scene, pull):
    scene.review(pull.number, "rita", "approve")
    assert commits(scene, pull.number) == [pull.head]
    head = scene.push(BRANCH, force=True)
    assert [one["commit"] for one in scene.hub.reviews[pull.number]] == [head]
    assert commits(scene, pull.number) == [""]


def test_going_back_by_force_to_what_was_there_before_revives_no_approval(scene, pull):
    good = scene.push(BRANCH)
    scene.review(pull.number, "rita", "approve")
    assert commits(scene, pull.number) == [good]
    scene.hub.pushed(BRANCH, pull.head, "force_push")
    assert [one["commit"] for one in scene.hub.reviews[pull.number]] == [pull.head]
    assert commits(scene, pull.number) == [""]


def test_without_the_guard_an_approval_would_follow_a_forced_push(scene, pull, monkeypatch):
    scene.review(pull.number, "rita", "approve")
    head = scene.push(BRANCH, force=True)
    assert commits(scene, pull.number) == [""]
    monkeypatch.setattr(Record, "reviewed", lambda self, review: review.commit_id)
    assert commits(scene, pull.number) == [head]


def test_a_branch_that_was_removed_and_made_anew_revives_none_either(scene, pull):
    scene.review(pull.number, "rita", "approve")
    scene.hub.pushed(BRANCH, pull.head, "branch_creation")
    assert commits(scene, pull.number) == [""]


def test_while_githubs_record_is_behind_nothing_is_approved(scene, pull):
    scene.push(BRANCH)
    scene.review(pull.number, "rita", "approve")
    late = scene.hub.activity.pop()
    assert commits(scene, pull.number) == [""]
    scene.hub.activity.append(late)
    assert commits(scene, pull.number) == [late[3]]


def test_an_approval_of_a_commit_that_came_later_counts_for_none(scene, pull):
    scene.review(pull.number, "rita", "approve")
    scene.hub.reviews[pull.number][0]["commit"] = scene.push(BRANCH)
    assert commits(scene, pull.number) == [""]


def test_changes_requested_stay_with_what_github_says(scene, pull):
    scene.review(pull.number, "rita", "return", "no")
    head = scene.push(BRANCH, force=True)
    assert commits(scene, pull.number) == [head]
    assert not any(path.endswith("/activity") for _, path, _ in scene.requests())


def test_a_long_record_is_read_to_its_end(scene, pull):
    for _ in range(230):
        head = scene.push(BRANCH)
    scene.review(pull.number, "rita", "approve")
    assert commits(scene, pull.number) == [head]


def test_a_review_without_a_commit_or_an_account_is_told_all_the_same(scene, pull):
    scene.review(pull.number, "rita", "approve", "from somebody who left")
    scene.hub.reviews[pull.number][0]["commit"] = None
    scene.hub.remove("rita")
    [found] = scene.forge.reviews(pull.number)
    assert (found.account, found.commit, found.text) == (Account(0, "ghost"), "", "from somebody who left")


# --- whose it is ----------------------------------------------------------------------------------


def test_a_forks_branch_of_the_same_name_is_no_proposal(scene, pull):
    whole = scene.hub.pulls[pull.number]
    scene.hub.pulls[2] = {**whole, "number": 2, "fork": True}
    scene.hub.pulls[3] = {**whole, "number": 3, "base": "published"}
    assert scene.forge.pull(BRANCH).number == pull.number


def test_the_same_comment_by_another_app_or_account_is_another_one():
    scene = GitHubScene(app=True)
    scene.push(BRANCH)
    number = open_one(scene.forge, BRANCH).number
    scene.say(number, "placet-bot", "published", app=78)
    scene.forge.comment(number, "published")
    scene.forge.comment(number, "published\r\n")
    assert [one["user"] for one in scene.hub.comments[number]] == [scene.account("placet-bot").id, -77]


def test_whoever_is_no_collaborator_keeps_nobody_else_from_being_asked(scene, pull):
    rita, eve = scene.account("rita").id, scene.account("eve").id
    scene.hub.outsiders.add("eve")
    scene.forge.request(pull.number, [eve, rita])
    assert scene.asked(pull.number) == {rita}


def test_who_has_reviewed_is_not_asked_again(scene, pull):
    rita = scene.account("rita").id
    scene.review(pull.number, "rita", "approve")
    scene.forge.request(pull.number, [rita])
    assert scene.asked(pull.number) == set()


def test_a_repository_is_found_by_its_former_name(scene, pull):
    scene.hub.move("hospital", "control")
    again = scene.connect(lambda: TOKEN)
    assert again.pull(BRANCH).number == pull.number
    assert scene.forge.pull(BRANCH).number == pull.number
    scene.forge.comment(pull.number, "still here")
    assert [one.text for one in scene.forge.remarks(pull.number)] == ["still here"]


# --- credentials ----------------------------------------------------------------------------------


def test_an_apps_token_is_renewed_in_time_and_is_for_one_repository_only():
    scene = GitHubScene(app=True)
    scene.forge.pull(BRANCH)
    scene.hub.tick(49 * 60)
    scene.forge.pull(BRANCH)
    assert len(scene.hub.app_tokens) == 1
    scene.hub.tick(2 * 60)
    scene.forge.pull(BRANCH)
    assert len(scene.hub.app_tokens) == 2


def test_an_app_whose_clock_is_wrong_is_refused_and_no_secret_is_told():
    scene = GitHubScene(app=True)
    wrong = App("Iv1.placet", pem(app_key()), lambda: replace_year(scene.hub.now()))
    with pytest.raises(Refused) as caught:
        scene.connect(wrong).pull(BRANCH)
    assert caught.value.kind == "forge-refused"
    assert wrong.jwt().split(".")[2] not in str(caught.value.to_dict())


def test_what_a_hostile_forge_repeats_of_a_secret_is_not_told():
    scene = GitHubScene(app=True)
    sent = []
    real = scene.hub.ask

    def repeat(method, path, query, headers, body):
        sent.append(headers["authorization"].split()[1])
        scene.hub.tick(2)
        if "/installation" in path and len(sent) < 3:
            return real(method, path, query, headers, body)
        return Reply(403, {"message": f"no: {sent[-1]}"})

    scene.hub.ask = repeat
    with pytest.raises(Refused) as caught:
        scene.forge.pull(BRANCH)
    assert "no: ***" in caught.value.why
    assert all(one not in str(caught.value.to_dict()) for one in sent)


def replace_year(moment):
    return moment.replace(year=moment.year + 1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
        pem(app_key()).replace(b"M", b"N"),
        ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        app_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"covered")),
        pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)),
    ],
    ids=["empty", "cut", "changed", "ed25519", "covered", "short"],
)
def test_a_key_that_is_none_is_refused(data):
    with pytest.raises(Invalid) as caught:
        App("77", data, lambda: None)
    assert caught.value.kind == "forge-key"


def test_what_is_shown_of_credentials_has_no_secret():
    scene = GitHubScene(app=True)
    scene.forge.pull(BRANCH)
    shown = repr(vars(scene.forge)) + repr(App("77", pem(app_key()), lambda: None))
    assert "ghs_" not in shown
    assert "PRIVATE" not in shown


@pytest.mark.parametrize("token", ["wrong", ""])
def test_a_wrong_token_is_refused(scene, token):
    with pytest.raises(Refused) as caught:
        scene.connect(lambda: token).pull(BRANCH)
    assert caught.value.details["status"] == 401


# --- limits and trouble ---------------------------------------------------------------------------


RESET = str(int(FakeGitHub().now().timestamp()) + 2700)


def limited(status, message="API rate limit exceeded for user ID 1000.", **headers):
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return Reply(status, {"message": message, "documentation_url": "https://docs.github.com/"}, named)


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (limited(403, x_ratelimit_remaining="0", x_ratelimit_reset=RESET), 2701),
        (limited(429, x_ratelimit_remaining="0", x_ratelimit_reset=RESET), 2701),
        (limited(403, "You have exceeded a secondary rate limit.", retry_after="61"), 61),
        (limited(403, "You have exceeded a secondary rate limit. Please wait a few minutes."), 60),
        (limited(429), 60),
    ],
    ids=["primary", "primary-429", "secondary", "untold", "untold-429"],
)
def test_a_rate_limit_says_when_to_come_back_and_nothing_is_asked_before(scene, pull, answer, seconds):
    scene.hub.ticks = 0
    scene.hub.instead.append(answer)
    with pytest.raises(Unavailable) as caught:
        scene.forge.pull(BRANCH)
    assert caught.value.kind == "forge-unreachable"
    assert abs(caught.value.details["retry_s"] - seconds) <= 1
    scene.requests()
    with pytest.raises(Unavailable):
        scene.forge.reviews(pull.number)
    assert scene.requests() == []


def test_a_short_limit_is_waited_for(scene, pull):
    scene.hub.instead.append(limited(403, "You have exceeded a secondary rate limit.", retry_after="3"))
    assert scene.forge.pull(BRANCH) == pull
    assert len(scene.naps) == 1
    assert 2 < scene.naps[0] <= 3


def test_what_the_credential_may_not_is_no_limit(scene, pull):
    scene.hub.instead.append(Reply(403, {"message": "Resource not accessible by integration"}))
    with pytest.raises(Refused) as caught:
        scene.forge.pull(BRANCH)
    assert "Resource not accessible" in str(caught.value)


def test_what_has_not_changed_is_not_sent_again(scene, pull):
    assert scene.forge.opened("1" * 32, BRANCH, pull.title, pull.body.replace("\n", "\r\n")) == pull.url
    assert {method for method, _, _ in scene.requests()} == {"GET"}
    seen = []
    original = scene.hub.ask
    scene.hub.ask = lambda *args: seen.append(original(*args)) or seen[-1]
    assert scene.forge.pull(BRANCH) == pull
    assert [one.status for one in seen] == [304]


def test_a_merge_whose_answer_was_lost_is_one(scene, pull):
    original = scene.hub.ask

    def losing(method, *rest):
        reply = original(method, *rest)
        if method == "PUT" and reply.status == 200:
            scene.hub.ask = original
            return Reply(502, {"message": "Server Error"})
        return reply

    scene.hub.ask = losing
    assert scene.forge.merge(BRANCH, pull.head) is True
    assert scene.forge.pull(BRANCH).state == "merged"


@pytest.mark.parametrize("allowed", ["merge", "squash", "rebase"])
def test_it_merges_by_the_way_that_is_allowed(scene, pull, allowed):
    names = {"merge": "allow_merge_commit", "squash": "allow_squash_merge", "rebase": "allow_rebase_merge"}
    scene.hub.settings |= {name: way == allowed for way, name in names.items()}
    used = []
    scene.hub.land_in_git = lambda head, method: used.append(method) or "b" * 40
    assert scene.forge.merge(BRANCH, pull.head) is True
    assert used == [allowed]


def test_somebody_may_open_it_at_the_same_moment(scene):
    scene.push(BRANCH)
    other = scene.connect(lambda: TOKEN)
    original = scene.hub.ask

    def racing(method, path, *rest):
        if method == "POST":
            scene.hub.ask = original
            other.opened("1" * 32, BRANCH, "a title", "a text")
        return original(method, path, *rest)

    scene.hub.ask = racing
    scene.forge.opened("1" * 32, BRANCH, "a title", "a text")
    assert len(scene.hub.pulls) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"id":1e400}',
        b"\xff",
        json.dumps(
            {"id": 1, "full_name": "a/b", "default_branch": "m", "owner": {"id": 1, "login": "a\nb"}}
        ).encode(),
        json.dumps(
            {"id": 1, "full_name": "../b", "default_branch": "m", "owner": {"id": 1, "login": "a"}}
        ).encode(),
        json.dumps(
            {"id": 1 << 60, "full_name": "a/b", "default_branch": "m", "owner": {"id": 1, "login": "a"}}
        ).encode(),
    ],
    ids=["html", "list", "empty", "deep", "number", "bytes", "login", "name", "large"],
)
def test_an_answer_that_is_none_is_said_to_be_so(scene, body):
    scene.hub.ask = lambda *_: Raw(body)
    with pytest.raises(Invalid) as caught:
        scene.forge.pull(BRANCH)
    assert caught.value.kind == "forge-answer"


class Raw:
    status = 200
    headers: ClassVar = {}

    def __init__(self, data):
        self.data = data


@pytest.mark.parametrize(
    ("api", "page"),
    [
        ("https://api.github.test", "https://github.test/clinic/ctrl/pull/1"),
        ("https://github.test/api/v3", "https://github.test/clinic/ctrl/pull/1"),
        ("https://api.clinic.example:444/api/v3", "https://api.clinic.example:444/clinic/ctrl/pull/1"),
    ],
)
def test_the_page_is_where_the_settings_say(scene, pull, api, page):
    """Whatever address the forge names."""
    scene.hub.api = api
    original = scene.hub.shown
    scene.hub.shown = lambda *some: original(*some) | {"html_url": "https://evil.test/clinic/ctrl/pull/1"}
    ask = scene._ask

    def by_path(request):
        request.url = request.url.copy_with(path=request.url.path.removeprefix("/api/v3"))
        return ask(request)

    scene._ask = by_path
    forge = scene.connect(lambda: TOKEN)
    assert forge.pull(BRANCH).url == page
    assert forge.opened("1" * 32, BRANCH, "another title", pull.body) == page


def test_nothing_is_sent_to_another_host(scene, pull):
    asked = []

    def ask(request):
        asked.append(request.url.host)
        headers = {"location": "https://evil.example/repos/clinic/ctrl"}
        return httpx.Response(301, headers=headers, stream=httpx.ByteStream(b""))

    scene._ask = ask
    forge = scene.connect(lambda: TOKEN)
    with pytest.raises(Invalid):
        forge.pull(BRANCH)
    assert set(asked) == {"api.github.test"}


def test_a_repository_that_is_not_there(scene):
    with pytest.raises(NotFound) as caught:
        scene.connect(lambda: TOKEN, "clinic/other").pull(BRANCH)
    assert caught.value.kind == "forge-missing"


def test_a_text_that_is_too_long_is_refused_and_nothing_else_happens(scene, pull):
    with pytest.raises(Refused):
        scene.forge.opened("1" * 32, BRANCH, "a title", "x" * 65537)
    assert scene.forge.pull(BRANCH) == pull


@pytest.mark.parametrize(
    ("url", "api"),
    [
        ("https://github.com", "https://api.github.com"),
        ("https://clinic.ghe.com", "https://api.clinic.ghe.com"),
        ("https://git.clinic.example:8443", "https://git.clinic.example:8443/api/v3"),
        ("https://github.com.evil.example", "https://github.com.evil.example/api/v3"),
    ],
)
def test_where_the_api_is(url, api):
    assert api_of(url) == api


# --- protection -----------------------------------------------------------------------------------


def holes(scene, commission=COMMISSION):
    return [one.what for one in scene.forge.holes(commission)]


def test_protection_is_set_up_once_and_closes_every_hole(scene):
    scene.forge.protect(COMMISSION)
    scene.forge.protect(COMMISSION)
    assert holes(scene) == []
    assert [one["name"] for one in scene.hub.rulesets.values()] == [
        "Placet: history stays",
        "Placet: what lands",
        "Placet: agents publish",
    ]
    assert len(scene.hub.hooks) == 1
    assert scene.hub.hooks[1]["config"]["secret"] == COMMISSION.secret
    assert b".placet/policy.yaml @dana" in scene.hub.files["main", "CODEOWNERS"]


def test_a_repository_is_made_private_and_by_no_app(scene):
    forge = scene.nowhere(organisation=False)
    assert forge.ensure() is True
    assert forge._known.private is True
    app = GitHubScene(app=True, there=False)
    with pytest.raises(Refused) as caught:
        app.forge.ensure()
    assert "person's token" in caught.value.mend
    assert {method for method, _, _ in app.requests()} == {"GET"}


def test_a_repository_that_somebody_else_made_just_now():
    scene = GitHubScene(there=False)
    real = scene.hub.ask

    def late(method, path, *rest):
        scene.hub.there = scene.hub.there or method == "POST"
        return real(method, path, *rest)

    scene.hub.ask = late
    assert scene.forge.ensure() is False


def test_where_nobody_may_make_one():
    scene = GitHubScene(there=False)
    with pytest.raises(NotFound):
        scene.connect(lambda: TOKEN, "elsewhere/ctrl").ensure()
    scene = GitHubScene(there=False)
    scene.hub.instead.extend([Reply(404, {"message": "Not Found"}), Reply(200, {"id": 1, "login": "x"})])
    scene.hub.instead.append(Reply(422, {"message": "Validation Failed"}))
    with pytest.raises(Refused):
        scene.forge.ensure()


def actors(scene, number):
    return {one["actor_id"] for one in scene.hub.rulesets[number]["bypass_actors"]}


def test_a_witness_pushes_to_main_and_publishes_nothing(scene):
    agent, witness, other = (scene.account(one).id for one in ("agent", "office", "other"))
    scene.forge.protect(replace(COMMISSION, agents=("agent",), witnesses=("office",)))
    assert (actors(scene, 2), actors(scene, 3)) == ({agent, witness}, {agent})
    assert holes(scene, replace(COMMISSION, agents=("agent",), witnesses=("office",))) == []
    [hole] = holes(scene, replace(COMMISSION, agents=("agent",)))[:1]
    assert f"user {witness}" in hole
    scene.forge.protect(replace(COMMISSION, agents=None))
    assert (actors(scene, 2), actors(scene, 3)) == ({agent, witness}, {agent}), "whoever is not named stays"
    scene.forge.protect(replace(COMMISSION, agents=None, witnesses=("other",)))
    assert (actors(scene, 2), actors(scene, 3)) == ({agent, other}, {agent})
    scene.forge.protect(replace(COMMISSION, agents=("office",)))
    assert (actors(scene, 2), actors(scene, 3)) == ({witness, other}, {witness})


def test_whoever_may_push_is_told_and_can_be_taken_away(scene):
    scene.account("agent"), scene.account("office")
    named = replace(COMMISSION, agents=("agent",), witnesses=("office",))
    scene.forge.protect(named)
    published = {"published": ["agent"], "published-*": ["agent"]}
    assert scene.forge.pushers(COMMISSION) == {"main": ["agent", "office"], **published}
    scene.forge.protect(replace(named, agents=None, witnesses=()))
    assert scene.forge.pushers(COMMISSION) == {"main": ["agent"], **published}
    scene.forge.protect(replace(named, agents=(), witnesses=None))
    assert scene.forge.pushers(COMMISSION) == {"main": [], "published": [], "published-*": []}
    assert holes(scene, replace(COMMISSION, agents=())) == []


def test_whom_a_team_or_a_key_lets_push_is_not_kept(scene):
    scene.forge.protect(replace(COMMISSION, agents=None))
    for kind, ident in (("Team", 8), ("DeployKey", None), ("OrganizationAdmin", 1)):
        bypassed(3, kind, ident)(scene.hub)
    scene.forge.protect(replace(COMMISSION, agents=None))
    assert holes(scene) == []
    assert actors(scene, 3) == {scene.me().id}


@pytest.mark.parametrize("app", [False, True])
def test_who_has_to_push_and_may_not_is_told(app):
    scene = GitHubScene(app=app)
    scene.account("agent"), scene.account("office"), scene.account("dana")
    me = "placet-app[bot]" if app else "placet-bot"
    scene.forge.protect(replace(COMMISSION, agents=("agent",)))
    wanted = replace(COMMISSION, agents=("agent",), mine=("main",))
    [hole] = scene.forge.holes(wanted)
    assert hole.what == f"This account, {me}, may not push to main, and has to."
    assert hole.mend.endswith(f"with --witness {me}.")
    found = scene.forge.holes(replace(wanted, mine=("main", "published")))
    assert [one.mend.rpartition("with ")[2] for one in found] == [f"--agent {me}."] * 2
    named = replace(wanted, witnesses=(me,))
    scene.forge.protect(named)
    assert scene.forge.holes(named) == []


def test_nothing_is_merged_before_the_status_says_so(scene, pull):
    scene.account("another-agent")
    scene.forge.protect(replace(COMMISSION, agents=("another-agent",)))
    scene.forge.status(pull.head, "pending", "1 of 2 approvals missing")
    with pytest.raises(Refused):
        scene.forge.merge(BRANCH, pull.head)
    assert scene.forge.pull(BRANCH) == pull
    scene.forge.status(pull.head, "success", "approved")
    assert scene.forge.merge(BRANCH, pull.head) is True


def test_the_status_is_bound_to_the_app():
    scene = GitHubScene(app=True)
    scene.forge.protect(replace(COMMISSION, agents=("placet-app[bot]",)))
    [check] = scene.hub.rulesets[2]["rules"][-1]["parameters"]["required_status_checks"]
    assert check == {"context": "placet", "integration_id": 77}
    assert scene.hub.rulesets[3]["bypass_actors"][0]["actor_type"] == "Integration"
    assert holes(scene, replace(COMMISSION, agents=("placet-app[bot]",))) == []


def without(number, kind):
    def change(hub):
        hub.rulesets[number]["rules"] = [one for one in hub.rulesets[number]["rules"] if one["type"] != kind]

    return change


def bypassed(number, kind="RepositoryRole", ident=5):
    def change(hub):
        actor = {"actor_id": ident, "actor_type": kind, "bypass_mode": "always"}
        hub.rulesets[number]["bypass_actors"] = [*hub.rulesets[number]["bypass_actors"], actor]

    return change


def hook(**values):
    def change(hub):
        config = hub.hooks[1]["config"]
        hub.hooks[1] |= {key: one for key, one in values.items() if key in hub.hooks[1]}
        config |= {key: one for key, one in values.items() if key not in hub.hooks[1]}

    return change


def parameter(**values):
    def change(hub):
        [rule] = [one for one in hub.rulesets[2]["rules"] if one["type"] == "pull_request"]
        rule["parameters"] |= values

    return change


def setting(**values):
    def change(hub):
        hub.settings |= values

    return change


def forked(**values):
    def change(hub):
        hub.forks |= {"run_workflows_from_fork_pull_requests": True, **values}

    return change


HOLES = {
    "deletion of main": (without(1, "deletion"), "main can be deleted"),
    "forced push to main": (without(1, "non_fast_forward"), "main can be rewritten"),
    "no pull request": (without(2, "pull_request"), "takes pushes that no pull request shows"),
    "no status": (without(2, "required_status_checks"), "whatever the commit status placet says"),
    "no code owner": (parameter(require_code_owner_review=False), "no code owner"),
    "dismissal": (parameter(dismiss_stale_reviews_on_push=True), "dismisses reviews with each push"),
    "administrators": (bypassed(1), "administrators of the repository"),
    "a team": (bypassed(1, "Team", 8), "team 8"),
    "others land": (bypassed(2, "User", 9), "user 9"),
    "organisation": (bypassed(2, "OrganizationAdmin", 1), "owners of the organisation"),
    "no CODEOWNERS": (lambda hub: hub.files.clear(), "CODEOWNERS does not name them"),
    "another CODEOWNERS": (
        lambda hub: hub.files.update({("main", ".github/CODEOWNERS"): b"* @eve"}),
        "dana may change",
    ),
    "not active": (lambda hub: hub.rulesets[1].update(enforcement="disabled"), "main can be deleted"),
    "published deletion": (without(1, "deletion"), "published can be deleted"),
    "published rewriting": (without(1, "non_fast_forward"), "published-* can be rewritten"),
    "everybody publishes": (without(3, "update"), "Everybody with write access may push to published"),
    "others publish": (bypassed(3, "DeployKey", None), "deploy keys"),
    "unseen": (lambda hub: setattr(hub, "sees_bypass", False), "cannot see"),
    "default branch": (setting(default_branch="main"), "default branch is main"),
    "branches go": (setting(delete_branch_on_merge=True), "deletes a proposal's branch"),
    "archived": (setting(archived=True), "archived"),
    "actions": (lambda hub: setattr(hub, "actions_approve", True), "may approve pull requests"),
    "actions write": (lambda hub: setattr(hub, "actions_token", "write"), "a token that may write"),
    "runners": (
        lambda hub: hub.runners.extend(["site-a-runner", "b"]),
        "registered with the Ctrl repository (b, site-a-runner)",
    ),
    "secrets": (lambda hub: setattr(hub, "secrets", 3), "secrets for workflows (3)"),
    "strangers": (
        lambda hub: (setattr(hub, "private", False), setattr(hub, "strangers", "first_time_contributors")),
        "strangers' pull requests run",
    ),
    "forks run": (forked(), "from forks run without"),
    "forks' secrets": (forked(send_secrets_and_variables=True), "from forks get the secrets"),
    "forks' tokens": (forked(send_write_tokens_to_workflows=True), "from forks get a token"),
    "no hook": (lambda hub: hub.hooks.clear(), "There is no webhook"),
    "hook off": (hook(active=False), "not active"),
    "hook without pushes": (hook(events=["pull_request"]), "not for pushes"),
    "hook without secret": (lambda hub: hub.hooks[1]["config"].pop("secret"), "no secret"),
    "hook by form": (hook(content_type="form"), "content type JSON"),
    "hook unchecked": (hook(insecure_ssl="1"), "without a look at the certificate"),
}


@pytest.mark.parametrize("name", HOLES)
def test_each_hole_is_said_with_its_mend(scene, name):
    change, words = HOLES[name]
    scene.forge.protect(COMMISSION)
    change(scene.hub)
    found = scene.forge.holes(COMMISSION)
    assert found
    assert any(words in one.what for one in found), found
    assert all(one.mend.endswith(".") for one in found)


def test_where_actions_are_off_nothing_of_them_is_open(scene):
    scene.forge.protect(COMMISSION)
    scene.hub.actions_approve, scene.hub.secrets, scene.hub.runners = True, 3, ["runner"]
    forked(send_secrets_and_variables=True)(scene.hub)
    assert len(holes(scene)) == 5
    scene.hub.actions = False
    assert holes(scene) == []


def test_a_public_repository_that_asks_about_every_stranger(scene):
    scene.forge.protect(COMMISSION)
    scene.hub.private = False
    assert holes(scene) == []


def switch(on):
    return {"url": "https://api.github.test/x", "enabled": on}


def classic(**more):
    who = {"users": [], "teams": [], "apps": []}
    urls = dict.fromkeys(("url", "users_url", "teams_url", "apps_url"), "https://api.github.test/x")
    return {
        "enforce_admins": switch(True),
        "allow_deletions": {"enabled": False},
        "allow_force_pushes": {"enabled": False},
        "required_status_checks": {"contexts": ["placet"], "checks": [{"context": "placet", "app_id": None}]},
        "required_pull_request_reviews": {
            "dismiss_stale_reviews": False,
            "require_code_owner_reviews": True,
        },
        "restrictions": {**urls, **who, "users": [spec().example("GET", "/repos/{owner}/{repo}/pulls/{pull_number}")["user"] | {"id": 1000, "login": "placet-bot"}]},
        **more,
    }  # fmt: skip


def test_the_older_branch_protection_counts_as_well(scene):
    scene.forge.protect(COMMISSION)
    scene.hub.rulesets.clear()
    for branch in ("main", "published", "published-example"):
        scene.hub.protection[branch] = classic()
    assert holes(scene) == []
    scene.hub.protection["main"] = classic(enforce_admins=switch(False))
    scene.hub.protection["published"] = classic(allow_force_pushes={"enabled": True})
    found = holes(scene)
    assert any("administrators of the repository" in one for one in found)
    assert any("published can be rewritten" in one for one in found)


def test_what_cannot_be_seen_is_no_hole_but_said(scene):
    real = scene.hub.ask

    def limited_view(method, path, *rest):
        hidden = path.endswith("/protection") or "/rules/branches/" in path or "/actions/" in path
        return Reply(403, {"message": "Upgrade to GitHub Pro"}) if hidden else real(method, path, *rest)

    scene.hub.ask = limited_view
    scene.hub.settings["delete_branch_on_merge"] = False
    found = holes(scene, replace(COMMISSION, owners=(), hook=None))
    assert found
    assert all("cannot see" in one for one in found), found


def test_a_time_without_a_zone_is_no_time(scene, pull):
    scene.review(pull.number, "rita", "approve")
    scene.hub.reviews[pull.number][0]["time"] = "2026-11-24T09:00:00"
    with pytest.raises(Invalid) as caught:
        scene.forge.reviews(pull.number)
    assert caught.value.kind == "forge-answer"


# --- the fake itself ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "query", "body"),
    [
        ("GET", "/repos/a/b/nothing", {}, None),
        ("GET", "/repos/a/b/pulls", {"limit": "50"}, None),
        ("GET", "/repos/a/b/pulls", {"state": "any"}, None),
        ("GET", "/repos/a/b/pulls/x", {}, None),
        ("POST", "/repos/a/b/pulls", {}, {"head": "x"}),
        ("POST", "/repos/a/b/pulls", {}, {"head": "x", "base": "main", "tittle": "x"}),
        ("POST", "/repos/a/b/statuses/x", {}, {"state": "fine"}),
        ("PUT", "/repos/a/b/pulls/1/merge", {}, {"merge_method": "any"}),
        (
            "POST",
            "/repos/a/b/rulesets",
            {},
            {"name": "x", "enforcement": "active", "rules": [{"type": "any"}]},
        ),
    ],
)
def test_a_request_that_github_does_not_describe_is_a_mistake(method, path, query, body):
    with pytest.raises(Mismatch):
        spec().check_request(method, path, query, body)


def test_an_answer_that_github_does_not_describe_is_a_mistake():
    good = spec().example("GET", "/repos/{owner}/{repo}/pulls/{pull_number}") | {"requested_teams": []}
    spec().check_answer("GET", "/repos/a/b/pulls/1", 200, good)
    for bad in (good | {"number": "1"}, {key: one for key, one in good.items() if key != "head"}):
        with pytest.raises(Mismatch):
            spec().check_answer("GET", "/repos/a/b/pulls/1", 200, bad)
    with pytest.raises(Mismatch):
        spec().check_answer("GET", "/repos/a/b/pulls/1", 418, good)
