"""A forge in memory, with people on it: for tests of what uses a forge, and the first to pass its suite.

forge = MemoryForge(repo.heads)          # as the account `placet`
forge.opened(ident, branch, "title", "text")
forge.review(1, "alice", "approve")      # as a person would, on its pages
forge.acting("witness").reviews(1)       # the same forge, as another account
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from placet.core.predicates import Verdict
from placet.errors import Conflict, NotFound, Refused, Unavailable
from placet.ports import Account, Commission, Hole, PullRequest, Remark, Review, StatusState

Word = Literal["approve", "return", "comment", "draft"]
"""What a person's review says; a draft was not submitted yet."""

_STATUS_TEXT = 140
_VERDICTS: Mapping[Word, Verdict] = {"approve": "approve", "return": "return"}


@dataclass(slots=True)
class _Pull:
    pull: PullRequest
    reviews: list[Review] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    asked: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _Site:
    """What all accounts share."""

    heads: Callable[[], Mapping[str, str]]
    land: Callable[[str], None]
    pulls: list[_Pull] = field(default_factory=list)
    accounts: dict[int, str] = field(default_factory=dict)
    statuses: dict[str, list[tuple[StatusState, str, str | None]]] = field(default_factory=dict)
    commission: Commission | None = None
    reachable: bool = True
    there: bool = True
    people: int = 0
    ticks: int = 0

    def time(self) -> str:
        """A second later each time."""
        self.ticks += 1
        return f"{datetime(2026, 11, 24, tzinfo=UTC) + timedelta(seconds=self.ticks):%Y-%m-%dT%H:%M:%SZ}"


