"""Try the GitHub adapter on GitHub itself, on a repository that is made for it and may be thrown away.

python scripts/github_smoke.py OWNER/NAME --token FILE [--reviewer FILE] [--api URL]

FILE: a fine-grained token for that repository alone (contents, pull requests, commit statuses: write;
administration: read), readable by its owner only. With `--reviewer`, the token of a second account that may
write there, approvals are tried, and what a forced push does to them. The branch and the pull request that
it makes are removed and closed at the end. Exit code 1 if something is not as the adapter takes it to be.
"""

from __future__ import annotations

import argparse
import base64
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from placet.adapters import keys
from placet.adapters.forge.github import GitHubForge, connect, headers_of
from placet.adapters.forge.http import ForgeHttp, Place
from placet.errors import Conflict, PlacetError
from placet.ports import Commission, Review

COMMISSION = Commission(main="main", published=("published", "published-*"), status="placet")
_PATIENCE_S = 60.0


class Smoke:
    """One run.

    Args:
        connect_as: The adapter with a token.
        http_as: The API with a token.
        repository: `owner/name`.
        tokens: Of the account, and of the reviewer if there is one.
        wait: Waits so many seconds.
    """

    def __init__(
        self,
        connect_as: Callable[[str], GitHubForge],
        http_as: Callable[[str], ForgeHttp],
        repository: str,
        tokens: list[str],
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.forge = connect_as(tokens[0])
        self.http = http_as(tokens[0])
        self.reviewer = http_as(tokens[1]) if len(tokens) > 1 else None
        self.at = f"/repos/{repository}"
        self.wait = wait
        self.branch = f"proposals/{secrets.token_hex(16)}"
        self.failed = 0

    def run(self) -> int:
        """Everything, in order; what was made is taken away whatever happens."""
        self._branch(self.branch)
        try:
            self._work()
        finally:
            self._away()
        return 1 if self.failed else 0

    def _work(self) -> None:
        head = self._commit("one", self.branch)
        url = self.forge.opened("smoke", self.branch, "Placet: a smoke test", "first text")
        pull = self.forge.pull(self.branch)
        self._say("a pull request is opened and found", pull is not None and pull.url == url)
        if pull is None:
            return
        self._say("its head is the pushed commit", pull.head == head)
        self.forge.opened("smoke", self.branch, "Placet: a smoke test", "second text")
        again = self.forge.pull(self.branch)
        self._say("its text is brought up to date", again == replace(pull, body="second text"))
        self.forge.status(head, "pending", "1 of 2 approvals missing")
        self.forge.status(head, "pending", "1 of 2 approvals missing")
        statuses = self.http.get(f"{self.at}/commits/{head}/statuses", list[dict[str, Any]])
        self._say("a status is set once", len(statuses) == 1)
        self.forge.comment(pull.number, "said once")
        self.forge.comment(pull.number, "said once")
        self._say("a comment is made once", len(self.forge.remarks(pull.number)) == 1)
        self._reviews(pull.number, head)
        self._say("another head is not merged", self._refuses_to_merge())
        for hole in self.forge.holes(COMMISSION):
            print(f"     open: {hole.what} {hole.mend}")

    def _reviews(self, number: int, head: str) -> None:
        if self.reviewer is None:
            print("     no --reviewer: approvals were not tried")
            return
        body = {"event": "APPROVE", "body": "fine"}
        self.reviewer.call("POST", f"{self.at}/pulls/{number}/reviews", body=body)
        told = self._until(number, lambda found: found[-1].commit == head)
        self._say("an approval is told with its commit", told)
        self._replace()
        told = self._until(number, lambda found: found[0].commit == "")
        self._say("after a forced push it is told without", told)
        shown = self.http.get(f"{self.at}/pulls/{number}/reviews", list[dict[str, Any]])[0]
        moved = "moved the review to the new head" if shown["commit_id"] != head else "left the review"
        print(f"     GitHub {moved} (state {shown['state']})")

    def _refuses_to_merge(self) -> bool:
        try:
            self.forge.merge(self.branch, "0" * 40)
        except Conflict:
            return True
        return False

    def _until(self, number: int, good: Callable[[list[Review]], bool]) -> bool:
        for _ in range(int(_PATIENCE_S)):
            found = list(self.forge.reviews(number))
            if found and good(found):
                return True
            self.wait(1.0)
        return False

    def _branch(self, name: str) -> None:
        main = self.http.get(f"{self.at}/git/ref/heads/main", dict[str, Any])["object"]["sha"]
        self.http.call("POST", f"{self.at}/git/refs", body={"ref": f"refs/heads/{name}", "sha": main})

    def _commit(self, text: str, branch: str) -> str:
        """A commit with a file."""
        content = base64.b64encode(text.encode()).decode()
        body = {"message": f"Smoke test: {text}", "content": content, "branch": branch}
        made = self.http.call("PUT", f"{self.at}/contents/smoke-{text}.txt", body=body).read(dict[str, Any])
        return str(made["commit"]["sha"])

    def _replace(self) -> None:
        """Another commit instead of what the branch has."""
        other = f"{self.branch}-other"
        self._branch(other)
        body = {"sha": self._commit("two", other), "force": True}
        self.http.call("PATCH", f"{self.at}/git/refs/heads/{self.branch}", body=body)
        self.http.call("DELETE", f"{self.at}/git/refs/heads/{other}")

    def _away(self) -> None:
        found = self.forge.pull(self.branch)
        if found is not None:
            self.forge.close(found.number)
        self.http.call("DELETE", f"{self.at}/git/refs/heads/{self.branch}")

    def _say(self, what: str, good: bool) -> None:
        self.failed += not good
        print(f"{'ok  ' if good else 'FAIL'} {what}")


def main() -> int:
    """From the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("repository", metavar="OWNER/NAME")
    parser.add_argument("--token", type=Path, required=True)
    parser.add_argument("--reviewer", type=Path)
    parser.add_argument("--api", default="https://api.github.com")
    given = parser.parse_args()
    files = [given.token, *([given.reviewer] if given.reviewer else [])]
    place = Place(given.api, dict, lambda: datetime.now(UTC))  # noqa: TID251 - a program of its own
    try:
        tokens = [keys.read_secret(file).decode("ascii").strip() for file in files]
        return Smoke(
            lambda token: connect(place, given.repository, lambda: token),
            lambda token: ForgeHttp(replace(place, headers=lambda: headers_of(token))),
            given.repository,
            tokens,
        ).run()
    except PlacetError as error:
        print(f"FAIL {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
