"""A town with honest people, colluders, a stolen node key and a Git server that obeys the colluders.

What people did is written down by the test itself, beside the system under test: that record is the oracle.
"""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from unittest import mock

import msgspec

from governance.lab import MAIN, NOW, PUBLISHED, TIER, Clock, Lab, Memory
from keys import Key
from placet.adapters.gitmemory import MemoryRepo, MemoryServer
from placet.adapters.objects.memory import MemoryStore
from placet.adapters.sandbox import Sandbox
from placet.core import layout
from placet.core.digest import digest, md5_hex, sha256_hex
from placet.core.dirobject import encode_dir
from placet.core.dvcfile import Output, encode_metafile
from placet.core.envelope import Envelope, Signature, key_id
from placet.core.policy import parse_policy
from placet.core.predicates import Decision, DirObject, Manifest, Seen
from placet.core.provenance import Provenance
from placet.core.statement import Signed, parse, parse_time, proposal_id
from placet.core.sums import encode_sums
from placet.engine import begin, promote, propose, published
from placet.engine.promote import Promoter
from placet.engine.target import Target
from placet.errors import PlacetError
from placet.ports import RefUpdate, TreeEntry
from placet.testing import twins

PEOPLE = {"alice": "org-a", "bob": "org-b", "carol": "org-a", "erin": "org-b", "dana": "org-c"}
STEWARDS = ("alice", "bob", "carol", "erin")
TRUSTEES = ("alice", "bob", "carol", "erin", "dana")
OPERATORS = {"site-a": {"carol"}, "site-b": set()}
GOOD = (b"a,b\n1,2\n", twins.A, b"c\n", {"x": b"one", "y/z": b"two"})


def policy_text(count):
    people = "".join(
        f'  {name}: {{name: {name}, organisation: {org}, keys: ["{Key(name).public}", "{Key(f"{name}-2").public}"]}}\n'
        for name, org in PEOPLE.items()
    )
    return f"""\
version: 1
repository: "{"ab" * 16}"
number: 0
previous: null
project: test
people:
{people}groups:
  stewards: {{members: [{", ".join(STEWARDS)}], sees: bytes}}
  trustees: {{members: [{", ".join(TRUSTEES)}], sees: report}}
nodes:
  site-a: {{organisation: org-a, keys: ["{Key("site-a").public}"], paths: ["outputs/**"], operators: [carol]}}
  site-b: {{organisation: org-b, keys: ["{Key("site-b").public}"], paths: ["outputs/**"]}}
tiers:
  publication-storage: {{url: "s3://pub/x", endpointurl: "http://127.0.0.1:1"}}
rules:
  - name: default
    paths: ["*/outputs/**"]
    approvals: [{{count: {count}, groups: [stewards], organisations: 2, bytes: 1}}]
    limits: {{bytes: 1000000, files: 100}}
    expires_days: 30
governance:
  policy: [{{count: {count}, groups: [trustees], organisations: 2}}]
"""


class Quiet:
    def start(self, phase, objects=None, size=None):
        return self

    def advance(self, objects=0, size=0):
        pass

    def done(self):
        pass


class MemoryLab(Lab):
    """A `Lab` whose Git server is in memory."""

    def force(self, ref, new):
        self.repo.force([RefUpdate(ref, None, new)])

    @classmethod
    def begin(cls, text):
        repo = MemoryRepo(MemoryServer())
        trust_root = begin.begin(repo, parse_policy(text.encode()), Key("dana"), NOW)
        return cls(None, repo, trust_root, clock=Clock(), policy_text=text)


@dataclass
class Consent:
    """An honest person approved this manifest, having compared its digests with what the node really made."""

    person: str
    saw: str
    until: object


@dataclass
class Thing:
    """What stands behind a proposal: the digests of all its objects, as the test itself computed them."""

    subject: str
    objects: dict


def thing(data):
    """The objects of some data: key -> bytes, and the subject's SHA-256."""
    if isinstance(data, bytes):
        return Thing(sha256_hex(data), {layout.data_key(md5_hex(data)): data})
    listing = encode_dir((name, md5_hex(one)) for name, one in data.items())
    sums = encode_sums((name, sha256_hex(one)) for name, one in data.items())
    objects = {layout.data_key(md5_hex(one)): one for one in data.values()}
    objects |= {
        layout.sums_key(sha256_hex(sums)): sums,
        layout.data_key(md5_hex(listing), is_dir=True): listing,
    }
    return Thing(sha256_hex(sums), objects)


