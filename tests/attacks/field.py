"""Where attacks take place: a Ctrl repository on real Git, tiers on a real S3 server, keys of all parties.

An attack is a plain function of a `Field`. It returns if our code refused, and raises `AttackSucceeded`
with what leaked if not; an error of any other kind means that the attack itself is broken.
"""

import itertools
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

from governance.lab import ENV, MAIN, PUBLISHED, TIER, Lab
from keys import Key
from placet.adapters.git import GitRepo
from placet.adapters.sandbox import Sandbox
from placet.adapters.trust import FileMemory
from placet.core import layout
from placet.core.digest import digest, md5_hex, sha256_hex
from placet.core.dirobject import encode_dir
from placet.core.dvcfile import Output, encode_metafile
from placet.core.policy import parse_policy
from placet.core.predicates import Artifact, Decision, DirObject, Manifest, Observation, Seen
from placet.core.provenance import Provenance
from placet.core.sightings import content_digest
from placet.core.statement import Signed, format_time, parse, proposal_id, subject
from placet.core.sums import encode_sums
from placet.engine import propose
from placet.engine.promote import Promoter
from placet.engine.target import Target
from placet.errors import PlacetError
from placet.testing import twins
from placet.wire.data import open_store

DATA = twins.A
PATH = "outputs/a.bin"
METAFILE = layout.metafile("site-b", PATH)
NO_PROPOSAL = ("no-proposal", "proposal-refused", "not-landed")  # it is none at all, to everybody
KEY = layout.data_key(md5_hex(DATA))


class AttackSucceeded(Exception):
    """What an attacker got."""


def changed(body, **changes):
    """A statement's body with other values."""
    return type(body)(**{**{name: getattr(body, name) for name in body.__struct_fields__}, **changes})


class Quiet:
    def start(self, phase, objects=None, size=None):
        return self

    def advance(self, objects=0, size=0):
        pass

    def done(self):
        pass


