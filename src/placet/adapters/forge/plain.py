"""Plain Git as a forge: a pushed branch is the proposal, and whoever may push merges."""

from __future__ import annotations


class PlainForge:
    """Nothing to do beyond Git itself."""

    def opened(self, proposal: str, branch: str, title: str, body: str) -> str | None:
        """A branch has no page of its own."""
        del proposal, branch, title, body
        return None

    def merge(self, proposal: str, branch: str) -> bool:
        """Merging is a push."""
        del proposal, branch
        return False
