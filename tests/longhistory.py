"""Long histories for measuring: as many landed proposals as are wanted, every signature real, on any `Repo`.

Each proposal is one small file; every second `BLOCK` of them are new versions of the block's before. One in ten
is followed by one that was proposed, rejected and closed. What the engine's verbs would do one by one is
written here directly, since each of them reads the whole history.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from keys import POLICY, Key
from placet.core import layout
from placet.core.digest import digest, sha256_hex
from placet.core.dvcfile import Output, encode_metafile
from placet.core.policy import parse_policy
from placet.core.predicates import Artifact, Decision, Manifest, Seen, Verdict
from placet.core.provenance import Provenance
from placet.core.statement import Signed, format_time, proposal_id, subject
from placet.engine import begin
from placet.engine.propose import Candidate
from placet.ports import RefUpdate, Repo

NODE = "site-b"
TIER = layout.DEFAULT_TIER
BLOCK = 10
START = datetime(2026, 1, 1, tzinfo=UTC)
_KEYS = {name: Key(name).pair for name in ("alice", "bob", "dana", NODE)}
_POLICY = parse_policy(
    POLICY.replace(
        "limits: {bytes: 1000000, files: 100}", "limits: {bytes: 100000000, files: 1000000}"
    ).encode()
)


@dataclass
class History:
    """A Ctrl repository that grows; `now` is one minute later with each proposal."""

    repo: Repo
    now: datetime = START
    count: int = 0
    previous: dict[str, str] = field(default_factory=dict)
    trust_root: str = _POLICY.digest

    @classmethod
    def begin(cls, repo: Repo) -> History:
        """Policy 0 and the genesis."""
        begin.begin(repo, _POLICY, Key("dana"), START)
        repo.fetch()
        return cls(repo)

    def land(self, count: int) -> list[str]:
        """So many more proposals on `main`, in one push; their ids."""
        tip = before = self.repo.refs()[layout.MAIN]
        out, updates = [], []
        for _ in range(count):
            number = self.count
            data = content(number)
            place = number // (2 * BLOCK) * BLOCK + number % BLOCK
            ident, files = self._proposal(_file(f"outputs/{place // 100}/data-{place}.csv", data))
            branch = self._commit(tip, files, f"propose {ident}")
            tip = self._commit(tip, files, f"merge {ident}", branch)
            updates.append(RefUpdate(layout.closed_ref(ident), None, branch))
            out.append(ident)
            if number % 10 == 0:
                lost, files = self._proposal(
                    _file(f"outputs/lost/{number // 200}/data-{number}", f"{number}".encode()), "reject"
                )
                updates.append(RefUpdate(layout.closed_ref(lost), None, self._commit(tip, files, "lost")))
        self.repo.push([RefUpdate(layout.MAIN, before, tip), *updates])
        return out

    def land_one(self, candidate: Candidate) -> str:
        """One more proposal on `main`, of this artifact."""
        tip = self.repo.refs()[layout.MAIN]
        ident, files = self._proposal(candidate)
        self.repo.push([RefUpdate(layout.MAIN, tip, self._commit(tip, files, f"merge {ident}"))])
        return ident

    def _proposal(self, one: Candidate, verdict: Verdict = "approve") -> tuple[str, dict[str, bytes]]:
        """A proposal with two decisions: its id, and its files."""
        self.count += verdict == "approve"
        self.now += timedelta(minutes=1)
        path = layout.metafile(NODE, one.path)
        about = (subject(f"{layout.ARTIFACTS}{NODE}/{one.path}", one.sha256, directory=one.dir is not None),)
        body = Manifest(
            repository=_POLICY.form.repository,
            time=format_time(self.now),
            kind="publish",
            node=NODE,
            person=None,
            project=_POLICY.form.project,
            tier=TIER,
            artifacts=(
                Artifact(
                    path=one.path,
                    md5=one.md5,
                    size=one.size,
                    files=one.files,
                    metafile=sha256_hex(one.metafile),
                    dir=one.dir,
                    previous=self.previous.get(path),
                ),
            ),
            policy=_POLICY.digest,
            follows=None,
            checks=(),
            provenance=Provenance(),
            message="Means of a table.",
            expires=format_time(self.now + timedelta(days=30)),
        )
        ident = proposal_id(about, body)
        manifest = Signed.make(about, body, _KEYS[NODE])
        files = {path: one.metafile, layout.manifest_path(ident): manifest.envelope.to_bytes()}
        for person in ("alice", "bob"):
            decision = self._decision(manifest, ident, person, verdict if person == "bob" else "approve")
            files[layout.decision_path(ident, person, 1)] = decision
        if verdict == "approve":
            self.previous[path] = manifest.digest
        return ident, files

    def _decision(self, manifest: Signed[Manifest], ident: str, person: str, verdict: Verdict) -> bytes:
        body = Decision(
            repository=_POLICY.form.repository,
            time=format_time(self.now),
            manifest=manifest.digest,
            person=person,
            n=1,
            previous=None,
            verdict=verdict,
            role="stewards",
            seen=Seen(level="bytes", digests=(manifest.subjects[0].value,)),
            comment="As agreed.",
            policy=_POLICY.digest,
            expires=None,
        )
        about = (subject(layout.manifest_path(ident), manifest.digest),)
        return Signed.make(about, body, _KEYS[person]).envelope.to_bytes()

    def _commit(self, base: str, files: dict[str, bytes], message: str, *more: str) -> str:
        return self.repo.commit(
            base, files, parents=[base, *more], message=message, author="bench", when=self.now
        )


def content(number: int) -> bytes:
    """The bytes of the n-th proposal that was landed, counted from 0."""
    return f"data {number}\n".encode()


def _file(path: str, data: bytes) -> Candidate:
    found = digest(data)
    out = Output(path=path.rsplit("/", 1)[-1], md5=found.md5, size=found.size)
    return Candidate(path, found.md5, found.sha256, found.size, 1, encode_metafile(out))
