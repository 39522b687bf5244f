"""Placet for Python programs: one class with the verbs of the command line.

    import placet

    with placet.Client() as node:
        node.track(["outputs/model.pkl"])
        node.push()
        proposal = node.propose(["outputs/model.pkl"], message="first model")

Every method opens what it needs through `placet.wire`, calls one function of the engine and returns its
result, a frozen value. Errors are those of `placet.errors`. A client may be used from one thread at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from placet.core import layout
from placet.core.bundle import MAX_BUNDLE
from placet.core.envelope import MAX_ENVELOPE
from placet.core.lint import Weakness, lint
from placet.core.outputs import Tracking
from placet.core.predicates import Checkpoint
from placet.core.states import State
from placet.engine import freezing
from placet.engine import show as showing
from placet.engine.artifact import require_files
from placet.engine.begin import begin_tier
from placet.engine.bundle import Made
from placet.engine.checkpoint import Compared, compare
from placet.engine.checks import Checked, check_artifacts
from placet.engine.copyout import Held, held_in_clone
from placet.engine.ctrl import View
from placet.engine.doctor import Finding
from placet.engine.freezing import Standing, Unfrozen
from placet.engine.gc import Collected
from placet.engine.lineage import Lineage, drawn, lineage
from placet.engine.promote import Backlog, Promotion
from placet.engine.propose import Proposed
from placet.engine.pulled import find_at, require_assent
from placet.engine.rehearse import Rehearsed, rehearse
from placet.engine.retract import Retracted, status
from placet.engine.retractask import propose_retraction
from placet.engine.scrubreport import Scrubbed
from placet.engine.shards import Shard
from placet.engine.verify import Report, verify
from placet.engine.witness import Witnessed
from placet.errors import Invalid, NotFound
from placet.governed import Governed, read_policy
from placet.wire import doctor, proof
from placet.wire.ctrl import candidate, read_file, write_file
from placet.wire.gc import collect
from placet.wire.pages import Page, Shown, bring_up
from placet.wire.scrub import scrub

if TYPE_CHECKING:
    from placet.engine.telling import Delivery, Trouble
    from placet.wire.adopt import Adoption
    from placet.wire.lineage import Reporter, Sent
    from placet.wire.notify import Notified, Notifier

_SHORTEST_ID = 4


class Client(Governed):
    """One party's Placet: a node, a reviewer, an administrator or a researcher."""

    def check(self, ident: str, *, commit: str | None = None, approved: bool = False) -> Checked:
        """Run the policy's checks again: on the bytes where this party may read them, else on the report.

        Args:
            ident: The proposal; with `commit` by its whole id, or as `proposals/<id>`.
            commit: Fail unless its branch is at this commit.
            approved: Fail unless it is approved.
        """
        view = self.view()
        case = view.find(ident) if commit is None else find_at(view, ident, commit)
        if approved:
            require_assent(view, case, self.now())
        return self._check(view, case)

    def rehearse(self, targets: Iterable[str | Path], *, tier: str | None = None) -> Rehearsed:
        """What a proposal of outputs as they are tracked would hear from policy and checks; proposes nothing.

        Raises:
            NotFound: kinds `not-tracked`, `not-in-cache`.
            Refused, Corrupt: as `propose`: a check cannot run as it should.
        """
        node = self._node()
        tracked = [self._wire.tracked(target) for target in targets]
        require_files(tracked)
        view, tier = self.view(), tier or layout.DEFAULT_TIER
        files, jobs = self._wire.artifact_files(tracked), self.settings.jobs
        policy = view.history.policy
        checks = check_artifacts(policy, node, tier, files, self._wire.checks, jobs, self._wire.progress)
        return rehearse(
            view, [candidate(one) for one in tracked], checks, node=node, tier=tier, now=self.now()
        )

    def outputs(self, targets: Iterable[str | Path] = ()) -> Sequence[Tracking]:
        """As `DataPlane.outputs`; in a clone of a Ctrl repository the artifacts as they were published."""
        clone = self._wire.clone
        return super().outputs(targets) if clone is None else clone.workspace.select(targets)

    def held(self, output: Tracking) -> Held:
        """As `DataPlane.held`; in a clone of a Ctrl repository what was published, proven by SHA-256.

        Raises:
            Refused: kind `retracted`.
        """
        clone = self._wire.clone
        if clone is None:
            return super().held(output)
        return self._or_fetched(
            output, lambda: held_in_clone(clone, output.path, self._wire.state, self.settings.jobs)
        )

    def promote(
        self, ids: Sequence[str] = (), *, shard: tuple[int, int] | None = None, dask: str | None = None
    ) -> Sequence[Promotion]:
        """Promote this node's landed proposals: verified copy, receipt, ledger, published branch.

        Args:
            ids: By the beginning of their ids; none = all that wait.
            shard: Copy only this part of their data objects, `(1, 8)` to `(8, 8)`, and record nothing; needs
                no signing key. A promotion without it proves all, copies what is missing, and records.
            dask: The address of a `dask.distributed` scheduler whose workers copy first (`placet[dask]`).
        """
        self._node()
        if shard is not None and dask is not None:
            raise Invalid("A cluster makes its own shards: give `shard` or `dask`.", kind="shard")
        if shard is not None:
            return self._wire.sharding.run(ids, Shard(*shard))
        if dask is not None:
            from placet.wire.dask import copy_by

            ids = self._wire.promoter().wanted(ids)
            copy_by(dask, self._wire.sharding, ids)
            return self._wire.promoter().run(ids) if ids else []
        return self._wire.promoter().run(ids)

    def retract(
        self, target: str, *, reason: str, tier: str | None = None, emergency: bool = False
    ) -> Retracted:
        """Take back what was published, as far as this party may and can. Idempotent: run it again to go on.

        It is proposed; landed, once everybody whom the policy asks for has approved; recorded, so that
        nobody is given it any more; and erased with the retraction credential, where the settings have one.

        Args:
            target: A proposal by its id, or the path of what stands published; or a retraction, to go on.
            reason: Why; everybody reads it.
            tier: Where a path is looked for.
            emergency: Hide it at once; a second person confirms it in time, or it comes back.
        """
        ident = self._propose_retraction(target, reason, tier or layout.DEFAULT_TIER, emergency=emergency)
        view = self.view()
        case = view.find(ident)
        if case.landed is None and view.state(case, self.now()) is State.APPROVED:
            self.merge(ident)
        done = self._wire.retractor.run([ident]) if self.view().find(ident).landed else []
        view = self.view()
        return done[0] if done else status(view, view.find(ident), self.now())

    def follow_retractions(self) -> Sequence[Retracted]:
        """Go on with all retractions that this party may carry out: record, erase, restore. Idempotent."""
        return self._wire.retractor.run()

    def _propose_retraction(self, target: str, reason: str, tier: str, *, emergency: bool) -> str:
        view = self.view()
        known = {**view.history.cases, **view.open}
        found = [case for ident, case in known.items() if ident.startswith(target)]
        if len(found) == 1 and len(target) >= _SHORTEST_ID and found[0].manifest.body.kind == "retract":
            return found[0].id
        person = self.settings.person
        node = None if person else self._node()

        def push(seen: View) -> Proposed:
            return propose_retraction(
                seen, self._wire.in_clone(target), self._wire.signer(), node=node, person=person, tier=tier,
                reason=reason, emergency=emergency, now=self.now(),
            )  # fmt: skip

        return self._announce(self._pushed(push, view)).id

    def shards(self, ids: Sequence[str] = ()) -> Sequence[tuple[str, int]]:
        """Of these proposals, or of all that wait, those that may be promoted now.

        Returns:
            Each whole id, with the number of shards that make tasks of some hundred objects.
        """
        self._node()
        return self._wire.sharding.plan(ids)

    def freeze(self, scope: str, *, reason: str) -> str:
        """Stop every publication in a scope, at once and alone; returns the freeze's id. Idempotent.

        Args:
            scope: `all`, `node:<name>`, `tier:<name>` or `path:<glob of <node>/<path>>`.
            reason: Why; everybody who is stopped reads it.
        """
        signer, person, now = self._wire.signer(), self._person(), self.now()
        return freezing.freeze(self.view(), self.view, signer, scope, person=person, reason=reason, now=now)

    def unfreeze(self, ident: str, *, reason: str) -> Unfrozen:
        """Sign the end of a freeze; it ends when a second person has done so too. Idempotent."""
        signer, person, now = self._wire.signer(), self._person(), self.now()
        return freezing.unfreeze(self.view(), self.view, signer, ident, person=person, reason=reason, now=now)

    def freezes(self) -> Sequence[Standing]:
        """The freezes that stand, oldest first, and what each holds back."""
        view = self._warned(self.view())
        return freezing.standing(view, lambda one: showing.held(view, one, self.now()))

    def backlog(self) -> Backlog:
        """What `promote` would promote now, and the alarms of the Ctrl repository; copies nothing."""
        self._node()
        return self._wire.promoter().backlog()

    def heads(self) -> Mapping[str, str]:
        """Branch -> commit in the Ctrl repository as it is now; cheap: nothing is fetched or recomputed."""
        return self._wire.repo.heads()

    def notify(
        self,
        agent: Mapping[str, Trouble | None] | None = None,
        *,
        whole: tuple[str, ...] = (),
        dry: bool = False,
    ) -> Notified:
        """Tell people what happened since the last time, as the settings say; what fails is told later.

        Args:
            agent: The troubles of the agent that runs this, by name; None where one is over.
            whole: Beginnings of names; of those that begin so, `agent` has all.
            dry: Only say what would be told; send and record nothing.

        Raises:
            NotFound: kind `no-notify`: the settings name nobody.
            Conflict: kind `notify-busy`: another process does the same now.
        """
        return self._notifier.run(agent or {}, whole=whole, dry=dry)

    def notify_test(self, targets: Sequence[str] = ()) -> Sequence[Delivery]:
        """Send each of these targets, or all, a message that says that it is a test."""
        return self._notifier.test(targets)

    @cached_property
    def _notifier(self) -> Notifier:
        from placet.wire.notify import Notifier

        return Notifier(self._wire)

    def witness(self) -> Sequence[Witnessed]:
        """Sign what reviews there are on the forge, where the policy hears this witness. Idempotent."""
        return self._wire.witness.run()

    def require_witness(self) -> None:
        """Are these the settings of a witness whom the effective policy knows, with its key?

        Raises:
            Invalid, Refused: kind `not-a-witness`.
        """
        self._wire.witness.require_known()

    def announce(self, shown: Shown | None = None) -> Sequence[Page]:
        """Bring pull requests up to date: text, commit status, who is asked; a node's own, else all.

        Args:
            shown: What is shown already; only what differs is sent. Brought up to date too.
        """
        return bring_up(self._wire, self.now(), {} if shown is None else shown)

    def verify(
        self, targets: Iterable[str] = (), *, tier: str | None = None, fetch: bool = True, data: bool = True
    ) -> Report:
        """From the bytes of this clone back to the trust root.

        Args:
            targets: Proposals by the beginning of their ids, or artifacts by path, from the clone's top
                or from the working folder; none = everything that stands published.
            tier: The publication tier.
            fetch: Ask the server first; else what the clone holds.
            data: Also the bytes here; else the record only.
        """
        view = self._clone_view(fetch=fetch)
        return verify(
            view,
            tier=tier or layout.DEFAULT_TIER,
            root=self._wire.clone_root() if data else None,
            targets=[self._wire.in_clone(target) for target in targets],
            pinned="settings" if self.settings.trust_root is not None else "first-use",
            now=self.now(),
            jobs=self.settings.jobs,
            progress=self._wire.progress,
            cache=self._wire.workspace.cache if data and self._wire.clone_root() else None,
        )

    def bundle(self, ident: str, file: Path, *, fetch: bool = True, sign: bool = True) -> Made:
        """Write the whole proof of one publication to one file; it was proven to verify.

        Args:
            ident: The proposal that was published.
            file: Written complete or not at all; one that is there is replaced.
            fetch: Ask the server first.
            sign: With this party's checkpoint, if it has a key that the policy knows. Without, the same
                state gives the same bytes.
        """
        data, made = proof.bundle(self._wire, self.view(fetch=fetch), ident, self.now(), sign=sign)
        write_file(self._wire.folder / file, data)
        return made

    def verify_bundle(
        self, file: Path, data: Iterable[str | Path] = (), *, trust_root: str | None = None
    ) -> Report:
        """What a bundle proves, of itself and of these files and folders: no repository, network or Git."""
        paths = [self._wire.folder / path for path in data]
        content = read_file(self._wire.folder / file, MAX_BUNDLE)
        return proof.judge(self._wire, content, paths, trust_root, self.now())

    def checkpoint(self, file: Path, *, tier: str | None = None, fetch: bool = True) -> Checkpoint:
        """Write how long a ledger is and its last entry to a file, signed by this party."""
        view = self.view(fetch=fetch)
        made = proof.checkpoint(self._wire, view, tier or layout.DEFAULT_TIER, self.now())
        write_file(self._wire.folder / file, made.envelope.to_bytes())
        return made.body

    def compare_checkpoints(self, files: Iterable[Path], *, fetch: bool = True) -> Compared:
        """Do checkpoints of several parties belong to one history, and is it the ledger here?"""
        found = {str(file): read_file(file, MAX_ENVELOPE) for file in files}
        return compare(self.view(fetch=fetch), found)

    def gc(
        self,
        *,
        remote: str | None = None,
        remove: bool = False,
        tips: bool = False,
        older_than_s: float | None = None,
        give_up: Iterable[str] = (),
    ) -> Collected:
        """What nothing needs in the cache, or in a remote; removed only if told to. Idempotent.

        Args:
            remote: A remote, instead of the cache.
            remove: Remove it, with the workspaces of all users locked.
            tips: Of branches and tags only the newest commit counts, not the history behind it.
            older_than_s: Seconds since an object came, below which it stays; by default ten minutes in the
                cache, a day in a remote.
            give_up: `.dir` objects that are lost for good, as the refusal named them.
        """
        return collect(
            self._wire, remote=remote, remove=remove, tips=tips, least_s=older_than_s, give_up=give_up
        )

    def scrub(
        self,
        *,
        remote: str | None = None,
        read: bool = False,
        repair: bool = False,
        rate: int | None = None,
    ) -> Scrubbed:
        """Compare a publication tier with everything published there, both ways; goes on where it was.

        Args:
            remote: The tier, or its remote here; by default `publication-storage`.
            read: Read every object, and believe nothing that the service says.
            repair: Bring back from this node's internal tier what is its own. Nothing is deleted.
            rate: Bytes a second that are read at most.

        Raises:
            Partial: kind `scrub-unfinished`: the store stopped answering.
        """

        def view() -> View:
            return self._clone_view(fetch=True)

        return scrub(self._wire, view, remote=remote, read=read, repair=repair, rate=rate)

    def lineage(self, ident: str, *, svg: Path | None = None) -> Lineage:
        """Where a proposal's artifacts came from, and what was made from them.

        Args:
            ident: The proposal, by the beginning of its id.
            svg: Also draw it to this file; one that is there is replaced.
        """
        view = self._warned(self.view())
        found = lineage(view, view.find(ident), self.now())
        if svg is not None:
            write_file(self._wire.folder / svg, drawn(found).encode())
        return found

    def report_lineage(self) -> Sent:
        """Tell the OpenLineage backend of `[lineage]` what was published and retracted since the last time.

        Raises:
            NotFound: kind `no-lineage`: the settings name none.
            Unavailable, Refused: it did not take an event; the next run goes on there.
        """
        return self._reporter.run()

    @cached_property
    def _reporter(self) -> Reporter:
        from placet.wire.lineage import Reporter

        return Reporter(self._wire)

    def adopt_dvc(self, *, dry: bool = False) -> Adoption:
        """Bring every version that this DVC project's history names into the internal tier. Idempotent.

        Looked for in the cache and in all remotes of the project; Git is only read. What is adopted counts
        as never approved, unless the Ctrl repository says that just these bytes were published.
        """
        from placet.wire.adopt import adopt_dvc

        return adopt_dvc(self._wire, dry=dry)

    def adopt_lfs(
        self, source: Path, folder: str, *, revision: str = "HEAD", each: bool = False, dry: bool = False
    ) -> Adoption:
        """Bring the files that Git LFS keeps for a revision of a clone, track and push them. Idempotent.

        Args:
            source: The clone; only read.
            folder: Of this workspace.
            revision: Of the clone.
            each: Each file becomes an artifact of its own; else the folder is one.
            dry: Only say what would be done.
        """
        from placet.wire.adopt import adopt_lfs

        return adopt_lfs(self._wire, source, folder, revision=revision, each=each, dry=dry)

    def adopt_bucket(
        self, remote: str, folder: str, *, prefix: str = "", each: bool = False, dry: bool = False
    ) -> Adoption:
        """Bring the files of a bucket, or of a folder in it, track and push them. Idempotent.

        Args:
            remote: A DVC remote of this project; only read.
            folder: Of this workspace.
            prefix: Only what is below this folder of the remote.
            each: Each file becomes an artifact of its own; else the folder is one.
            dry: Only say what would be done.
        """
        from placet.wire.adopt import adopt_bucket

        return adopt_bucket(self._wire, remote, folder, prefix=prefix, each=each, dry=dry)

    def log(self, *, tier: str | None = None) -> Sequence[showing.LogLine]:
        """The ledger as a timeline."""
        return showing.timeline(self.view(), tier)

    def begin_tier(self, tier: str) -> str:
        """Begin the published branch of a tier that the effective policy has and the repository lacks."""
        view = self.view()
        if tier not in view.history.policy.form.tiers:
            raise NotFound(f"The effective policy has no tier {tier!r}.", kind="no-tier")
        root = view.line[0].id
        first = view.history.policies[0].policy
        return begin_tier(self._wire.repo, root, first, tier, self._wire.signer(), self.now())

    def doctor(self) -> Sequence[Finding]:
        """What works here and what does not; tries credentials on probe objects of its own."""
        return doctor.examine(self._wire)


def lint_policy(file: Path) -> Sequence[Weakness]:
    """The weaknesses of a policy file.

    Raises:
        Invalid: kind `policy`, with line and column.
    """
    return lint(read_policy(file))
