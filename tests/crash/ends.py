"""What a stage has come to, without what may differ between two runs: times, signatures, and what names them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

from crash import watch
from crash.stage import DESK, INTERNAL, PUBLICATION, Stage
from placet.core.layout import CRATE

_TIMES = ("time", "expires")
_CRATE_TIMES = ("datePublished", "endTime")
_PASSING = re.compile(
    r"\.dvc/tmp/.*|\.dvc/cache/(.*/)?\.[0-9a-f]{24}\.tmp"
)  # `placet gc` takes such files away
_COUNTS = ("copied", "found", "ways", "versions")
_OWN = ("proposal", "manifest", "previous", "judged")  # of a run that lands a proposal of its own


def normal(path: str, data: bytes) -> object:
    """A file of the Ctrl repository: a crate as its graph without times; a statement as its payload, without times
    and without the digests of statements that hold times."""
    if not path.endswith(".json"):
        return hashlib.sha256(data).hexdigest()
    kind = path.rsplit("/", 1)[-1]
    if kind == CRATE:
        graph = json.loads(data)["@graph"]
        return [{name: one for name, one in entity.items() if name not in _CRATE_TIMES} for entity in graph]
    found = json.loads(base64.b64decode(json.loads(data)["payload"]))
    body = found["predicate"]
    for name in (*_TIMES, "receipt"):
        body.pop(name, None)
    if kind == "receipt.json":
        for one in body["artifacts"]:
            for name in _COUNTS:
                one.pop(name, None)
    entry = kind != "manifest.json" and body.get("kind") in {"retract", "erased"}
    if entry or "erasure" in found["predicateType"]:
        return {"predicate": {name: one for name, one in body.items() if name not in _OWN}}
    return found


class Ends:
    """Reads the ends of many runs of one stage; what was read once is known."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.public = stage.bucket()
        self._desk = stage.bucket(INTERNAL, DESK, "job")
        self._blobs: dict[str, object] = {}
        self._lists: dict[str, dict[str, object]] = {}

    def durable(self) -> tuple:
        """Everything that a run leaves behind and that another one may look at."""
        files = {}
        for path in sorted(self.stage.live.rglob("*")):
            name = path.relative_to(self.stage.live).as_posix()
            if path.is_file() and not name.startswith(("tmp/", "ctrl.git/", "cache.git/")):
                files[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        uploads = (*self.stage.uploads(), *self.stage.uploads(INTERNAL))
        refs = tuple(sorted(self.stage.refs().items()))
        buckets = (tuple(sorted(one.look().items())) for one in (self.public, self._desk))
        return tuple(sorted(files.items())), refs, *buckets, len(uploads)

    def end(self, folder: str) -> dict[str, object]:
        """The end of a run, comparable with the end of any other run on the same stage."""
        refs = {ref: self._tree(commit) for ref, commit in self.stage.refs().items()}
        ids = {one for ref in refs for one in [ref.rsplit("/", 1)[-1]] if "proposals" in ref}
        return {
            "refs": {
                _anonymous(ref, ids): {_anonymous(path, ids): one for path, one in tree.items()}
                for ref, tree in refs.items()
            },
            "public": {key: one for key, one in self.public.look().items() if "placet/probe/" not in key},
            "desk": {key: one for key, one in self._desk.look().items() if "placet/probe/" not in key},
            "workspace": self._workspace(self.stage.live / folder),
            "versions": self.stage.versions(),
        }

    def ledger(self) -> list[str]:
        """The kinds of the published branch's entries, in order."""
        tree = self._tree(self.stage.refs()["refs/heads/published"])
        found = sorted((path, one) for path, one in tree.items() if path.startswith(".placet/ledger/"))
        return [one["predicate"]["kind"] for _, one in found]

    def _tree(self, commit: str) -> dict[str, object]:
        if commit not in self._lists:
            rows = watch.git(self.stage.ctrl, "ls-tree", "-r", commit).decode().splitlines()
            self._lists[commit] = {}
            for row in rows:
                about, path = row.split("\t")
                blob = about.split()[2]
                if blob not in self._blobs:
                    self._blobs[blob] = normal(path, watch.git(self.stage.ctrl, "cat-file", "blob", blob))
                self._lists[commit][path] = self._blobs[blob]
        return self._lists[commit]

    def _workspace(self, folder: Path) -> dict[str, str]:
        files = (path for path in folder.rglob("*") if path.is_file())
        return {
            name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
            if not _PASSING.fullmatch(name := path.relative_to(folder).as_posix())
        }


def _anonymous(path: str, ids: set[str]) -> str:
    for ident in ids:
        path = path.replace(ident, "<id>")
    return path


def wrong_names(cache: Path) -> list[str]:
    """Objects of a cache whose bytes are not what their names say."""
    return [
        str(path)
        for path in cache.glob("files/md5/??/*")
        if len(name := path.parent.name + path.name.removesuffix(".dir")) == 32
        and hashlib.md5(path.read_bytes()).hexdigest() != name
    ]


def all_public(stage: Stage) -> dict[str, str]:
    return stage.bucket(PUBLICATION, "").look()
