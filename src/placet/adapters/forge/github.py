"""GitHub, or a GitHub Enterprise Server, as a forge: pull requests, reviews, statuses by its REST API."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from http import HTTPStatus
from typing import TypeVar

from placet.adapters.forge import github_rules
from placet.adapters.forge.github_answers import (
    Activity,
    Comment,
    Created,
    Merged,
    Pull,
    PullReview,
    Repository,
    Statuses,
    User,
)
from placet.adapters.forge.http import ForgeHttp, branch_name, cut, same_text
from placet.errors import Conflict, Refused
from placet.ports import Commission, Hole, PullRequest, Remark, Review, StatusState

CONTEXT = "placet"
_MAX_TITLE = 256
_MAX_DESCRIPTION = 140

T = TypeVar("T")


class GitHubForge:
    """One repository.

    Args:
        http: Its API.
        repository: `owner/name`, as it was when it was set: a renamed one is found by what it was called.
        main: The branch that proposals land on.
        name: What the policy calls this forge in `people.*.forges`: accounts of two servers are not the same.
        app: The number of the GitHub App that this is; None for an account's token.
    """

    def __init__(
        self,
        http: ForgeHttp,
        repository: str,
        *,
        main: str = "main",
        name: str = "github",
        app: Callable[[], int] | None = None,
    ) -> None:
        self._http = http
        self._given = repository
        self._main = main
        self._app = app
        self.name = name

    def opened(self, proposal: str, branch: str, title: str, body: str) -> str | None:
        """Open the pull request, or bring its title and text up to date."""
        del proposal
        branch, title = branch_name(branch), cut(title, _MAX_TITLE)
        found = self._pull(branch)
        if found is None or (found.state == "closed" and not found.merged_at):
            found = self._open(branch, title, body)
        if not found.merged_at and not (found.title == title and same_text(found.body or "", body)):
            self._send("PATCH", f"{self._at}/pulls/{found.number}", {"title": title, "body": body}, Pull)
        return found.html_url

    def pull(self, branch: str) -> PullRequest | None:
        """The newest one from this branch of the repository itself; a fork's of the same name is none."""
        found = self._pull(branch_name(branch))
        return found.told() if found else None

    def reviews(self, number: int) -> Sequence[Review]:
        """The submitted reviews.

        GitHub moves a review's commit along when a branch is pushed by force, even over other content
        (docs/adr/0014-github.md). So an approval is told with its commit only if GitHub's own record of the
        branch has that commit as its tip before the review was submitted; else with none.
        """
        found = list(self._reviews(number))
        approving = any(one.verdict == "approve" for one in found)
        tips = self._tips(self._get(number)) if approving else {}
        told = [one.told(_commit(one, tips)) for one in found]
        return [one for one in told if one is not None]

    def remarks(self, number: int) -> Sequence[Remark]:
        """The comments of the conversation."""
        return [one.told() for one in self._comments(number)]

    def request(self, number: int, accounts: Sequence[int]) -> None:
        """Ask those that GitHub knows, and that were not asked and have not reviewed yet."""
        pull = self._get(number)
        done = {one.id for one in (pull.user, *(pull.requested_reviewers or ())) if one}
        done |= {
            one.user.id
            for one in self._http.pages(f"{self._at}/pulls/{number}/reviews", PullReview)
            if one.user
        }
        logins = [one for account in accounts if account not in done and (one := self._login(account))]
        if not logins:
            return
        try:
            self._ask(number, logins)
        except Refused as error:
            if error.details.get("status") != HTTPStatus.UNPROCESSABLE_ENTITY:
                raise
            for one in logins:  # one that is no collaborator is enough to refuse all
                self._try_ask(number, one)

    def status(self, commit: str, state: StatusState, text: str, url: str | None = None) -> None:
        """Set the commit status, if it is another one."""
        text = cut(text, _MAX_DESCRIPTION)
        known = self._http.get(f"{self._at}/commits/{commit}/status", Statuses, {"per_page": 100})
        new = {"state": state, "context": CONTEXT, "description": text, "target_url": url}
        for one in known.statuses:
            if one.context == CONTEXT and (one.state, one.description, one.target_url) == (state, text, url):
                return
        self._send(
            "POST",
            f"{self._at}/statuses/{commit}",
            {key: value for key, value in new.items() if value is not None},
            Created,
        )

    def comment(self, number: int, text: str) -> None:
        """Say it, unless this account has said so already."""
        if not any(same_text(one.body or "", text) and self._is_mine(one) for one in self._comments(number)):
            self._send("POST", f"{self._at}/issues/{number}/comments", {"body": text}, Created)

    def close(self, number: int) -> None:
        """Close it, if it is open."""
        if self._get(number).state == "open":
            self._send("PATCH", f"{self._at}/pulls/{number}", {"state": "closed"}, Pull)

    def merge(self, branch: str, head: str) -> bool:
        """Merge by whichever way the repository allows, a merge commit first."""
        pull = self._pull(branch_name(branch))
        if pull is None or pull.merged_at:
            return pull is not None
        if pull.state == "closed":
            return False
        body = {"sha": head, "merge_method": self._method()}
        try:
            return self._send("PUT", f"{self._at}/pulls/{pull.number}/merge", body, Merged).merged
        except Conflict as error:
            raise Conflict(
                f"Pull request {pull.number} is at another commit than {head[:12]}.",
                kind="ref-moved",
                why=error.why,
                mend="Look again, then run it again.",
            ) from error

    def protect(self, commission: Commission) -> None:
        """Rulesets of their own for `main` and the published branches, repository settings, webhook."""
        github_rules.protect(self._http, self._known, commission, self._app)

    def holes(self, commission: Commission) -> Sequence[Hole]:
        """By what GitHub says holds for each branch, wherever it was set."""
        return github_rules.holes(self._http, self._known, commission)

    # --- inside ---------------------------------------------------------------------------------

    @cached_property
    def _known(self) -> Repository:
        """The repository by its name of today: GitHub redirects from a former one, but filters by the new."""
        return self._http.get(f"/repos/{self._given}", Repository)

    def _send(self, method: str, path: str, body: object, form: type[T]) -> T:
        return self._http.call(method, path, body=body).read(form)

    @property
    def _at(self) -> str:
        return f"/repos/{self._known.full_name}"

    def _pull(self, branch: str) -> Pull | None:
        query = {
            "state": "all",
            "head": f"{self._known.owner.login}:{branch}",
            "base": self._main,
            "sort": "created",
            "direction": "desc",
        }
        for one in self._http.pages(f"{self._at}/pulls", Pull, query):
            if one.own and (one.head.ref, one.base.ref) == (branch, self._main):
                return one
        return None

    def _open(self, branch: str, title: str, body: str) -> Pull:
        new = {
            "title": title,
            "body": body,
            "head": branch,
            "base": self._main,
            "maintainer_can_modify": False,
        }
        try:
            return self._send("POST", f"{self._at}/pulls", new, Pull)
        except Refused:
            found = self._pull(branch)
            if found is None or found.state == "closed":
                raise
            return found  # somebody else opened it meanwhile

    def _get(self, number: int) -> Pull:
        return self._http.get(f"{self._at}/pulls/{number}", Pull)

    def _tips(self, pull: Pull) -> dict[str, datetime]:
        """Every commit that the branch of a pull request was at, with the first time."""
        ref = f"refs/heads/{pull.head.ref}"
        tips: dict[str, datetime] = {}
        for one in self._http.pages(f"{self._at}/activity", Activity, {"ref": ref}) if pull.own else ():
            if one.ref == ref:
                tips[one.after] = min(one.timestamp, tips.get(one.after, one.timestamp))
        return tips

    def _login(self, account: int) -> str | None:
        found = self._http.maybe(f"/user/{account}", User)
        return found.login if found is not None and found.id == account else None

    def _ask(self, number: int, logins: Sequence[str]) -> None:
        path = f"{self._at}/pulls/{number}/requested_reviewers"
        self._send("POST", path, {"reviewers": list(logins)}, Created)

    def _try_ask(self, number: int, login: str) -> None:
        try:
            self._ask(number, [login])
        except Refused as error:
            if error.details.get("status") != HTTPStatus.UNPROCESSABLE_ENTITY:
                raise

    def _reviews(self, number: int) -> Iterator[PullReview]:
        return self._http.pages(f"{self._at}/pulls/{number}/reviews", PullReview)

    def _comments(self, number: int) -> Iterator[Comment]:
        return self._http.pages(f"{self._at}/issues/{number}/comments", Comment)

    def _is_mine(self, comment: Comment) -> bool:
        app = comment.performed_via_github_app
        if self._app is not None:
            return app is not None and app.id == self._app()
        return comment.user is not None and comment.user.id == self._me.id

    @cached_property
    def _me(self) -> User:
        return self._http.get("/user", User)

    def _method(self) -> str:
        known = self._known
        ways = {
            "merge": known.allow_merge_commit,
            "squash": known.allow_squash_merge,
            "rebase": known.allow_rebase_merge,
        }
        return next((way for way, allowed in ways.items() if allowed is not False), "merge")


def _commit(review: PullReview, tips: Mapping[str, datetime]) -> str:
    """The commit that was reviewed; empty where GitHub's record does not bear it out."""
    if review.commit_id is None or review.submitted_at is None:
        return ""
    since = tips.get(review.commit_id)
    seen = since is not None and since < review.submitted_at
    return review.commit_id if seen or review.verdict != "approve" else ""
