"""Judges a whole installation by the invariants of the design, from Git, the tiers and the trust root alone.

It shares no line with Placet: what a mistake there would hide, this would have to make again to miss it. The
policies of the soak have a line of JSON for each key (which is YAML), so that the standard library reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from soak.approvals import POLICY, Landing, Tier, folder
from soak.evidence import METAFILE, Statement, sha256, statement
from soak.takenback import KINDS, Published, Shelf, TakenBack

IGNORE = "/artifacts/**\n!/artifacts/**/\n!/artifacts/**/*.dvc\n"
_PROBES = {"placet/probe/object": sha256(b"placet probe")}


@dataclass
class Judge(TakenBack):
    """One judgement."""

    def run(self) -> list[tuple[str, str]]:
        """All invariants, each as far as a state can show it."""
        self.refs = self.state.git.refs()
        self.main = self.state.git.line("refs/heads/main")
        self._try("I5", self._fsck)
        self._try("I7", self._policies)
        allowed: dict[str, dict[str, set[str]]] = {tier.name: {} for tier in self.state.tiers}
        self._try("I1", lambda: self._allow(allowed))
        for tier in self.state.tiers:
            self._try("I8", lambda tier=tier: self._branch(tier))
            self._try("I1", lambda tier=tier: self._bytes(tier, allowed[tier.name]))
        return self.found

    # --- published branches -----------------------------------------------------------------------------------

    def _branch(self, tier: Tier) -> None:
        """One entry a commit, in order, signed, naming a landed and approved proposal; wholly there."""
        line = self.state.git.line(f"refs/heads/{tier.branch}")
        self._need(line[0] == self.main[0], "I8", f"{tier.branch} does not begin at main's first commit")
        self.shelf = Shelf()
        before: Statement | None = None
        published: list[str] = []
        judged_before = 0
        for sequence, (parent, commit) in enumerate(pairwise(line)):
            path = f".placet/ledger/{sequence // 1000}/{sequence}.json"
            new = {one for one in self._changed(parent, commit) if one.startswith(".placet/ledger/")}
            self._need(new == {path}, "I8", f"{commit[:8]} on {tier.branch} has the entries {sorted(new)}")
            if path not in self.state.git.tree(commit):
                continue
            entry = statement(self._file(commit, path))
            body = entry.body
            chained = (body["sequence"], body["previous"], body["branch"])
            right = (sequence, before.digest if before else None, tier.branch)
            self._need(chained == right, "I8", f"entry {sequence} of {tier.branch} is not the next one")
            self._need(
                not before or body["time"] >= before.body["time"], "I8", f"entry {sequence} goes back in time"
            )
            if sequence:
                judged_before = self._entry(tier, parent, commit, entry, judged_before)
            else:
                self._need(body["kind"] == "genesis", "I8", f"{tier.branch} begins with {body['kind']}")
            if body["kind"] == "publish":
                published.append(body["proposal"])
            before = entry
        self._need(
            len(published) == len(set(published)), "I4", f"something is published twice on {tier.branch}"
        )
        self._derived(tier, line[-1])
        self._shelf_holds(tier, line[-1])

    def _entry(self, tier: Tier, parent: str, commit: str, entry: Statement, judged_before: int) -> int:
        body, name = entry.body, f"{entry.body['kind']} {entry.body['proposal'][:8]}"
        parents = self.state.git.parents(commit)
        judged = self.main.index(parents[1]) if len(parents) == 2 and parents[1] in self.main else -1
        self._need(judged >= judged_before, "I8", f"{name} names no later commit of main as judged")
        self._need(body["judged"] == parents[-1], "I8", f"{name} names another judged commit")
        message = f"{body['kind']} {body['proposal']}"
        self._need(self.state.git.message(commit) == message, "I8", f"{name} is called otherwise")
        landing = self.landings.get(body["proposal"])
        if landing is None or landing.position > judged:
            self._say("I1", f"{name} has not landed")
            return max(judged, judged_before)
        self._need(body["manifest"] == landing.manifest.digest, "I2", f"{name} is another manifest")
        effective = self.effective[judged]
        self._need(
            body["policy"] in {one["digest"] for one in self.policies}, "I7", f"{name}: unknown policy"
        )
        keys = self._actor_keys(effective, entry, landing)
        self._need(entry.signed_by(keys), "I8", f"{name} is signed by no key of its node")
        _ENTRIES[body["kind"]](self, tier, parent, commit, entry, landing)
        return judged

    def _published_policy(
        self, tier: Tier, parent: str, commit: str, entry: Statement, landing: Landing
    ) -> None:
        del tier, entry
        right = {POLICY, ".dvc/config", ".gitignore", ".dvc/.gitignore"}
        stray = {
            one
            for one in self._changed(parent, commit) - right
            if not one.startswith((folder(landing.ident), ".placet/ledger/"))
        }
        self._need(not stray, "I8", f"a policy entry changes {sorted(stray)[:3]}")

    def _published(self, tier: Tier, parent: str, commit: str, entry: Statement, landing: Landing) -> None:
        body, name = landing.manifest.body, landing.ident[:8]
        when = entry.body["time"]
        self._need(self._fine(landing, commit, when), "I1", f"{name} was published without its approvals")
        self._need(body["expires"] > when, "I7", f"{name} was published after it expired")
        self._need(body["tier"] == tier.name, "I2", f"{name} was approved for tier {body['tier']}")
        self._need(entry.body["actor"] == body["node"], "I2", f"{name} was published by another node")
        counted = sorted(chain[-1].digest for _, chain in self._decisions(landing, commit))
        self._need(
            set(entry.body["decisions"]) <= {*counted, *self._all(landing, commit)},
            "I8",
            f"{name}: decisions",
        )
        metafiles = {f"artifacts/{body['node']}/{one['path']}.dvc" for one in body["artifacts"]}
        stray = {
            one
            for one in self._changed(parent, commit) - metafiles
            if not one.startswith((folder(landing.ident), ".placet/ledger/"))
        }
        self._need(not stray, "I8", f"the entry of {name} changes {sorted(stray)[:3]}")
        self._receipt(commit, entry, landing)
        for artifact, subject in zip(body["artifacts"], landing.manifest.subject, strict=True):
            self._artifact(commit, landing, artifact, subject)

    def _all(self, landing: Landing, commit: str) -> set[str]:
        return {one.digest for _, chain in self._decisions(landing, commit) for one in chain}

    def _receipt(self, commit: str, entry: Statement, landing: Landing) -> None:
        found = statement(self._file(commit, f"{folder(landing.ident)}receipt.json"))
        keys = landing.policy["nodes"][landing.manifest.body["node"]]["keys"]
        effective = self.effective[self.main.index(entry.body["judged"])]
        keys = [*keys, *effective["nodes"][landing.manifest.body["node"]]["keys"]]
        right = (
            found.kind == "receipt"
            and found.digest == entry.body["receipt"]
            and found.body["manifest"] == landing.manifest.digest
            and found.body["judged"] == entry.body["judged"]
            and found.signed_by(keys)
        )
        self._need(right, "I3", f"the receipt of {landing.ident[:8]} is not the node's word about it")

    def _artifact(
        self, commit: str, landing: Landing, artifact: dict[str, Any], subject: dict[str, Any]
    ) -> None:
        path = f"artifacts/{landing.manifest.body['node']}/{artifact['path']}"
        data = self.state.git.tree(commit).get(f"{path}.dvc")
        metafile = self.state.git.blob(data) if data else b""
        self._need(subject["name"] == path, "I2", f"{path} is named otherwise")
        self._need(
            sha256(metafile) == artifact["metafile"], "I2", f"the metafile of {path} is not the approved one"
        )
        match = METAFILE.fullmatch(metafile.decode())
        same = match and (match["md5"], int(match["size"]), bool(match["dir"])) == (
            artifact["md5"], artifact["size"], artifact["dir"] is not None,
        )  # fmt: skip
        self._need(same, "I5", f"the metafile of {path} is not what DVC would write")
        self.shelf.published.append(Published(landing, artifact, subject, f"{path}.dvc", data or ""))
        self.shelf.current[f"{path}.dvc"] = landing.ident

    def _derived(self, tier: Tier, tip: str) -> None:
        """Nothing in what is published tells a tool more than the policy does."""
        policy = self._policy(self._file(tip, POLICY))
        known = policy["digest"] in {one["digest"] for one in self.policies}
        self._need(known, "I7", f"{tier.branch} has a policy that was never effective")
        config = self._file(tip, ".dvc/config").decode()
        urls = [
            line.split("=", 1)[1].strip() for line in config.splitlines() if line.strip().startswith("url")
        ]
        wanted = sorted(one["url"] for one in policy["tiers"].values())
        self._need(sorted(urls) == wanted, "I6", f"{tier.branch} names remotes that the policy has not")
        secret = any(word in config for word in ("access_key", "secret", "token", "password"))
        self._need(not secret, "I6", f"{tier.branch} holds a credential")
        self._need(
            self._file(tip, ".gitignore").decode() == IGNORE, "I6", f"{tier.branch} ignores other files"
        )

    # --- tiers ------------------------------------------------------------------------------------------------

    def _allow(self, allowed: dict[str, dict[str, set[str]]]) -> None:
        """Tier -> key -> SHA-256 of all that was approved for it, published or still on its way."""
        for landing in self.landings.values():
            body = landing.manifest.body
            if body["kind"] != "publish" or not self._fine(landing, self.main[-1]):
                continue
            bucket = self.state.internal[body["node"]]
            for artifact, subject in zip(body["artifacts"], landing.manifest.subject, strict=True):
                for key, digest in self._objects(bucket, artifact, subject):
                    allowed[body["tier"]].setdefault(key, set()).add(digest)

    def _bytes(self, tier: Tier, allowed: dict[str, set[str]]) -> None:
        """Nothing was ever in the tier but what was approved for it, byte for byte."""
        for key, digest in tier.admin.versions():
            known = digest in allowed.get(key, ()) or digest == _PROBES.get(key)
            probe = key.startswith("placet/probe/") and digest in _PROBES.values()
            self._need(known or probe, "I1", f"{key} in {tier.name} was approved by nobody")
        left = [key for key in tier.admin.uploads() if key in tier.reader.keys]
        self._need(not left, "I4", f"{tier.name} has unfinished uploads of what is there: {left[:3]}")


_ENTRIES = {
    "publish": Judge._published,
    "policy": Judge._published_policy,
    **dict.fromkeys(KINDS, Judge._retraction),
}
