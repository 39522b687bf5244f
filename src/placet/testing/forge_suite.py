"""The contract of `placet.ports.Forge`, executable: subclass it, and give it a forge with people on it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import count
from typing import Protocol

import pytest

from placet.errors import Conflict, NotFound, Refused, Unavailable
from placet.ports import Account, Commission, Forge, PullRequest, StatusState
from placet.testing.memory_forge import Word

COMMISSION = Commission(main="main", published=("published", "published-*"), status="placet")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_HOSTILE = "a title @everyone <!-- --> [x](javascript:1) \u202e ü"


class Scene(Protocol):
    """A forge with an empty Ctrl repository on it, whose `main` has a commit; and what happens there.

    Everything but `forge` goes behind the adapter's back, as people and `git push` do it.
    """

    @property
    def forge(self) -> Forge:
        """The adapter, with the credential of an account that may write."""
        ...

    def me(self) -> Account:
        """That account."""
        ...

    def account(self, login: str) -> Account:
        """Somebody who may write; made at the first use."""
        ...

    def rename(self, login: str, fresh: str) -> None:
        """Give somebody another login."""
        ...

    def push(self, branch: str, *, force: bool = False) -> str:
        """A new commit on a branch, which is made at the first use; with `force` instead of what it had."""
        ...

    def cut(self, branch: str) -> None:
        """Remove a branch."""
        ...

    def review(self, number: int, login: str, word: Word, text: str = "") -> None:
        """Submit a review of the head as it is now."""
        ...

    def dismiss(self, number: int, review: int) -> None:
        """Dismiss a review."""
        ...

    def say(self, number: int, login: str, text: str) -> None:
        """Comment outside of a review."""
        ...

    def draft(self, number: int, *, on: bool) -> None:
        """Make a pull request a draft, or ready."""
        ...

    def land(self, number: int) -> None:
        """Merge a pull request by the forge's button."""
        ...

    def statuses(self, commit: str) -> Sequence[tuple[StatusState, str, str | None]]:
        """Every status `placet` that was ever set on a commit, oldest first."""
        ...

    def asked(self, number: int) -> set[int]:
        """The accounts that are asked for a review."""
        ...

    def down(self) -> AbstractContextManager[None]:
        """Nobody reaches the forge."""
        ...

    def nowhere(self, *, organisation: bool) -> Forge:
        """The adapter at a repository that is not there, of its own account or of an organisation's."""
        ...