class MemoryForge:
    """The port, and the pages that people use.

    Args:
        heads: Full name -> commit of the branches as they are now, as of `Repo`.
        login: The account whose credential it has.
        land: Called with the head when a pull request is merged, to merge it in Git.
        name: What the policy calls it.
    """

    def __init__(
        self,
        heads: Callable[[], Mapping[str, str]],
        login: str = "placet",
        *,
        land: Callable[[str], None] = lambda _: None,
        name: str = "memory",
    ) -> None:
        self.name = name
        self._site = _Site(heads, land)
        self._me = self.account(login).id

    def acting(self, login: str) -> MemoryForge:
        """The same forge with another account's credential."""
        other = MemoryForge(self._site.heads, login, name=self.name)
        other._site = self._site
        other._me = self.account(login).id
        return other

    # --- the port -------------------------------------------------------------------------------

    def opened(self, proposal: str, branch: str, title: str, body: str) -> str | None:
        """As the port says."""
        del proposal
        known = self.pull(branch)
        if known is not None and known.state == "merged":
            return known.url
        if known is None or known.state == "closed":
            head = self._head(branch)
            if head is None:
                raise Refused(f"There is no branch {_short(branch)}.", kind="forge-refused")
            number = len(self._site.pulls) + 1
            known = PullRequest(
                number=number,
                url=f"https://{self.name}.invalid/pulls/{number}",
                state="open",
                draft=False,
                head=head,
                branch=_short(branch),
                base="main",
                author=self._account(self._me),
                title=title,
                body=body,
            )
            self._site.pulls.append(_Pull(known))
        self._set(known.number, title=title, body=body)
        return known.url

    def pull(self, branch: str) -> PullRequest | None:
        """As the port says."""
        self._reach()
        found = [one for one in self._site.pulls if one.pull.branch == _short(branch)]
        return self._told(found[-1].pull) if found else None

    def reviews(self, number: int) -> Sequence[Review]:
        """As the port says."""
        submitted = [one for one in self._at(number).reviews if one.time]
        return [replace(one, account=self._account(one.account.id)) for one in submitted]

    def remarks(self, number: int) -> Sequence[Remark]:
        """As the port says."""
        return [replace(one, account=self._account(one.account.id)) for one in self._at(number).remarks]

    def request(self, number: int, accounts: Sequence[int]) -> None:
        """As the port says."""
        found = self._at(number)
        known = self._site.accounts.keys() - {found.pull.author.id}
        found.asked |= {one for one in accounts if one in known}

    def status(self, commit: str, state: StatusState, text: str, url: str | None = None) -> None:
        """As the port says."""
        self._reach()
        short = " ".join(text.split())
        short = short if len(short) <= _STATUS_TEXT else f"{short[: _STATUS_TEXT - 3]}..."
        sent = self._site.statuses.setdefault(commit, [])
        if sent[-1:] != [(state, short, url)]:
            sent.append((state, short, url))

    def comment(self, number: int, text: str) -> None:
        """As the port says."""
        if not any((one.account.id, one.text) == (self._me, text) for one in self._at(number).remarks):
            self._remark(number, self._me, text)

    def close(self, number: int) -> None:
        """As the port says."""
        if self._told(self._at(number).pull).state == "open":
            self._set(number, state="closed")

    def merge(self, branch: str, head: str) -> bool:
        """As the port says."""
        found = self.pull(branch)
        if found is None or found.state == "closed":
            return False
        if found.state == "merged":
            return True
        if found.head != head:
            raise Conflict(f"The head of {found.branch} is another commit.", kind="ref-moved")
        if found.draft:
            raise Refused("It is a draft.", kind="forge-refused")
        self.land(found.number)
        return True

    def ensure(self) -> bool:
        """As the port says."""
        made, self._site.there = not self._site.there, True
        self._reach()
        return made

    def protect(self, commission: Commission) -> None:
        """As the port says."""
        self._reach()
        self._site.commission = commission

    def holes(self, commission: Commission) -> Sequence[Hole]:
        """As the port says."""
        self._reach()
        if self._site.commission is not None:
            return ()
        branches = (commission.main, *commission.published)
        return [Hole(f"Anybody may push to {one}.", "placet init --forge") for one in branches]

    def pushers(self, commission: Commission) -> Mapping[str, Sequence[str]]:
        """As the port says."""
        self._reach()
        made = self._site.commission
        if made is None:
            return {}
        agents, witnesses = set(made.agents or ()), set(made.witnesses or ())
        found = {one: sorted(agents) for one in commission.published}
        return {commission.main: sorted(agents | witnesses), **found}

    def nowhere(self) -> MemoryForge:
        """The same account at a repository that is not there."""
        other = MemoryForge(dict, self._account(self._me).login, name=self.name)
        other._site.there = False
        return other

    # --- people -----------------------------------------------------------------------------------

    def account(self, login: str) -> Account:
        """Somebody with this login; made at the first use."""
        found = [ident for ident, known in self._site.accounts.items() if known == login]
        if not found:
            self._site.people += 1
            self._site.accounts[self._site.people] = login
        ident = found[0] if found else self._site.people
        return Account(ident, login)

    def rename(self, login: str, fresh: str) -> None:
        """Give somebody another login."""
        self._site.accounts[self.account(login).id] = fresh

    def remove(self, login: str) -> None:
        """Delete an account."""
        del self._site.accounts[self.account(login).id]

    def review(self, number: int, login: str, word: Word, text: str = "") -> int:
        """Submit a review of the head as it is now; returns its id."""
        found = self._at(number)
        ident = 1000 * number + len(found.reviews) + 1
        made = Review(
            id=ident,
            account=self.account(login),
            commit=self._told(found.pull).head,
            verdict=_VERDICTS.get(word),
            dismissed=False,
            text=text,
            time="" if word == "draft" else self._site.time(),
        )
        found.reviews.append(made)
        found.asked.discard(made.account.id)
        return ident

    def dismiss(self, number: int, review: int) -> None:
        """Dismiss a review."""
        found = self._at(number)
        found.reviews = [replace(one, dismissed=one.dismissed or one.id == review) for one in found.reviews]

    def say(self, number: int, login: str, text: str) -> None:
        """Comment outside of a review."""
        self._remark(number, self.account(login).id, text)

    def draft(self, number: int, *, on: bool) -> None:
        """Make it a draft, or ready."""
        self._set(number, draft=on)

    def land(self, number: int) -> None:
        """Merge it by the forge's button."""
        head = self._told(self._at(number).pull).head
        self._site.land(head)
        self._set(number, state="merged", head=head)

    def statuses(self, commit: str) -> Sequence[tuple[StatusState, str, str | None]]:
        """Everything that was ever sent, oldest first."""
        return tuple(self._site.statuses.get(commit, ()))

    def asked(self, number: int) -> set[int]:
        """Who is asked for a review."""
        return set(self._at(number).asked)

    @contextmanager
    def down(self) -> Iterator[None]:
        """Nobody reaches it."""
        self._site.reachable = False
        try:
            yield
        finally:
            self._site.reachable = True

    def _reach(self) -> None:
        if not self._site.reachable:
            raise Unavailable(f"The forge {self.name} does not answer.", kind="forge-unreachable")
        if not self._site.there:
            raise NotFound("The repository is not there.", kind="forge-missing")

    def _at(self, number: int) -> _Pull:
        self._reach()
        if not 1 <= number <= len(self._site.pulls):
            raise NotFound(f"There is no pull request {number}.", kind="forge-missing")
        return self._site.pulls[number - 1]

    def _set(self, number: int, **changes: object) -> None:
        found = self._at(number)
        found.pull = replace(found.pull, **changes)  # type: ignore[arg-type]

    def _told(self, pull: PullRequest) -> PullRequest:
        head = self._head(pull.branch) if pull.state == "open" else None
        return replace(pull, head=head or pull.head, author=self._account(pull.author.id))

    def _head(self, branch: str) -> str | None:
        return self._site.heads().get(f"refs/heads/{_short(branch)}")

    def _account(self, ident: int) -> Account:
        login = self._site.accounts.get(ident)
        return Account(ident, login) if login is not None else Account(0, "ghost")

    def _remark(self, number: int, ident: int, text: str) -> None:
        found = self._at(number)
        made = Remark(len(found.remarks) + 1, self._account(ident), text, self._site.time())
        found.remarks.append(made)


def _short(branch: str) -> str:
    return branch.removeprefix("refs/heads/")
