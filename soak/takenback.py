"""What was taken back, and what stays: retractions on a published branch, judged beside everything published there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from soak.approvals import Approvals, Landing, Tier, folder
from soak.evidence import Bucket, Statement, statement

KINDS = {"retract", "erased", "restored"}


@dataclass
class Published:
    """One artifact of one publication; `gone` is the retraction that took it back, as long as that stands."""

    landing: Landing
    artifact: dict[str, Any]
    subject: dict[str, Any]
    path: str
    blob: str
    gone: str = ""


@dataclass
class Taken:
    """A retraction on a published branch; `removed` are the metafiles that stood, with their blobs."""

    time: str
    removed: dict[str, str]
    final: bool
    end: str = ""


@dataclass
class Shelf:
    """What one published branch holds."""

    published: list[Published] = field(default_factory=list)
    taken: dict[str, Taken] = field(default_factory=dict)
    current: dict[str, str] = field(default_factory=dict)


@dataclass
class TakenBack(Approvals):
    """The part of a judgement that is about retractions; `erased`: tier -> metafiles, with blobs, taken back."""

    shelf: Shelf = field(default_factory=Shelf)
    erased: dict[str, set[tuple[str, str]]] = field(default_factory=dict)

    def _retraction(self, tier: Tier, parent: str, commit: str, entry: Statement, landing: Landing) -> None:
        """One entry `retract`, `erased` or `restored`."""
        body, name = landing.manifest.body, f"{entry.body['kind']} of {landing.ident[:8]}"
        self._need(body["kind"] == "retract", "I1", f"{name}: it is a {body['kind']}")
        self._need(body["tier"] == tier.name, "I2", f"{name} was decided for tier {body['tier']}")
        known = self.shelf.taken.get(landing.ident)
        changed = {"retract": self._retracted, "erased": self._erased, "restored": self._restored}[
            entry.body["kind"]
        ](commit, entry, landing, known, name)
        stray = {
            one
            for one in self._changed(parent, commit) - changed
            if not one.startswith((folder(landing.ident), ".placet/ledger/"))
        }
        self._need(not stray, "I8", f"{name} changes {sorted(stray)[:3]}")

    def _retracted(
        self, commit: str, entry: Statement, landing: Landing, known: Taken | None, name: str
    ) -> set[str]:
        emergency = bool(landing.manifest.body.get("emergency"))
        if known is not None:
            right = emergency and not known.final and not known.end
            self._need(right, "I4", f"{name} is recorded twice")
            self._need(self._agreed(landing, commit, confirm=True), "I1", f"{name}: nobody confirmed it")
            known.final = True
            return set()
        self._need(self._agreed(landing, commit, confirm=False), "I1", f"{name} without its approvals")
        removed = {}
        for one in self._named(landing, name):
            one.gone = landing.ident
            if self.shelf.current.get(one.path) == one.landing.ident:
                removed[one.path] = one.blob
                del self.shelf.current[one.path]
        self.shelf.taken[landing.ident] = Taken(entry.body["time"], removed, not emergency)
        left = sorted(removed.keys() & self.state.git.tree(commit).keys())
        self._need(not left, "I3", f"{name} leaves the metafiles {left[:3]}")
        return set(removed)

    def _named(self, landing: Landing, name: str) -> Iterator[Published]:
        """What it takes back; each must have been published here, and not been taken back already."""
        for artifact in landing.manifest.body["artifacts"]:
            found = [
                one
                for one in self.shelf.published
                if one.landing.manifest.digest == artifact["previous"]
                and one.artifact["path"] == artifact["path"]
            ]
            right = len(found) == 1 and not found[0].gone
            self._need(right, "I8", f"{name} takes back what is not published: {artifact['path']}")
            yield from found

    def _erased(
        self, commit: str, entry: Statement, landing: Landing, known: Taken | None, name: str
    ) -> set[str]:
        self._end(entry, known, name)
        self._need(known and known.final, "I1", f"{name}: it is not for good")
        receipt = statement(self._file(commit, f"{folder(landing.ident)}receipt.json"))
        said = [one["path"] for one in receipt.body["artifacts"]]
        effective = self.effective[self.main.index(entry.body["judged"])]
        right = (
            receipt.kind == "erasure"
            and receipt.digest == entry.body["receipt"]
            and receipt.body["manifest"] == landing.manifest.digest
            and said == [one["path"] for one in landing.manifest.body["artifacts"]]
            and receipt.signed_by(self._actor_keys(effective, entry, landing))
        )
        self._need(right, "I3", f"the receipt of {landing.ident[:8]} is not the word of who erased")
        return set()

    def _restored(
        self, commit: str, entry: Statement, landing: Landing, known: Taken | None, name: str
    ) -> set[str]:
        self._end(entry, known, name)
        if known is None:
            return set()
        self._need(not known.final, "I1", f"{name}: it was for good")
        self._need(not self._agreed(landing, commit, confirm=True), "I1", f"{name}: it was confirmed")
        hours = _rule(landing.policy)["emergency_hours"]
        over = datetime.fromisoformat(known.time) + timedelta(hours=hours)
        self._need(
            datetime.fromisoformat(entry.body["time"]) >= over, "I7", f"{name} before its time was over"
        )
        tree = self.state.git.tree(commit)
        back = {path: blob for path, blob in known.removed.items() if path not in self.shelf.current}
        for one in self.shelf.published:
            if one.gone == landing.ident:
                one.gone = ""
                if one.path in back:
                    self.shelf.current[one.path] = one.landing.ident
        wrong = sorted(path for path, blob in back.items() if tree.get(path) != blob)
        self._need(not wrong, "I3", f"{name} does not bring back {wrong[:3]}")
        return set(back)

    def _end(self, entry: Statement, known: Taken | None, name: str) -> None:
        self._need(known is not None, "I8", f"{name} follows no entry `retract`")
        if known is not None:
            self._need(not known.end, "I4", f"{name} comes a second time")
            known.end = entry.body["kind"]

    def _agreed(self, landing: Landing, commit: str, *, confirm: bool) -> bool:
        """Signed by who may, and by as many others as the policy wants; an emergency by two once it is for good."""
        body, policy = landing.manifest.body, landing.policy
        rule = _rule(policy)
        alone = body.get("person") is None and rule["own"]
        keys = (
            policy["people"][body.get("person")]["keys"]
            if body.get("person")
            else policy["nodes"][body["node"]]["keys"]
        )
        if body["policy"] != policy["digest"] or not landing.manifest.signed_by(keys):
            return False
        if body.get("person") and body.get("person") not in self._retractors(policy):
            return False
        if body.get("emergency"):
            wanted = max(rule["count"], 2) if confirm else 1
        else:
            wanted = 1 if alone else rule["count"]
        left = wanted - (1 if alone or body.get("person") else 0)
        needs = [{"count": left, "groups": rule["groups"]}] if left > 0 else []
        barred = (
            {body.get("person")}
            if body.get("person")
            else set(policy["nodes"][body["node"]].get("operators", ()))
        )
        return self._approved(landing, commit, needs, barred)

    @staticmethod
    def _retractors(policy: dict[str, Any]) -> set[str]:
        return {one for group in _rule(policy)["groups"] for one in policy["groups"][group]["members"]}

    def _actor_keys(self, policy: dict[str, Any], entry: Statement, landing: Landing) -> list[str]:
        """The keys of who may sign this entry: the node of it, or who may retract; of a policy any of these."""
        actor, kind = entry.body["actor"], entry.body["kind"]
        if actor in self._retractors(policy) and kind in {*KINDS, "policy"}:
            return list(policy["people"][actor]["keys"])
        if kind not in KINDS:
            return list(policy["nodes"].get(actor, {"keys": []})["keys"])
        return list(policy["nodes"][actor]["keys"]) if actor == landing.manifest.body["node"] else []

    def _shelf_holds(self, tier: Tier, tip: str) -> None:
        """At the end: what stands can be pulled, byte for byte; of what was erased, nothing is left in any version."""
        standing = {path for path in self.state.git.tree(tip) if path.endswith(".dvc")}
        self._need(
            standing == self.shelf.current.keys(), "I8", f"{tier.branch} holds other metafiles than recorded"
        )
        needed: set[str] = set()
        for one in self.shelf.published:
            if one.gone and not self.shelf.taken[one.gone].end and not self.shelf.taken[one.gone].final:
                needed |= {key for key, _ in self._internal_objects(one)}  # hidden, and may come back
            if not one.gone:
                needed |= self._pulled(tier, one)
        standing_blobs = {(one.path, one.blob) for one in self.shelf.published if not one.gone}
        taken = {(one.path, one.blob) for one in self.shelf.published if one.gone}
        self.erased[tier.name] = taken - standing_blobs
        kept = tier.admin.kept()
        for one in self.shelf.published:
            if one.gone and self.shelf.taken[one.gone].end == "erased":
                left = sorted({key for key, _ in self._internal_objects(one)} & kept - needed)
                self._need(not left, "I3", f"{one.path} was erased, and is still there: {left[:3]}")

    def _internal_objects(self, one: Published) -> Iterator[tuple[str, str]]:
        return self._objects(
            self.state.internal[one.landing.manifest.body["node"]], one.artifact, one.subject
        )

    def _pulled(self, tier: Tier, one: Published) -> set[str]:
        keys = set()
        for key, digest in self._objects(tier.reader, one.artifact, one.subject):
            there = tier.reader.digest(key)
            self._need(there is not None, "I3", f"{one.path} cannot be pulled: {key} is not there")
            self._need(there in {None, digest}, "I1", f"{one.path}: {key} has other bytes than were approved")
            keys.add(key)
        return keys

    def _objects(
        self, bucket: Bucket, artifact: dict[str, Any], subject: dict[str, Any]
    ) -> Iterator[tuple[str, str]]:
        """Key and SHA-256 of every object of an artifact; lists are read from this bucket."""
        key = f"files/md5/{artifact['md5'][:2]}/{artifact['md5'][2:]}"
        if artifact["dir"] is None:
            yield key, subject["digest"]["sha256"]
            return
        digest = subject["digest"]["dirHash"]
        sums_key = f"placet/sums/{digest[:2]}/{digest[2:]}"
        yield sums_key, digest
        yield f"{key}.dir", artifact["dir"]["sha256"]
        sums, listing = bucket.read(sums_key), bucket.read(f"{key}.dir")
        if sums is None or listing is None:
            return
        by_path = {line[66:]: line[:64] for line in sums.decode().splitlines()}
        for one in json.loads(listing):
            yield f"files/md5/{one['md5'][:2]}/{one['md5'][2:]}", by_path[one["relpath"]]

    def _changed(self, parent: str, commit: str) -> set[str]:
        old, new = self.state.git.tree(parent), self.state.git.tree(commit)
        return {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}


def _rule(policy: dict[str, Any]) -> dict[str, Any]:
    given = policy["governance"].get("retract", [])
    found = given if isinstance(given, dict) else {"groups": given}
    return {"groups": [], "count": 1, "own": True, "emergency_hours": 72, **found}
