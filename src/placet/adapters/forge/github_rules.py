"""A repository's protection on GitHub: what Placet sets (rulesets, a webhook), and what holds there anyway.

Rulesets and the older branch protection both count; GitHub tells for each branch what is in force, wherever
it was set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from placet.adapters.forge.github_answers import (
    BranchProtection,
    Created,
    Hook,
    Integration,
    Named,
    Repository,
    Rule,
    Ruleset,
    User,
    WorkflowRights,
)
from placet.adapters.forge.http import ForgeHttp
from placet.errors import Refused
from placet.ports import Commission, Hole

EVENTS = ("issue_comment", "pull_request", "pull_request_review", "push")
_ROLES = {2: "maintainers", 4: "everybody with write access", 5: "administrators of the repository"}
_BOT = "[bot]"
_PAGE = {"per_page": 100}
_WHERE = "Settings, Rules, Rulesets"


# --- setting up -----------------------------------------------------------------------------------


def protect(
    http: ForgeHttp, known: Repository, commission: Commission, app: Callable[[], int] | None
) -> None:
    """Make it so; what others have set stays."""
    at = f"/repos/{known.full_name}"
    wanted = _rulesets(http, commission, app() if app else None)
    there = {
        one.name: one.id
        for one in http.pages(f"{at}/rulesets", Named, {"includes_parents": "false", **_PAGE})
    }
    for ruleset in wanted:
        ident = there.get(str(ruleset["name"]))
        way, path = ("PUT", f"{at}/rulesets/{ident}") if ident else ("POST", f"{at}/rulesets")
        http.call(way, path, body=ruleset).read(Created)
    http.call("PATCH", at, body={"delete_branch_on_merge": False}).read(Created)
    if commission.hook is not None:
        _hook(http, at, commission.hook, commission.secret)


def _rulesets(http: ForgeHttp, commission: Commission, app: int | None) -> list[dict[str, object]]:
    check: dict[str, object] = {"context": commission.status}
    if app is not None:
        check["integration_id"] = app
    kept: list[dict[str, object]] = [{"type": "deletion"}, {"type": "non_fast_forward"}]
    reviewed = {
        "required_approving_review_count": 0,
        "require_code_owner_review": True,
        "dismiss_stale_reviews_on_push": False,
        "require_last_push_approval": False,
        "required_review_thread_resolution": False,
    }
    checked = {"strict_required_status_checks_policy": False, "required_status_checks": [check]}
    landing = [
        *kept,
        {"type": "pull_request", "parameters": reviewed},
        {"type": "required_status_checks", "parameters": checked},
    ]
    actors = [_actor(http, login) for login in commission.agents]
    return [
        _ruleset("Placet: what lands", [commission.main], landing, []),
        _ruleset("Placet: what was published stays", commission.published, kept, []),
        _ruleset("Placet: agents publish", commission.published, [{"type": "update"}], actors),
    ][: 3 if actors else 2]


def _ruleset(
    name: str, branches: Sequence[str], rules: Sequence[object], actors: Sequence[object]
) -> dict[str, object]:
    return {
        "name": name,
        "target": "branch",
        "enforcement": "active",
        "bypass_actors": list(actors),
        "conditions": {"ref_name": {"include": [f"refs/heads/{one}" for one in branches], "exclude": []}},
        "rules": list(rules),
    }


def _actor(http: ForgeHttp, login: str) -> dict[str, object]:
    kind, ident = _who(http, login)
    return {"actor_id": ident, "actor_type": kind, "bypass_mode": "always"}


def _who(http: ForgeHttp, login: str) -> tuple[str, int]:
    """An agent as rulesets name it."""
    if login.endswith(_BOT):
        return "Integration", http.get(f"/apps/{quote(login.removesuffix(_BOT), safe='')}", Integration).id
    return "User", http.get(f"/users/{quote(login, safe='')}", User).id


def _hook(http: ForgeHttp, at: str, url: str, secret: str | None) -> None:
    config = {"url": url, "content_type": "json", "insecure_ssl": "0"} | (
        {"secret": secret} if secret else {}
    )
    body = {"active": True, "events": list(EVENTS), "config": config}
    for one in http.pages(f"{at}/hooks", Hook, _PAGE):
        if one.config.url == url:
            http.call("PATCH", f"{at}/hooks/{one.id}", body=body).read(Created)
            return
    http.call("POST", f"{at}/hooks", body={"name": "web", **body}).read(Created)


# --- looking --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Guard:
    """One rule that holds for a branch, and who may go around it: None where that cannot be seen."""

    kind: str
    around: frozenset[str] | None


_NEEDED = {
    "deletion": "can be deleted",
    "non_fast_forward": "can be rewritten by a forced push",
    "pull_request": "takes pushes that no pull request shows",
    "owners": "takes changes of the policy that no code owner has reviewed",
    "status": "takes merges whatever the commit status {status} says",
}


def holes(http: ForgeHttp, known: Repository, commission: Commission) -> list[Hole]:
    """What is left open, the repository itself first."""
    at = f"/repos/{known.full_name}"
    found = [*_of_repository(http, at, known, commission)]
    found += _of_main(_guards(http, at, commission.main, commission.status), commission)
    for glob in commission.published:
        guards = _guards(http, at, glob.replace("*", "example"), commission.status)
        found += _of_published(http, glob, guards, commission)
    if commission.hook is not None:
        found += _of_hook(http, at, commission.hook)
    return found


def _of_repository(http: ForgeHttp, at: str, known: Repository, commission: Commission) -> Iterator[Hole]:
    if known.archived:
        yield Hole("The repository is archived: nothing can be proposed or published.", "Unarchive it.")
    if known.default_branch == commission.main or known.default_branch.startswith("proposals/"):
        first = commission.published[0] if commission.published else "published"
        yield Hole(
            f"The default branch is {known.default_branch}: a plain clone shows what is not published.",
            f"Settings, General: make {first} the default branch.",
        )
    if known.delete_branch_on_merge:
        yield Hole(
            "GitHub deletes a proposal's branch when it is merged, which every party reports as an alarm.",
            "Settings, General: switch off 'Automatically delete head branches'.",
        )
    try:
        rights = http.get(f"{at}/actions/permissions/workflow", WorkflowRights)
    except Refused:
        yield _unseen("what GitHub Actions may do", "Administration: read")
        return
    if rights.can_approve_pull_request_reviews:
        yield Hole(
            "A workflow, which whoever pushes a branch can write, may approve pull requests.",
            "Settings, Actions, General: take from Actions that it may approve pull requests.",
        )


def _of_main(guards: Sequence[_Guard], commission: Commission) -> Iterator[Hole]:
    for kind, text in _NEEDED.items():
        what = text.format(status=commission.status)
        yield from _lacking(commission.main, kind, what, guards)
    if any(one.kind == "dismissal" for one in guards):
        yield Hole(
            f"On {commission.main} GitHub dismisses reviews with each push, a signed decision among them.",
            f"{_WHERE}: do not dismiss stale approvals; Placet itself counts a review for its content only.",
        )


def _of_published(
    http: ForgeHttp, glob: str, guards: Sequence[_Guard], commission: Commission
) -> Iterator[Hole]:
    for kind in ("deletion", "non_fast_forward"):
        yield from _lacking(glob, kind, _NEEDED[kind], guards)
    mend = f"{_WHERE}: restrict updates of {glob}, and let only the agents bypass that."
    updates = [one for one in guards if one.kind == "update"]
    if not updates:
        yield Hole(f"Everybody with write access may push to {glob}.", mend)
        return
    agents = {_name(*_who(http, login)) for login in commission.agents}
    if any(one.around is None for one in updates):
        yield _unseen(f"who may push to {glob}", "Administration: write")
    elif agents:
        others = frozenset.intersection(*(one.around or frozenset() for one in updates)) - agents
        if others:
            yield Hole(f"Others than the agents may push to {glob}: {_listed(others)}.", mend)


def _lacking(branch: str, kind: str, what: str, guards: Sequence[_Guard]) -> Iterator[Hole]:
    held = [one.around for one in guards if one.kind == kind]
    if not held:
        yield Hole(f"The branch {branch} {what}.", f"{_WHERE}: add the rule for {branch}.")
    elif frozenset() in held:
        return
    elif None in held:
        yield _unseen(f"who may go around the rules of {branch}", "Administration: write")
    else:
        others = min((one for one in held if one), key=len)
        yield Hole(
            f"The branch {branch} {what} by some: {_listed(others)}.",
            f"{_WHERE}: let nobody bypass the rules of {branch}.",
        )


def _unseen(what: str, right: str) -> Hole:
    return Hole(
        f"This credential cannot see {what}.",
        f"Look by hand, or run it once with a token that has {right!r}.",
    )


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))


def _of_hook(http: ForgeHttp, at: str, url: str) -> Iterator[Hole]:
    mend = "Settings, Webhooks: mend it, or set the repository up again with `placet init`."
    try:
        hook = next((one for one in http.pages(f"{at}/hooks", Hook, _PAGE) if one.config.url == url), None)
    except Refused:
        yield _unseen("the webhooks", "Webhooks: read")
        return
    if hook is None:
        yield Hole(f"There is no webhook to {url}: agents find out at their next look only.", mend)
        return
    if not hook.active or "push" not in hook.events:
        yield Hole(f"The webhook to {url} is not active, or not for pushes.", mend)
    if hook.config.content_type != "json" or not hook.config.secret:
        yield Hole(f"The webhook to {url} has no secret, or is not of content type JSON.", mend)
    if str(hook.config.insecure_ssl) not in {"0", "0.0"}:
        yield Hole(f"The webhook to {url} is sent without a look at the certificate.", mend)


# --- what holds for a branch ----------------------------------------------------------------------


def _guards(http: ForgeHttp, at: str, branch: str, status: str) -> list[_Guard]:
    name = quote(branch, safe="")
    found: list[_Guard] = []
    around: dict[int, frozenset[str] | None] = {}
    for rule in http.pages(f"{at}/rules/branches/{name}", Rule, _PAGE):
        if rule.ruleset_id not in around:
            around[rule.ruleset_id] = _around(http, at, rule.ruleset_id)
        found += [_Guard(kind, around[rule.ruleset_id]) for kind in _kinds(rule, status)]
    try:
        protection = http.maybe(f"{at}/branches/{name}/protection", BranchProtection)
    except Refused:
        return found
    return [*found, *_classic(protection, status)] if protection else found


def _kinds(rule: Rule, status: str) -> Iterator[str]:
    yield rule.type
    if rule.type == "pull_request":
        if rule.parameters.require_code_owner_review:
            yield "owners"
        if rule.parameters.dismiss_stale_reviews_on_push:
            yield "dismissal"
    if any(one.context == status for one in rule.parameters.required_status_checks):
        yield "status"


def _around(http: ForgeHttp, at: str, ruleset: int) -> frozenset[str] | None:
    try:
        found = http.maybe(f"{at}/rulesets/{ruleset}", Ruleset)
    except Refused:
        return None
    if found is None or found.bypass_actors is None:
        return None
    return frozenset(_name(one.actor_type, one.actor_id) for one in found.bypass_actors)


def _name(kind: str, ident: int | None) -> str:
    if kind == "RepositoryRole":
        return _ROLES.get(ident or 0, f"role {ident}")
    names = {
        "OrganizationAdmin": "owners of the organisation",
        "DeployKey": "deploy keys",
        "Integration": f"app {ident}",
        "Team": f"team {ident}",
        "User": f"user {ident}",
    }
    return names.get(kind, f"{kind} {ident}")


def _classic(found: BranchProtection, status: str) -> Iterator[_Guard]:
    """The older branch protection of this one branch."""
    admins = frozenset() if found.enforce_admins.enabled else frozenset({_ROLES[5]})
    if not found.allow_deletions.enabled:
        yield _Guard("deletion", admins)
    if not found.allow_force_pushes.enabled:
        yield _Guard("non_fast_forward", admins)
    reviews = found.required_pull_request_reviews
    if reviews is not None:
        around = admins | reviews.bypass_pull_request_allowances.names
        yield _Guard("pull_request", around)
        if reviews.require_code_owner_reviews:
            yield _Guard("owners", around)
        if reviews.dismiss_stale_reviews:
            yield _Guard("dismissal", around)
    checks = found.required_status_checks
    if checks is not None and status in checks.contexts:
        yield _Guard("status", admins)
    if found.restrictions is not None:
        yield _Guard("update", admins | found.restrictions.names)
