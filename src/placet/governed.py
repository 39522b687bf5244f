"""The governed path for Python programs: proposing, reviewing and landing; and a clone's data, as published.

`placet.Client` is this class with what comes after: see there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from placet.config import complete_policy
from placet.core import layout
from placet.core.explain import Explanation, explain
from placet.core.policy import Policy, parse_policy
from placet.core.predicates import Comment, Verdict
from placet.core.provenance import Provenance
from placet.core.states import State
from placet.dataplane import DataPlane
from placet.engine import propose as proposing
from placet.engine import review
from placet.engine import show as showing
from placet.engine.artifact import require_files, require_whole
from placet.engine.cases import Case
from placet.engine.checkout import CheckedOut
from placet.engine.checks import Checked, check_artifacts
from placet.engine.clone import checkout_published, fetch_published, refuse_retracted
from placet.engine.contents import objects, read_contents
from placet.engine.ctrl import View, load
from placet.engine.detail import Detail, detail
from placet.engine.diff import Bytes, Diff, diff
from placet.engine.fetch import Fetched
from placet.engine.gclock import in_use
from placet.engine.recheck import check_contents, proven
from placet.engine.replay import Replay, replay
from placet.engine.status import Status, retracted_changes, status
from placet.engine.twins import refuse_twins
from placet.errors import Conflict, Corrupt, Invalid, NotFound, Partial, Refused
from placet.ports import Progress
from placet.wire.ctrl import Wire, candidate, read_file, write_proposal
from placet.wire.origin import origin
from placet.wire.pages import announced, shown_again, written

log = logging.getLogger(__name__)

_ALARMS = 5


class Governed(DataPlane):
    """One party's Placet up to the landing of a proposal."""

    _wire: Wire

    # --- the data plane, in a clone of a Ctrl repository ----------------------------------------

    def _parts(self, folder: Path, progress: Progress | None) -> Wire:
        return Wire(self.settings, folder, progress)

    def fetch(
        self, targets: Iterable[str | Path] = (), *, remote: str | None = None, verify: bool = False
    ) -> Fetched:
        """As `DataPlane.fetch`; in a clone of a Ctrl repository what was published, proven by SHA-256.

        Raises:
            Refused, Corrupt: there: the clone holds something else than what was published, or the tier does.
        """
        clone = self._wire.clone
        if clone is None:
            return super().fetch(targets, remote=remote, verify=verify)
        store, jobs = self._wire.tier_store(clone.tier, remote), self.settings.jobs
        with in_use(clone.workspace):
            return fetch_published(
                clone, store, targets, self._wire.state, jobs, self._wire.progress, verify=verify
            )

    def status(
        self, targets: Iterable[str | Path] = (), *, remote: str | None = None, cloud: bool = False
    ) -> Status:
        """As `DataPlane.status`; in a clone of a Ctrl repository compared with what was published."""
        clone = self._wire.clone
        if clone is None:
            return super().status(targets, remote=remote, cloud=cloud)
        store = self._wire.tier_store(clone.tier, remote) if remote or cloud else None
        wanted = [str(one) for one in targets]
        gone = refuse_retracted(clone, wanted)
        rest = clone.without(wanted, gone) if gone else wanted
        found = Status(0, ())
        if rest or not gone:
            found = status(clone.workspace, store, rest, self._wire.state, self.settings.jobs)
        left = clone.left if not wanted else {}
        why = {path: error.why for path, error in gone.items()} | dict(left)
        return replace(found, changes=(*found.changes, *retracted_changes(why)))

    def checkout(self, targets: Iterable[str | Path] = (), *, force: bool = False) -> CheckedOut:
        """As `DataPlane.checkout`; in a clone of a Ctrl repository what was published, proven by SHA-256."""
        clone = self._wire.clone
        if clone is None:
            return super().checkout(targets, force=force)
        jobs, progress = self.settings.jobs, self._wire.progress
        return checkout_published(clone, targets, self._wire.state, jobs, progress, force=force)

    def pull(
        self,
        targets: Iterable[str | Path] = (),
        *,
        remote: str | None = None,
        force: bool = False,
        verify: bool = False,
    ) -> tuple[Fetched, CheckedOut]:
        """As `DataPlane.pull`; in a clone of a Ctrl repository what was published, proven by SHA-256."""
        clone = self._wire.clone
        wanted = list(targets)
        if clone is None:
            return super().pull(wanted, remote=remote, force=force, verify=verify)
        try:
            fetched = self.fetch(wanted, remote=remote, verify=verify)
        except (Corrupt, Invalid, NotFound, Partial, Refused) as error:
            failed = error.details.get("failed")
            whole = clone.without(wanted, failed) if isinstance(failed, dict) and failed else []
            if whole:
                self.checkout(whole, force=force)
            raise
        return fetched, self.checkout(wanted, force=force)

    # --- the governed path ----------------------------------------------------------------------

    def view(self, *, fetch: bool = True) -> View:
        """The Ctrl repository, recomputed from its trust root and compared with what was seen before.

        It is the one of the settings or, where they name none, the clone that the working folder is in.
        """
        if self.settings.ctrl is None and self._wire.clone_root() is not None:
            return self._clone_view(fetch=fetch)
        return load(self._wire.repo, self._wire.trust_root(), self.now(), self._wire.memory, fetch=fetch)

    def propose(
        self,
        paths: Iterable[str | Path],
        *,
        message: str,
        tier: str | None = None,
        provenance: Provenance | None = None,
        inputs: Iterable[str | Path] = (),
    ) -> proposing.Proposed:
        """Track, push to the internal tier, check, sign, and push the proposal's branch. Idempotent.

        `inputs`, tracked outputs or URIs, are what it was made from beside what `provenance` names.
        """
        wanted = [str(path) for path in paths]
        if not wanted:
            raise Invalid("There is nothing to propose.", kind="no-paths", mend="Name at least one path.")
        node = self._node()
        require_whole(self._wire.workspace, wanted)
        tracked = self.track(wanted)
        require_files(tracked)
        files = self._wire.artifact_files(tracked)
        refuse_twins(self.view().objects(), self._wire.objects(tracked))
        pushed = self.push(wanted, remote=self.internal_remote())
        if pushed.skipped:
            raise Refused(
                f"{pushed.skipped[0].path} is not pushed to the internal tier: {pushed.skipped[0].reason}.",
                kind="not-pushed",
                mend="Take that key out of its .dvc file, then propose it again.",
            )
        view = self.view()
        tier = tier or layout.DEFAULT_TIER
        jobs = self.settings.jobs
        checks = check_artifacts(
            view.history.policy, node, tier, files, self._wire.checks, jobs, self._wire.progress
        )

        made = origin(self._wire, provenance, inputs, view.history.repository)

        def push(seen: View) -> proposing.Proposed:
            return proposing.propose(
                seen,
                [candidate(one) for one in tracked],
                self._wire.signer(),
                node=node,
                tier=tier,
                message=message,
                checks=checks,
                provenance=made,
                now=self.now(),
            )

        return self._announce(self._pushed(push, view))

    def list(
        self,
        *,
        state: State | None = None,
        mine: bool = False,
        node: str | None = None,
        path: str | None = None,
        closed: bool = False,
    ) -> Sequence[showing.Summary]:
        """All proposals, newest first.

        Args:
            state: Only those in this state.
            mine: Only those that wait for this person's decision.
            node: Only those of this node.
            path: Only those with an artifact that matches this glob, or lies below it.
            closed: Also those that were closed without landing.
        """
        person = self._person() if mine else None
        wanted = showing.Wanted(state, person, node, path, closed)
        return showing.summaries(self._warned(self.view()), self.now(), wanted)

    def show(self, ident: str) -> Detail:
        """One proposal with everything a reviewer needs, but the bytes."""
        view = self._warned(self.view())
        case = view.find(ident)
        return written(self._wire, case, detail(view, case, self.now()))

    def diff(self, ident: str, *, rows: int = 0) -> Diff:
        """What a proposal changes against what is published; file by file where the bytes are readable.

        Args:
            ident: The proposal.
            rows: How many of the rows that differ to give of each table, where the bytes are readable.
        """
        view = self.view()
        case = view.find(ident)
        store = self._wire.reviewer_store(case.manifest.body.node)
        source = Bytes(store, lambda item: proven(store, item)(), rows) if store else None
        return diff(view, case, source)

    def decide(
        self,
        ident: str,
        verdict: Verdict,
        *,
        comment: str = "",
        on: Iterable[tuple[str, str]] = (),
        manifest: str | None = None,
        days: int | None = None,
    ) -> review.Decided:
        """Sign a decision; who may read the bytes has all of them proven first, and that is recorded.

        Args:
            ident: The proposal.
            verdict: What is decided.
            comment: On the whole.
            on: Comments on single artifacts, by path.
            manifest: The digest of the manifest that was shown; another one is not decided about.
            days: Until an approval expires.
        """
        view = self.view()
        case = view.find(ident)
        checked = self._check(view, case) if verdict == "approve" else None
        if checked is not None and not checked.passed:
            raise Refused(
                f"Proposal {case.id[:12]} does not pass its checks and was not approved.",
                kind="checks-failed",
                why=" ".join(one.summary for one in checked.results if not one.passed),
                mend=f"placet return {case.id[:12]} -m REASON",
            )
        seen = review.seen_bytes(case) if checked and checked.on == "bytes" else review.seen_report(case)
        done = review.decide(
            view,
            case,
            self._wire.signer(),
            person=self._person(),
            verdict=verdict,
            comment=comment,
            comments=[Comment(path=path.removeprefix(_prefix(case)), text=text) for path, text in on],
            seen=seen,
            now=self.now(),
            days=days,
            shown=manifest,
        )
        self._show_again(case.id)
        return done

    def withdraw(self, ident: str, *, reason: str) -> str:
        """Take an own proposal back. Idempotent."""
        view = self.view()
        case = view.find(ident)
        done = review.withdraw(view, case, self._wire.signer(), reason=reason, now=self.now())
        self._show_again(case.id)
        return done

    def merge(self, ident: str) -> str:
        """Land an approved proposal on `main`, on the forge or by a push; returns the landing commit."""
        view = self.view()
        case = view.find(ident)
        if case.landed is None:
            head = review.mergeable(view, case, self.now())
            self._show_again(case.id)
            if self._wire.forge.merge(layout.proposal_ref(case.id), head):
                view = self.view()
                case = view.find(ident)
        return review.merge(view, case, author=self.settings.identity, now=self.now())

    def fetch_proposal(self, ident: str, folder: Path) -> Sequence[Path]:
        """The bytes of a proposal, verified, into a new folder; for reviewers who see bytes."""
        view = self.view()
        case = view.find(ident)
        store = self._wire.reviewer_store(case.manifest.body.node)
        if store is None:
            raise NotFound(
                f"This party has no remote for the internal tier of {case.manifest.body.node}.",
                kind="no-remote",
                mend=f'Write to placet.toml: internal."{case.manifest.body.node}" = "<DVC remote>"',
            )
        return write_proposal(store, read_contents(store, case.manifest), folder, self.settings.jobs)

    # --- policy ---------------------------------------------------------------------------------

    def propose_policy(self, file: Path, *, message: str) -> proposing.Proposed:
        """Propose the next policy. `number` and `previous` must follow the effective one."""
        data = read_file(file)

        def push(seen: View) -> proposing.Proposed:
            return proposing.propose_policy(
                seen, data, self._wire.signer(), person=self._person(), message=message, now=self.now()
            )

        return self._announce(self._pushed(push, self.view()))

    def explain(
        self, path: str, *, node: str | None = None, tier: str | None = None, file: Path | None = None
    ) -> Explanation:
        """Which rule holds for a path, why, and who could approve; of a candidate file, if one is given."""
        policy = read_policy(file) if file else self.view().history.policy
        return explain(policy, node or self._node(), path, tier or layout.DEFAULT_TIER, self.now())

    def test_policy(self, file: Path) -> Replay:
        """What a candidate would have decided otherwise about everything that was proposed so far."""
        return replay(self.view(), read_policy(file))

    def effective_policy(self) -> Policy:
        """The policy that holds now."""
        return self.view().history.policy

    def now(self) -> datetime:
        """The time that this client's decisions are made at."""
        return self._wire.clock.now()

    def _clone_view(self, *, fetch: bool) -> View:
        repo = self._wire.clone_repo(fetch=fetch)
        in_clone = self._wire.clone_root() is not None
        trust_root = self._wire.trust_root(repo if in_clone else None)
        memory = self._wire.memory
        return load(repo, trust_root, self.now(), memory, fetch=False, lagging=in_clone, fresh=fetch)

    def _check(self, view: View, case: Case) -> Checked:
        body = case.manifest.body
        store = self._wire.reviewer_store(body.node)
        if store is None or body.kind != "publish":
            return Checked(case.id, "report", body.checks)
        contents = read_contents(store, case.manifest)
        refuse_twins(view.objects(), objects(contents))
        jobs, progress = self.settings.jobs, self._wire.progress
        results = check_contents(case, store, contents, self._wire.checks, jobs, progress)
        return Checked(case.id, "bytes", tuple(results))

    def _warned(self, view: View) -> View:
        """The same view, with its alarms said where a person reads them."""
        for alarm in view.alarms[-_ALARMS:]:
            log.warning("ALARM at %s: %s", alarm.commit[:12] or "-", alarm.text)
        if len(view.alarms) > _ALARMS:
            log.warning("%d more alarms: placet verify -v", len(view.alarms) - _ALARMS)
        return view

    def _pushed(self, push: Callable[[View], proposing.Proposed], view: View) -> proposing.Proposed:
        """Propose; if somebody proposed the same at the same time, the one proposal there is now."""
        try:
            return push(view)
        except Conflict as error:
            if error.kind != "ref-moved":
                raise
            return push(self.view())

    def _announce(self, proposed: proposing.Proposed) -> proposing.Proposed:
        return announced(self._wire, proposed, self.view, self.now())

    def _show_again(self, ident: str) -> None:
        shown_again(self._wire, ident, self.view, self.now())

    def _node(self) -> str:
        if self.settings.node is None:
            raise Invalid(
                "This is not a node's workspace.",
                kind="not-a-node",
                mend='Write node = "<name>" to placet.toml, or set PLACET_NODE.',
            )
        return self.settings.node

    def _person(self) -> str:
        if self.settings.person is None:
            raise Invalid(
                "These are not a person's settings.",
                kind="not-a-person",
                mend='Write person = "<name>" to placet.toml, or set PLACET_PERSON.',
            )
        return self.settings.person


def read_policy(file: Path) -> Policy:
    """A policy file, with the lines that `init --ctrl` would add if it lacks them.

    Raises:
        Invalid: kind `policy`, with line and column.
    """
    return parse_policy(complete_policy(read_file(file)))


def _prefix(case: Case) -> str:
    return f"{layout.ARTIFACTS}{case.manifest.body.node}/"