@dataclass
class Field(Lab):
    """A Lab with tiers, an agent, and a camera: what moved?"""

    ident: str = ""
    remotes: dict = field(default_factory=dict)
    _stores: dict = field(default_factory=dict, repr=False)

    @property
    def memory(self):
        return FileMemory(self.folder / "trust")

    def store(self, tier, identity="writer"):
        """A tier, with somebody's credentials."""
        if (tier, identity) not in self._stores:
            self._stores[tier, identity] = open_store(self.remotes[tier, identity])
        return self._stores[tier, identity]

    @property
    def internal(self):
        return self.store("internal")

    @property
    def publication(self):
        return self.store("publication")

    def hold(self, *datas, store=None):
        """Put files where DVC keeps them."""
        for data in datas:
            (store or self.internal).put(layout.data_key(md5_hex(data)), [data], digest(data), overwrite=True)

    def overwrite(self, store, key, data):
        store.put(key, [data], digest(data), overwrite=True)

    def promoter(self, node="site-b", **changes):
        target = Target(self.publication, "s3://pub/x", "http://127.0.0.1:1")
        made = Promoter(
            repo=self.repo,
            trust_root=self.trust_root,
            memory=self.memory,
            clock=self.clock,
            signer=Key(node),
            node=node,
            source=self.internal,
            targets={TIER: target},
            jobs=2,
            progress=Quiet(),
            checks=Sandbox({}),
        )
        return replace(made, **changes)

    def promote(self, *idents, **changes):
        """What a node's agent does; raises why it did not."""
        done = self.promoter(**changes).run(idents or [self.ident])
        for one in done:
            if one.error is not None:
                raise one.error
        return done

    def push(self, *updates):
        """What anybody can send to the server: it moves what its gate lets pass."""
        self.judge(*updates)
        for one in updates:
            self.force(one.ref, one.new)
        self.repo.fetch()

    def branch_ref(self, ident=None):
        return layout.proposal_ref(ident or self.ident)

    def files_of(self, ident=None):
        """What the branch of a proposal adds to `main`."""
        base = self.repo.tree(self.tip())
        tree = self.repo.tree(self.branch(ident or self.ident))
        return {path: entry for path, entry in tree.items() if base.get(path) != entry}

    def merge_commit(self, ident=None, *, more=None, drop=(), message="merge"):
        """A merge as somebody makes it by hand."""
        tip = self.tip()
        files = {path: entry for path, entry in self.files_of(ident).items() if path not in drop}
        return self.commit(tip, {**files, **(more or {})}, self.branch(ident or self.ident), message=message)

    def folder_candidate(self, files, path="outputs/folder", *, listing=None, sums=None, **changes):
        """A directory as a node would propose it, with its lists in the internal tier, honest or not."""
        listing = encode_dir((name, md5_hex(data)) for name, data in files) if listing is None else listing
        sums = encode_sums((name, sha256_hex(data)) for name, data in files) if sums is None else sums
        self.hold(*(data for _, data in files))
        self.overwrite(self.internal, layout.sums_key(sha256_hex(sums)), sums)
        self.overwrite(self.internal, layout.data_key(md5_hex(listing), is_dir=True), listing)
        size = sum(len(data) for _, data in files)
        out = Output(path.rsplit("/", 1)[-1], md5_hex(listing), size, len(files), is_dir=True)
        made = propose.Candidate(
            path, md5_hex(listing), sha256_hex(sums), size, len(files), encode_metafile(out),
            DirObject(sha256=sha256_hex(listing), size=len(listing)),
        )  # fmt: skip
        return replace(made, **changes)

    def file_candidate(self, data, path, **changes):
        found = digest(data)
        self.hold(data)
        out = Output(path.rsplit("/", 1)[-1], found.md5, changes.get("size", found.size))
        return replace(
            propose.Candidate(path, found.md5, found.sha256, found.size, 1, encode_metafile(out)), **changes
        )

    def propose_these(self, *candidates, node="site-b", checks=()):
        """What a node signs, whatever it is."""
        return propose.propose(
            self.view(), candidates, Key(node), node=node, tier=TIER, message="m", checks=list(checks),
            provenance=Provenance(), now=self.now,
        ).id  # fmt: skip

    def manifest(self, ident=None):
        """The manifest that the branch of a proposal holds."""
        ident = ident or self.ident
        tree = self.repo.tree(self.branch(ident))
        return parse(self.repo.read(tree[layout.manifest_path(ident)].blob, 1 << 20), Manifest)

    def past_the_client(self, candidate, *, checks=(), node="site-b", key=None):
        """A proposal that an honest client would not make."""
        policy = self.view().history.policy
        artifact = Artifact(
            path=candidate.path, md5=candidate.md5, size=candidate.size, files=candidate.files,
            metafile=sha256_hex(candidate.metafile), dir=candidate.dir,
        )  # fmt: skip
        name = f"{layout.ARTIFACTS}{node}/{candidate.path}"
        subjects = (subject(name, candidate.sha256, directory=candidate.dir is not None),)
        body = Manifest(
            repository=policy.form.repository, time=format_time(self.now), kind="publish", node=node, person=None,
            project=policy.form.project, tier=TIER, artifacts=(artifact,), policy=policy.digest, follows=None,
            checks=tuple(checks), provenance=Provenance(), message="m",
            expires=format_time(self.now + timedelta(days=30)),
        )  # fmt: skip
        return self._signed(
            subjects, body, key or node, {layout.metafile(node, candidate.path): candidate.metafile}
        )

    def policy_past_the_client(self, data, person):
        """A proposal of a policy that an honest client would not make."""
        before, after = self.view().history.policy, parse_policy(data)
        body = Manifest(
            repository=before.form.repository, time=format_time(self.now), kind="policy", node=None, person=person,
            project=before.form.project, tier=None, artifacts=(), policy=before.digest, follows=None, checks=(),
            provenance=Provenance(), message="m", expires=format_time(self.now + timedelta(days=30)),
        )  # fmt: skip
        return self._signed((subject(layout.POLICY, after.digest),), body, person, after.derived())

    def _signed(self, subjects, body, key, files):
        ident = proposal_id(subjects, body)
        manifest = Signed.make(subjects, body, Key(key).pair).envelope.to_bytes()
        commit = self.commit(self.tip(), {**files, layout.manifest_path(ident): manifest})
        self.force(self.branch_ref(ident), commit)
        self.repo.fetch()
        return ident

    def decision(self, ident, person, key, **changes):
        """A decision file that somebody writes without Placet, and commits to the proposal's branch."""
        manifest = self.manifest(ident)
        body = Decision(
            repository=manifest.body.repository, time=format_time(self.now), manifest=manifest.digest, person=person,
            n=1, previous=None, verdict="approve", role="stewards", seen=Seen(level="bytes", digests=tuple(one.value for one in manifest.subjects)),
            comment="", policy=manifest.body.policy, expires=None,
        )  # fmt: skip
        about = subject(layout.manifest_path(ident), manifest.digest)
        signed = Signed.make((about,), changed(body, **changes), Key(key).pair)
        path = layout.decision_path(ident, person, signed.body.n)
        evil = self.commit(self.branch(ident), {path: signed.envelope.to_bytes()})
        self.force(self.branch_ref(ident), evil)
        self.repo.fetch()

    def observation(self, ident, key, **changes):
        """An observation that somebody writes without Placet, and commits to the branch; returns its digest."""
        manifest = self.manifest(ident)
        artifacts = zip(manifest.subjects, manifest.body.artifacts, strict=True)
        files = {f"{one.name}.dvc": artifact.metafile for one, artifact in artifacts}
        body = Observation(
            repository=manifest.body.repository, time=format_time(self.now), manifest=manifest.digest, witness="w",
            n=1, previous=None, forge="forge", user=1, review=1, commit=self.branch(ident),
            content=content_digest({layout.manifest_path(ident): manifest.digest, **files}),
            verdict="approve", policy=manifest.body.policy,
        )  # fmt: skip
        about = subject(layout.manifest_path(ident), manifest.digest)
        signed = Signed.make((about,), changed(body, **changes), Key(key).pair)
        path = layout.observation_path(ident, "w", signed.body.n)
        evil = self.commit(self.branch(ident), {path: signed.envelope.to_bytes()})
        self.force(self.branch_ref(ident), evil)
        self.repo.fetch()
        return signed.digest

    def land_by_hand(self, ident=None, **kwargs):
        """Write the proposal into `main` as somebody can who has the server's files."""
        self.force(MAIN, self.merge_commit(ident, **kwargs))
        self.repo.fetch()

    def land(self, ident, people=("alice", "bob")):
        self.decide(ident, *people)
        self.merge(ident)
        return ident

    def clone(self):
        """A researcher's work tree of what is published."""
        root = self.folder / "clone"
        for path, entry in self.repo.tree(self.tip(PUBLISHED)).items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(self.repo.read(entry.blob, 1 << 20))
        return root

    def picture(self):
        """All refs of the server, and all objects that researchers can read."""
        done = subprocess.run(
            ["git", "--git-dir", str(self.folder / "ctrl.git"), "for-each-ref", "--format=%(refname) %(objectname)"],
            env=ENV, check=True, capture_output=True, text=True,
        )  # fmt: skip
        objects = {f"object {one.key} of {one.size} bytes" for one in self.publication.list("files/")}
        objects |= {f"list {one.key}" for one in self.publication.list("placet/sums/")}
        return {*done.stdout.splitlines(), *objects}

    @contextmanager
    def refused(self, leak, *kinds, reads=False):
        """What is done inside must be refused for one of these reasons, and must have moved nothing.

        `reads`: it is a function that only reads; there is nothing to look for.
        """
        before = set() if reads else self.picture()
        try:
            yield
        except PlacetError as error:
            if error.kind not in kinds:
                raise AssertionError(f"refused for another reason, {error.kind}") from error
        else:
            raise AttackSucceeded(leak)
        moved = [] if reads else sorted(self.picture() ^ before)
        if moved:
            raise AttackSucceeded(f"it was refused, but there is: {moved[:3]}")

    def holds(self, condition, leak):
        """This must be so, or the attack has succeeded."""
        if not condition:
            raise AttackSucceeded(leak)


