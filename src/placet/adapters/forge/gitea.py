"""Gitea and Forgejo by their API (`/api/v1`), tried on Gitea itself: see `placet.testing.gitea`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from urllib.parse import quote

from placet.adapters.forge.answer import branch_name, cut, same_text, seconds
from placet.adapters.forge.deadline import bounded
from placet.adapters.forge.gitea_guard import Guard
from placet.adapters.forge.giteaforms import (
    Comment,
    FoundUsers,
    Pull,
    PullReview,
    Repository,
    Status,
    User,
)
from placet.adapters.forge.http import ForgeHttp
from placet.core.predicates import Verdict
from placet.errors import Conflict, NotFound, Refused, Unavailable
from placet.ports import Account, Commission, Hole, PullRequest, Remark, Review, StatusState

API = "api/v1"
_BASE, _STATUS = "main", "placet"
_STATUS_TEXT, _TITLE = 140, 240
_PAGE = 50
_VERDICTS: dict[str, Verdict | None] = {"APPROVED": "approve", "REQUEST_CHANGES": "return", "COMMENT": None}
_ASKED = "REQUEST_REVIEW"
_DRAFT = re.compile(r"(?i)(?:WIP:|\[WIP\])\s*")
_LATER = "try again later"
_LATER_TRIES, _PUSHED_TRIES, _LATER_S = 60, 12, 0.5


class GiteaForge:
    """One repository on a Gitea or Forgejo server.

    Args:
        http: The API, below `/api/v1`.
        owner: The repository's.
        repository: Its name.
        name: What the policy calls this forge.
    """

    def __init__(self, http: ForgeHttp, owner: str, repository: str, *, name: str = "gitea") -> None:
        self.name = name
        self.whole_s = http.whole_s
        self._http = http
        self._owner, self._repository = owner, repository
        place = f"{quote(owner, safe='')}/{quote(repository, safe='')}"
        self._repo = f"repos/{place}"
        self._pages = f"{http.base.removesuffix(f'/{API}')}/{place}/pulls"

    @bounded
    def opened(self, proposal: str, branch: str, title: str, body: str) -> str | None:
        """As the port says. A mark of a draft that somebody set in the title stays there."""
        del proposal
        title = cut(title, _TITLE)
        known = self._pull(branch)
        if known is None or (known.state == "closed" and not known.merged):
            known = self._open(branch, title, body)
        if not known.merged:
            self._retold(known, title, body)
        return self._page(known)

    @bounded
    def pull(self, branch: str) -> PullRequest | None:
        """As the port says."""
        found = self._pull(branch)
        return found.told(branch_name(branch), self._page(found)) if found is not None else None

    @bounded
    def reviews(self, number: int) -> Sequence[Review]:
        """As the port says."""
        return [
            Review(
                id=one.id,
                account=_account(one.user),
                commit=one.commit_id,
                verdict=_VERDICTS[one.state],
                dismissed=one.dismissed,
                text=one.body,
                time=seconds(one.submitted_at),
            )
            for one in sorted(self._reviews(number), key=lambda one: one.id)
            if one.state in _VERDICTS
        ]

    @bounded
    def remarks(self, number: int) -> Sequence[Remark]:
        """As the port says."""
        path = f"{self._repo}/issues/{number}/comments"
        try:
            found = list(self._http.pages(path, Comment, {}))
        except Unavailable:  # 1.26 has an internal error where there is none
            self._http.get(f"{self._repo}/pulls/{number}", Pull)
            raise
        return [Remark(one.id, _account(one.user), one.body, seconds(one.created_at)) for one in found]

    @bounded
    def request(self, number: int, accounts: Sequence[int]) -> None:
        """As the port says. Nobody is asked again who is asked already, or has reviewed this head."""
        pull = self._http.get(f"{self._repo}/pulls/{number}", Pull)
        done = {_account(pull.user).id}
        for one in self._reviews(number):
            if one.state == _ASKED or (one.state in _VERDICTS and one.commit_id == pull.head.sha):
                done.add(_account(one.user).id)
        path = f"{self._repo}/pulls/{number}/requested_reviewers"
        for ident in dict.fromkeys(accounts):
            login = self._login(ident) if ident not in done else None
            if login is not None:  # 403, 404, 422: it may not read this repository
                self._http.call("POST", path, body={"reviewers": [login]}, good=(201, 403, 404, 422))

    @bounded
    def status(self, commit: str, state: StatusState, text: str, url: str | None = None) -> None:
        """As the port says."""
        text = cut(text, _STATUS_TEXT)
        listed = f"{self._repo}/commits/{quote(commit, safe='')}/statuses"
        known = self._http.pages(listed, Status, {"limit": _PAGE})
        own = (one for one in known if one.context == _STATUS)
        last = max(own, key=lambda one: one.id, default=None)
        if last is not None and (last.status, last.description, last.target_url) == (state, text, url or ""):
            return
        wanted = {"context": _STATUS, "state": state, "description": text, "target_url": url or ""}
        self._http.call("POST", f"{self._repo}/statuses/{quote(commit, safe='')}", body=wanted)

    @bounded
    def comment(self, number: int, text: str) -> None:
        """As the port says."""
        me = self._me.id
        if not any(one.account.id == me and same_text(one.text, text) for one in self.remarks(number)):
            self._http.call("POST", f"{self._repo}/issues/{number}/comments", body={"body": text})

    @bounded
    def close(self, number: int) -> None:
        """As the port says."""
        if self._http.get(f"{self._repo}/pulls/{number}", Pull).state == "open":
            self._http.call("PATCH", f"{self._repo}/pulls/{number}", body={"state": "closed"})

    @bounded
    def merge(self, branch: str, head: str) -> bool:
        """As the port says; Gitea looks first whether it can be merged, which takes a moment after a push."""
        found = self._pull(branch)
        if found is None or found.merged:
            return found is not None
        if found.state == "closed":
            return False
        if found.head.sha != head:
            raise _moved(branch)
        wanted = {"Do": "merge", "head_commit_id": head}
        path = f"{self._repo}/pulls/{found.number}/merge"
        for _ in range(_LATER_TRIES):
            answer = self._http.call("POST", path, body=wanted, good=(200, 405, 409))
            if answer.status == 405 and _LATER in answer.words():  # noqa: PLR2004 - HTTP
                self._http.pause(_LATER_S)
                continue
            break
        after = self._http.get(f"{self._repo}/pulls/{found.number}", Pull)
        if after.merged:
            return True
        if after.head.sha != head:
            raise _moved(branch)
        raise Refused(
            f"{self._http.host} does not merge pull request {found.number}.",
            kind="forge-refused",
            why=answer.words() or "It says no more.",
            mend=f"Look at {self._page(found)}",
        )

    @bounded
    def ensure(self) -> bool:
        """As the port says; needs `write:organization`, or `write:user` for one's own, of a token."""
        if self._http.maybe(self._repo, Repository) is not None:
            return False
        mine = self._me.login.lower() == self._owner.lower()
        path = "user/repos" if mine else f"orgs/{quote(self._owner, safe='')}/repos"
        try:
            self._http.call(
                "POST", path, body={"name": self._repository, "private": True, "default_branch": _BASE}
            )
        except Conflict:
            if self._http.maybe(self._repo, Repository) is None:
                raise
            return False  # somebody else was first
        return True

    @bounded
    def protect(self, commission: Commission) -> None:
        """As the port says. Needs a credential of an administrator of the repository."""
        self._guard(commission).protect(self._me.login)

    @bounded
    def holes(self, commission: Commission) -> Sequence[Hole]:
        """As the port says; of what only administrators see nothing is told to others."""
        guard = self._guard(commission)
        return [*guard.holes(), *(guard.barred(self._me.login) if commission.mine else ())]

    @bounded
    def pushers(self, commission: Commission) -> Mapping[str, Sequence[str]]:
        """As the port says; only administrators see it."""
        return self._guard(commission).pushers()

    def _guard(self, commission: Commission) -> Guard:
        logins = (self._login(one) for one in commission.owners)
        return Guard(self._http, self._repo, commission, [one for one in logins if one is not None])

    def _page(self, pull: Pull) -> str:
        return f"{self._pages}/{pull.number}"

    @cached_property
    def _me(self) -> Account:
        return _account(self._http.get("user", User))

    def _login(self, ident: int) -> str | None:
        """The login that an account has now."""
        found = self._http.get("users/search", FoundUsers, {"uid": ident})
        return next((one.login for one in found.data if one.id == ident), None)

    def _reviews(self, number: int) -> Iterator[PullReview]:
        return self._http.pages(f"{self._repo}/pulls/{number}/reviews", PullReview, {"limit": _PAGE})

    def _pull(self, branch: str) -> Pull | None:
        """The newest pull request of a branch.

        By base and head Gitea tells any one of several, so beside a closed one the list is looked through.
        """
        name = branch_name(branch)
        path = f"{self._repo}/pulls/{_BASE}/{quote(name, safe='/')}"
        found = self._http.maybe(path, Pull)
        if found is None or found.state == "open" or found.merged:
            return found
        query: dict[str, str | int] = {"state": "all", "base_branch": _BASE, "limit": _PAGE}
        for one in self._http.pages(f"{self._repo}/pulls", Pull, query):
            if one.number > found.number and one.is_of(name):
                return one
            if one.number <= found.number:
                break
        return found

    def _open(self, branch: str, title: str, body: str) -> Pull:
        """A new pull request; what was pushed just now Gitea knows some moments later."""
        wanted = {"base": _BASE, "head": branch_name(branch), "title": title, "body": body}
        for attempt in range(_PUSHED_TRIES):
            try:
                return self._http.call("POST", f"{self._repo}/pulls", body=wanted).read(Pull)
            except Conflict:  # somebody else was first
                known = self._pull(branch)
                if known is None:
                    raise
                return known
            except NotFound:
                if attempt == _PUSHED_TRIES - 1:
                    raise
            self._http.pause(_LATER_S)
        raise AssertionError

    def _retold(self, known: Pull, title: str, body: str) -> None:
        mark = _DRAFT.match(known.title) if known.draft else None
        title = f"{mark[0]}{title}" if mark else title
        if known.title != title or not same_text(known.body, body):
            wanted = {"title": title, "body": body}
            self._http.call("PATCH", f"{self._repo}/pulls/{known.number}", body=wanted)


def _account(user: User | None) -> Account:
    if user is None or user.id < 1:
        return Account(0, "ghost")
    return Account(user.id, user.login)


def _moved(branch: str) -> Conflict:
    return Conflict(
        f"The head of {branch_name(branch)} is another commit than the one to merge. Nothing was merged.",
        kind="ref-moved",
        mend="Look at the proposal again.",
    )
