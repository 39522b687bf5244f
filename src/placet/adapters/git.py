"""Git by its own plumbing commands: commits, trees, refs; no work tree, no index that two could share.

Each process gets a clean environment: no replace refs, no prompts, no hooks, no foreign `GIT_*` variables;
the user's credential helpers, SSH and proxies keep working. The only place that starts processes.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from placet.errors import Bug, Conflict, Corrupt, Invalid, NotFound, PlacetError, Refused, Unavailable
from placet.ports import Change, Commit, RefUpdate, TreeEntry

_NETWORK_TIMEOUT_S = 600
_MAX_COMMIT = 1 << 20
_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REF = re.compile(r"refs/(?!.*(?:\.\.|//|@\{|\.lock(?:/|$)|/\.|\.$))[A-Za-z0-9._/-]+[A-Za-z0-9_-]")
_KEPT = frozenset(
    {
        "GIT_SSH", "GIT_SSH_COMMAND", "GIT_ASKPASS", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH",
        "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM",
        "GIT_PROXY_COMMAND", "GIT_HTTP_USER_AGENT", "GIT_TRACE",
    }
)  # fmt: skip
_QUARANTINE = ("GIT_QUARANTINE_PATH", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES")
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "gc.auto=0",
    "maintenance.auto=false",
    "fetch.recurseSubmodules=false",
    "transfer.fsckObjects=true",
    "core.quotePath=false",
    "protocol.ext.allow=never",
)
_DENIED = re.compile(
    r"(?i)authentication failed|permission denied|access denied|could not read (user|pass)|403"
)
_MOVED = re.compile(
    r"stale info|non-fast-forward|fetch first|cannot lock ref|already exists|reference already"
)


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    kept = {key: value for key, value in environ.items() if not key.startswith("GIT_") or key in _KEPT}
    return {
        **kept,
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_LITERAL_PATHSPECS": "1",
        "LC_ALL": "C",
    }


def _git(
    arguments: Sequence[str],
    *,
    environ: Mapping[str, str],
    git_dir: Path | None = None,
    data: bytes | None = None,
    timeout_s: float | None = None,
) -> subprocess.CompletedProcess[bytes]:
    where = [f"--git-dir={git_dir}"] if git_dir else []
    settings = [part for one in _SETTINGS for part in ("-c", one)]
    try:
        return subprocess.run(
            ["git", *where, *settings, *arguments],
            input=data if data is not None else b"",
            capture_output=True,
            env=dict(environ),
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError as error:
        raise NotFound(
            "There is no `git` on this machine.", kind="no-git", mend="Install Git 2.30+."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(
            f"git {arguments[0]} did not end within {timeout_s:.0f} s.",
            kind="ctrl-unreachable",
            mend="Try again.",
        ) from error


class GitRepo:
    """A party's bare copy of the Ctrl repository, a clone that is only read, or a server's repository."""

    def __init__(self, git_dir: Path, environ: Mapping[str, str], url: str | None, *, mirror: bool) -> None:
        self._dir = git_dir
        self._env = dict(environ)
        self._url = url
        self._mirror = mirror
        self._reader = _Reader(git_dir, self._env)

    @classmethod
    def cache(cls, path: Path, url: str, environ: Mapping[str, str]) -> Self:
        """A party's own bare mirror of `url`, made at its first use; safe for several processes.

        Raises:
            Corrupt: kind `cache-corrupt`: what is at `path` is no Git repository.
        """
        env = _environment(environ)
        if url.startswith("-"):
            raise Invalid(f"{url!r} is not the URL of a Git repository.", kind="settings")
        if not path.exists():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryDirectory(dir=path.parent) as fresh:
                    made = Path(fresh) / "git"
                    _check(_git(["init", "-q", "--bare", str(made)], environ=env), "init")
                    made.rename(path)
            except OSError as error:
                if not path.exists():
                    raise Unavailable(f"{path} cannot be made: {error}", kind="disk") from error
        if _git(["rev-parse", "--git-dir"], environ=env, git_dir=path).returncode:
            raise Corrupt(
                f"The cache {path} is not a Git repository any more.",
                kind="cache-corrupt",
                mend=f"Remove it; it is made again: rm -r {path}",
            )
        return cls(path, env, url, mirror=True)

    @classmethod
    def clone(cls, work_tree: Path, environ: Mapping[str, str]) -> Self:
        """Somebody's clone, as it is; `fetch` brings remote-tracking branches up to date, nothing else."""
        env = _environment(environ)
        found = _git(["-C", str(work_tree), "rev-parse", "--absolute-git-dir"], environ=env)
        if found.returncode:
            raise NotFound(
                f"{work_tree} is not a Git repository.", kind="no-git-repository", mend="git clone ..."
            )
        return cls(Path(found.stdout.decode().strip()), env, None, mirror=False)

    @classmethod
    def server(cls, path: Path, environ: Mapping[str, str]) -> Self:
        """The server's own repository inside a hook, with the pushed objects that Git keeps apart."""
        env = _environment(environ)
        env |= {key: environ[key] for key in _QUARANTINE if key in environ}
        return cls(path, env, None, mirror=False)

    def close(self) -> None:
        """End the reading process; may be called twice."""
        self._reader.close()

    def refs(self, prefix: str = "refs/") -> dict[str, str]:
        """Full ref name -> commit id."""
        pattern = prefix.rstrip("/") or "refs"
        done = self._run("for-each-ref", "--format=%(objecttype) %(objectname) %(refname)", pattern)
        rows = (line.split(" ", 2) for line in done.decode("utf-8", "surrogateescape").splitlines())
        return {ref: ident for kind, ident, ref in rows if kind == "commit" and ref.startswith(prefix)}

    def line(self, tip: str, after: str | None = None) -> Sequence[Commit]:
        """The first-parent line up to `tip`, oldest first, beginning after `after`."""
        names = [_ident(tip)]
        if after is not None:
            known = self._run("rev-list", "--first-parent", names[0]).decode().split()
            if _ident(after) not in known:
                raise Conflict(
                    f"Commit {after[:12]} is not on the first-parent line of {tip[:12]}.", kind="not-on-line"
                )
            names.append(f"^{after}")
        ids = self._run("rev-list", "--first-parent", "--reverse", *names).decode().split()
        heads = {ident: _head(self._reader.read_commit(ident)) for ident in ids}
        asked = "".join(f"{' '.join((ident, *heads[ident][0][:1]))}\n" for ident in ids)
        raw = self._run(
            "diff-tree", "--stdin", "--root", "-r", "--raw", "-z", "--no-renames", "--no-abbrev", "--always",
            "--no-ext-diff", data=asked.encode(),
        )  # fmt: skip
        changes = _changes(raw)
        return [
            Commit(ident, *heads[ident], tuple(sorted(changes.get(ident, ()), key=lambda one: one.path)))
            for ident in ids
        ]

    def tree(self, commit: str, prefix: str = "") -> dict[str, TreeEntry]:
        """Path -> entry of all files under `prefix`."""
        path = prefix.rstrip("/")
        spec = _ident(commit)
        done = self._run("ls-tree", "-r", "-z", "-l", "--full-tree", spec, *([path] if path else []))
        return dict(_entries(done, prefix))

    def read(self, blob: str, limit: int) -> bytes:
        """A blob's bytes, at most `limit` of them."""
        return self._reader.read(_ident(blob), limit)

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
            lines = b"".join(self._index_line(path, change) for path, change in changes.items())
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

    def fetch(self) -> None:
        """Bring everything of the remote here."""
        if self._mirror:
            arguments = [
                "fetch",
                "-q",
                "--prune",
                "--no-tags",
                "--no-write-fetch-head",
                "--",
                self._url or "",
                "+refs/*:refs/*",
            ]
        else:
            arguments = ["fetch", "-q", "--prune", "--no-write-fetch-head", "origin"]
        with self._alone():
            done = _git(arguments, environ=self._env, git_dir=self._dir, timeout_s=_NETWORK_TIMEOUT_S)
        if done.returncode:
            raise self._network_error(done, "fetch")

    def push(self, updates: Sequence[RefUpdate]) -> None:
        """Move refs on the remote, all or none, each only from where it is said to be."""
        leases, specs = [], []
        for one in updates:
            if not _REF.fullmatch(one.ref):
                raise Bug(f"{one.ref!r} is not a ref that Placet writes.", kind="ref-name")
            leases.append(f"--force-with-lease={one.ref}:{_ident(one.old) if one.old else ''}")
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
        done = _git(arguments, environ=self._env, git_dir=self._dir, timeout_s=_NETWORK_TIMEOUT_S)
        if done.returncode == 0:
            self._follow(updates)
            return
        said = done.stderr.decode("utf-8", "replace")
        report = done.stdout.decode("utf-8", "replace")
        declined = "hook declined" in report
        if not declined and (_MOVED.search(report) or _MOVED.search(said)):
            raise Conflict(
                "Somebody else changed the Ctrl repository at the same time.",
                kind="ref-moved",
                mend="Run the same command again.",
            )
        if declined or "[remote rejected]" in report:
            why = _words(said) or report.strip()[-500:]
            raise Refused("The server refused the push.", kind="push-refused", why=why)
        raise self._network_error(done, "push")

    def _follow(self, updates: Sequence[RefUpdate]) -> None:
        lines = [f"update {one.ref} {one.new}\n" if one.new else f"delete {one.ref}\n" for one in updates]
        with self._alone():
            self._run("update-ref", "--stdin", data="".join(lines).encode())

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One writer of refs at a time, among threads and processes: Git itself does not wait for locks."""
        with (self._dir / "placet.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _index_line(self, path: str, change: bytes | TreeEntry | None) -> bytes:
        name = path.encode("utf-8")
        if change is None:
            return b"0 %040d\t%b\0" % (0, name)
        if isinstance(change, TreeEntry):
            return b"%b %b\t%b\0" % (change.mode.encode(), _ident(change.blob).encode(), name)
        blob = self._run("hash-object", "-w", "--stdin", data=change).strip()
        return b"100644 %b\t%b\0" % (blob, name)

    def _run(
        self, *arguments: str, data: bytes | None = None, environ: Mapping[str, str] | None = None
    ) -> bytes:
        done = _git(arguments, environ=environ or self._env, git_dir=self._dir, data=data)
        return _check(done, arguments[0])

    def _network_error(self, done: subprocess.CompletedProcess[bytes], what: str) -> PlacetError:
        said = done.stderr.decode("utf-8", "replace").strip()
        where = self._url or "origin"
        if _DENIED.search(said):
            return Refused(f"{where} does not let this party {what}.", kind="ctrl-denied", why=said[-500:])
        return Unavailable(
            f"The Ctrl repository {where} does not answer.",
            kind="ctrl-unreachable",
            why=said[-500:],
            mend="Check `ctrl` in placet.toml and the network, then run it again.",
        )


class WorkTree:
    """What Git says of paths in somebody's work tree; outside of a Git repository nothing is tracked."""

    def __init__(self, root: Path, environ: Mapping[str, str]) -> None:
        self._root = root
        self._env = _environment(environ)

    def tracks(self, path: Path) -> bool:
        """Does Git track this path, or something below it?"""
        return bool(self._ask("ls-files", "-z", "--", str(path)).stdout)

    def ignores(self, path: Path) -> bool:
        """Does Git ignore this path?"""
        env = {key: value for key, value in self._env.items() if key != "GIT_LITERAL_PATHSPECS"}
        asked = ["-C", str(self._root), "check-ignore", "-q", "--stdin", "-z"]
        return _git(asked, environ=env, data=os.fsencode(path)).returncode == 0

    def _ask(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return _git(["-C", str(self._root), *arguments], environ=self._env)


def init_bare(path: Path, *, default_branch: str, max_input_bytes: int, environ: Mapping[str, str]) -> None:
    """A bare repository for the plain forge; idempotent. The hook is installed by `install_hook`."""
    env = _environment(environ)
    _check(_git(["init", "-q", "--bare", "-b", default_branch, "--", str(path)], environ=env), "init")
    settings = {
        "receive.fsckObjects": "true",
        "receive.denyNonFastForwards": "true",
        "receive.maxInputSize": str(max_input_bytes),
        "receive.advertiseAtomic": "true",
        "uploadpack.allowFilter": "true",
        "gc.auto": "0",
    }
    for key, value in settings.items():
        _check(_git(["config", key, value], environ=env, git_dir=path), "config")


def install_hook(path: Path, text: str) -> None:
    """Put the `pre-receive` hook in place, atomically."""
    hooks = path / "hooks"
    hooks.mkdir(exist_ok=True)
    fresh = hooks / f".pre-receive.{os.getpid()}"
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(0o755)
    fresh.replace(hooks / "pre-receive")


class _Reader:
    """One `git cat-file --batch-command` process, kept open; safe for threads."""

    def __init__(self, git_dir: Path, environ: Mapping[str, str]) -> None:
        self._dir = git_dir
        self._env = dict(environ)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, blob: str, limit: int) -> bytes:
        with self._lock:
            return self._read("blob", blob, limit)

    def read_commit(self, commit: str) -> bytes:
        with self._lock:
            return self._read("commit", commit, _MAX_COMMIT)

    def _read(self, wanted: str, ident: str, limit: int) -> bytes:
        kind, size = self._ask("info", ident)
        if kind != wanted:
            raise NotFound(f"There is no {wanted} {ident[:12]}.", kind=f"no-{wanted}")
        if size > limit:
            raise Invalid(
                f"{wanted} {ident[:12]} has {size} bytes; at most {limit} are read.", kind="too-large"
            )
        self._ask("contents", ident)
        stream = self._started().stdout
        data = stream.read(size + 1) if stream else b""
        if len(data) != size + 1:
            raise Corrupt(
                f"{wanted} {ident[:12]} cannot be read.", kind="cache-corrupt", mend=f"See {self._dir}."
            )
        return data[:-1]

    def close(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.communicate()

    def _ask(self, what: str, blob: str) -> tuple[str, int]:
        process = self._started()
        if process.stdin is None or process.stdout is None:
            raise Bug("git cat-file has no pipes.", kind="git")
        process.stdin.write(f"{what} {blob}\n".encode())
        process.stdin.flush()
        answer = process.stdout.readline().decode().split()
        if len(answer) != 3:  # noqa: PLR2004 - id, type, size; or `<id> missing`
            return "missing", 0
        return answer[1], int(answer[2])

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                ["git", f"--git-dir={self._dir}", "cat-file", "--batch-command"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=self._env,
            )
        return self._process


def _check(done: subprocess.CompletedProcess[bytes], what: str) -> bytes:
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.decode("utf-8", "replace").strip()
    if re.search(r"bad object|unknown revision|ambiguous argument|Not a valid object|bad revision", said):
        raise NotFound("There is no such commit here.", kind="no-commit", why=said[-300:])
    raise Corrupt(f"git {what} failed.", kind="git-failed", why=said[-500:])


def _ident(text: str) -> str:
    if not _ID.fullmatch(text):
        raise NotFound(f"{text[:80]!r} is not the id of a Git object.", kind="no-commit")
    return text


def _head(commit: bytes) -> tuple[tuple[str, ...], str]:
    """Parents and message of a commit object."""
    header, _, message = commit.partition(b"\n\n")
    parents = (line[7:].decode() for line in header.split(b"\n") if line.startswith(b"parent "))
    return tuple(parents), message.decode("utf-8", "replace")


def _changes(data: bytes) -> dict[str, list[Change]]:
    """Parse `diff-tree --stdin -z`: a commit id, then pairs of a record that begins with ':' and a path."""
    out: dict[str, list[Change]] = {}
    current: list[Change] = []
    fields = iter(data.split(b"\0")[:-1])
    for field in fields:
        if not field.startswith(b":"):
            current = out.setdefault(field.decode().strip(), [])
            continue
        _, mode, _, blob, status = field.decode().split(" ")
        path = next(fields).decode("utf-8", "surrogateescape")
        deleted = status == "D"
        current.append(Change(path, "" if deleted else mode, "" if deleted else blob))
    return out


def _entries(data: bytes, prefix: str) -> Iterator[tuple[str, TreeEntry]]:
    for record in data.split(b"\0")[:-1]:
        head, _, name = record.partition(b"\t")
        mode, _, blob, size = head.decode().split()
        path = name.decode("utf-8", "surrogateescape")
        if path.startswith(prefix):
            yield path, TreeEntry(mode, blob, int(size) if size != "-" else 0)


def _words(said: str) -> str:
    lines = (line.removeprefix("remote:").strip() for line in said.splitlines() if line.startswith("remote:"))
    return " ".join(line for line in lines if line)
