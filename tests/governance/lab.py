"""A Ctrl repository on real Git, by path, with signers from seeds: what a test does is one line each."""

import os
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from keys import POLICY, Key
from placet.adapters.git import GitRepo
from placet.adapters.git_server import init_bare
from placet.adapters.gitmemory import MemoryRepo, MemoryServer
from placet.core.digest import digest
from placet.core.dvcfile import Output, encode_metafile
from placet.core.policy import parse_policy
from placet.core.predicates import Comment
from placet.core.provenance import Provenance
from placet.engine import begin, propose, review
from placet.engine.ctrl import View, load
from placet.engine.gate import judge_push
from placet.ports import RefUpdate, Remembered

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
MAIN = "refs/heads/main"
PUBLISHED = "refs/heads/published"
TIER = "publication-storage"
ENV = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}


class Memory:
    def __init__(self):
        self.records = {}

    def recall(self, repository):
        return self.records.get(repository, Remembered())

    def update(self, repository, change):
        self.records[repository] = change(self.recall(repository))


@dataclass
class Clock:
    time: datetime = NOW

    def now(self):
        return self.time


@dataclass
class Lab:
    folder: Path
    repo: GitRepo
    trust_root: str
    clock: Clock = field(default_factory=Clock)
    policy_text: str = POLICY

    @classmethod
    def make(cls, folder, *edits):
        text = POLICY
        for old, new in edits:
            assert old in text
            text = text.replace(old, new, 1)
        repo = cls.repository(folder)
        trust_root = begin.begin(repo, parse_policy(text.encode()), Key("dana"), NOW)
        return cls(folder, repo, trust_root, policy_text=text)

    @staticmethod
    def repository(folder):
        init_bare(folder / "ctrl.git", default_branch="published", max_input_bytes=1 << 24, environ=ENV)
        return GitRepo.cache(folder / "cache.git", str(folder / "ctrl.git"), ENV)

    @property
    def now(self):
        return self.clock.time

    def later(self, **kwargs):
        self.clock.time += timedelta(**kwargs)

    def view(self, memory=None) -> View:
        return load(self.repo, self.trust_root, self.now, memory)

    def propose(
        self, path="outputs/a.csv", data=b"a,b\n1,2\n", *, node="site-b", signer=None, message="m", checks=(),
        provenance=None,
    ):  # fmt: skip
        found = digest(data)
        out = Output(path=path.rsplit("/", 1)[-1], md5=found.md5, size=found.size)
        candidate = propose.Candidate(path, found.md5, found.sha256, found.size, 1, encode_metafile(out))
        return propose.propose(
            self.view(),
            [candidate],
            Key(signer or node),
            node=node,
            tier=TIER,
            message=message,
            checks=checks,
            provenance=provenance or Provenance(),
            now=self.now,
        ).id

    def decide(self, ident, *people, verdict="approve", days=None, key=None, saw="bytes", **more):
        for person in people:
            view = self.view()
            case = view.find(ident)
            in_bytes = saw == "bytes" and person != "dana"
            seen = review.seen_bytes(case) if in_bytes else review.seen_report(case)
            seen = more.get("seen", seen)
            review.decide(
                view,
                case,
                Key(key or person),
                person=person,
                verdict=verdict,
                comment=more.get("comment", "because"),
                comments=[Comment(path=path, text=text) for path, text in more.get("on", ())],
                seen=seen,
                now=self.now,
                days=days,
                shown=more.get("shown"),
            )
        return ident

    def merge(self, ident):
        view = self.view()
        return review.merge(view, view.find(ident), author="x", now=self.now)

    def landed(self, path="outputs/a.csv", data=b"a,b\n1,2\n", **kwargs):
        ident = self.propose(path, data, **kwargs)
        self.decide(ident, "alice", "bob")
        self.merge(ident)
        return ident

    def change_policy(self, *edits, person="dana", approvers=("alice", "bob"), merge=True):
        before = self.view().history.policy
        text = self.policy_text
        for old, new in edits:
            assert old in text
            text = text.replace(old, new, 1)
        number = before.form.number
        text = text.replace(f"number: {number}", f"number: {number + 1}", 1)
        old = "previous: null" if number == 0 else f'previous: "{before.form.previous}"'
        text = text.replace(old, f'previous: "{before.digest}"', 1)
        ident = propose.propose_policy(
            self.view(), text.encode(), Key(person), person=person, message="change", now=self.now
        ).id
        self.decide(ident, *approvers, saw="report")
        if merge:
            self.merge(ident)
            self.policy_text = text
        return ident

    def state(self, ident):
        view = self.view()
        return str(view.state(view.find(ident), self.now))

    def commit(self, base, files, *parents, message="by hand"):
        above = [base, *parents] if base else list(parents)
        return self.repo.commit(base, files, parents=above, message=message, author="x", when=self.now)

    def force(self, ref, new):
        """Move a ref past every gate, or remove it (None), as somebody can who has the server's files."""
        allow = ["-c", "uploadpack.allowAnySHA1InWant=true"]
        fetch = [[*allow, "fetch", "-q", str(self.folder / "cache.git"), new]] if new else []
        for arguments in (*fetch, ["update-ref", *([ref, new] if new else ["-d", ref])]):
            command = ["git", "--git-dir", str(self.folder / "ctrl.git"), *arguments]
            subprocess.run(command, env=ENV, check=True, capture_output=True)

    def drop(self, ref):
        """Remove a ref past every gate."""
        command = ["git", "--git-dir", str(self.folder / "ctrl.git"), "update-ref", "-d", ref]
        subprocess.run(command, env=ENV, check=True, capture_output=True)

    def judge(self, *updates):
        """What the forge's hook says of a push (its objects are in this copy already)."""
        judge_push(self.repo, self.trust_root, list(updates), self.now)

    def tip(self, ref=MAIN):
        self.repo.fetch()
        return self.repo.refs(ref)[ref]

    def branch(self, ident):
        return self.tip(f"refs/heads/proposals/{ident}")


class MemoryLab(Lab):
    """The same verbs on a repository in memory, for tests that are not about Git."""

    @staticmethod
    def repository(folder):
        return MemoryRepo(MemoryServer())

    def force(self, ref, new):
        self.repo.force([RefUpdate(ref, None, new)])
