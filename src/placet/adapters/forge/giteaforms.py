"""Of Gitea's answers what is used, by strict forms; fields that they have besides are passed over."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from placet.ports import Account, PullRequest

_Sha = Annotated[str, msgspec.Meta(pattern=r"^(?:[0-9a-f]{40}(?:[0-9a-f]{24})?)?\Z")]
_Login = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,255}\Z")]
_Number = Annotated[int, msgspec.Meta(ge=-1, le=(1 << 53) - 1)]  # -1: Gitea's ghost


class _Form(msgspec.Struct, frozen=True, kw_only=True):
    pass


class User(_Form, frozen=True, kw_only=True):
    """An account."""

    id: _Number
    login: _Login


class FoundUsers(_Form, frozen=True, kw_only=True):
    """What a search for accounts found."""

    data: list[User]


class Branch(_Form, frozen=True, kw_only=True):
    """One side of a pull request; `label` is the branch, also when it is gone."""

    label: str
    sha: _Sha
    repo_id: int = 0


class Pull(_Form, frozen=True, kw_only=True):
    """A pull request."""

    number: Annotated[int, msgspec.Meta(ge=1, le=(1 << 53) - 1)]
    state: Literal["open", "closed"]
    merged: bool = False
    draft: bool = False
    title: str
    body: str
    user: User | None = None
    head: Branch
    base: Branch

    def is_of(self, branch: str) -> bool:
        """Is it from this branch of the repository itself?"""
        return self.head.label == branch and self.head.repo_id in {self.base.repo_id, -1}

    def told(self, branch: str, page: str) -> PullRequest:
        """As the port has it."""
        user = self.user
        return PullRequest(
            number=self.number,
            url=page,
            state="merged" if self.merged else self.state,
            draft=self.draft,
            head=self.head.sha,
            branch=branch,
            base=self.base.label,
            author=Account(user.id, user.login) if user is not None and user.id > 0 else Account(0, "ghost"),
            title=self.title,
            body=self.body,
        )


class PullReview(_Form, frozen=True, kw_only=True):
    """A review, or a request for one."""

    id: _Number
    user: User | None = None
    state: str
    body: str = ""
    commit_id: _Sha = ""
    dismissed: bool = False
    submitted_at: str


class Comment(_Form, frozen=True, kw_only=True):
    """A comment outside of reviews."""

    id: int
    user: User | None = None
    body: str
    created_at: str


class Status(_Form, frozen=True, kw_only=True):
    """A commit's status; the newest has the highest id."""

    id: int
    context: str
    status: str
    description: str = ""
    target_url: str = ""


class Rule(_Form, frozen=True, kw_only=True):
    """A protection rule of branches; what binds administrators has another name on Forgejo."""

    rule_name: str
    enable_push: bool = False
    enable_push_whitelist: bool = False
    push_whitelist_usernames: list[str] | None = None
    push_whitelist_teams: list[str] | None = None
    push_whitelist_deploy_keys: bool = False
    enable_force_push: bool = False
    enable_status_check: bool = False
    status_check_contexts: list[str] | None = None
    block_on_rejected_reviews: bool = False
    dismiss_stale_approvals: bool = False
    block_admin_merge_override: bool = False
    apply_to_admins: bool = False


class Seen(_Form, frozen=True, kw_only=True):
    """A branch as everybody who reads the repository sees it."""

    name: str
    protected: bool = False
    user_can_push: bool = False
    enable_status_check: bool = False
    status_check_contexts: list[str] | None = None
    effective_branch_protection_name: str = ""


class HookConfig(_Form, frozen=True, kw_only=True):
    """Where a webhook goes to."""

    url: str = ""
    content_type: str = ""


class Hook(_Form, frozen=True, kw_only=True):
    """A webhook."""

    id: int
    active: bool = False
    events: list[str] | None = None
    config: HookConfig = HookConfig()


class Repository(_Form, frozen=True, kw_only=True):
    """The repository's settings."""

    default_branch: str = ""
    has_actions: bool = False
    default_delete_branch_after_merge: bool = False


class File(_Form, frozen=True, kw_only=True):
    """A small file of a branch, in base64."""

    sha: str
    content: str | None = None


class Runner(_Form, frozen=True, kw_only=True):
    """A runner of the repository's own."""

    name: str


class Runners(_Form, frozen=True, kw_only=True):
    """The first page of them, and how many there are."""

    runners: list[Runner]
    total_count: int


class Secret(_Form, frozen=True, kw_only=True):
    """A secret for workflows, by name only."""

    name: str
