"""A Lab whose Ctrl repository is in memory: the same code, much faster than Git where Git is not the question."""

from governance.lab import NOW, POLICY, Clock, Key, Lab, begin, parse_policy
from placet.adapters.gitmemory import MemoryRepo, MemoryServer
from placet.ports import RefUpdate


class MemLab(Lab):
    @classmethod
    def make(cls, folder, *edits):
        text = POLICY
        for old, new in edits:
            assert old in text
            text = text.replace(old, new, 1)
        repo = MemoryRepo(MemoryServer())
        trust_root = begin.begin(repo, parse_policy(text.encode()), Key("dana"), NOW)
        return cls(folder, repo, trust_root, Clock(), text)

    def party(self):
        """Another party's copy."""
        return MemoryRepo(self.repo._server)

    def force(self, ref, new):
        """Move a ref past every gate; nobody's copy shows it before its next fetch."""
        self.party().force([RefUpdate(ref, None, new)])

    def drop(self, ref):
        self.force(ref, None)
