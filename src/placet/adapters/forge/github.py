"""GitHub, or a GitHub Enterprise Server, as a forge: pull requests, reviews, statuses by its REST API."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from placet.adapters.forge import github_holes, github_rules
from placet.adapters.forge.answer import branch_name, cut, same_text
from placet.adapters.forge.deadline import bounded
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
from placet.adapters.forge.github_auth import App, AppTokens
from placet.adapters.forge.github_record import Record
from placet.adapters.forge.http import ForgeHttp, Place
from placet.errors import Conflict, NotFound, Refused
from placet.ports import Commission, Hole, PullRequest, Remark, Review, StatusState

if TYPE_CHECKING:
    import httpx

CONTEXT = "placet"
_MAX_TITLE = 256
_MAX_DESCRIPTION = 140
_PAGE = 100

VERSION = "2022-11-28"

T = TypeVar("T")


def api_of(url: str) -> str:
    """The API's address of a server as people know it: GitHub, GitHub with data residency, or one's own."""
    parts = urlsplit(url)
    if parts.hostname == "github.com" or (parts.hostname or "").endswith(".ghe.com"):
        return f"{parts.scheme}://api.{parts.netloc}"
    return f"{parts.scheme}://{parts.netloc}/api/v3"


def pages_of(api: str) -> str:
    """The server as people know it, of its API's address."""
    parts = urlsplit(api)
    return f"{parts.scheme}://{parts.netloc.removeprefix('api.') if not parts.path else parts.netloc}"


def headers_of(token: str) -> dict[str, str]:
    """What each request carries."""
    return {
        "accept": "application/vnd.github+json",
        "authorization": f"Bearer {token}",
        "x-github-api-version": VERSION,
    }


def connect(
    place: Place,
    repository: str,
    credential: Callable[[], str] | App,
    *,
    main: str = "main",
    name: str = "github",
    installation: int | None = None,
    closing: ExitStack | None = None,
    transport: httpx.BaseTransport | None = None,
) -> GitHubForge:
    """A repository with an account's token, or as a GitHub App.

    Args:
        place: Where the API is; its headers are put here.
        repository: `owner/name`.
        credential: The token to use now, or the App.
        main: The branch that proposals land on.
        name: What the policy calls this forge.
        installation: The number of the App's installation; looked up if it is not given.
        closing: What its connections end with.
        transport: Instead of a network.
    """
    closing = closing or ExitStack()
    token: Callable[[], str]
    tokens: AppTokens | None = None
    if isinstance(credential, App):
        token = tokens = app_tokens(place, repository, credential, installation, transport)
        closing.callback(tokens.close)
    else:
        token = credential
    http = ForgeHttp(replace(place, headers=lambda: headers_of(token())), transport)
    closing.callback(http.close)
    return GitHubForge(http, repository, main=main, name=name, app=tokens)


def app_tokens(
    place: Place,
    repository: str,
    app: App,
    installation: int | None = None,
    transport: httpx.BaseTransport | None = None,
) -> AppTokens:
    """The tokens of an App for one repository; arguments as of `connect`."""
    itself = ForgeHttp(replace(place, headers=lambda: headers_of(app.jwt())), transport)
    return AppTokens(itself, repository, place.now, installation)


