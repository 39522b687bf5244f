"""A node's folder on a real Ctrl repository (by path) and a real S3 server, and the real program in it."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from governance.lab import TIER, Lab
from keys import Key
from placet.core import layout
from placet.core.digest import digest, md5_hex
from placet.wire.data import open_store

PLACET = str(Path(sys.executable).parent / "placet")
LIMIT_S = 60


@dataclass
class Site:
    lab: Lab
    folder: Path
    remotes: dict
    settings: dict = field(default_factory=dict)
    node: str = "site-b"

    @classmethod
    def make(cls, seaweed, folder, *, internal="promoter", publication=("versioned", "promoter")):
        folder.mkdir()
        bucket, identity = publication
        remotes = {
            "internal-storage": seaweed.remote("source", internal),
            TIER: seaweed.remote(bucket, identity),
        }
        place = remotes[TIER]
        lab = Lab.make(
            folder, ("s3://pub/x", place["url"]), ("http://127.0.0.1:1", place["endpointurl"]),
            ("ab" * 16, os.urandom(16).hex()),
        )  # fmt: skip
        lab.clock.time = lab.clock.time.now(lab.clock.time.tzinfo)
        site = cls(lab, folder / "node", remotes)
        (site.folder / ".dvc").mkdir(parents=True)
        key = Key(site.node)._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (site.folder / "node.key").write_bytes(key)
        (site.folder / "node.key").chmod(0o600)
        site.source = open_store(
            seaweed.remote("source", "writer", remotes["internal-storage"]["url"].rsplit("/")[-1])
        )
        site.target = open_store(place)
        site.configure()
        return site

    def configure(self, agent="", **settings):
        self.settings |= settings
        values = {
            "node": self.node, "ctrl": str(self.lab.folder / "ctrl.git"), "trust_root": f"sha256:{self.lab.trust_root}",
            "key": "node.key", "internal": "internal-storage", **self.settings,
        }  # fmt: skip
        lines = [f'{key} = "{one}"' for key, one in values.items() if one is not None]
        (self.folder / "placet.toml").write_text("\n".join([*lines, "[agent]", agent]) + "\n")
        lines = []
        for name, options in self.remotes.items():
            lines += [f"['remote \"{name}\"']", *(f"    {key} = {one}" for key, one in options.items())]
        (self.folder / ".dvc" / "config").write_text("\n".join(lines) + "\n")

    @property
    def env(self):
        kept = {
            key: one
            for key, one in os.environ.items()
            if not key.startswith(("DVC_", "AWS_", "PLACET_", "GIT_"))
        }
        home = self.lab.folder / "home"
        places = {
            f"DVC_{one}": str(home / one)
            for one in ("SITE_CACHE_DIR", "GLOBAL_CONFIG_DIR", "SYSTEM_CONFIG_DIR")
        }
        return kept | places | {"HOME": str(home), "PLACET_HOME": str(home / "placet")}

    def land(self, path="outputs/a.csv", data=b"a,b\n1,2\n"):
        """A proposal of this node whose bytes are in the internal tier, approved and landed."""
        self.source.put(layout.data_key(md5_hex(data)), [data], digest(data), overwrite=True)
        return self.lab.landed(path, data)

    def run(self, *argv, expect=0):
        done = subprocess.run(
            [PLACET, *argv],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == expect, (done.stdout, done.stderr)
        return done

    def doctor(self, expect=0):
        found = json.loads(self.run("doctor", "--json", expect=expect).stdout)["findings"]
        return {one["name"]: one for one in found}


class Agent:
    """The real program as a service; its events are read from its log as they come."""

    def __init__(self, site, *argv, **environ):
        self.events = []
        self._out = site.lab.folder / "agent.out"
        self._lines = queue.SimpleQueue()
        with self._out.open("w") as out:
            self._process = subprocess.Popen(
                [PLACET, "agent", "--json", *argv], cwd=site.folder, env=site.env | environ, text=True,
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE,
            )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._process.stderr.close()

    def _read(self):
        for line in self._process.stderr:
            self._lines.put(json.loads(line))
        self._lines.put(None)

    def wait(self, event, **fields):
        """The next event of this name with these fields."""
        while True:
            found = self._lines.get(timeout=LIMIT_S)
            assert found is not None, (event, self.events[-20:], self._out.read_text())
            self.events.append(found)
            if found["event"] == event and fields.items() <= found.items():
                return found

    def ever(self, event, **fields):
        """The same, or one that came already."""
        here = (one for one in self.events if one["event"] == event and fields.items() <= one.items())
        return next(here, None) or self.wait(event, **fields)

    def send(self, number):
        self._process.send_signal(number)

    def stop(self, number=signal.SIGTERM):
        """End it in order; its exit code."""
        self.send(number)
        return self.end()

    def end(self):
        code = self._process.wait(LIMIT_S)
        while (found := self._lines.get(timeout=LIMIT_S)) is not None:
            self.events.append(found)
        return code

    def told(self, event):
        return [one for one in self.events if one["event"] == event]


def ask(port, path, body=None, **headers):
    """An HTTP answer: status and body."""
    names = {key.replace("_", "-"): one for key, one in headers.items()}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=body, headers=names)
    try:
        with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()
