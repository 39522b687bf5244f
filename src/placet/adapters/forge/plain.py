"""Plain Git as a forge: a pushed branch is the proposal, and whoever may push merges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from placet.ports import PLAIN, Commission, Hole, PullRequest, Remark, Review, StatusState


class PlainForge:
    """Nothing to do beyond Git itself: no pages, no accounts, no reviews; its protection is the gate."""

    name = PLAIN

    def opened(self, proposal: str, branch: str, title: str, body: str) -> str | None:
        """A branch has no page of its own."""
        del proposal, branch, title, body
        return None

    def pull(self, branch: str) -> PullRequest | None:
        """There is none."""
        del branch
        return None

    def reviews(self, number: int) -> Sequence[Review]:
        """There are none."""
        del number
        return ()

    def remarks(self, number: int) -> Sequence[Remark]:
        """There are none."""
        del number
        return ()

    def request(self, number: int, accounts: Sequence[int]) -> None:
        """Nobody is asked."""
        del number, accounts

    def status(self, commit: str, state: StatusState, text: str, url: str | None = None) -> None:
        """A commit has no status."""
        del commit, state, text, url

    def comment(self, number: int, text: str) -> None:
        """Nobody would read it."""
        del number, text

    def close(self, number: int) -> None:
        """There is none."""
        del number

    def merge(self, branch: str, head: str) -> bool:
        """Merging is a push."""
        del branch, head
        return False

    def ensure(self) -> bool:
        """A repository is made by `placet init --ctrl`."""
        return False

    def protect(self, commission: Commission) -> None:
        """The gate protects it, whatever is asked for."""
        del commission

    def holes(self, commission: Commission) -> Sequence[Hole]:
        """The gate is looked at by `placet doctor` itself."""
        del commission
        return ()

    def pushers(self, commission: Commission) -> Mapping[str, Sequence[str]]:
        """Git knows no accounts."""
        del commission
        return {}
