"""The installation that lives through a soak: two nodes with two agents each, people, two tiers, one trouble."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from placet.client import Client
from placet.config import Settings
from placet.errors import PlacetError
from placet.testing.seaweed import Identity, Seaweed
from placet.testing.trouble import TroubleProxy
from placet.wire import setup
from soak.approvals import State, Tier
from soak.evidence import Bucket, Git

NODES = {"site-a": "org-a", "site-b": "org-b"}
PEOPLE = {"alice": "org-a", "bob": "org-b", "carol": "org-a", "dana": "org-c"}
SEES = {"alice": ["site-a"], "bob": ["site-b"], "carol": ["site-a", "site-b"], "dana": []}
EMERGENCY_HOURS = 1
ERASES = "dana"
TIERS = {"publication-storage": "publication", "open-data": "open"}


_PROGRAM = """# `placet`, at the time of this place
from datetime import UTC, datetime, timedelta
from pathlib import Path
from placet import cli
from placet.wire.data import SystemClock
SystemClock.now = lambda _: datetime.now(UTC) + timedelta(seconds=float(Path({passed!r}).read_text()))
cli.main()
"""


class Clock:
    """A party's clock, which may be wrong; what passes for all passes for it."""

    def __init__(self, town: Town) -> None:
        self.wrong, self._town = timedelta(), town

    def now(self) -> datetime:
        """The time that it shows."""
        return datetime.now(UTC) + self._town.passed + self.wrong


@dataclass
class Proposal:
    """What the soak remembers of one: enough to choose what to do next, nothing that a judge needs."""

    ident: str
    node: str
    paths: tuple[str, ...]
    tier: str
    approved: set[str] = field(default_factory=set)
    stage: str = "open"


class Town:
    """Everybody and everything, in a folder. Steps are done one after the other, from one seeded source."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.proposals: list[Proposal] = []
        self.policy: dict[str, Any] = {}
        self.freezes: list[str] = []
        self.passed = timedelta()
        self.clocks: dict[str, Clock] = {}
        self.clients: dict[str, Client] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Start the servers, make the Ctrl repository, settle everybody."""
        with ExitStack() as stack:
            stack.enter_context(_own_environment(self.folder))
            self.store = stack.enter_context(Seaweed(self.folder / "store", identities=_identities()))
            self.proxy = stack.enter_context(TroubleProxy(self.store.endpoint))
            for node in NODES:
                self.store.create_bucket(f"internal-{node}")
            for bucket in TIERS.values():
                self.store.create_bucket(bucket, versioned=True)
                names = [one for one in _identities() if one not in {"admin", ERASES}]
                self.store.deny(bucket, names, hide_versions=["researcher"])
            self._begin()
            for party in (*NODES, *(f"{node}-agent-{n}" for node in NODES for n in (1, 2)), *PEOPLE):
                self.clients[party] = stack.enter_context(self._client(party))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End the servers."""
        self._stack.close()

    def _begin(self) -> None:
        keys = {}
        for name in (*NODES, *PEOPLE, "alice-2"):
            (self.folder / "keys").mkdir(exist_ok=True)
            keys[name] = setup.generate_key(str(self.folder / "keys" / name), None)
        endpoint = self.proxy.endpoint
        rule = {"count": 2, "groups": ["stewards"], "organisations": 2, "bytes": 1}
        self.policy = {
            "version": 1, "repository": "ab" * 16, "number": 0, "previous": None, "project": "soak",
            "people": {
                name: {
                    "name": name.title(), "organisation": organisation,
                    "keys": [keys[name], *([keys["alice-2"]] if name == "alice" else [])],
                }
                for name, organisation in PEOPLE.items()
            },
            "groups": {
                "stewards": {"members": ["alice", "bob", "carol"], "sees": "bytes"},
                "trustees": {"members": ["alice", "bob", "dana"], "sees": "report"},
            },
            "nodes": {
                node: {
                    "organisation": organisation, "keys": [keys[node]], "paths": ["outputs/**"],
                    "operators": ["carol"] if node == "site-a" else [],
                }
                for node, organisation in NODES.items()
            },
            "tiers": {tier: {"url": f"s3://{bucket}/dvc", "endpointurl": endpoint} for tier, bucket in TIERS.items()},
            "rules": [
                {"name": "all", "paths": ["*/outputs/**"], "approvals": [rule], "limits": {"bytes": 100_000_000, "files": 1000}, "expires_days": 30}
            ],
            "governance": {
                "policy": [{"count": 2, "groups": ["trustees"], "organisations": 2}], "freeze": ["trustees"],
                "retract": {"groups": ["trustees"], "count": 2, "emergency_hours": EMERGENCY_HOURS},
            },
        }  # fmt: skip
        file = self.folder / "policy.yaml"
        write_policy(file, self.policy)
        made = setup.init_ctrl(self.ctrl, file, str(self.folder / "keys" / "dana"))
        self.trust_root = made["trust_root"]
        program, hook = self.folder / "placet.py", self.ctrl / "hooks" / "pre-receive"
        program.write_text(_PROGRAM.format(passed=str(self.folder / "passed")))
        hook.write_text(hook.read_text().replace("-m placet", f"'{program}'"))
        self.let_pass(timedelta())

    @property
    def ctrl(self) -> Path:
        """The Ctrl repository on the server."""
        return self.folder / "ctrl.git"

    def let_pass(self, time: timedelta) -> None:
        """So much later, for everybody: parties, their processes, the server."""
        self.passed += time
        (self.folder / "passed").write_text(str(self.passed.total_seconds()))

    def remote(self, bucket: str, identity: str) -> dict[str, str]:
        """A DVC remote behind the proxy, with somebody's credential."""
        access, secret = self.store.credentials(identity)
        return {
            "url": f"s3://{bucket}/dvc", "endpointurl": self.proxy.endpoint, "access_key_id": access,
            "secret_access_key": secret, "read_timeout": "5",
        }  # fmt: skip

    def _client(self, party: str) -> Client:
        root = self.folder / party
        node = party.partition("-agent")[0] if party not in PEOPLE else None
        if party in NODES:
            remotes = {"internal": self.remote(f"internal-{party}", f"{party}-job")}
        elif node:
            remotes = {"internal": self.remote(f"internal-{node}", f"{node}-promoter")}
            remotes |= {tier: self.remote(bucket, f"{node}-promoter") for tier, bucket in TIERS.items()}
        else:
            remotes = {one: self.remote(f"internal-{one}", party) for one in SEES[party]}
            if party == ERASES:
                remotes |= {f"erase-{tier}": self.remote(bucket, party) for tier, bucket in TIERS.items()}
        write_project(root, remotes)
        settings = Settings(
            root=root, home=root / "home", node=node, person=None if node else party, ctrl=str(self.ctrl),
            trust_root=self.trust_root, key=self.folder / "keys" / (node or party), jobs=4, jobs_given=True,
            internal={node: "internal"} if node else {one: one for one in SEES[party]},
            tiers={tier: tier for tier in TIERS} if node else {},
            retraction={tier: f"erase-{tier}" for tier in TIERS} if party == ERASES else {},
        )  # fmt: skip
        client = Client(root, settings=settings)
        self.clocks[party] = client._wire.clock = Clock(self)
        if node and party != node:
            lines = [f'node = "{node}"', f'ctrl = "{self.ctrl}"', f'trust_root = "sha256:{self.trust_root}"']
            lines += [f'key = "{settings.key}"', "jobs = 4", "[internal]", f'{node} = "internal"', "[tiers]"]
            lines += [f'{tier} = "{tier}"' for tier in TIERS]
            (root / "placet.toml").write_text("\n".join(lines) + "\n")
        return client

    def attempt(self, name: str, work: Callable[[], Any]) -> Any:
        """What it gives, or None where Placet refused: counted by kind. Any other exception ends the soak."""
        try:
            found = work()
        except PlacetError as error:
            self.errors[f"{name}: {error.kind}"] += 1
            if not error.what.endswith("."):
                raise AssertionError(f"an error without a sentence: {error!r}") from error
            return None
        self.counts[name] += 1
        return found

    def start(self, agent: str, *arguments: str) -> subprocess.Popen[bytes]:
        """A real process of an agent, at this place's time."""
        env = {**os.environ, "PLACET_HOME": str(self.folder / agent / "home")}
        return subprocess.Popen(
            [sys.executable, "-P", str(self.folder / "placet.py"), *arguments], cwd=self.folder / agent, env=env,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def state(self) -> State:
        """What the judge gets: no word of what the soak did."""
        admin, reader = self.store.client(), self.store.client("researcher")
        return State(
            git=Git(self.ctrl), trust_root=self.trust_root,
            tiers=[
                Tier(name, Bucket(reader, bucket, "dvc/"), Bucket(admin, bucket, "dvc/"))
                for name, bucket in TIERS.items()
            ],
            internal={node: Bucket(admin, f"internal-{node}", "dvc/") for node in NODES},
        )  # fmt: skip


def write_policy(file: Path, policy: dict[str, Any]) -> None:
    """YAML of which each line is a key and its value as JSON: the judge needs no YAML."""
    file.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in policy.items()))


