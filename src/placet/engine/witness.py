"""Witness: reviews on a forge, compared with what Git holds, and signed as observations.

The forge tells who said what of which commit; whether that commit holds what is proposed follows from Git
alone. What the last observation says already is not said again; what a review said is taken back when it was
dismissed, is gone, or turns out to be about something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from placet.core import layout
from placet.core.assent import witnesses
from placet.core.digest import sha256_hex
from placet.core.dvcfile import MAX_METAFILE
from placet.core.envelope import MAX_ENVELOPE
from placet.core.guards import guard
from placet.core.predicates import Manifest, Observation, Word
from placet.core.sightings import Sighting, unbroken
from placet.core.statement import Signed, format_time, parse, subject
from placet.engine.cases import Case, may_judge
from placet.engine.ctrl import View, Watch
from placet.engine.detail import is_closed
from placet.engine.review import DECIDABLE
from placet.errors import Conflict, Invalid, NotFound, PlacetError, Refused, Unavailable
from placet.ports import Clock, Forge, Progress, RefUpdate, Repo, Review, Signer, TrustMemory

_RACES = 5
_SILENT = 3


@dataclass(frozen=True, slots=True)
class Noted:
    """One observation as it was recorded."""

    person: str
    review: int
    verdict: Word
    digest: str


@dataclass(frozen=True, slots=True)
class Witnessed:
    """What was recorded about one proposal, or why nothing could be."""

    id: str
    noted: tuple[Noted, ...]
    error: PlacetError | None = None


@dataclass(frozen=True, slots=True)
class Witness:
    """Whoever signs what reviews there are; no node, and nobody who decides.

    Attributes:
        name: As the policy has it in `witnesses`.
    """

    repo: Repo
    trust_root: str
    memory: TrustMemory
    clock: Clock
    signer: Signer
    name: str
    forge: Forge
    progress: Progress
    watch: Watch = field(default_factory=Watch)

    def run(self) -> list[Witnessed]:
        """Look at the reviews of every proposal that this witness is heard about; idempotent.

        A proposal that fails keeps no other from being looked at; a forge that did not answer some times in a
        row does.

        Raises:
            Refused: kind `not-a-witness`.
            Unavailable: kind `stopped`, by the progress; what was recorded by then stays.
        """
        view = self.require_known()
        done, silent = [], 0
        idents = [case.id for case in self._heard(view)]
        progress = self.progress.start("reviews", len(idents))
        for ident in idents:
            try:
                done.append(Witnessed(ident, self._look(ident)))
                silent = 0
            except PlacetError as error:
                done.append(Witnessed(ident, (), error))
                silent = silent + 1 if isinstance(error, Unavailable) else 0
                if silent == _SILENT:
                    break
            progress.advance(1)
        progress.done()
        return done

    def _look(self, ident: str) -> tuple[Noted, ...]:
        """What is new about one proposal, recorded; again, if somebody moved the branch in the meantime.

        Where its reviews cannot be read, and asking again would not help, no approval there counts any more.
        """
        pull = self.forge.pull(layout.proposal_ref(ident))
        reviews: Sequence[Review] = ()
        unread: Invalid | None = None
        try:
            reviews = self.forge.reviews(pull.number) if pull is not None else ()
        except Invalid as error:
            unread = error
        noted = self._record(ident, reviews)
        if unread is not None:
            raise unread
        return noted

    def _record(self, ident: str, reviews: Sequence[Review]) -> tuple[Noted, ...]:
        for left in reversed(range(_RACES)):
            view = self._view()
            case = next((one for one in self._heard(view) if one.id == ident), None)
            found = news(view, case, reviews, self.forge.name, self.name) if case else []
            if case is None or not found:
                break
            try:
                return record(view, case, found, self.signer, witness=self.name, now=self.clock.now())
            except Conflict:
                if not left:
                    raise
        return ()

    def _heard(self, view: View) -> list[Case]:
        """The proposals about which this witness is heard and something can still be decided."""
        now = self.clock.now()
        return [
            case
            for case in view.cases().values()
            if self.name in witnesses(case.policy, case.manifest.body)
            and view.state(case, now) in DECIDABLE
            and not is_closed(view, case)
        ]

    def require_known(self) -> View:
        """The Ctrl repository, if its effective policy knows this witness, with this key and forge.

        Raises:
            Refused: kind `not-a-witness`.
        """
        view = self._view()
        policy = view.history.policy
        known = policy.form.witnesses.get(self.name)
        if known is None or self.signer.public not in known.keys:
            raise Refused(
                f"The effective policy does not know this key as a key of witness {self.name}.",
                kind="not-a-witness",
                why=f"The key is {self.signer.public}.",
                mend="Ask for a policy change that adds it to `witnesses`.",
            )
        if self.forge.name not in known.forges:
            raise Refused(
                f"The policy does not let {self.name} speak of {self.forge.name}.",
                kind="not-a-witness",
                why=f"It reads: {', '.join(known.forges)}.",
                mend="Set the forge of that name in placet.toml, or ask for a policy change.",
            )
        return view

    def _view(self) -> View:
        return self.watch.load(self.repo, self.trust_root, self.clock.now(), self.memory)


@dataclass(frozen=True, slots=True)
class News:
    """What has to be said of one person's account."""

    person: str
    forge: str
    user: int
    review: int
    commit: str
    verdict: Word


