"""A stage that can be put back: Ctrl repository, one node's folders, and two buckets of a real S3 server."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from crash import watch
from forkserver import ForkServer
from governance.lab import Lab
from keys import Key
from placet.core import layout
from placet.core.digest import digest, md5_hex, sha256_hex
from placet.core.dirobject import encode_dir
from placet.core.sums import encode_sums
from placet.testing.seaweed import Identity, Seaweed
from placet.testing.trouble import Call, Rule, TroubleProxy

NODE, TIER, PREFIX, DESK = "site-b", "publication-storage", "x/", "desk/"
OTHER = "site-a"
RETRACTOR, RETRACTORS = "dana", "trustees"
INTERNAL, PUBLICATION = "internal", "publication"
IDENTITIES = {
    "job": Identity(("Read:internal", "List:internal", "Write:internal")),
    "retractor": Identity(("Read:publication", "List:publication", "Write:publication")),
    "promoter": Identity(
        ("Read:internal", "List:internal", "Read:publication", "List:publication", "Write:publication")
    ),
    "researcher": Identity(("Read:publication", "List:publication")),
}
ALL = os.environ.get("PLACET_CRASH") == "all"  # `make test-crash`
MIB = 1 << 20
LIMIT_S = 120
_numbers = itertools.count()
_FRESH = 100
FOLDER = {f"part-{number}.csv": b"%d\n" % number * (number + 1) for number in range(9)} | {
    "deep/er.bin": bytes(range(256)), "empty": b"",
}  # fmt: skip
FILES = {f"outputs/{number}.csv": b"a,b\n%d,1\n" % number for number in range(4)} | {"outputs/folder": FOLDER}
PARTS = {"outputs/parts.bin": os.urandom(4 * MIB + 1)}  # a server-side copy whose SHA-256 the service tells
VERSIONS = {"outputs/versions.bin": os.urandom(4 * MIB + 2)}  # one of a version
STREAM = {"outputs/stream.bin": os.urandom(8 * MIB + 3)}  # through the client, as between two services
LARGE = PARTS | VERSIONS | STREAM
SMALL = {"outputs/late.csv": b"c,d\n1,2\n", "outputs/more": {"a": b"a", "b": b"b" * 1000}}
SMALL |= {"outputs/long.bin": os.urandom(8 * MIB + 5)}
_MODULES = (
    "placet.cli.app placet.cli.node placet.cli.author placet.cli.data placet.client placet.agent placet.config"
    " placet.wire.ctrl placet.wire.keys placet.adapters.objects.open placet.adapters.objects.s3open"
    " placet.cli.undo placet.engine.push placet.engine.track placet.engine.fetch dvc.config diskcache pathspec ruamel.yaml"
    " zc.lockfile urllib3 xml.etree.ElementTree"
)


def key_of(data: bytes) -> str:
    return layout.data_key(md5_hex(data))


def objects_of(outputs: dict) -> dict[str, bytes]:
    """Key -> bytes of everything that a tier needs for these outputs."""
    out = {}
    for content in outputs.values():
        files = content if isinstance(content, dict) else {"": content}
        out |= {key_of(data): data for data in files.values()}
        if isinstance(content, dict):
            listing = encode_dir((name, md5_hex(data)) for name, data in files.items())
            sums = encode_sums((name, sha256_hex(data)) for name, data in files.items())
            out |= {
                layout.data_key(md5_hex(listing), is_dir=True): listing,
                layout.sums_key(sha256_hex(sums)): sums,
            }
    return out


class Today(Lab):
    """By the machine's clock, as the real program."""

    @property
    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True)
class Ended:
    """How a run ended; `code` is -1 if it was killed."""

    code: int
    out: str
    err: str
    names: tuple[str, ...] = ()


