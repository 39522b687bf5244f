"""What GitHub's Actions leave open at the Ctrl repository, as far as its API tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from placet.adapters.forge import actions
from placet.adapters.forge.github_answers import (
    ActionsRights,
    Forks,
    Repository,
    Runners,
    Secrets,
    Strangers,
    WorkflowRights,
)
from placet.adapters.forge.http import ForgeHttp
from placet.errors import NotFound, Refused
from placet.ports import Hole

_WHERE = "Settings, Actions, General"
_ALL = "all_external_contributors"


def holes(http: ForgeHttp, known: Repository, unseen: Callable[[str, str], Hole]) -> Iterator[Hole]:
    """What is open; nothing where Actions are off.

    Args:
        http: The API.
        known: The repository.
        unseen: The hole of what this credential cannot see, and the right that it lacks.
    """
    at = f"/repos/{known.full_name}/actions"
    try:
        if not http.get(f"{at}/permissions", ActionsRights).enabled:
            return
        yield from _of_workflows(http.get(f"{at}/permissions/workflow", WorkflowRights))
        runners = http.get(f"{at}/runners", Runners)
        if runners.total_count:
            yield actions.with_runners([one.name for one in runners.runners], runners.total_count)
        yield from _of_forks(http, at, known)
    except (Refused, NotFound):
        yield unseen("what GitHub Actions may do, and on which runners", "Administration: read")
    try:
        secrets = http.get(f"{at}/secrets", Secrets)
    except (Refused, NotFound):
        yield unseen("whether Actions have secrets of the repository", "Secrets: read")
        return
    if secrets.total_count:
        yield actions.with_secrets(secrets.total_count)


def _of_workflows(rights: WorkflowRights) -> Iterator[Hole]:
    if rights.can_approve_pull_request_reviews:
        yield Hole(
            "A workflow, which whoever pushes a branch can write, may approve pull requests.",
            f"{_WHERE}: take from Actions that it may approve pull requests.",
        )
    if rights.default_workflow_permissions != "read":
        yield Hole(
            "Every workflow gets a token that may write to the repository, if it does not say otherwise.",
            f"{_WHERE}, Workflow permissions: read repository contents only.",
        )


def _of_forks(http: ForgeHttp, at: str, known: Repository) -> Iterator[Hole]:
    """Who has no right here makes a fork, and opens a pull request from it."""
    if not known.private:
        found = http.maybe(f"{at}/permissions/fork-pr-contributor-approval", Strangers)
        if found is not None and found.approval_policy != _ALL:
            yield Hole(
                "Workflows of strangers' pull requests run without being asked for, once one of theirs was"
                " merged or they have an account for long.",
                f"{_WHERE}: require approval for all external contributors.",
            )
        return
    forks = http.maybe(f"{at}/permissions/fork-pr-workflows-private-repos", Forks)
    if forks is None or not forks.run_workflows_from_fork_pull_requests:
        return
    open_to = {
        "get a token that may write": forks.send_write_tokens_to_workflows,
        "get the secrets": forks.send_secrets_and_variables,
        "run without being asked for": not forks.require_approval_for_fork_pr_workflows,
    }
    for what, is_open in open_to.items():
        if is_open:
            yield Hole(
                f"Workflows of pull requests from forks {what}.",
                f"{_WHERE}, Fork pull request workflows: switch it off.",
            )