def news(view: View, case: Case, reviews: Sequence[Review], forge: str, witness: str) -> list[News]:
    """What has to be said of a proposal's reviews, beyond what the witness said before.

    Only accounts of people who may judge it are spoken of. An objection is taken back by a newer word of the
    same account alone: whoever may write to a repository can dismiss what others said.
    """
    before = {one.body.user: one.body for one in _chain(case, witness) if one.body.forge == forge}
    newest = latest(reviews)
    out = []
    for person, form in sorted(case.policy.form.people.items()):
        user = form.forges.get(forge)
        if user is None or not may_judge(case, person):
            continue
        said, review = before.get(user), newest.get(user)
        verdict = _word(view.repo, case, review)
        if said and said.verdict == "return" and (not review or review.dismissed or review.id == said.review):
            verdict = "return"
        if verdict == "none" and (said is None or said.verdict == "none"):
            continue
        number, commit = (said.review, said.commit) if said else (0, "")
        if review is not None:
            number, commit = review.id, review.commit or commit
        if said is None or (said.verdict, said.review, said.policy) != (verdict, number, case.policy.digest):
            seen = commit or case.landed or view.branches[case.id]
            out.append(News(person, forge, user, number, seen, verdict))
    return out


def latest(reviews: Sequence[Review]) -> dict[int, Review]:
    """Each account's newest review that says something, or that was dismissed."""
    out: dict[int, Review] = {}
    for one in sorted(reviews, key=lambda one: (one.time, one.id)):
        if one.verdict is not None or one.dismissed:
            out[one.account.id] = one
    return out


def record(
    view: View, case: Case, found: Sequence[News], signer: Signer, *, witness: str, now: datetime
) -> tuple[Noted, ...]:
    """Sign observations and push them: to the proposal's branch, or to `main` if it has landed. Atomic.

    Raises:
        Conflict: kind `ref-moved`.
    """
    about = subject(layout.manifest_path(case.id), case.manifest.digest)
    chain = _chain(case, witness)
    number, last = len(chain), chain[-1].digest if chain else None
    files, noted = {}, []
    for one in found:
        number += 1
        body = Observation(
            repository=view.history.repository,
            time=format_time(now),
            manifest=case.manifest.digest,
            witness=witness,
            n=number,
            previous=last,
            forge=one.forge,
            user=one.user,
            review=one.review,
            commit=one.commit,
            content=case.content,
            verdict=one.verdict,
            policy=case.policy.digest,
        )
        signed = Signed.make((about,), body, (signer.public, signer.sign))
        last = signed.digest
        files[layout.observation_path(case.id, witness, number)] = signed.envelope.to_bytes()
        noted.append(Noted(one.person, one.review, one.verdict, signed.digest))
    landed = case.landed is not None
    ref = layout.MAIN if landed else layout.proposal_ref(case.id)
    base = view.main if landed else view.branches[case.id]
    commit = view.repo.commit(
        base, files, parents=[base], message=f"observe {case.id}", author=witness, when=now
    )
    view.repo.push([RefUpdate(ref, base, commit)])
    return tuple(noted)


@guard(10)
def holds(repo: Repo, case: Case, commit: str) -> bool:
    """Does a commit hold exactly what is proposed, so that a review of it was one of this?"""
    if not commit:
        return False
    try:
        blob = repo.find(commit, layout.manifest_path(case.id))
        if blob is None or parse(repo.read(blob, MAX_ENVELOPE), Manifest).digest != case.manifest.digest:
            return False
        return all(_sha256(repo, commit, path) == digest for path, digest in case.metafiles().items())
    except (Invalid, NotFound):
        return False


def _sha256(repo: Repo, commit: str, path: str) -> str | None:
    blob = repo.find(commit, path)
    return sha256_hex(repo.read(blob, MAX_METAFILE)) if blob else None


def _word(repo: Repo, case: Case, review: Review | None) -> Word:
    """An approval must have been one of this content; an objection stands as it is (ADR 14)."""
    if review is None or review.dismissed or review.verdict is None:
        return "none"
    if review.verdict != "approve":
        return "return"
    return "approve" if holds(repo, case, review.commit) else "none"


def _chain(case: Case, witness: str) -> list[Sighting]:
    """What this witness said before.

    Raises:
        Conflict: kind `witness-chain`: it is not whole, so nothing that the witness says counts.
    """
    own = [one.sighting for one in case.observations if one.sighting.body.witness == witness]
    if own and witness not in unbroken(own):
        raise Conflict(
            f"The observations of {witness} about proposal {case.id[:12]} are not whole.",
            kind="witness-chain",
            mend="One was removed, or two processes sign as this witness; the node proposes it again.",
        )
    return sorted(own, key=lambda one: one.body.n)
