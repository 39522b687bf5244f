"""The whole history around a DVC project, read by Git's plumbing: which metafiles it ever held."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from placet.adapters import git_process as process
from placet.errors import Corrupt, Invalid
from placet.ports import PastFile

MAX_BLOB = 1 << 28
_BATCH_BYTES = 1 << 25
_RECORD = re.compile(r":[0-7]{6} ([0-7]{6}) [0-9a-f]{40,64} ([0-9a-f]{40,64}) [A-Z][0-9]*")
_FILES = ("100644", "100755")
_KINDS = {
    "refs/heads/": "branches",
    "refs/remotes/": "remote-tracking branches",
    "refs/tags/": "tags",
    "refs/stash": "stashes",
    "refs/exps/stash": "stashes",
    "refs/exps/celery/": "stashes",
}
_STASHES = ("refs/stash", "refs/exps/stash", "refs/exps/celery/stash", "refs/exps/celery/failed")
_AUTOSTASHES = ("rebase-merge/autostash", "rebase-apply/autostash", "MERGE_AUTOSTASH")


class GitPast:
    """The `Past` port over a work tree's Git repository, with all its other work trees."""

    def __init__(self, top: Path, root: Path, environ: Mapping[str, str]) -> None:
        self._top = top
        self._root = root
        self._env = environ

    @classmethod
    def open(cls, root: Path, environ: Mapping[str, str]) -> Self | None:
        """The history that a folder is in, or None if it is in no Git repository.

        Raises:
            Invalid: kind `shallow-clone`: the history is not all here.
            Corrupt: kind `git-failed`: Git refuses to read it, or the folder's `.git` leads nowhere.
        """
        env = {
            key: value
            for key, value in process.environment(environ).items()
            if key != "GIT_LITERAL_PATHSPECS"
        }
        found = process.run(
            ["-C", str(root), "rev-parse", "--show-toplevel", "--is-shallow-repository"], environ=env
        )
        if found.returncode and "not a git repository (or any" in process.said(found):
            return None
        top, shallow = process.check(found, "rev-parse").decode("utf-8", "surrogateescape").splitlines()
        if shallow == "true":
            raise Invalid(
                f"The history of {top} is cut off: it is a shallow clone.",
                kind="shallow-clone",
                why="What the missing commits need is not known.",
                mend=f"git -C {top} fetch --unshallow",
            )
        return cls(Path(top), root.resolve(), env)

    @property
    def prefix(self) -> str:
        """The folder in Git's work tree: empty, or with a slash at its end."""
        below = self._root.relative_to(self._top.resolve()).as_posix()
        return "" if below == "." else f"{below}/"

    def folders(self) -> Sequence[Path]:
        """The same folder in every work tree of the repository that is here now, its own first."""
        listed = self._git("worktree", "list", "--porcelain").decode("utf-8", "surrogateescape").splitlines()
        tops = [Path(one.removeprefix("worktree ")) for one in listed if one.startswith("worktree ")]
        common = self._git_dirs()[0]
        main = process.run(
            [f"--git-dir={common}", "config", "--get", "core.worktree"], environ=self._env
        ).stdout
        if main:  # of a submodule, whose repository is elsewhere
            tops.append(common / os.fsdecode(main).rstrip("\n"))
        below = self._root.relative_to(self._top.resolve())
        found = [self._root, *((one / below).resolve() for one in tops if (one / ".git").exists())]
        return [one for one in dict.fromkeys(found) if one.is_dir()]

    def kinds(self) -> Mapping[str, int]:
        """Words for refs -> how many there are."""
        names = self._git("for-each-ref", "--format=%(refname)").decode("utf-8", "replace").splitlines()
        counts: dict[str, int] = {}
        for name in names:
            kind = next((words for prefix, words in _KINDS.items() if name.startswith(prefix)), "other refs")
            counts[kind] = counts.get(kind, 0) + 1
        if "stashes" in counts:
            counts["stashes"] = len(self._stashes())
        return {**counts, "commits": int(self._rev_list("--count"))}

    def files(self, suffixes: Sequence[str], *, tips: bool) -> Sequence[PastFile]:
        """Every (path, blob) whose path ends so, with the first commit found that brought it."""
        patterns = [f"*{one}" for one in suffixes]
        raw = self._of_tips(patterns) if tips else self._of_all(patterns)
        found: dict[tuple[str, str], PastFile] = {}
        for one in itertools.chain(raw, self._of_indexes(patterns)):
            if one.path.endswith(tuple(suffixes)):
                found.setdefault((one.path, one.blob), one)
        return list(found.values())

    def read(self, blobs: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Blob id and bytes of each, some at a time."""
        wanted = list(dict.fromkeys(blobs))
        asked = "".join(f"{one}\n" for one in wanted).encode()
        answers = self._git("cat-file", "--buffer", "--batch-check", data=asked).decode().splitlines()
        batch: list[str] = []
        size = 0
        for ident, answer in zip(wanted, answers, strict=True):
            kind, _, length = answer.partition(" ")[2].partition(" ")
            if kind != "blob" or int(length) > MAX_BLOB:
                raise Corrupt(
                    f"The Git object {ident[:12]} of {self._top} is not a metafile: {answer[41:80]}.",
                    kind="git-failed",
                    mend="git fsck",
                )
            batch.append(ident)
            size += int(length)
            if size >= _BATCH_BYTES:
                yield from self._read(batch)
                batch, size = [], 0
        yield from self._read(batch)

    def _read(self, batch: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        asked = "".join(f"{one}\n" for one in batch).encode()
        data = self._git("cat-file", "--buffer", "--batch", data=asked) if batch else b""
        start = 0
        for ident in batch:
            end = data.find(b"\n", start)
            words = data[start:end].split()
            if end < 0 or len(words) != 3 or words[0].decode() != ident:  # noqa: PLR2004 - id, type, size
                raise Corrupt(f"The Git object {ident[:12]} cannot be read.", kind="git-failed")
            length = int(words[2])
            yield ident, data[end + 1 : end + 1 + length]
            start = end + 1 + length + 1

    def _of_all(self, patterns: Sequence[str]) -> Iterator[PastFile]:
        """What each commit has that a parent lacks: by induction, all that any commit has."""
        return _parse(self._diff(self._rev_list(), "-m", "--root", patterns=patterns))

    def _of_tips(self, patterns: Sequence[str]) -> Iterator[PastFile]:
        """All of one tip, then what each further one has that the one before lacks."""
        tips = self._tips()
        if not tips:
            return
        for record in self._git("ls-tree", "-r", "-z", "--full-tree", tips[0]).split(b"\0")[:-1]:
            head, _, path = record.partition(b"\t")
            mode, _, blob = head.decode().split(" ")
            if mode in _FILES:
                yield PastFile(path.decode("utf-8", "surrogateescape"), blob, tips[0])
        pairs = "".join(f"{two} {one}\n" for one, two in itertools.pairwise(tips))
        yield from _parse(self._diff(pairs.encode(), patterns=patterns))

    def _tips(self) -> list[str]:
        """Commits of refs and HEADs, and those that make up a stash: its index, its untracked files."""
        out = self._rev_list("--no-walk").decode().split()
        for stash in self._stashes():
            out += self._git("rev-parse", f"{stash}^@").decode().split()
        return list(dict.fromkeys(out))

    def _git_dirs(self) -> list[Path]:
        """The repository's own folder, then those of its linked work trees, also of absent ones."""
        said = os.fsdecode(self._git("rev-parse", "--git-common-dir")).rstrip("\n")
        common = (self._top / said).resolve()
        return [common, *sorted(common.glob("worktrees/*"))]

    def _of_indexes(self, patterns: Sequence[str]) -> Iterator[PastFile]:
        for folder in self._git_dirs():
            if not (folder / "index").exists():
                continue
            where = f"--git-dir={folder}", f"--work-tree={self._top}"
            for record in self._git(*where, "ls-files", "-s", "-z", "--", *patterns).split(b"\0")[:-1]:
                head, _, path = record.partition(b"\t")
                mode, blob, _ = head.decode().split(" ")
                if mode in _FILES:
                    yield PastFile(path.decode("utf-8", "surrogateescape"), blob)

    def _stashes(self) -> list[str]:
        """All of them, also of queued experiments: only the newest is a ref, the others are in its log.

        What `--autostash` put aside has no ref at all.
        """
        refs = self._git("for-each-ref", "--format=%(refname)", *_STASHES).decode().split()
        found = [one for ref in refs for one in self._git("rev-list", "-g", ref).decode().split()]
        files = [folder / name for folder in self._git_dirs() for name in _AUTOSTASHES]
        found += [one.read_text().strip() for one in files if one.is_file()]
        return [one for one in dict.fromkeys(found) if one]

    def _rev_list(self, *options: str) -> bytes:
        """All refs, the HEADs of all work trees, and all stashes."""
        stashes = "".join(f"{one}\n" for one in self._stashes())
        return self._git("rev-list", *options, "--all", "--stdin", data=stashes.encode())

    def _diff(self, commits: bytes, *options: str, patterns: Sequence[str]) -> bytes:
        return self._git(
            "diff-tree", "--stdin", "-r", "--raw", "-z", "--no-renames", "--no-abbrev", "--no-ext-diff",
            *options, "--", *patterns, data=commits,
        )  # fmt: skip

    def _git(self, *arguments: str, data: bytes | None = None) -> bytes:
        done = process.run(["-C", str(self._top), *arguments], environ=self._env, data=data)
        return process.check(done, arguments[0])


def _parse(data: bytes) -> Iterator[PastFile]:
    """`diff-tree --stdin -z`: a commit id, then pairs of a record that begins with ':' and a path."""
    commit = ""
    fields = iter(data.split(b"\0"))
    for field in fields:
        if not field.startswith(b":"):
            commit = field.decode("latin-1").strip()
            continue
        record, path = _RECORD.fullmatch(field.decode("latin-1")), next(fields, None)
        if record is None or path is None:
            raise Corrupt("Git's answer about what commits change cannot be read.", kind="git-failed")
        if record[1] in _FILES:
            yield PastFile(path.decode("utf-8", "surrogateescape"), record[2], commit)
