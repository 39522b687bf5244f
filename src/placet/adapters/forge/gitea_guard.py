"""How a repository on Gitea is protected, and what its protection leaves open."""

from __future__ import annotations

import contextlib
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from placet.adapters.forge import actions, owners
from placet.adapters.forge.answer import odd
from placet.adapters.forge.giteaforms import File, Hook, Repository, Rule, Runners, Secret, Seen
from placet.adapters.forge.http import ForgeHttp
from placet.core import layout
from placet.errors import Refused
from placet.ports import Commission, Hole

INIT = "placet init --forge, by an administrator of the repository"
_EVENTS = ["push", "pull_request", "pull_request_review", "pull_request_comment", "issue_comment"]


class Guard:
    """The protection of one repository.

    Args:
        http: The API.
        repo: The repository's path there.
        commission: What is wanted.
        people: The logins of its owners.
    """

    def __init__(self, http: ForgeHttp, repo: str, commission: Commission, people: Sequence[str]) -> None:
        self._http = http
        self._repo = repo
        self._wanted = commission
        self._owners = people
        self._branches = (commission.main, *commission.published)

    def protect(self, me: str) -> None:
        """Make or change rules, settings and webhook, whatever they are now.

        Args:
            me: The login that may push where no agent is named, now or before.

        Raises:
            Refused: kind `forge-refused`: Gitea leaves out of its rules who may not write; all else is done.
        """
        if self._owners:
            self._own()
        known = self._rules()
        pushers, lost = self._pushers(known, me), set[str]()
        for name in self._branches:
            wanted = self._rule(name, pushers[name])
            path = f"{self._repo}/branch_protections"
            if name in known:
                path = f"{path}/{quote(name, safe='')}"
                made = self._http.call("PATCH", path, body=wanted).read(Rule)
            else:
                made = self._http.call("POST", path, body={"rule_name": name, **wanted}).read(Rule)
            taken = {one.lower() for one in made.push_whitelist_usernames or ()}
            lost |= {one for one in pushers[name] if one.lower() not in taken}
        if self._seen(self._wanted.published[0]) is not None:
            self._http.call("PATCH", self._repo, body={"default_branch": self._wanted.published[0]})
        if self._wanted.hook is not None:
            self._hook(self._wanted.hook, self._wanted.secret or "")
        if lost:
            raise Refused(
                f"{', '.join(sorted(lost))} may not write to the repository, so no rule lets them push.",
                kind="forge-refused",
                mend="Give them the right to write on the forge, then run it again.",
            )

    def holes(self) -> Iterator[Hole]:
        """What is open; of what only administrators are told nothing is said to others."""
        single = [name for name in self._branches if "*" not in name]
        try:
            rules = self._rules()
        except Refused:
            yield from (hole for name in single for hole in self._as_seen(name))
            return
        for name in self._branches:
            if name not in rules:
                yield Hole(f"Whoever may write may push to {name}, and replace it.", INIT)
            else:
                yield from self._open(name, rules[name])
        for name in single:
            yield from self._overruled(name, rules)
        yield from self._elsewhere()

    def pushers(self) -> dict[str, list[str]]:
        """Who may push to each branch that a rule closes to others; nothing for who may not see the rules."""
        try:
            rules = self._rules()
        except Refused:
            return {}
        closed = {name: rules[name] for name in self._branches if name in rules}
        return {
            name: sorted(_pushing(rule))
            for name, rule in closed.items()
            if rule.enable_push_whitelist or not rule.enable_push
        }

    def barred(self, me: str) -> Iterator[Hole]:
        """Where this very account may not push, though it has to."""
        option = "--witness" if tuple(self._wanted.mine) == (self._wanted.main,) else "--agent"
        for name in self._wanted.mine:
            seen = self._seen(name)
            if seen is not None and not seen.user_can_push:
                what = f"This account, {me}, may not push to {name}, and has to."
                yield Hole(what, f"{INIT}, with {option} {me}")

    def _rules(self) -> dict[str, Rule]:
        return {one.rule_name: one for one in self._http.pages(f"{self._repo}/branch_protections", Rule, {})}

    def _seen(self, name: str) -> Seen | None:
        return self._http.maybe(f"{self._repo}/branches/{quote(name, safe='/')}", Seen)

    def _pushers(self, known: Mapping[str, Rule], me: str) -> dict[str, list[str]]:
        """Who may push to each branch; of a kind that is not known, those that may already."""
        main, found = self._wanted.main, {}
        on_main = _pushing(known.get(main))
        for name in self._wanted.published:
            may = self._wanted.agents
            found[name] = (_pushing(known.get(name)) or [me]) if may is None else list(may)
        publishing = {one for name in self._wanted.published for one in _pushing(known.get(name))}
        agents, witnesses = self._wanted.agents, self._wanted.witnesses
        if agents is None:
            agents = [one for one in on_main if one in publishing]
        if witnesses is None:
            witnesses = [one for one in on_main if one not in publishing]
        found[main] = list(dict.fromkeys([*agents, *witnesses]))
        return found

    def _rule(self, name: str, pushers: Sequence[str]) -> dict[str, object]:
        """The rule of a branch: these push; to `main` everybody else comes by a pull request."""
        main = name == self._wanted.main
        push = {
            "enable_push": bool(pushers),
            "enable_push_whitelist": True,
            "push_whitelist_usernames": list(pushers),
            "push_whitelist_teams": [],
            "push_whitelist_deploy_keys": False,
            "enable_force_push": False,
            "block_admin_merge_override": True,
            "apply_to_admins": True,
        }
        reviews = {
            "enable_status_check": True,
            "status_check_contexts": [self._wanted.status],
            "block_on_rejected_reviews": True,
            "dismiss_stale_approvals": False,
        }
        return {**push, **reviews} if main else push

    def _open(self, name: str, rule: Rule) -> Iterator[Hole]:
        yield from self._open_to_pushes(name, rule)
        if not (rule.block_admin_merge_override or rule.apply_to_admins):
            yield Hole(f"Administrators may merge into {name} whatever its rule says.", INIT)
        if name != self._wanted.main:
            return
        if not rule.enable_status_check or self._wanted.status not in (rule.status_check_contexts or ()):
            what = f"{name} takes a pull request without the commit status {self._wanted.status}."
            yield Hole(what, INIT)
        if not rule.block_on_rejected_reviews:
            yield Hole(f"{name} takes a pull request for which somebody has requested changes.", INIT)
        if rule.dismiss_stale_approvals:
            what = f"Reviews of a pull request to {name} end with each push, a signed decision among them."
            yield Hole(what, INIT)

    def _open_to_pushes(self, name: str, rule: Rule) -> Iterator[Hole]:
        if rule.enable_force_push:
            yield Hole(f"Somebody may replace the history of {name} by a forced push.", INIT)
        if not rule.enable_push:
            return
        if not rule.enable_push_whitelist:
            yield Hole(f"Whoever may write may push to {name}.", INIT)
            return
        strange = set(rule.push_whitelist_usernames or ()) - set(self._wanted.agents or ())
        if name == self._wanted.main:
            strange -= set(self._wanted.witnesses or ())
        if self._wanted.agents is not None and strange:
            yield Hole(f"{', '.join(sorted(strange))} may push to {name}, and is no agent.", INIT)
        if rule.push_whitelist_teams or rule.push_whitelist_deploy_keys:
            yield Hole(f"Teams or deploy keys may push to {name}, whoever has them.", INIT)

    def _overruled(self, name: str, rules: Mapping[str, Rule]) -> Iterator[Hole]:
        """Of several rules that match a branch one alone holds."""
        seen = self._seen(name)
        if seen is not None and name in rules and seen.effective_branch_protection_name != name:
            what = f"Another rule, {seen.effective_branch_protection_name[:80]}, comes before that of {name}."
            yield Hole(what, f"Put the rule of {name} first, or remove the other one.")

    def _as_seen(self, name: str) -> Iterator[Hole]:
        """What everybody who reads the repository can see of a branch."""
        seen = self._seen(name)
        if seen is None:
            return
        if not seen.protected:
            yield Hole(f"Whoever may write may push to {name}, and replace it.", INIT)
            return
        lacks = not seen.enable_status_check or self._wanted.status not in (seen.status_check_contexts or ())
        if name == self._wanted.main and lacks:
            what = f"{name} takes a pull request without the commit status {self._wanted.status}."
            yield Hole(what, INIT)

    def _elsewhere(self) -> Iterator[Hole]:
        """What is open beside the rules."""
        default = self._wanted.published[0]
        found = self._http.get(self._repo, Repository)
        if found.default_branch != default and self._seen(default) is not None:
            gets = found.default_branch[:80]
            what = f"A plain clone gets {gets}, not {default}, where only what is published is."
            yield Hole(what, INIT)
        lacking = owners.lacking(self._owned()[0], self._owners)
        if lacking:
            what = f"{', '.join(lacking)} may change the policy, and CODEOWNERS does not name them."
            yield Hole(what, INIT)
        hook = self._wanted.hook
        if hook is not None and not any(self._wakes(one, hook) for one in self._hooks()):
            yield Hole(f"No webhook tells {hook} of a push.", f"{INIT}, with --hook {hook}")

        if found.has_actions:
            yield from self._actions()

    def _actions(self) -> Iterator[Hole]:
        """What workflows get, which whoever may push a branch can write; only the owner is told."""
        at = f"{self._repo}/actions"
        try:
            runners = self._http.maybe(f"{at}/runners", Runners)  # before 1.24 there is no such call
            secrets = list(self._http.pages(f"{at}/secrets", Secret, {}))
        except Refused:
            what = "This credential cannot see which runners and secrets Actions have here."
            yield Hole(
                what, "Look at Settings, Actions, or run it once with a token of the repository's owner."
            )
            return
        if runners is not None and runners.total_count:
            yield actions.with_runners([one.name for one in runners.runners], runners.total_count)
        if secrets:
            yield actions.with_secrets(len(secrets))

    def _owned(self) -> tuple[bytes, str | None]:
        """CODEOWNERS on `main`, and its blob; empty if there is none."""
        path, query = f"{self._repo}/contents/{layout.CODEOWNERS}", {"ref": self._wanted.main}
        found = self._http.maybe(path, File, query)
        if found is None:
            return b"", None
        try:
            return b64decode(found.content or ""), found.sha
        except ValueError:
            raise odd("a file of it is not in base64") from None

    def _own(self) -> None:
        """Write CODEOWNERS, if it is another one; where `main` takes no push any more, it stays as it is."""
        data, blob = self._owned()
        wanted = owners.text(self._owners)
        if data == wanted:
            return
        change = {
            "branch": self._wanted.main,
            "message": "code owners",
            "content": b64encode(wanted).decode(),
        }
        method = "PUT" if blob else "POST"
        with contextlib.suppress(Refused):
            path = f"{self._repo}/contents/{layout.CODEOWNERS}"
            self._http.call(method, path, body=change | ({"sha": blob} if blob else {}))

    def _hooks(self) -> list[Hook]:
        return list(self._http.pages(f"{self._repo}/hooks", Hook, {}))

    @staticmethod
    def _wakes(hook: Hook, address: str) -> bool:
        return hook.active and hook.config.url == address and "push" in (hook.events or ())

    def _hook(self, address: str, secret: str) -> None:
        """One webhook of this address; its secret is set anew, since nobody is told which it has."""
        config = {"url": address, "content_type": "json", "secret": secret}
        wanted: dict[str, object] = {"active": True, "events": _EVENTS, "config": config}
        known = [one for one in self._hooks() if one.config.url == address]
        if known:
            self._http.call("PATCH", f"{self._repo}/hooks/{known[0].id}", body=wanted)
        else:
            self._http.call("POST", f"{self._repo}/hooks", body={"type": "gitea", **wanted})


def _pushing(rule: Rule | None) -> list[str]:
    """The accounts that a rule lets push."""
    if rule is None or not (rule.enable_push and rule.enable_push_whitelist):
        return []
    return list(rule.push_whitelist_usernames or ())