class GitHubForge:
    """One repository.

    Args:
        http: Its API.
        repository: `owner/name`, as it was when it was set: a renamed one is found by what it was called.
        main: The branch that proposals land on.
        name: What the policy calls this forge in `people.*.forges`: accounts of two servers are not the same.
        app: The tokens of the GitHub App that this is; None for an account's token.
    """

    def __init__(
        self,
        http: ForgeHttp,
        repository: str,
        *,
        main: str = "main",
        name: str = "github",
        app: AppTokens | None = None,
    ) -> None:
        self.whole_s = http.whole_s
        self._http = http
        self._given = repository
        self._main = main
        self._app = app
        self.name = name

    @bounded
    def opened(self, proposal: str, branch: str, title: str, body: str) -> str | None:
        """Open the pull request, or bring its title and text up to date."""
        del proposal
        branch, title = branch_name(branch), cut(title, _MAX_TITLE)
        found = self._pull(branch)
        if found is None or (found.state == "closed" and not found.merged_at):
            found = self._open(branch, title, body)
        if not found.merged_at and not (found.title == title and same_text(found.body or "", body)):
            self._send("PATCH", f"{self._at}/pulls/{found.number}", {"title": title, "body": body}, Pull)
        return self._page(found)

    @bounded
    def pull(self, branch: str) -> PullRequest | None:
        """The newest one from this branch of the repository itself; a fork's of the same name is none."""
        found = self._pull(branch_name(branch))
        return found.told(self._page(found)) if found else None

    @bounded
    def reviews(self, number: int) -> Sequence[Review]:
        """The submitted reviews; an approval with its commit only where GitHub's record bears it out.

        GitHub moves a review's commit along when the branch is pushed by force, even over other content:
        see docs/adr/0014-github.md.
        """
        found = list(self._reviews(number))
        approving = any(one.verdict == "approve" for one in found)
        record = self._record(self._get(number)) if approving else Record()
        told = [one.told(record.reviewed(one)) for one in found]
        return [one for one in told if one is not None]

    @bounded
    def remarks(self, number: int) -> Sequence[Remark]:
        """The comments of the conversation."""
        return [one.told() for one in self._comments(number)]

    @bounded
    def request(self, number: int, accounts: Sequence[int]) -> None:
        """Ask those that GitHub knows, and that were not asked and have not reviewed yet."""
        pull = self._get(number)
        done = {one.id for one in (pull.user, *(pull.requested_reviewers or ())) if one}
        done |= {one.user.id for one in self._reviews(number) if one.user}
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

    @bounded
    def status(self, commit: str, state: StatusState, text: str, url: str | None = None) -> None:
        """Set the commit status, if it is another one."""
        text = cut(text, _MAX_DESCRIPTION)
        known = self._http.get(f"{self._at}/commits/{commit}/status", Statuses, {"per_page": _PAGE})
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

    @bounded
    def comment(self, number: int, text: str) -> None:
        """Say it, unless this account has said so already."""
        if not any(same_text(one.body or "", text) and self._is_mine(one) for one in self._comments(number)):
            self._send("POST", f"{self._at}/issues/{number}/comments", {"body": text}, Created)

    @bounded
    def close(self, number: int) -> None:
        """Close it, if it is open."""
        if self._get(number).state == "open":
            self._send("PATCH", f"{self._at}/pulls/{number}", {"state": "closed"}, Pull)

    @bounded
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
        except Refused:
            if self._get(pull.number).merged_at is None:  # else it was asked twice
                raise
            return True
        except Conflict as error:
            raise Conflict(
                f"Pull request {pull.number} is at another commit than {head[:12]}.",
                kind="ref-moved",
                why=error.why,
                mend="Look again, then run it again.",
            ) from error

    @bounded
    def ensure(self) -> bool:
        """As the port says; an App has no token before its repository is there."""
        if self._there():
            return False
        if self._app is not None:
            raise Refused(
                "A GitHub App cannot make its own repository.",
                kind="forge-refused",
                mend="Make it by hand and install the App on it, or run this once with a person's token.",
            )
        owner, _, name = self._given.partition("/")
        mine = self._me.login.lower() == owner.lower()
        path = "/user/repos" if mine else f"/orgs/{owner}/repos"
        try:
            self._send("POST", path, {"name": name, "private": True}, Created)
        except Refused as error:
            if error.details.get("status") != HTTPStatus.UNPROCESSABLE_ENTITY or not self._there():
                raise
            return False  # somebody else was first
        return True

    def _there(self) -> bool:
        try:
            return self._http.maybe(f"/repos/{self._given}", Repository) is not None
        except NotFound:  # no installation of the App knows it
            return False

    @bounded
    def protect(self, commission: Commission) -> None:
        """Rulesets of their own for `main` and the published branches, repository settings, webhook."""
        app = self._app.number() if self._app is not None else None
        me = ("Integration", app) if app is not None else ("User", self._me.id)
        github_rules.protect(self._http, self._looked_up(), commission, me, app)

    @bounded
    def holes(self, commission: Commission) -> Sequence[Hole]:
        """By what GitHub says holds for each branch, wherever it was set."""
        known = self._looked_up()
        found = github_holes.holes(self._http, known, commission)
        return [*found, *github_holes.barred(self._http, known, commission, self._login_of_mine)]

    @bounded
    def pushers(self, commission: Commission) -> Mapping[str, Sequence[str]]:
        """As the port says: who may go around the rules that let nobody else push."""
        return github_holes.pushers(self._http, self._looked_up(), commission)

    # --- inside ---------------------------------------------------------------------------------

    def _page(self, pull: Pull) -> str:
        return f"{pages_of(self._http.base)}/{self._given}/pull/{pull.number}"

    @cached_property
    def _known(self) -> Repository:
        """The repository by its name of today: GitHub redirects from a former one, but filters by the new."""
        return self._http.get(f"/repos/{self._given}", Repository)

    def _looked_up(self) -> Repository:
        """The same, as it is now."""
        self.__dict__.pop("_known", None)
        return self._known

    def _send(self, method: str, path: str, body: object, form: type[T]) -> T:
        return self._http.call(method, path, body=body).read(form)

    @property
    def _at(self) -> str:
        return f"/repos/{self._known.full_name}"

    def _pull(self, branch: str) -> Pull | None:
        found = self._find(branch)
        if found is None:
            before = self._known.full_name
            if self._looked_up().full_name != before:
                return self._find(branch)
        return found

    def _find(self, branch: str) -> Pull | None:
        query: dict[str, str | int] = {
            "per_page": _PAGE,
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

    def _record(self, pull: Pull) -> Record:
        """What a pull request's branch was at, and when; nothing if the record is behind."""
        ref = f"refs/heads/{pull.head.ref}"
        query: dict[str, str | int] = {"ref": ref, "per_page": _PAGE}
        if not pull.own:
            return Record()
        found = [one for one in self._http.pages(f"{self._at}/activity", Activity, query) if one.ref == ref]
        return Record.of(found, pull.head.sha)

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
        return self._http.pages(f"{self._at}/pulls/{number}/reviews", PullReview, {"per_page": _PAGE})

    def _comments(self, number: int) -> Iterator[Comment]:
        return self._http.pages(f"{self._at}/issues/{number}/comments", Comment, {"per_page": _PAGE})

    def _is_mine(self, comment: Comment) -> bool:
        app = comment.performed_via_github_app
        if self._app is not None:
            return app is not None and app.id == self._app.number()
        return comment.user is not None and comment.user.id == self._me.id

    def _login_of_mine(self) -> str:
        return self._me.login if self._app is None else f"{self._app.slug()}[bot]"

    @cached_property
    def _me(self) -> User:
        return self._http.get("/user", User)

    def _method(self) -> str:
        known = self._looked_up()
        ways = {
            "merge": known.allow_merge_commit,
            "squash": known.allow_squash_merge,
            "rebase": known.allow_rebase_merge,
        }
        return next((way for way, allowed in ways.items() if allowed is not False), "merge")