class Held:
    """A run that waits at a point."""

    def __init__(self, here: Path, go: Path) -> None:
        self._here, self._go = os.open(here, os.O_RDONLY | os.O_NONBLOCK), go
        self.running: Future[Ended] | None = None

    def wait(self) -> None:
        """Wait until it is there."""
        ready, _, _ = select.select([self._here], [], [], LIMIT_S)
        assert ready, "it never came to the point where it should wait"

    def let_go(self) -> None:
        """Let it go on, if it waits."""
        go, self._go = self._go, None
        if go is not None and select.select([self._here], [], [], 0)[0]:
            go.write_text("go")

    @property
    def ended(self) -> Ended:
        return self.running.result(LIMIT_S)


@dataclass
class Stage:
    root: Path
    server: Seaweed
    proxy: TroubleProxy
    programs: ForkServer
    lab: Lab | None = None
    ident: str = ""
    snapshots: dict[str, dict[str, bytes]] = field(default_factory=dict)
    _moves: int = 0

    @property
    def live(self) -> Path:
        return self.root / "live"

    @property
    def ctrl(self) -> Path:
        return self.live / "ctrl.git"

    @property
    def now(self) -> Path:
        return self.root / "now"

    @cached_property
    def admin(self):
        return self.server.client()

    # --- making it ------------------------------------------------------------------------------

    def set_up(self) -> None:
        """Policy, Ctrl repository, a workspace for jobs and an agent's folder."""
        self.server.create_bucket(INTERNAL, versioned=True)
        self.server.create_bucket(PUBLICATION, versioned=True)
        self.now.write_text("")
        self.live.mkdir()
        place = f'url: "s3://{PUBLICATION}/{PREFIX[:-1]}", endpointurl: "{self.proxy.endpoint}"'
        self.lab = Today.make(
            self.live,
            ('url: "s3://pub/x", endpointurl: "http://127.0.0.1:1"', place),
            ("bytes: 1000000,", "bytes: 100000000,"),
            ("governance:\n", f"governance:\n  retract: [{RETRACTORS}]\n"),
        )
        for name in (NODE, OTHER, RETRACTOR):
            key = Key(name)._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            file = self.root / f"{name}.key"
            file.write_bytes(key)
            file.chmod(0o600)
        internal = f"s3://{INTERNAL}/dvc"
        self._project("workspace", {"internal-storage": (internal, "job")})
        self._project("desk", {"internal-storage": (f"s3://{INTERNAL}/{DESK[:-1]}", "job")})
        publication = f"s3://{PUBLICATION}/{PREFIX[:-1]}"
        both = {"internal-storage": (internal, "promoter"), TIER: (publication, "promoter")}
        self._project("agent", both)
        self._project("other", both, OTHER)
        self._project(RETRACTOR, {"erasing": (publication, "retractor")}, RETRACTOR, "person")
        with (self.live / RETRACTOR / "placet.toml").open("a") as file:
            file.write(f'[retraction]\n{TIER} = "erasing"\n')

    def _project(
        self, name: str, remotes: dict[str, tuple[str, str]], party: str = NODE, role: str = "node"
    ) -> None:
        folder = self.live / name
        (folder / ".dvc").mkdir(parents=True)
        lines = ["[core]", "    no_scm = True", "    remote = internal-storage"]
        for remote, (url, identity) in remotes.items():
            access, secret = self.server.credentials(identity)
            lines += [
                f"['remote \"{remote}\"']", f"    url = {url}", f"    endpointurl = {self.proxy.endpoint}",
                f"    access_key_id = {access}", f"    secret_access_key = {secret}",
            ]  # fmt: skip
        (folder / ".dvc" / "config").write_text("\n".join(lines) + "\n")
        (folder / "placet.toml").write_text(
            f'{role} = "{party}"\nkey = "{self.root / party}.key"\nctrl = "{self.ctrl}"\n'
            f'trust_root = "{self.lab.trust_root}"\n'
        )

    def make(self, outputs: dict, project: str = "workspace") -> None:
        """What a job writes."""
        for path, content in outputs.items():
            files = content if isinstance(content, dict) else {"": content}
            for name, data in files.items():
                file = self.live / project / path / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)

    def land(self, *paths: str) -> str:
        """Propose by the real program, approve and merge."""
        done = self.run("workspace", "propose", *paths, "-m", "m")
        assert done.code == 0, done
        ident = json.loads(done.out)["id"]
        self.lab.decide(ident, "alice", "bob")
        self.lab.merge(ident)
        return ident

    # --- putting it back ------------------------------------------------------------------------

    def keep(self, name: str) -> None:
        """Remember the stage as it is now, with what is in the publication bucket."""
        self._git("repack", "-q", "-a", "-d")
        self._git("pack-refs", "--all")
        bucket = self.bucket()
        self.snapshots[name] = {key: bucket.read(key) for key in bucket.look()}
        kept, left = self.root / f"kept-{name}", shutil.ignore_patterns("hooks", "tmp")
        shutil.copytree(self.live, kept, symlinks=True, ignore=left)

    def restore(self, name: str) -> None:
        """The stage as it was then; whoever watches is told when it begins and when it has ended."""
        self._tell("")
        self._sweep()
        shutil.rmtree(self.live)
        shutil.copytree(self.root / f"kept-{name}", self.live, symlinks=True)
        for key, data in self.snapshots[name].items():
            self.admin.put_object(Bucket=PUBLICATION, Key=f"{PREFIX}{key}", Body=data)
        self._moves += 1
        self._tell(str(self._moves))

    def _sweep(self) -> None:
        """Empty the publication bucket and the desk's part of the internal one, with unfinished uploads."""
        for bucket, prefix in ((PUBLICATION, PREFIX), (INTERNAL, DESK)):
            s3 = self.admin
            for one in s3.list_multipart_uploads(Bucket=bucket, Prefix=prefix).get("Uploads", []):
                s3.abort_multipart_upload(Bucket=bucket, Key=one["Key"], UploadId=one["UploadId"])
            rows = self._rows(bucket, prefix)
            if rows:
                objects = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in rows]
                s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
        if self._moves % _FRESH == _FRESH - 1:  # a deleted object keeps its room on disk, a bucket does not
            self.admin.delete_bucket(Bucket=PUBLICATION)
            self.server.create_bucket(PUBLICATION, versioned=True)

    def _tell(self, word: str) -> None:
        fresh = self.now.with_suffix(".new")
        fresh.write_text(word)
        fresh.replace(self.now)

    # --- running and killing --------------------------------------------------------------------

    def env(self, home: str = "home") -> dict[str, str]:
        kept = {
            key: one
            for key, one in os.environ.items()
            if not key.startswith(("DVC_", "AWS_", "PLACET_", "GIT_"))
        }
        (self.live / "tmp").mkdir(exist_ok=True)
        return kept | {
            "HOME": str(self.live / home),
            "PLACET_HOME": str(self.live / home),
            "TMPDIR": str(self.live / "tmp"),
            "DVC_SITE_CACHE_DIR": str(self.live / "site"),
            "DVC_GLOBAL_CONFIG_DIR": str(self.live / "global"),
            "DVC_SYSTEM_CONFIG_DIR": str(self.live / "system"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "LC_ALL": "C.UTF-8",
        }

    def run(self, folder: str, *argv: str, jobs: int = 1, home: str = "home", **order: object) -> Ended:
        """The real program to its end, or to the point of its order."""
        names = self.root / f"names-{threading.get_ident()}"
        names.write_text("[]")
        order = {
            "below": str(self.live), "names": str(names), "versioned": [key_of(one) for one in VERSIONS.values()],
            "streamed": [key_of(one) for one in STREAM.values()], **order,
        }  # fmt: skip
        env = self.env(home) | {"CRASH": json.dumps(order), "PLACET_JOBS": str(jobs)}
        done = self.programs.run([*argv, "--json"], self.live / folder, env)
        return Ended(done.returncode, done.stdout, done.stderr, tuple(json.loads(names.read_text())))

    def kill_at(self, point: int, folder: str, *argv: str) -> None:
        """Run it, and let it end itself at this point."""
        done = self.run(folder, *argv, kill=point)
        assert done.code == -1, f"point {point} was never reached: {done}"

    def kill_at_request(self, number: int, folder: str, *argv: str) -> None:
        """Run it with four jobs, and end it when its request of this number is on its way, and arrives."""
        pid = self.root / "pid"
        before = set(threading.enumerate())
        self.proxy.meet(
            Rule(Call(lambda _: os.kill(int(pid.read_text()), signal.SIGKILL)), skip=number, times=1)
        )
        done = self.run(folder, *argv, jobs=4, pid=str(pid))
        self.proxy.meet()
        for thread in set(threading.enumerate()) - before:
            thread.join(30)
        assert done.code == -1, f"request {number} was never made: {done}"

    @contextlib.contextmanager
    def held_at(self, point: str | int, folder: str, *argv: str, **options: object) -> Iterator[Held]:
        """Run it in a thread until it is at this point, where it waits until it is let go; at the end it ended."""
        pipes = {name: self.root / f"{name}-{next(_numbers)}" for name in ("here", "go")}
        for pipe in pipes.values():
            os.mkfifo(pipe)
        order = {name: str(pipe) for name, pipe in pipes.items()}
        with ThreadPoolExecutor(1) as pool:
            held = Held(pipes["here"], pipes["go"])
            held.running = pool.submit(self.run, folder, *argv, wait_at=point, **order, **options)
            try:
                yield held
            finally:
                held.let_go()

    # --- looking --------------------------------------------------------------------------------

    def _git(self, *arguments: str) -> bytes:
        return watch.git(self.ctrl, *arguments)

    def refs(self) -> dict[str, str]:
        rows = (
            line.split()
            for line in self._git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        )
        return {ref.decode(): ident.decode() for ref, ident in rows}

    def uploads(self, bucket: str = PUBLICATION) -> list[str]:
        """Keys of unfinished uploads."""
        found = self.admin.list_multipart_uploads(Bucket=bucket)
        return [one["Key"] for one in found.get("Uploads", [])]

    def _rows(self, bucket: str, prefix: str) -> list[dict]:
        listed = self.admin.list_object_versions(Bucket=bucket, Prefix=prefix)
        return [*listed.get("Versions", []), *listed.get("DeleteMarkers", [])]

    def versions(self) -> set[str]:
        """The keys of which the publication bucket has any version, or a marker over it."""
        names = (one["Key"].removeprefix(PREFIX) for one in self._rows(PUBLICATION, PREFIX))
        return {name for name in names if not name.startswith("placet/probe/")}

    def bucket(self, bucket: str = PUBLICATION, prefix: str = PREFIX, identity: str = "researcher"):
        return watch.Bucket(
            watch.client(self.server.endpoint, *self.server.credentials(identity)), bucket, prefix
        )

    @contextlib.contextmanager
    def watched(self, outputs: dict) -> Iterator[dict]:
        """Let a process of its own look with the researcher's credential meanwhile; what it found, at the end."""
        order = {
            "researcher": [self.server.endpoint, *self.server.credentials("researcher")],
            "bucket": PUBLICATION, "prefix": PREFIX, "ctrl": str(self.ctrl), "now": str(self.now),
            "approved": {key: digest(data).sha256 for key, data in objects_of(outputs).items()},
        }  # fmt: skip
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        found: dict = {}
        self._tell("")
        with subprocess.Popen(
            [sys.executable, "-m", "crash.watch", json.dumps(order)],
            stdout=subprocess.PIPE,
            env=env,
            text=True,
        ) as watching:
            try:
                assert watching.stdout.readline() == "watching\n"
                yield found
            finally:
                self._tell("end")
                out, _ = watching.communicate(timeout=60)
        found.update(json.loads(out))


@contextlib.contextmanager
def stage(root: Path) -> Iterator[Stage]:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Seaweed(root / "store", identities=IDENTITIES))
        proxy = stack.enter_context(TroubleProxy(server.endpoint))
        programs = ForkServer(Path(sys.executable), "crash.worker:main", _MODULES.split())
        stack.callback(programs.close)
        made = Stage(root, server, proxy, programs)
        made.set_up()
        stack.callback(made.lab.repo.close)
        yield made
