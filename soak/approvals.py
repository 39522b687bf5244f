"""What was approved: policies, landings and decisions on `main`, recomputed from the trust root by code of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from soak.evidence import Bucket, Git, Statement, sha256, statement

POLICY = ".placet/policy.yaml"


@dataclass
class Tier:
    """A publication tier as its researchers read it, and as its administrator does."""

    name: str
    reader: Bucket
    admin: Bucket

    @property
    def branch(self) -> str:
        """The published branch."""
        return "published" if self.name == "publication-storage" else f"published-{self.name}"


@dataclass
class State:
    """Everything that is judged."""

    git: Git
    trust_root: str
    tiers: list[Tier]
    internal: dict[str, Bucket]


@dataclass
class Landing:
    """A proposal on `main`: where it landed, and the policy that was effective before."""

    ident: str
    manifest: Statement
    position: int
    policy: dict[str, Any]


@dataclass
class Approvals:
    """A reading of `main`; `found` is what is broken: invariant and sentence."""

    state: State
    found: list[tuple[str, str]] = field(default_factory=list)

    def _try(self, invariant: str, work: Callable[[], object]) -> None:
        """What cannot even be read breaks the invariant that it was read for."""
        try:
            work()
        except (ValueError, KeyError, IndexError, TypeError, RuntimeError, AttributeError) as error:
            self._say(invariant, f"cannot be read: {type(error).__name__} {error}")

    def _say(self, invariant: str, text: str) -> None:
        self.found.append((invariant, text))

    def _need(self, holds: object, invariant: str, text: str) -> None:
        if not holds:
            self._say(invariant, text)

    def _fsck(self) -> None:
        said = self.state.git.run("fsck", "--strict", "--no-dangling", "--no-progress", good=False).decode()
        self._need(not said.strip(), "I5", f"git fsck: {said[:200]}")

    def _policies(self) -> None:
        """The chain of policies from the trust root, and every landing with the policy before it."""
        first = self._file(self.main[0], POLICY)
        self._need(sha256(first) == self.state.trust_root, "I7", "the first policy is not the trust root")
        policy = self._policy(first)
        self.policies = [policy]
        self.effective: list[dict[str, Any]] = []
        self.landings: dict[str, Landing] = {}
        for position, commit in enumerate(self.main):
            for ident in self._folders(commit) - self.landings.keys():
                manifest = statement(self._file(commit, f"{folder(ident)}manifest.json"))
                self.landings[ident] = Landing(ident, manifest, position, policy)
                adopted = self._adopted(self.landings[ident], commit)
                if adopted is not None:
                    policy = adopted
                    self.policies.append(policy)
            self.effective.append(policy)

    def _adopted(self, landing: Landing, commit: str) -> dict[str, Any] | None:
        """The policy that this landing made effective, if it is one, and rightly approved."""
        body = landing.manifest.body
        if body["kind"] != "policy":
            return None
        data = self._file(commit, POLICY)
        right = (
            landing.manifest.subject == [{"name": POLICY, "digest": {"sha256": sha256(data)}}]
            and body["policy"] == landing.policy["digest"]
            and landing.manifest.signed_by(landing.policy["people"][body["person"]]["keys"])
        )
        rules = landing.policy["governance"]["policy"]
        enough = self._approved(landing, commit, rules, barred={body["person"]})
        return self._policy(data) if right and enough else None

    @staticmethod
    def _policy(data: bytes) -> dict[str, Any]:
        lines = (line.partition(": ") for line in data.decode().splitlines())
        return {**{key: json.loads(value) for key, _, value in lines}, "digest": sha256(data)}

    def _folders(self, commit: str) -> set[str]:
        paths = (path.split("/") for path in self.state.git.tree(commit))
        return {one[3] for one in paths if one[:2] == [".placet", "proposals"] and one[-1] == "manifest.json"}

    def _file(self, commit: str, path: str) -> bytes:
        return self.state.git.blob(self.state.git.tree(commit)[path])

    # --- decisions ------------------------------------------------------------------------------------------

    def _decisions(self, landing: Landing, commit: str) -> Iterator[tuple[str, list[Statement]]]:
        """Person -> all of their decisions on this manifest, in order; broken chains are said."""
        place = f"{folder(landing.ident)}decisions/"
        given: dict[str, dict[int, Statement]] = {}
        for path in self.state.git.tree(commit):
            if path.startswith(place):
                person, _, number = path.removeprefix(place).removesuffix(".json").rpartition("-")
                given.setdefault(person, {})[int(number)] = statement(self._file(commit, path))
        for person, by_number in given.items():
            chain = [by_number[number] for number in sorted(by_number)]
            known = landing.policy["people"].get(person, {"keys": []})
            name = f"decision of {person} on {landing.ident[:8]}"
            self._need(sorted(by_number) == list(range(1, len(chain) + 1)), "I2", f"a gap: {name}")
            before = None
            for number, one in enumerate(chain, start=1):
                self._need(one.signed_by(known["keys"]), "I9", f"not signed by this person: {name}")
                right = (one.kind, one.body["person"], one.body["n"], one.body["previous"])
                self._need(
                    right == ("decision", person, number, before), "I9", f"not what its name says: {name}"
                )
                bound = one.body["manifest"] == landing.manifest.digest
                self._need(bound, "I2", f"it is about another manifest: {name}")
                self._need(
                    one.body["policy"] == landing.policy["digest"], "I2", f"under another policy: {name}"
                )
                before = one.digest
            yield person, chain

    def _approved(
        self, landing: Landing, commit: str, rules: list[dict[str, Any]], barred: set[str], when: str = ""
    ) -> bool:
        """Do enough distinct people, of enough organisations, say yes, and nobody no, in this tree?"""
        yes: dict[str, str] = {}
        policy = landing.policy
        members = {
            one for rule in rules for group in rule["groups"] for one in policy["groups"][group]["members"]
        }
        for person, chain in self._decisions(landing, commit):
            last = chain[-1].body
            if person in members and last["verdict"] != "approve":
                return False
            expired = when and last["expires"] and last["expires"] <= when
            if last["verdict"] == "approve" and person not in barred and not expired:
                yes[person] = last["seen"]["level"]
        return all(self._enough(policy, rule, yes) for rule in rules)

    @staticmethod
    def _enough(policy: dict[str, Any], rule: dict[str, Any], yes: dict[str, str]) -> bool:
        people = {
            one for one in yes if any(one in policy["groups"][group]["members"] for group in rule["groups"])
        }
        keys = [frozenset(policy["people"][one]["keys"]) for one in people]
        distinct = all(not one & other for at, one in enumerate(keys) for other in keys[at + 1 :])
        saw = sum(
            yes[one] == "bytes"
            and any(
                one in policy["groups"][group]["members"] and policy["groups"][group]["sees"] == "bytes"
                for group in rule["groups"]
            )
            for one in people
        )
        return (
            distinct
            and len(people) >= rule["count"]
            and len({policy["people"][one]["organisation"] for one in people}) >= rule.get("organisations", 1)
            and saw >= rule.get("bytes", 0)
        )

    def _fine(self, landing: Landing, commit: str, when: str = "") -> bool:
        """May what this publish manifest names leave, by the decisions in this tree?"""
        body = landing.manifest.body
        (rule,) = landing.policy["rules"]
        node = landing.policy["nodes"][body["node"]]
        return (
            body["kind"] == "publish"
            and landing.manifest.signed_by(node["keys"])
            and body["policy"] == landing.policy["digest"]
            and self._approved(landing, commit, rule["approvals"], set(node.get("operators", ())), when)
        )


def folder(ident: str) -> str:
    """Where a proposal's files are."""
    return f".placet/proposals/{ident[:2]}/{ident}/"
