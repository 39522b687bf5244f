"""A Ctrl repository in memory with a forge beside it, people with accounts there, and a witness."""

from dataclasses import dataclass, replace

from governance.lab import NOW, Lab, Memory, begin, parse_policy
from governance.memlab import MemLab
from keys import POLICY, Key
from placet.core import layout
from placet.core.predicates import Observation
from placet.core.statement import Signed, format_time, subject
from placet.engine.announce import announce
from placet.engine.witness import Witness
from placet.testing.memory_forge import MemoryForge
from placet.wire.data import Silent

PEOPLE = ("alice", "bob", "carol", "dana")
ACCOUNTS = {name: number for number, name in enumerate(PEOPLE, start=2)}  # 1 is the forge's own robot
NEED = "approvals: [{count: 2, groups: [stewards], organisations: 2, bytes: 1}]"
UNSEEN = "approvals: [{count: 2, groups: [stewards], organisations: 2}]"


def witnesses(*more):
    lines = [
        f'  w: {{organisation: org-c, keys: ["{Key("w").public}"], forges: [memory], operators: [dana]}}',
        *more,
    ]
    return ("tiers:\n", "\n".join(["witnesses:", *lines, "tiers:", ""]))


EDITS = (
    *((f"  {name}: {{name:", f"  {name}: {{forges: {{memory: {ACCOUNTS[name]}}}, name:") for name in PEOPLE),
    (NEED, f"{UNSEEN}\n    accept: [forge]"),
)


class Forging:
    """What a Lab can do that has a `forge`."""

    def opened(self, *args, **kwargs):
        """A proposal with its pull request; both ids."""
        ident = self.propose(*args, **kwargs)
        view = self.view()
        announce(view, view.open[ident], self.forge, self.now)
        return ident, self.forge.pull(layout.proposal_ref(ident)).number

    def review(self, number, *people, word="approve"):
        return [self.forge.review(number, one, word) for one in people]

    def witness(self, name="w", **changes):
        made = Witness(
            repo=self.repo, trust_root=self.trust_root, memory=Memory(), clock=self.clock, signer=Key(name),
            name=name, forge=self.forge.acting("witness"), progress=Silent(),
        )  # fmt: skip
        return replace(made, **changes)

    def look(self, name="w", **changes):
        """What a witness notes now: (person, verdict) of each observation."""
        done = self.witness(name, **changes).run()
        for one in done:
            if one.error is not None:
                raise one.error
        return [(new.person, new.verdict) for one in done for new in one.noted]

    def case(self, ident):
        return self.view().find(ident)

    def observation(self, ident, key="w", person="bob", **changes):
        """An observation as somebody signs it who asks no client."""
        case = self.case(ident)
        values = {
            "repository": case.manifest.body.repository, "time": format_time(self.now),
            "manifest": case.manifest.digest, "witness": "w", "n": 1, "previous": None, "forge": "memory",
            "user": ACCOUNTS[person], "review": 1, "commit": "c" * 40, "content": case.content,
            "verdict": "approve", "policy": case.policy.digest,
        }  # fmt: skip
        body = Observation(**{**values, **changes})
        about = subject(layout.manifest_path(ident), case.manifest.digest)
        return Signed.make((about,), body, Key(key).pair)

    def written(self, ident, *signed, base=None):
        """A commit that holds these observations on top of the proposal's branch."""
        files = {
            layout.observation_path(ident, one.body.witness, one.body.n): one.envelope.to_bytes()
            for one in signed
        }
        return self.commit(base or self.branch(ident), files)


@dataclass
class ForgeLab(Forging, MemLab):
    forge: MemoryForge | None = None

    @classmethod
    def make(cls, folder=None, *edits):
        lab = super().make(folder, *EDITS, *(edits or (witnesses(),)))
        lab.forge = MemoryForge(lab.heads)
        for name in PEOPLE:
            assert lab.forge.account(name).id == ACCOUNTS[name]
        return lab

    def heads(self):
        other = self.party()
        other.fetch()
        return other.refs()


@dataclass
class GitForgeLab(Forging, Lab):
    """The same on real Git, with a policy of one's own."""

    forge: MemoryForge | None = None

    @classmethod
    def begun(cls, folder, text):
        repo = cls.repository(folder)
        trust_root = begin.begin(repo, parse_policy(text.encode()), Key("dana"), NOW)
        lab = cls(folder, repo, trust_root, policy_text=text)
        lab.forge = MemoryForge(repo.heads, name="gitea")
        return lab


__all__ = ["ACCOUNTS", "NEED", "POLICY", "UNSEEN", "ForgeLab", "GitForgeLab", "witnesses"]
