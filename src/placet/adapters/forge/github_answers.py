"""What GitHub answers, as far as it is used: strict types and bounds; what nobody reads is skipped."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from placet.core.predicates import Verdict
from placet.core.statement import format_time
from placet.ports import Account, PullRequest, Remark, Review

GHOST = Account(0, "ghost")

REPOSITORY = r"^(?!\.\.?/)[A-Za-z0-9_.-]+/(?!\.\.?\Z)[A-Za-z0-9_.-]+\Z"
Number = Annotated[int, msgspec.Meta(ge=1, le=1 << 53)]
Login = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9_.\[\]-]+\Z")]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Ref = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
Sha = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})\Z")]
Text = Annotated[str, msgspec.Meta(max_length=1 << 17)]


class User(msgspec.Struct, frozen=True):
    """Somebody."""

    id: Number
    login: Login
    type: str = "User"

    @property
    def account(self) -> Account:
        """As the port has it."""
        return Account(self.id, self.login)


class Integration(msgspec.Struct, frozen=True):
    """A GitHub App."""

    id: Number
    slug: str = ""


class Repository(msgspec.Struct, frozen=True):
    """The repository: who may do what, and how it merges; some of it only those see who may change it."""

    id: Number
    full_name: Annotated[str, msgspec.Meta(max_length=255, pattern=REPOSITORY)]
    default_branch: Ref
    owner: User
    archived: bool = False
    private: bool = False
    allow_merge_commit: bool | None = None
    allow_squash_merge: bool | None = None
    allow_rebase_merge: bool | None = None
    delete_branch_on_merge: bool | None = None


class _Source(msgspec.Struct, frozen=True):
    id: Number


class End(msgspec.Struct, frozen=True):
    """One end of a pull request; the repository is gone where somebody deleted a fork."""

    ref: Ref
    sha: Sha
    repo: _Source | None


class Pull(msgspec.Struct, frozen=True):
    """A pull request."""

    number: Number
    state: Literal["open", "closed"]
    head: End
    base: End
    title: Text
    user: User | None = None
    body: Text | None = None
    draft: bool = False
    merged_at: Moment | None = None
    requested_reviewers: tuple[User, ...] | None = None

    @property
    def own(self) -> bool:
        """Is it from a branch of the repository itself? A fork's branch may bear the same name."""
        return self.head.repo is not None and self.head.repo == self.base.repo

    def told(self, page: str) -> PullRequest:
        """As the port has it, with the address of its page."""
        return PullRequest(
            number=self.number,
            url=page,
            state="merged" if self.merged_at else self.state,
            draft=self.draft,
            head=self.head.sha,
            branch=self.head.ref,
            base=self.base.ref,
            author=self.user.account if self.user else GHOST,
            title=self.title,
            body=plain(self.body or ""),
        )


class PullReview(msgspec.Struct, frozen=True):
    """A review; `state` says nothing any more of what was dismissed."""

    id: Number
    state: str
    user: User | None = None
    body: Text | None = None
    commit_id: Sha | None = None
    submitted_at: Moment | None = None

    @property
    def verdict(self) -> Verdict | None:
        """What it says, if it says so now."""
        verdicts: dict[str, Verdict] = {"APPROVED": "approve", "CHANGES_REQUESTED": "return"}
        return verdicts.get(self.state)

    def told(self, commit: str) -> Review | None:
        """As the port has it, of this commit; nothing of a draft."""
        if self.state == "PENDING" or self.submitted_at is None:
            return None
        return Review(
            id=self.id,
            account=self.user.account if self.user else GHOST,
            commit=commit,
            verdict=self.verdict,
            dismissed=self.state == "DISMISSED",
            text=plain(self.body or ""),
            time=format_time(self.submitted_at),
        )


class Activity(msgspec.Struct, frozen=True):
    """One update of one branch, in GitHub's own record."""

    ref: Ref
    after: Sha
    timestamp: Moment
    activity_type: str


class Status(msgspec.Struct, frozen=True):
    """A commit's status of one context."""

    context: str
    state: str
    description: str | None = None
    target_url: str | None = None


class Statuses(msgspec.Struct, frozen=True):
    """The newest of each context."""

    statuses: tuple[Status, ...]


class Comment(msgspec.Struct, frozen=True):
    """A comment, and who made it."""

    id: Number
    created_at: Moment
    user: User | None = None
    body: Text | None = None
    performed_via_github_app: Integration | None = None

    def told(self) -> Remark:
        """As the port has it."""
        account = self.user.account if self.user else GHOST
        return Remark(self.id, account, plain(self.body or ""), format_time(self.created_at))