class ForgeContract:
    """Every promise of the port, on one adapter."""

    _idents: Iterator[int] = count(1)

    @pytest.fixture
    def scene(self) -> Scene:
        """The forge under test; tests use branches of their own."""
        raise NotImplementedError

    @pytest.fixture
    def branch(self) -> str:
        """A branch that no other test uses."""
        return f"refs/heads/proposals/{next(self._idents):032x}"

    @pytest.fixture
    def opened(self, scene: Scene, branch: str) -> PullRequest:
        """A pull request of the branch, just opened."""
        scene.push(branch)
        return open_one(scene.forge, branch)

    def test_a_pull_request_is_opened_once_and_kept_up_to_date(self, scene: Scene, branch: str) -> None:
        """Everything that was given is told back; a second time changes title and text only."""
        forge = scene.forge
        assert forge.pull(branch) is None
        head = scene.push(branch)
        text = "# Text\n\n" + "line with `code` & <b>\n" * 100
        url = forge.opened("a" * 32, branch, _HOSTILE, text)
        found = forge.pull(branch)
        assert found is not None
        assert url is not None
        assert url == found.url
        assert url.startswith(("http://", "https://"))
        told = (found.state, found.draft, found.head, found.branch, found.base, found.author)
        assert told == ("open", False, head, branch.removeprefix("refs/heads/"), "main", scene.me())
        assert found.title == _HOSTILE
        assert _plain(found.body) == _plain(text)
        assert forge.opened("a" * 32, branch, "another title", "another text") == url
        again = forge.pull(branch)
        assert again == replace(found, title="another title", body="another text")
        assert forge.pull(branch.removeprefix("refs/heads/")) == again

    def test_a_branch_that_was_not_pushed_has_none(self, scene: Scene, branch: str) -> None:
        """It is refused or not there, and nothing is made."""
        with pytest.raises((Refused, NotFound)):
            scene.forge.opened("a" * 32, branch, "title", "text")
        assert scene.forge.pull(branch) is None

    def test_a_closed_one_stays_and_a_new_one_is_made(
        self, scene: Scene, branch: str, opened: PullRequest
    ) -> None:
        """Closing is idempotent; the newest is told."""
        forge = scene.forge
        forge.close(opened.number)
        forge.close(opened.number)
        assert forge.pull(branch) == replace(opened, state="closed")
        second = open_one(forge, branch)
        assert second.number > opened.number
        assert second.state == "open"

    def test_after_a_merge_nothing_is_opened_or_closed(
        self, scene: Scene, branch: str, opened: PullRequest
    ) -> None:
        """The forge's own button, and a branch that goes with it."""
        scene.land(opened.number)
        found = scene.forge.pull(branch)
        assert found == replace(opened, state="merged")
        scene.forge.close(opened.number)
        assert scene.forge.opened("a" * 32, branch, "late", "late") == opened.url
        assert scene.forge.pull(branch) == found
        assert scene.forge.merge(branch, opened.head) is True

    def test_reviews_are_told_in_order(self, scene: Scene, opened: PullRequest) -> None:
        """With account, commit and verdict; drafts are not."""
        scene.review(opened.number, "rita", "comment", "a question")
        scene.review(opened.number, "rita", "return", "mend it, please")
        scene.review(opened.number, "sam", "approve", "fine\nso")
        scene.review(opened.number, "tom", "draft", "not yet")
        found = scene.forge.reviews(opened.number)
        rita, sam = scene.account("rita"), scene.account("sam")
        assert [(one.account, one.verdict, _plain(one.text)) for one in found] == [
            (rita, None, "a question"),
            (rita, "return", "mend it, please"),
            (sam, "approve", "fine\nso"),
        ]
        assert {one.commit for one in found} == {opened.head}
        assert not any(one.dismissed for one in found)
        assert all(_TIME.fullmatch(one.time) for one in found)
        assert len({one.id for one in found}) == len(found)

    def test_a_dismissed_review_is_told_as_such(self, scene: Scene, opened: PullRequest) -> None:
        """It does not vanish."""
        scene.review(opened.number, "rita", "approve")
        [before] = scene.forge.reviews(opened.number)
        scene.dismiss(opened.number, before.id)
        [after] = scene.forge.reviews(opened.number)
        assert (after.id, after.dismissed, before.dismissed) == (before.id, True, False)

    @pytest.mark.parametrize("force", [False, True])
    def test_a_review_stays_with_its_commit(
        self, scene: Scene, branch: str, opened: PullRequest, force: bool
    ) -> None:
        """When the head moves, an approval does not move with it; of a replaced head none may be told."""
        scene.review(opened.number, "rita", "approve")
        head = scene.push(branch, force=force)
        scene.review(opened.number, "sam", "approve")
        found = scene.forge.pull(branch)
        assert found is not None
        assert found.head == head != opened.head
        first, second = [one.commit for one in scene.forge.reviews(opened.number)]
        assert first in ({opened.head, ""} if force else {opened.head})
        assert second == head

    def test_reviews_fill_more_than_a_page(self, scene: Scene, opened: PullRequest) -> None:
        """All of them are told, each once."""
        for number in range(self.many):
            scene.review(opened.number, "rita", "comment", f"review {number}")
        found = scene.forge.reviews(opened.number)
        assert [one.text for one in found] == [f"review {number}" for number in range(self.many)]

    many = 53
    """More than fit on a page of the forge."""

    def test_whoever_is_renamed_stays_the_same_account(self, scene: Scene, opened: PullRequest) -> None:
        """And whoever takes the old name is another one."""
        before = scene.account("renamed")
        scene.review(opened.number, "renamed", "approve")
        scene.rename("renamed", "fresh")
        [review] = scene.forge.reviews(opened.number)
        assert review.account == Account(before.id, "fresh")
        assert scene.account("renamed").id != before.id
        [review] = scene.forge.reviews(opened.number)
        assert review.account == Account(before.id, "fresh")

    def test_a_branch_may_be_gone(self, scene: Scene, branch: str, opened: PullRequest) -> None:
        """What was said is still told."""
        scene.review(opened.number, "rita", "approve")
        scene.land(opened.number)
        scene.cut(branch)
        found = scene.forge.pull(branch)
        assert found is not None
        assert (found.number, found.state, found.head) == (opened.number, "merged", opened.head)
        assert [one.commit for one in scene.forge.reviews(opened.number)] == [opened.head]

    def test_a_draft_is_one_until_it_is_ready(self, scene: Scene, branch: str, opened: PullRequest) -> None:
        """And is not merged before."""
        scene.draft(opened.number, on=True)
        found = scene.forge.pull(branch)
        assert found is not None
        assert found.draft
        with pytest.raises(Refused):
            scene.forge.merge(branch, opened.head)
        scene.draft(opened.number, on=False)
        assert scene.forge.pull(branch) == opened

    def test_reviewers_are_asked(self, scene: Scene, opened: PullRequest) -> None:
        """But nobody for a review of their own, and nobody whom the forge does not know."""
        rita, sam = scene.account("rita").id, scene.account("sam").id
        scene.forge.request(opened.number, [opened.author.id, rita, 987654321])
        assert scene.asked(opened.number) == {rita}
        scene.forge.request(opened.number, [rita, sam])
        assert scene.asked(opened.number) == {rita, sam}
        scene.forge.request(opened.number, [])
        assert scene.asked(opened.number) == {rita, sam}

    def test_a_status_is_sent_when_it_changes(self, scene: Scene, branch: str) -> None:
        """Nothing else is sent; long text is cut."""
        forge, head = scene.forge, scene.push(branch)
        url = "https://placet.invalid/why"
        forge.status(head, "pending", "1 of 2 approvals missing", url)
        forge.status(head, "pending", "1 of 2 approvals missing", url)
        forge.status(head, "success", "x" * 500)
        forge.status(head, "success", "x" * 500)
        forge.status(head, "failure", "rejected")
        forge.status(head, "success", "x" * 500)
        long = ("success", "x" * 137 + "...", None)
        first = ("pending", "1 of 2 approvals missing", url)
        assert list(scene.statuses(head)) == [first, long, ("failure", "rejected", None), long]

    def test_a_comment_is_made_once(self, scene: Scene, opened: PullRequest) -> None:
        """The same by somebody else is another one."""
        forge = scene.forge
        scene.say(opened.number, "rita", "published")
        for text in ("published", "published", "retracted", "published"):
            forge.comment(opened.number, text)
        found = forge.remarks(opened.number)
        rita, me = scene.account("rita"), scene.me()
        assert [(one.account, one.text) for one in found] == [
            (rita, "published"),
            (me, "published"),
            (me, "retracted"),
        ]
        assert all(_TIME.fullmatch(one.time) for one in found)

    def test_merging_is_bound_to_a_head(self, scene: Scene, branch: str) -> None:
        """Another head is a conflict, no pull request is False, once merged is True."""
        forge, first = scene.forge, scene.push(branch)
        assert forge.merge(branch, first) is False
        made = open_one(forge, branch)
        second = scene.push(branch)
        with pytest.raises(Conflict) as caught:
            forge.merge(branch, first)
        assert caught.value.kind == "ref-moved"
        found = forge.pull(branch)
        assert found is not None
        assert (found.state, found.head) == ("open", second)
        assert forge.merge(branch, second) is True
        assert forge.merge(branch, second) is True
        assert forge.pull(branch) == replace(made, state="merged", head=second)

    def test_a_closed_one_is_not_merged(self, scene: Scene, branch: str, opened: PullRequest) -> None:
        """It counts as none."""
        scene.forge.close(opened.number)
        assert scene.forge.merge(branch, opened.head) is False

    def test_what_is_not_there_is_said(self, scene: Scene) -> None:
        """For every question about a pull request."""
        forge, none = scene.forge, 10**6
        for ask in (
            lambda: forge.reviews(none),
            lambda: forge.remarks(none),
            lambda: forge.close(none),
            lambda: forge.comment(none, "text"),
            lambda: forge.request(none, [scene.me().id]),
        ):
            with pytest.raises(NotFound) as caught:
                ask()
            assert caught.value.kind == "forge-missing"

    def test_a_forge_that_is_down(self, scene: Scene, branch: str, opened: PullRequest) -> None:
        """Each call says so; afterwards all is as before."""
        forge = scene.forge
        with scene.down():
            for ask in (
                lambda: forge.opened("a" * 32, branch, "title", "text"),
                lambda: forge.pull(branch),
                lambda: forge.reviews(opened.number),
                lambda: forge.status(opened.head, "success", "text"),
                lambda: forge.comment(opened.number, "text"),
                lambda: forge.merge(branch, opened.head),
            ):
                with pytest.raises(Unavailable) as caught:
                    ask()
                assert caught.value.kind == "forge-unreachable"
        assert forge.pull(branch) == opened
        assert list(forge.remarks(opened.number)) == []

    @pytest.mark.parametrize("organisation", [False, True])
    def test_a_repository_is_made_once(self, scene: Scene, *, organisation: bool) -> None:
        """And one that is there is left as it is."""
        forge = scene.nowhere(organisation=organisation)
        with pytest.raises(NotFound):
            forge.holes(COMMISSION)
        assert forge.ensure() is True
        assert forge.ensure() is False
        assert forge.pull("proposals/1") is None
        assert scene.forge.ensure() is False

    def test_protection_closes_its_holes(self, scene: Scene) -> None:
        """All of them, twice as once; each is said with its mend."""
        forge = scene.forge
        before = forge.holes(COMMISSION)
        assert before
        assert all(one.what.endswith(".") and one.mend for one in before)
        forge.protect(COMMISSION)
        forge.protect(COMMISSION)
        assert [one.what for one in forge.holes(COMMISSION)] == []


def open_one(forge: Forge, branch: str) -> PullRequest:
    """The pull request of a pushed branch."""
    forge.opened("a" * 32, branch, "a title", "a text")
    found = forge.pull(branch)
    assert found is not None
    return found


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").strip()
