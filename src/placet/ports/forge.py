"""What Placet needs from a forge: a place where people see proposals, and say what they think of them.

A forge's word is evidence, never proof: nothing here decides. Every adapter passes the suite of the same name
in `placet.testing`. Errors are those of `placet.errors`; of every call, if not said otherwise:

    Unavailable: kind `forge-unreachable`: no answer, or a rate limit; `details["retry_s"]` where it was told.
    Refused: kind `forge-refused`: the credential may not do this, or the forge says no.
    NotFound: kind `forge-missing`: the repository or pull request is not there, or not for this credential.
    Invalid: kind `forge-answer`: an answer that is not what the forge's documentation says.

A branch is named as Git's refs are (`refs/heads/proposals/<id>`) or without `refs/heads/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from placet.core.predicates import Verdict

PLAIN = "git"
"""The name of the forge that is plain Git: it has no pages."""

StatusState = Literal["pending", "success", "failure", "error"]


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody on a forge: `id` never changes and is never given to another; `login` may be both.

    Whoever was deleted is account 0, `ghost`.
    """

    id: int
    login: str


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A proposal's pull request, as the forge tells it.

    Attributes:
        url: Its page: the settings' address of the forge and repository, and its number; no address that the
            forge says is believed.
        head: The commit that its branch is at, by the forge's word.
        author: Who opened it, which says nothing about who proposed.
    """

    number: int
    url: str
    state: Literal["open", "closed", "merged"]
    draft: bool
    head: str
    branch: str
    base: str
    author: Account
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Review:
    """One review.

    Attributes:
        commit: What was reviewed, as the forge recorded it when the review was submitted; empty where it does
            not tell, as after a forced push.
        verdict: None for a comment that neither approves nor returns.
        time: RFC 3339 UTC, whole seconds.
    """

    id: int
    account: Account
    commit: str
    verdict: Verdict | None
    dismissed: bool
    text: str
    time: str


@dataclass(frozen=True, slots=True)
class Remark:
    """What somebody said under a pull request, outside of reviews; `time` as of a review."""

    id: int
    account: Account
    text: str
    time: str


@dataclass(frozen=True, slots=True)
class Hole:
    """Something that a repository's protection leaves open, and how to close it, one sentence each."""

    what: str
    mend: str


@dataclass(frozen=True, slots=True)
class Commission:
    """How a Ctrl repository is to be set up on a forge.

    Attributes:
        main: The branch that proposals land on.
        published: Globs of the published branches, which agents alone may push to.
        status: The commit status that must be there before a merge.
        agents: Logins that may push to the published branches and `main`; None: who they are is not known.
        witnesses: Logins that may push to `main` besides: witnesses, and whoever ends freezes; None as of
            agents.
        mine: Branches that this very account has to push to.
        owners: Accounts that are asked about every change of the policy (CODEOWNERS); empty: not known.
        hook: Address of an agent's webhook, if there is to be one.
        secret: The webhook's secret.
    """

    main: str
    published: Sequence[str]
    status: str
    agents: Sequence[str] | None = None
    witnesses: Sequence[str] | None = None
    mine: Sequence[str] = ()
    owners: Sequence[int] = ()
    hook: str | None = None
    secret: str | None = None


class Forge(Protocol):
    """Where people see proposals. Plain Git has next to nothing to do here; hosted forges do."""

    @property
    def name(self) -> str:
        """The forge as the policy names it in `people.*.forges`; `git` for plain Git."""
        ...

    def opened(self, proposal: str, branch: str, title: str, body: str) -> str | None:
        """Make the pull request of a pushed branch, or update it; its address, if it has one. Idempotent.

        Of one that was merged nothing is changed; beside one that was closed a new one is made.
        """
        ...

    def pull(self, branch: str) -> PullRequest | None:
        """The newest pull request from this branch of the repository itself to `main`, if there is one."""
        ...

    def reviews(self, number: int) -> Sequence[Review]:
        """All submitted reviews of a pull request, oldest first; drafts of reviews are not told."""
        ...

    def remarks(self, number: int) -> Sequence[Remark]:
        """What was said under a pull request outside of reviews, oldest first."""
        ...

    def request(self, number: int, accounts: Sequence[int]) -> None:
        """Ask these accounts for a review, but not its author; whom the forge does not know is left out."""
        ...

    def status(self, commit: str, state: StatusState, text: str, url: str | None = None) -> None:
        """Set the commit status `placet`, text cut to 140 characters; nothing is sent if it is so already."""
        ...

    def comment(self, number: int, text: str) -> None:
        """Say something under a pull request, once: the same text by the same account is not said again."""
        ...

    def close(self, number: int) -> None:
        """Close a pull request without merging it. Idempotent."""
        ...

    def merge(self, branch: str, head: str) -> bool:
        """Merge a branch's pull request on the forge, with exactly this head; False: there is none, so push.

        Idempotent: true too if it was merged before.

        Raises:
            Conflict: kind `ref-moved`: its head is another commit; nothing was merged.
            Refused: kind `forge-refused`: the repository's protection or a conflict stands against it.
        """
        ...

    def ensure(self) -> bool:
        """Make the repository, private and empty, if it is not there; True if it was made. Idempotent.

        Raises:
            Refused, NotFound: this account may make none there.
            Conflict: kind `forge-conflict`: it is there, and this account may not see it.
        """
        ...

    def protect(self, commission: Commission) -> None:
        """Set up protection and webhook of the repository. Idempotent.

        Of agents and witnesses those that are named replace the others; where they are None, whoever may push
        stays, whoever let them; where there is no agent then, this account is one.
        """
        ...

    def holes(self, commission: Commission) -> Sequence[Hole]:
        """What the repository's protection leaves open."""
        ...

    def pushers(self, commission: Commission) -> Mapping[str, Sequence[str]]:
        """Who may push to `main` and what is published as it is now, by the forge's names, sorted.

        Of branches left out it cannot be seen, or no rule names anybody.
        """
        ...
