"""What a repository's protection on GitHub leaves open.

Rulesets and the older branch protection both count; GitHub tells for each branch what is in force, wherever
it was set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from placet.adapters.forge import github_actions, owners
from placet.adapters.forge.github_answers import (
    BranchProtection,
    Hook,
    Repository,
    Rule,
    Ruleset,
    User,
)
from placet.adapters.forge.github_rules import PAGE, logins, owned, who
from placet.adapters.forge.http import ForgeHttp
from placet.errors import Refused
from placet.ports import Commission, Hole

_ROLES = {2: "maintainers", 4: "everybody with write access", 5: "administrators of the repository"}
_UNSEEN = "unseen"
_STOPS = frozenset({"pull_request", "required_status_checks", "update"})
_BARRED = frozenset({"never", "pull_requests_only"})
INIT = "placet init --forge, by an administrator of the repository"
_WHERE = "Settings, Rules, Rulesets"


@dataclass(frozen=True, slots=True)
class _Guard:
    """One rule that holds for a branch, and who may go around it: None where that cannot be seen."""

    kind: str
    around: frozenset[str] | None


_KEPT = {
    "deletion": ("can be deleted", "Restrict deletions"),
    "non_fast_forward": ("can be rewritten by a forced push", "Block force pushes"),
}
_LANDING = {
    "pull_request": ("takes pushes that no pull request shows", "Require a pull request before merging"),
    "status": ("takes merges whatever the commit status {status} says", "Require status checks to pass"),
}


def holes(http: ForgeHttp, known: Repository, wanted: Commission) -> list[Hole]:
    """What is left open, the repository itself first."""
    at = f"/repos/{known.full_name}"
    agents = None if wanted.agents is None else _names(http, wanted.agents)
    found = [*_of_repository(http, known, wanted)]
    guards = _guards(http, at, wanted.main, wanted.status)
    may_land = None if agents is None else agents | _names(http, wanted.witnesses or ())
    found += _of_main(guards, wanted, may_land)
    if wanted.owners:
        found += _of_owners(http, at, guards, wanted)
    for glob in wanted.published:
        guards = _guards(http, at, glob.replace("*", "example"), wanted.status)
        found += _of_published(glob, guards, agents)
    if wanted.hook is not None:
        found += _of_hook(http, at, wanted.hook)
    return found


def pushers(http: ForgeHttp, known: Repository, wanted: Commission) -> dict[str, list[str]]:
    """Who may go around every rule that stops pushes to a branch, where such rules can be seen."""
    at, found = f"/repos/{known.full_name}", dict[str, list[str]]()
    for branch in (wanted.main, *wanted.published):
        guards = _guards(http, at, branch.replace("*", "example"), wanted.status)
        around = [one.around for one in guards if one.kind in _STOPS and one.around is not None]
        if around:
            found[branch] = sorted(_login(http, one) for one in frozenset.intersection(*around))
    return found


def _login(http: ForgeHttp, name: str) -> str:
    """An account by its login of today; whatever else it is as it was."""
    kind, _, ident = name.partition(" ")
    user = http.maybe(f"/user/{ident}", User) if kind == "user" and ident.isdecimal() else None
    return user.login if user is not None else name


def _names(http: ForgeHttp, accounts: Sequence[str]) -> frozenset[str]:
    return frozenset(_name(*who(http, login)) for login in accounts)


def barred(http: ForgeHttp, known: Repository, wanted: Commission, me: Callable[[], str]) -> Iterator[Hole]:
    """Where this very account may not push, though it has to, by the rulesets that say so of it."""
    at = f"/repos/{known.full_name}"
    option = "--witness" if tuple(wanted.mine) == (wanted.main,) else "--agent"
    for branch in wanted.mine:
        found = http.pages(f"{at}/rules/branches/{quote(branch, safe='')}", Rule, PAGE)
        for ruleset in {one.ruleset_id for one in found if one.type in _STOPS}:
            seen = http.maybe(f"{at}/rulesets/{ruleset}", Ruleset)
            if seen is not None and seen.current_user_can_bypass in _BARRED:
                what = f"This account, {me()}, may not push to {branch}, and has to."
                yield Hole(what, f"{INIT}, with {option} {me()}.")
                break


def _of_repository(http: ForgeHttp, known: Repository, wanted: Commission) -> Iterator[Hole]:
    if known.archived:
        yield Hole("The repository is archived: nothing can be proposed or published.", "Unarchive it.")
    first = wanted.published[0]
    if known.default_branch != first:
        yield Hole(
            f"The default branch is {known.default_branch}: a plain clone shows what is not published.",
            f"Settings, General: make {first} the default branch.",
        )
    if known.delete_branch_on_merge:
        yield Hole(
            "GitHub deletes a proposal's branch when it is merged, which every party reports as an alarm.",
            "Settings, General: switch off 'Automatically delete head branches'.",
        )
    yield from github_actions.holes(http, known, _unseen)


def _of_main(guards: Sequence[_Guard], wanted: Commission, agents: frozenset[str] | None) -> Iterator[Hole]:
    for kind, (text, rule) in _KEPT.items():
        yield from _lacking(wanted.main, text, rule, _around(guards, kind))
    for kind, (text, rule) in _LANDING.items():
        what = text.format(status=wanted.status)
        yield from _lacking(wanted.main, what, rule, _others(_around(guards, kind), agents))
    if any(one.kind == "dismissal" for one in guards):
        yield Hole(
            f"On {wanted.main} GitHub dismisses reviews with each push, a signed decision among them.",
            f"{_WHERE}: do not dismiss stale approvals; Placet itself counts a review for its content only.",
        )


def _of_owners(http: ForgeHttp, at: str, guards: Sequence[_Guard], wanted: Commission) -> Iterator[Hole]:
    main = wanted.main
    path, data, _ = owned(http, at, main)
    lacking = owners.lacking(data, logins(http, wanted))
    if lacking:
        what = f"{', '.join(lacking)} may change the policy, and CODEOWNERS does not name them."
        yield Hole(what, f"Propose it by a pull request: {path} on {main}.")
    if not _around(guards, "owners"):
        yield Hole(
            f"The branch {main} takes changes of the policy that no code owner has reviewed.",
            f"{INIT}; or {_WHERE}: 'Require review from Code Owners' for {main}.",
        )


def _of_published(glob: str, guards: Sequence[_Guard], agents: frozenset[str] | None) -> Iterator[Hole]:
    for kind, (text, rule) in _KEPT.items():
        yield from _lacking(glob, text, rule, _around(guards, kind))
    mend = f"{INIT}; or {_WHERE}: 'Restrict updates' for {glob}, which agents alone bypass."
    updates = _around(guards, "update")
    strangers = _others(updates, agents)
    if not updates:
        yield Hole(f"Everybody with write access may push to {glob}.", mend)
    elif None in updates:
        yield _unseen(f"who may push to {glob}", "Administration: write")
    elif frozenset() not in strangers:
        others = min((one for one in strangers if one), key=len)
        yield Hole(f"Others than the agents may push to {glob}: {_listed(others)}.", mend)


def _around(guards: Sequence[_Guard], kind: str) -> list[frozenset[str] | None]:
    """Who may go around each rule of a kind; None too where there may be one that cannot be seen."""
    found = [one.around for one in guards if one.kind == kind]
    return found or [None for one in guards if one.kind == _UNSEEN]


def _others(
    around: Sequence[frozenset[str] | None], agents: frozenset[str] | None
) -> list[frozenset[str] | None]:
    """The same without the agents; where they are not known, without single accounts and apps."""

    def is_agent(name: str) -> bool:
        return name in agents if agents is not None else name.startswith(("app ", "user "))

    return [None if one is None else frozenset(name for name in one if not is_agent(name)) for one in around]


def _lacking(branch: str, what: str, rule: str, around: Sequence[frozenset[str] | None]) -> Iterator[Hole]:
    if not around:
        yield Hole(f"The branch {branch} {what}.", f"{INIT}; or {_WHERE}: {rule!r} for {branch}.")
    elif frozenset() in around:
        return
    elif None in around:
        yield _unseen(f"who may go around the rules of {branch}", "Administration: write")
    else:
        others = min((one for one in around if one), key=len)
        mend = f"{_WHERE}: let nobody bypass the rules of {branch}."
        yield Hole(f"The branch {branch} {what}, by some: {_listed(others)}.", mend)


def _unseen(what: str, right: str) -> Hole:
    return Hole(
        f"This credential cannot see {what}.",
        f"Look by hand, or run it once with a token that has {right!r}.",
    )


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))


def _of_hook(http: ForgeHttp, at: str, url: str) -> Iterator[Hole]:
    mend = f"{INIT}, with --hook {url}; or Settings, Webhooks."
    try:
        hook = next((one for one in http.pages(f"{at}/hooks", Hook, PAGE) if one.config.url == url), None)
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
    try:
        for rule in http.pages(f"{at}/rules/branches/{name}", Rule, PAGE):
            if rule.ruleset_id not in around:
                around[rule.ruleset_id] = _bypass(http, at, rule.ruleset_id)
            found += [_Guard(kind, around[rule.ruleset_id]) for kind in _kinds(rule, status)]
        protection = http.maybe(f"{at}/branches/{name}/protection", BranchProtection)
    except Refused:
        return [*found, _Guard(_UNSEEN, None)]
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


def _bypass(http: ForgeHttp, at: str, ruleset: int) -> frozenset[str] | None:
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
