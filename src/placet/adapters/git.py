"""Git by its own plumbing commands: commits, trees, refs; no work tree, no index that two could share."""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Container, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from placet.adapters import git_mirror, git_parse
from placet.adapters import git_process as process
from placet.adapters.git_walk import Walk, too_large
from placet.core.guards import guard
from placet.core.limits import LISTING_BYTES, Bounds
from placet.errors import Bug, Conflict, Corrupt, Invalid, NotFound, Refused, Unavailable
from placet.ports import Commit, RefUpdate, TreeEntry

log = logging.getLogger(__name__)

_NETWORK_TIMEOUT_S = 600
_LOOK_TIMEOUT_S = 60
_MAX_COMMIT = 1 << 20
_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REF = re.compile(r"refs/(?!.*(?:\.\.|//|@\{|\.lock(?:/|$)|/\.|\.$))[A-Za-z0-9._/-]+[A-Za-z0-9_-]")
_MIRRORED = ("refs/heads/*", "refs/placet/*")  # no `refs/remotes/*`: a clone's view of `main` is read there
_MODES = frozenset({"100644", "100755", "120000", "160000"})
_QUARANTINE = ("GIT_QUARANTINE_PATH", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES")
_MOVED = re.compile(
    r"stale info|non-fast-forward|fetch first|cannot lock ref|already exists|remote ref does not exist"
    r"|incorrect old value"
)
_LOST_RACE = re.compile(r"cannot lock ref|remote ref does not exist")


class GitRepo:
    """A party's bare copy of the Ctrl repository, a clone that is only read, or a server's repository."""

    def __init__(self, git_dir: Path, environ: Mapping[str, str], url: str | None, *, mirror: bool) -> None:
        self._dir = git_dir
        self._env = dict(environ)
        self._url = url
        self._mirror = mirror
        self._reader = process.Reader(git_dir, self._env)

    @classmethod
    def cache(
        cls, path: Path, url: str, environ: Mapping[str, str], credential: Mapping[str, str] | None = None
    ) -> Self:
        """A party's own bare mirror of `url`, made at its first use; safe for several processes.

        Args:
            path: Where it is.
            url: What it mirrors.
            environ: As of `git_process.environment`.
            credential: As of `git_process.credential`.

        Raises:
            Corrupt: kind `cache-corrupt`: what is at `path` cannot be used, and is not ours to replace.
        """
        env = process.environment(environ)
        if url.startswith("-"):
            raise Invalid(f"{url!r} is not the URL of a Git repository.", kind="settings")
        git_mirror.make(path, env)
        return cls(path, {**env, **(credential or {})}, url, mirror=True)

    @classmethod
    def clone(cls, work_tree: Path, environ: Mapping[str, str]) -> Self:
        """Somebody's clone, as it is; `fetch` brings remote-tracking branches up to date, nothing else."""
        env = process.environment(environ)
        found = process.run(["-C", str(work_tree), "rev-parse", "--absolute-git-dir"], environ=env)
        if found.returncode:
            raise NotFound(
                f"{work_tree} is not a Git repository.",
                kind="no-git-repository",
                why=process.said(found),
                mend="git clone ...",
            )
        return cls(Path(found.stdout.decode().strip()), env, None, mirror=False)

    @classmethod
    def server(cls, path: Path, environ: Mapping[str, str]) -> Self:
        """The server's own repository inside a hook, with the pushed objects that Git keeps apart."""
        env = process.environment(environ)
        env |= {key: environ[key] for key in _QUARANTINE if key in environ}
        return cls(path, env, None, mirror=False)

    def close(self) -> None:
        """End the reading process; may be called twice."""
        self._reader.close()

    def head(self) -> str:
        """The commit that a clone has checked out.

        Raises:
            NotFound: kind `no-commit`.
        """
        return self._run("rev-parse", "--verify", "-q", "HEAD^{commit}").decode().strip()

    def refs(self, prefix: str = "refs/") -> dict[str, str]:
        """Full ref name -> commit id."""
        pattern = prefix.rstrip("/") or "refs"
        done = self._run("for-each-ref", "--format=%(objecttype) %(objectname) %(refname)", pattern)
        rows = (line.split(" ", 2) for line in done.decode("utf-8", "surrogateescape").split("\n") if line)
        return {ref: ident for kind, ident, ref in rows if kind == "commit" and ref.startswith(prefix)}

    def line(self, tip: str, after: str | None = None) -> Sequence[Commit]:
        """The first-parent line up to `tip`, oldest first, beginning after `after`."""
        ids = self._run("rev-list", "--first-parent", "--reverse", _ident(tip)).decode().split()
        if ids[-1:] != [tip]:
            raise NotFound(f"{tip[:12]} is not a commit.", kind="no-commit")
        if after is not None:
            if _ident(after) not in ids:
                raise Conflict(
                    f"Commit {after[:12]} is not on the first-parent line of {tip[:12]}.", kind="not-on-line"
                )
            ids = ids[ids.index(after) + 1 :]
        heads = {ident: git_parse.head(self._reader.read("commit", ident, _MAX_COMMIT)) for ident in ids}
        self._whole(ids, [heads[ident][0][:1] for ident in ids], after)
        asked = "".join(f"{' '.join((ident, *heads[ident][0][:1]))}\n" for ident in ids)
        raw = self._run(
            "diff-tree", "--stdin", "--root", "-r", "--raw", "-z", "--no-renames", "--no-abbrev", "--always",
            "--no-ext-diff", "--ignore-submodules=none", data=asked.encode(),
        )  # fmt: skip
        changes = git_parse.changes(raw)
        return [
            Commit(ident, *heads[ident], tuple(sorted(changes.get(ident, ()), key=lambda one: one.path)))
            for ident in ids
        ]

    def _whole(self, ids: Sequence[str], firsts: Sequence[tuple[str, ...]], after: str | None) -> None:
        """Refuse a line that ends early: Git hides what a shallow clone or a graft cuts off."""
        before = (after,) if after is not None else ()
        for ident, first in zip(ids, firsts, strict=True):
            if first != before:
                raise Invalid(
                    f"The history of {self._dir} is cut off at commit {ident[:12]}.",
                    kind="shallow-clone",
                    mend="Fetch the rest: git fetch --unshallow",
                )
            before = (ident,)

    def branch(self, tip: str, known: Container[str], bounds: Bounds) -> Sequence[Commit]:
        """A branch's own commits, oldest first, read object by object."""
        walk = Walk(lambda tree, limit: self._reader.read("tree", tree, limit), bounds)
        commits: list[tuple[str, str, tuple[str, ...], str]] = []
        ident = _ident(tip)
        while ident not in known:
            if len(commits) == bounds.commits:
                raise too_large(f"has more than {bounds.commits} commits of its own")
            data = self._reader.read("commit", ident, _MAX_COMMIT)
            parents, message = git_parse.head(data)
            commits.append((ident, git_parse.tree_of(data), parents, message))
            if not parents:
                raise Conflict(
                    f"The branch that ends at {tip[:12]} does not begin on main.", kind="not-on-line"
                )
            ident = _ident(parents[0])
        before = git_parse.tree_of(self._reader.read("commit", ident, _MAX_COMMIT)) if commits else None
        out = []
        for one, tree, parents, message in reversed(commits):
            out.append(Commit(one, parents, message, walk.changes(before, tree)))
            before = tree
        return out

    def tree(self, commit: str, prefix: str = "") -> dict[str, TreeEntry]:
        """Path -> entry of all files under `prefix`."""
        path = prefix.rstrip("/")
        spec = _ident(commit)
        done = self._run(
            "ls-tree", "-r", "-z", "-l", "--full-tree", "--", spec, *([path] if path else []),
            limit=LISTING_BYTES,
        )  # fmt: skip
        return dict(git_parse.entries(done, prefix))

    def find(self, commit: str, path: str) -> str | None:
        """The blob at a path of a commit."""
        if "\n" in path or path.startswith(("./", "../")):
            raise Invalid(f"{path[:80]!r} is not looked up in Git.", kind="unsafe-path")
        return self._reader.find(_ident(commit), path)

    def read(self, blob: str, limit: int) -> bytes:
        """A blob's bytes, at most `limit` of them."""
        return self._reader.read("blob", _ident(blob), limit)

    def raw(self, commit: str) -> bytes:
        """The bytes of a commit object."""
        return self._reader.read("commit", _ident(commit), _MAX_COMMIT)

    def commit(
        self,
        base: str | None,
        changes: Mapping[str, bytes | TreeEntry | None],
        *,
        parents: Sequence[str],
        message: str,
        author: str,
        when: datetime,
    ) -> str:
        """Write a commit through a private index; moves no ref."""
        with tempfile.TemporaryDirectory(prefix="placet-index-") as folder:
            env = {**self._env, "GIT_INDEX_FILE": str(Path(folder) / "index")}
            self._run("read-tree", *([_ident(base)] if base else ["--empty"]), environ=env)
            lines = b"".join(self._index_lines(changes, Path(folder)))
            self._run("update-index", "-z", "--index-info", data=lines, environ=env)
            tree = self._run("write-tree", environ=env).decode().strip()
            name = re.sub(r"[^A-Za-z0-9 ._-]", "", author) or "placet"
            stamp = f"{int(when.astimezone(UTC).timestamp())} +0000"
            person = {"NAME": name, "EMAIL": f"{name.replace(' ', '-')}@placet.invalid", "DATE": stamp}
            env |= {
                f"GIT_{role}_{key}": text for role in ("AUTHOR", "COMMITTER") for key, text in person.items()
            }
            above = [part for parent in parents for part in ("-p", _ident(parent))]
            made = self._run("commit-tree", tree, *above, data=message.encode(), environ=env)
        return made.decode().strip()

    def fetch(self, refs: Sequence[str] = ()) -> None:
        """Bring everything of the remote here, or only some refs; all, if a mirror has to be made anew."""
        with git_mirror.alone(self._dir):
            try:
                self._fetch(self._dir, refs)
            except (Corrupt, Unavailable) as error:
                if not self._mirror or error.kind not in {"cache-corrupt", "disk"} or not self._renewed():
                    raise

    def _fetch(self, git_dir: Path, refs: Sequence[str] = ()) -> None:
        if self._mirror:
            arguments = [
                "fetch",
                "-q",
                "--prune",
                "--no-tags",
                "--no-write-fetch-head",
                "--",
                self._url or "",
                *(f"+{one}:{one}" for one in refs or _MIRRORED),
            ]
        else:
            arguments = ["fetch", "-q", "--prune", "--no-write-fetch-head", "origin"]
        done = process.run(arguments, environ=self._env, git_dir=git_dir, network_s=_NETWORK_TIMEOUT_S)
        if done.returncode:
            raise process.network_error(done, "fetch", self._url or "origin", git_dir)

    def renew(self) -> bool:
        """Fetch a damaged mirror anew; of one that is whole nothing is changed."""
        if not self._mirror:
            return False
        with git_mirror.alone(self._dir):
            return self._renewed()

    def _renewed(self) -> bool:
        if git_mirror.is_whole(self._dir, self._env):
            return False
        self._reader.close()
        git_mirror.renew(self._dir, self._env, self._fetch)
        log.warning("this party's copy of the Ctrl repository was damaged; it was fetched anew")
        return True

    def heads(self) -> dict[str, str]:
        """Full name -> commit id of the remote's branches as they are now; fetches nothing.

        Closed proposals are no branches, but closing one removes its branch.

        Raises:
            Unavailable: kind `ctrl-unreachable`.
            Refused: kind `ctrl-denied`.
        """
        url = self._url or "origin"
        arguments = ["ls-remote", "-q", "--heads", "--", url]
        done = process.run(arguments, environ=self._env, git_dir=self._dir, network_s=_LOOK_TIMEOUT_S)
        if done.returncode:
            raise process.network_error(done, "look", url, self._dir)
        rows = (line.partition("\t") for line in done.stdout.decode("utf-8", "surrogateescape").splitlines())
        return {ref: ident for ident, _, ref in rows}

    def push(self, updates: Sequence[RefUpdate]) -> None:
        """Move refs on the remote, all or none, each only from where it is said to be."""
        if not updates:
            return
        leases, specs = [], []
        for one in updates:
            if not _REF.fullmatch(one.ref):
                raise Bug(f"{one.ref!r} is not a ref that Placet writes.", kind="ref-name")
            leases.append(_lease(one))
            specs.append(f"{_ident(one.new) if one.new else ''}:{one.ref}")
        arguments = [
            "push",
            "--atomic",
            "--porcelain",
            "--no-verify",
            *leases,
            "--",
            self._url or "origin",
            *specs,
        ]
        done = process.run(arguments, environ=self._env, git_dir=self._dir, network_s=_NETWORK_TIMEOUT_S)
        if done.returncode == 0:
            self._follow(updates)
            return
        said = process.said(done)
        report = done.stdout.decode("utf-8", "replace")
        declined = "hook declined" in report
        if not declined and (_MOVED.search(report) or _LOST_RACE.search(said)):
            raise Conflict(
                "Somebody else changed the Ctrl repository at the same time.",
                kind="ref-moved",
                mend="Run the same command again.",
            )
        if re.search(r"(?m)^fatal: bad object", said):
            raise NotFound("A commit to push is not here.", kind="no-commit", why=said)
        if declined or "[remote rejected]" in report:
            why = git_parse.words(said) or report.strip()[-500:]
            raise Refused("The server refused the push.", kind="push-refused", why=why)
        raise process.network_error(done, "push", self._url or "origin", self._dir)

    def _follow(self, updates: Sequence[RefUpdate]) -> None:
        """Let the mirror show what was pushed; where it cannot, the next fetch will."""
        if not self._mirror:
            return
        lines = [f"update {one.ref} {one.new}\n" if one.new else f"delete {one.ref}\n" for one in updates]
        with git_mirror.alone(self._dir):
            process.run(
                ["update-ref", "--stdin"], environ=self._env, git_dir=self._dir, data="".join(lines).encode()
            )

    def _index_lines(self, changes: Mapping[str, bytes | TreeEntry | None], folder: Path) -> Iterator[bytes]:
        """Input of `update-index -z --index-info`; a file makes room for a folder of its name, and back."""
        names = {path: _path(path) for path in changes}
        yield from (b"0 %040d\t%b\0" % (0, names[path]) for path, one in changes.items() if one is None)
        for path, blob in self._blobs(changes, folder).items():
            yield b"100644 %b\t%b\0" % (blob, names[path])
        for path, one in changes.items():
            if isinstance(one, TreeEntry):
                yield b"%b %b\t%b\0" % (_mode(one.mode), _ident(one.blob).encode(), names[path])

    def _blobs(self, changes: Mapping[str, bytes | TreeEntry | None], folder: Path) -> dict[str, bytes]:
        """Write all new contents, in one process; path -> blob id."""
        files = {path: one for path, one in changes.items() if isinstance(one, bytes)}
        if not files:
            return {}
        for number, content in enumerate(files.values()):
            (folder / f"blob-{number}").write_bytes(content)
        asked = "".join(f"{folder}/blob-{number}\n" for number in range(len(files)))
        made = self._run("hash-object", "-w", "--no-filters", "--stdin-paths", data=os.fsencode(asked))
        return dict(zip(files, made.split(), strict=True))

    def _run(
        self,
        *arguments: str,
        data: bytes | None = None,
        environ: Mapping[str, str] | None = None,
        limit: int | None = None,
    ) -> bytes:
        if limit is not None:
            done = process.run_bounded(arguments, environ=self._env, git_dir=self._dir, limit=limit)
        else:
            done = process.run(arguments, environ=environ or self._env, git_dir=self._dir, data=data)
        return process.check(done, arguments[0], self._dir if self._mirror else None)


@guard(10, 23)
def _lease(update: RefUpdate) -> str:
    """The option by which the server moves a ref only from where it is said to be."""
    return f"--force-with-lease={update.ref}:{_ident(update.old) if update.old else ''}"


def _ident(text: str) -> str:
    if not _ID.fullmatch(text):
        raise NotFound(f"{text[:80]!r} is not the id of a Git object.", kind="no-commit")
    return text


def _path(path: str) -> bytes:
    if not path or "\0" in path:
        raise Invalid(f"{path[:80]!r} cannot be a path in Git.", kind="unsafe-path")
    return path.encode("utf-8", "surrogateescape")


def _mode(mode: str) -> bytes:
    if mode not in _MODES:
        raise Invalid(f"{mode[:20]!r} is not the mode of a file in Git.", kind="unsafe-path")
    return mode.encode()