def write_project(root: Path, remotes: dict[str, dict[str, str]]) -> None:
    """A DVC project without Git, as `dvc init --no-scm` makes it."""
    (root / ".dvc").mkdir(parents=True)
    lines = ["[core]", "    no_scm = true", "    analytics = false"]
    for name, options in remotes.items():
        lines += [f"['remote \"{name}\"']", *(f"    {key} = {one}" for key, one in options.items())]
    (root / ".dvc" / "config").write_text("\n".join(lines) + "\n")


def _identities() -> dict[str, Identity]:
    out = {
        "researcher": Identity(tuple(f"{verb}:{one}" for one in TIERS.values() for verb in ("Read", "List")))
    }
    for person, nodes in SEES.items():
        out[person] = Identity(tuple(f"{verb}:internal-{one}" for one in nodes for verb in ("Read", "List")))
    out[ERASES] = Identity(
        tuple(f"{verb}:{one}" for one in TIERS.values() for verb in ("Read", "List", "Write"))
    )
    for node in NODES:
        reads = (f"Read:internal-{node}", f"List:internal-{node}")
        writes = tuple(f"{verb}:{one}" for one in TIERS.values() for verb in ("Read", "List", "Write"))
        out[f"{node}-job"] = Identity((*reads, f"Write:internal-{node}"))
        out[f"{node}-promoter"] = Identity((*reads, *writes))
    return out


@contextmanager
def _own_environment(folder: Path) -> Iterator[None]:
    """Nobody's settings but the soak's, in this process and those that it starts."""
    before = dict(os.environ)
    for key in before:
        if key.startswith(("GIT_", "DVC_", "AWS_", "PLACET_")):
            del os.environ[key]
    (folder / "home").mkdir(parents=True, exist_ok=True)
    (folder / "home" / ".gitconfig").write_text("[user]\n    name = soak\n    email = soak@soak.invalid\n")
    os.environ |= {
        "HOME": str(folder / "home"), "GIT_CONFIG_NOSYSTEM": "1", "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(folder / "home" / "dvc"), "DVC_GLOBAL_CONFIG_DIR": str(folder / "home" / "global"),
        "DVC_SYSTEM_CONFIG_DIR": str(folder / "home" / "system"), "PYTHONWARNINGS": "ignore",
    }  # fmt: skip
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