class Merged(msgspec.Struct, frozen=True):
    """A merge that was done."""

    sha: Sha
    merged: bool


class Created(msgspec.Struct, frozen=True):
    """Something that was made, or is not looked at further."""

    id: Number


class Hook(msgspec.Struct, frozen=True):
    """A webhook; of its secret only whether there is one."""

    id: Number
    active: bool
    events: tuple[str, ...]
    config: _HookConfig


class _HookConfig(msgspec.Struct, frozen=True):
    url: str | None = None
    content_type: str | None = None
    insecure_ssl: str | float | None = None
    secret: str | None = None

    def __repr__(self) -> str:
        return f"_HookConfig(url={self.url!r})"


class Named(msgspec.Struct, frozen=True):
    """A ruleset in the list of them."""

    id: Number
    name: str


class Bypass(msgspec.Struct, frozen=True):
    """Who may go around a ruleset."""

    actor_type: str
    actor_id: int | None = None
    bypass_mode: str = "always"


class Ruleset(msgspec.Struct, frozen=True):
    """A ruleset; who may go around it is told to those only who may change it."""

    id: Number
    bypass_actors: tuple[Bypass, ...] | None = None
    current_user_can_bypass: str | None = None


class _Check(msgspec.Struct, frozen=True):
    context: str


class _Parameters(msgspec.Struct, frozen=True):
    require_code_owner_review: bool = False
    dismiss_stale_reviews_on_push: bool = False
    required_status_checks: tuple[_Check, ...] = ()


class Rule(msgspec.Struct, frozen=True):
    """A rule that is in force for a branch."""

    type: str
    ruleset_id: Number
    parameters: _Parameters = _Parameters()


class _Switch(msgspec.Struct, frozen=True):
    enabled: bool = False


class _Slug(msgspec.Struct, frozen=True):
    id: Number


class _Who(msgspec.Struct, frozen=True):
    users: tuple[_Slug, ...] = ()
    teams: tuple[_Slug, ...] = ()
    apps: tuple[_Slug, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """As rulesets would name them."""
        kinds = {"user": self.users, "team": self.teams, "app": self.apps}
        return frozenset(f"{kind} {one.id}" for kind, some in kinds.items() for one in some)


class _Reviewed(msgspec.Struct, frozen=True):
    require_code_owner_reviews: bool = False
    dismiss_stale_reviews: bool = False
    bypass_pull_request_allowances: _Who = _Who()


class _Contexts(msgspec.Struct, frozen=True):
    contexts: tuple[str, ...] = ()


class BranchProtection(msgspec.Struct, frozen=True):
    """The older protection of one branch."""

    enforce_admins: _Switch = _Switch()
    allow_deletions: _Switch = _Switch()
    allow_force_pushes: _Switch = _Switch()
    required_pull_request_reviews: _Reviewed | None = None
    required_status_checks: _Contexts | None = None
    restrictions: _Who | None = None


class Branch(msgspec.Struct, frozen=True):
    """A branch that is there."""

    name: str


class Content(msgspec.Struct, frozen=True):
    """A file that is there."""

    sha: Sha
    content: Text | None = None


class WorkflowRights(msgspec.Struct, frozen=True):
    """What GitHub Actions may do by default."""

    can_approve_pull_request_reviews: bool
    default_workflow_permissions: str


class ActionsRights(msgspec.Struct, frozen=True):
    """Are there GitHub Actions at all?"""

    enabled: bool


class _Runner(msgspec.Struct, frozen=True):
    name: str


class Runners(msgspec.Struct, frozen=True):
    """The repository's own runners, some of them by name."""

    total_count: int
    runners: tuple[_Runner, ...] = ()


class Secrets(msgspec.Struct, frozen=True):
    """The repository's secrets for every workflow; only how many there are."""

    total_count: int


class Strangers(msgspec.Struct, frozen=True):
    """Whose workflows wait for approval in a public repository."""

    approval_policy: str


class Forks(msgspec.Struct, frozen=True):
    """What workflows of forks' pull requests may do in a private repository."""

    run_workflows_from_fork_pull_requests: bool
    send_write_tokens_to_workflows: bool
    send_secrets_and_variables: bool
    require_approval_for_fork_pr_workflows: bool


def plain(text: str) -> str:
    """A text with Git's line ends, as it was sent: GitHub's pages send others."""
    return text.replace("\r\n", "\n")