class Stages:
    """Prepared fields, made once and copied: `new`, `proposed`, `approved`, `landed`, `published`.

    All are made before the first attack: none may be made while a guard is away.
    """

    def __init__(self, folder, buckets):
        self._folder, self._buckets = folder, buckets
        self._made = {}
        self._numbers = itertools.count()
        self.at("published", folder / "first").repo.close()

    def at(self, stage, folder, *edits):
        """A field of its own at a stage; `edits` change policy 0."""
        name = (stage, edits)
        if name not in self._made:
            folder_of = self._folder / f"stage-{next(self._numbers)}"
            self._made[name] = self._make(stage, folder_of, edits)
        made = self._made[name]
        shutil.copytree(made.folder, folder, dirs_exist_ok=True)
        return self._open(folder, made, published=stage == "published")

    def _make(self, stage, folder, edits):
        folder.mkdir()
        if stage == "new":
            made = Field.make(folder, *edits)
        else:
            before = {"proposed": "new", "approved": "proposed", "landed": "approved", "published": "landed"}[
                stage
            ]
            made = self.at(before, folder, *edits)
            _STEPS[stage](made)
        made.repo.close()
        for name in ("ctrl.git", "cache.git"):  # few files are copied faster than many
            command = ["git", "--git-dir", str(folder / name), "repack", "-adqk"]
            subprocess.run(command, env=ENV, check=True, capture_output=True)
            shutil.rmtree(folder / name / "hooks", ignore_errors=True)
        return made

    def _open(self, folder, made, *, published):
        repo = GitRepo.cache(folder / "cache.git", str(folder / "ctrl.git"), ENV)
        out = Field(folder, repo, made.trust_root, policy_text=made.policy_text, ident=made.ident)
        for tier, bucket in (("internal", "source"), ("publication", "target")):
            prefix = self._buckets.remote(bucket)["url"].rsplit("/", 1)[-1]
            for identity in ("writer", "promoter", "reader"):
                out.remotes[tier, identity] = self._buckets.remote(bucket, identity, prefix)
        if made.ident:
            out.hold(DATA)
        if published:
            out.hold(DATA, store=out.publication)
        return out


def _propose(made):
    made.ident = made.propose(PATH, DATA)


_STEPS = {
    "proposed": _propose,
    "approved": lambda made: made.decide(made.ident, "alice", "bob"),
    "landed": lambda made: made.merge(made.ident),
    "published": lambda made: made.promote(),
}


class Ground:
    """What an attack gets: `at(stage)` makes its field."""

    def __init__(self, stages, folder):
        self._stages, self._folder, self._number = stages, folder, 0
        self._open = []

    def at(self, stage, *edits) -> Field:
        self._number += 1
        made = self._stages.at(stage, self._folder / str(self._number), *edits)
        self._open.append(made)
        return made

    def close(self):
        for one in self._open:
            one.repo.close()


__all__ = [
    "DATA",
    "KEY",
    "MAIN",
    "METAFILE",
    "PATH",
    "PUBLISHED",
    "TIER",
    "AttackSucceeded",
    "Field",
    "Ground",
    "Stages",
]