def candidate(path, data):
    name = path.rsplit("/", 1)[-1]
    if isinstance(data, bytes):
        found = digest(data)
        out = Output(path=name, md5=found.md5, size=found.size)
        return propose.Candidate(path, found.md5, found.sha256, found.size, 1, encode_metafile(out))
    listing = encode_dir((one, md5_hex(content)) for one, content in data.items())
    size = sum(map(len, data.values()))
    out = Output(path=name, md5=md5_hex(listing), size=size, nfiles=len(data), is_dir=True)
    of_dir = DirObject(sha256=sha256_hex(listing), size=len(listing))
    return propose.Candidate(
        path, out.md5, thing(data).subject, size, len(data), encode_metafile(out), of_dir
    )


@dataclass
class Town:
    count: int
    colluders: tuple
    lab: MemoryLab = None
    memory: Memory = field(default_factory=Memory)
    idents: list = field(default_factory=list)
    policies: list = field(default_factory=list)
    things: dict = field(default_factory=dict)
    consents: dict = field(default_factory=dict)
    legit: dict = field(default_factory=dict)
    asked: dict = field(default_factory=dict)
    known: dict = field(default_factory=dict)
    tips: list = field(default_factory=list)
    seen: set = field(default_factory=set)

    def __post_init__(self):
        text = policy_text(self.count)
        self.lab = MemoryLab.begin(text)
        self.legit[self.lab.trust_root] = text
        self.source, self.store = MemoryStore("internal"), MemoryStore("publication")

    # --- the oracle ---------------------------------------------------------------------------------

    def enough(self, manifest, *, late=False):
        """Could these people have let this out? By what honest people really did, and what colluders may do."""
        body = manifest.body
        given = [
            one
            for one in self.consents.get(manifest.digest, ())
            if late or one.until is None or one.until > self.lab.now
        ]
        people = {one.person for one in given} | set(self.colluders)
        group, barred = (
            (STEWARDS, OPERATORS[body.node]) if body.kind == "publish" else (TRUSTEES, {body.person})
        )
        people = {one for one in people if one in group} - barred
        saw = any(one.saw == "bytes" and one.person in people for one in given) or bool(
            people & set(self.colluders)
        )
        return (
            body.policy in self.legit
            and len(people) >= self.count
            and len({PEOPLE[one] for one in people}) >= 2
            and (saw or body.kind == "policy")
        )

    def check_store(self):
        """Every object that became readable is one of a thing that enough people wanted out (I1)."""
        allowed = {}
        for ident, manifest in self.known.items():
            if manifest.body.kind == "publish" and self.enough(manifest, late=True):
                found = self.things[ident]
                assert [found.subject] == [one.value for one in manifest.subjects]
                allowed |= found.objects
        for one in self.store.list(""):
            data = b"".join(self.store.get(one.key))
            assert allowed.get(one.key) == data, f"{one.key} is readable, and not enough people let it out"

    def check_reader(self):
        """An honest reader, pinned to the trust root, believes nothing that is not so."""
        try:
            view = self.lab.view()
        except PlacetError:
            return
        for adopted in view.history.policies:
            assert adopted.policy.digest in self.legit, "a policy is effective that not enough people wanted"
        for ident, case in view.cases().items():
            state = str(view.state(case, self.lab.now))
            if state in {"APPROVED", "LANDED", "PUBLISHED"} and case.manifest.body.kind == "publish":
                assert self.enough(case.manifest, late=state == "PUBLISHED"), f"{ident} is {state}"
        for publication in view.publications.values():
            for one in publication.publications.values():
                assert self.enough(one.case.manifest, late=True), f"{one.case.id} counts as published"

    # --- what honest people do ------------------------------------------------------------------------

    def hold(self, objects):
        for key, data in objects.items():
            self.source.put(key, [data], digest(data), overwrite=True)

    def propose(self, path, data, node="site-b"):
        ident = propose.propose(
            self.lab.view(), [candidate(path, data)], Key(node), node=node, tier=TIER, message="m", checks=[],
            provenance=Provenance(), now=self.lab.now,
        ).id  # fmt: skip
        self.hold(thing(data).objects)
        self.things[ident] = thing(data)
        if ident not in self.idents:
            self.idents.append(ident)
        return ident

    def review(self, ident, person, verdict, days=None, saw="bytes"):
        """An honest person decides; approves only what is, by its digests, what the node really made."""
        view = self.lab.view()
        case = view.find(ident)
        manifest = case.manifest
        known = manifest.body.kind != "publish" or self.things[ident].subject == manifest.subjects[0].value
        if verdict == "approve" and not known:
            return
        self.lab.decide(
            ident, person, verdict=verdict, days=days, saw="report" if manifest.body.kind == "policy" else saw
        )
        if verdict != "approve":
            return
        until = parse_time(manifest.body.expires)
        (decision,) = [
            one for one in self.lab.view().find(ident).decisions if one.decision.body.person == person
        ][-1:]
        if decision.decision.body.expires:
            until = min(until, parse_time(decision.decision.body.expires))
        self.known[ident] = manifest
        self.consents.setdefault(manifest.digest, []).append(Consent(person, saw, until))
        if manifest.body.kind == "policy" and self.enough(manifest):
            self.legit[manifest.subjects[0].value] = self.asked[ident]

    def ask_policy(self, person, *, evil):
        before = self.lab.view().history.policy
        text = before.data.decode()
        number = before.form.number
        if evil:
            text = re.sub(
                r"count: \d+, groups: \[(\w+)\], organisations: 2(, bytes: 1)?",
                r"count: 1, groups: [\1]",
                text,
            )
        else:
            text = re.sub(r"expires_days: \d+", f"expires_days: {31 + number}", text)
        text = text.replace(f"number: {number}", f"number: {number + 1}", 1)
        text = re.sub(r"previous: .*", f'previous: "{before.digest}"', text, count=1)
        found = propose.propose_policy(
            self.lab.view(), text.encode(), Key(person), person=person, message="m", now=self.lab.now
        ).id
        self.asked[found] = text
        self.known.setdefault(found, self.lab.view().find(found).manifest)
        if found not in self.policies:
            self.policies.append(found)
        return found

    def promoter(self, store=None):
        target = Target(self.store if store is None else store, "s3://pub/x", "http://127.0.0.1:1/")
        return Promoter(
            repo=self.lab.repo, trust_root=self.lab.trust_root, memory=Memory() if store else self.memory,
            clock=self.lab.clock, signer=Key("site-b"), node="site-b", source=self.source, targets={TIER: target},
            checks=Sandbox({}), jobs=1, progress=Quiet(),
        )  # fmt: skip

    # --- what those can do who have the server's files and the node's key ---------------------------------

    @property
    def refs(self):
        self.lab.repo.fetch()
        return self.lab.repo.refs()

    def branch(self, ident):
        refs = self.refs
        return refs.get(layout.proposal_ref(ident)) or refs.get(layout.closed_ref(ident))

    def move(self, ref, new):
        self.tips.append((ref, self.refs.get(ref)))
        self.lab.force(ref, new)

    def land(self, ident, how):
        """Put a proposal on `main`, by hand."""
        branch, main = self.branch(ident), self.refs[MAIN]
        files = {
            path: one
            for path, one in self.lab.repo.tree(branch).items()
            if path.startswith((layout.folder(ident), layout.ARTIFACTS))
            or (ident in self.asked and path in layout.POLICY_FILES)
        }
        if how == "bare":
            files = {path: one for path, one in files.items() if "/decisions/" not in path}
        if how == "rebase":
            for one in self.lab.repo.line(branch, after=None)[1:]:
                changes = {
                    change.path: TreeEntry(change.mode, change.blob, 0)
                    for change in one.changes
                    if change.blob
                }
                main = self.lab.commit(main, changes)
            new = main
        elif how == "swapped":
            new = self.lab.repo.commit(
                main, files, parents=[branch, main], message="m", author="x", when=self.lab.now
            )
        else:
            new = self.lab.commit(main, files, *([branch] if how == "merge" else []))
        self.gate(main, new)
        self.move(MAIN, new)

    def gate(self, old, new):
        """The hook is asked too: where it lets a landing pass, the state must be one that enough people wanted."""
        if self.refs[MAIN] != old:
            return
        with suppress(PlacetError):
            self.lab.judge(RefUpdate(MAIN, old, new))
            self.move(MAIN, new)
            self.check_reader()

    def write(self, ident, files):
        """Change a proposal's files on its branch and on `main`."""
        branch = self.branch(ident)
        self.move(layout.proposal_ref(ident), self.lab.commit(branch, files))
        case = self.lab.repo.tree(self.refs[MAIN], layout.folder(ident))
        if case:
            self.move(MAIN, self.lab.commit(self.refs[MAIN], files))

    def decisions(self, ident, person):
        """A person's decisions as the server holds them: number -> statement."""
        out = {}
        for ref in (self.branch(ident), self.refs[MAIN]):
            for path, one in self.lab.repo.tree(ref, layout.folder(ident)).items():
                named = layout.decision_of(path.removeprefix(layout.folder(ident)))
                if named and named[0] == person:
                    out[named[1]] = parse(self.lab.repo.read(one.blob, 1 << 20), Decision)
        return out

    def manifest(self, ident):
        blob = self.lab.repo.tree(self.branch(ident))[layout.manifest_path(ident)].blob
        return parse(self.lab.repo.read(blob, 1 << 20), Manifest)

    def forge(self, ident, person, signer):
        """A decision in somebody's name, signed by somebody else; the key id says what it likes."""
        manifest, given = self.manifest(ident), self.decisions(ident, person)
        body = Decision(
            repository=manifest.body.repository, time=manifest.body.time, manifest=manifest.digest, person=person,
            n=len(given) + 1, previous=given[max(given)].digest if given else None, verdict="approve", role="stewards",
            seen=Seen(level="bytes"), comment="", policy=manifest.body.policy, expires=None,
        )  # fmt: skip
        own = Signed.make(self.about(ident, manifest), body, Key(signer).pair).envelope
        named = Signature(key_id(Key(person).public), own.signatures[0].sig)
        forged = Envelope(own.payload, (named, *own.signatures))
        self.write(ident, {layout.decision_path(ident, person, body.n): forged.to_bytes()})

    def about(self, ident, manifest):
        from placet.core.statement import subject

        return (subject(layout.manifest_path(ident), manifest.digest),)

    def replay(self, source, target, person, number):
        """A real decision, of another proposal or of an earlier day, in the place of a new one."""
        given = self.decisions(source, person)
        if given:
            old = given[min(given, key=lambda one: (abs(one - number), one))]
            place = len(self.decisions(target, person)) + (0 if number % 2 else 1)
            self.write(target, {layout.decision_path(target, person, max(place, 1)): old.envelope.to_bytes()})

    def edit(self, ident, person):
        """A `no` of an honest person made a `yes`, with its old signature."""
        given = self.decisions(ident, person)
        if given:
            old = given[max(given)]
            payload = old.envelope.payload.replace(b'"return"', b'"approve"').replace(
                b'"reject"', b'"approve"'
            )
            fake = type(old.envelope)(payload, old.envelope.signatures)
            self.write(ident, {layout.decision_path(ident, person, max(given)): fake.to_bytes()})

    def drop(self, ident, person):
        """The newest decision of an honest person vanishes from the branch."""
        given = self.decisions(ident, person)
        if given:
            self.write(ident, {layout.decision_path(ident, person, max(given)): None})

    def swap_manifest(self, ident, data):
        """Under the same id, by the node's own key: another MD5, so that DVC would fetch other bytes."""
        old = self.manifest(ident)
        if old.body.kind != "publish" or old.body.artifacts[0].dir is not None:
            return
        artifact = old.body.artifacts[0]
        fake = candidate(artifact.path, data)
        body = msgspec.structs.replace(
            old.body,
            artifacts=(
                msgspec.structs.replace(
                    artifact, md5=fake.md5, size=fake.size, metafile=sha256_hex(fake.metafile)
                ),
            ),
        )
        signed = Signed.make(old.subjects, body, Key(body.node).pair)
        assert proposal_id(old.subjects, body) == ident
        self.hold(thing(data).objects)
        metafile = layout.metafile(body.node, artifact.path)
        self.write(ident, {layout.manifest_path(ident): signed.envelope.to_bytes(), metafile: fake.metafile})

    def swap_bytes(self, index, data):
        """Other bytes of the same length (of the same MD5, where that is possible), under a name that was approved."""
        found = sorted((one.key, one.size) for one in self.source.list(""))
        key, size = found[index % len(found)]
        data = twins.B if key == layout.data_key(md5_hex(twins.A)) else data[:size].ljust(size, b"!")
        self.source.put(key, [data], digest(data), overwrite=True)

    def weaken(self):
        """The policy file itself, on `main`."""
        text = re.sub(
            r"count: \d+, groups: \[(\w+)\], organisations: 2(, bytes: 1)?",
            r"count: 1, groups: [\1]",
            policy_text(self.count),
        )
        self.move(MAIN, self.lab.commit(self.refs[MAIN], {layout.POLICY: text.encode()}))

    def publish_by_hand(self, ident):
        """A published branch as a promoter without its guard would write it, with the node's real key."""
        scratch = MemoryStore("elsewhere", service="memory:2")
        with (
            mock.patch.object(promote, "publish_problem", return_value=""),
            mock.patch.object(published, "publish_problem", return_value=""),
        ):
            before = self.refs.get(PUBLISHED)
            with suppress(PlacetError):
                self.promoter(scratch).run([ident])
        self.tips.append((PUBLISHED, before))

    def rewind(self, index):
        """A branch where it was before."""
        if self.tips:
            ref, old = self.tips[index % len(self.tips)]
            if old is not None:
                self.lab.force(ref, old)
