"""`dvc` and `placet` mixed at random on one project, and a twin of it that gets the same from `dvc` alone.

Everything follows from the seed: which files change and how, which commands come, who gives them. Where stock
DVC fails on the twin, it is `dvc` that fails on the other too, since half of its work may be done. Where only
Placet refuses, it must leave no trace (or say that it did a part), and `dvc` goes on, as a user would.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from stock import LocalRemote, Project, S3Remote

FILES = ("model.bin", "sub/notes of mine.txt", "run.sh")
FOLDERS = ("data", "sub/imgs", "Überblick")
NAMES = ("a", "b c.txt", "é", "nested/one", "nested/deep/er/two", "a.b/c")
CONTENTS = (
    b"", b"one", b"two", b"line\r\nline\r\n", b"\x00\xff" * 300, b"one\n", b"x" * 70_000, bytes(range(256)) * 5_000,
)  # fmt: skip
LARGE = b"0123456789abcdef" * 600_000
COPIES = ("copy", "reflink,copy")
LINKS = ("hardlink", "symlink", "hardlink,copy", *COPIES)
REFUSALS = frozenset({"would-overwrite", "not-in-cache", "no-object", "gc-unknown"})
PLACET = {"add": "track"}


class Mix:
    """The two projects and what was done to them.

    Args:
        seed: Decides everything.
        mixed: Gets commands of both programs.
        twin: Gets those of `dvc` only.
        remote_of: Gives the remote of either.
    """

    def __init__(
        self,
        seed: int,
        mixed: Project,
        twin: Project,
        remote_of: Callable[[Project], LocalRemote | S3Remote],
    ) -> None:
        self.random = random.Random(seed)
        self.both, self.mixed, self.twin = (twin, mixed), mixed, twin
        self._remotes = {id(project): remote_of(project) for project in self.both}
        self.trace: list[str] = []
        self.done: Counter[str] = Counter()
        self._links = "reflink,copy"
        # Through links, stock DVC makes objects executable and then forgets what was: one or the other.
        self._executables = self.random.random() < 0.4
        for project in self.both:
            project.git("add", ".dvc/.gitignore")
            project.git("commit", "-qm", "begin")
        for folder in FOLDERS[:2]:
            for name in NAMES[:3]:
                self._write(f"{folder}/{name}", self.random.choice(CONTENTS))
        self._write(FILES[0], LARGE)

    def run(self, steps: int) -> None:
        """So many steps, with a comparison after every tenth and at the end."""
        for number in range(1, steps + 1):
            self._step()
            if number % 10 == 0 or number == steps:
                self.compare()

    def compare(self) -> None:
        """Both projects are the same, and stock DVC says the same of them."""
        exact = self._links in COPIES
        self._same("files", project_files if exact else _bytes_only)
        for command in (("status", "--json"), ("status", "-c", "--json")):
            self._same(" ".join(command), lambda project, command=command: _json(project, "dvc", *command))
        self._same("cache", self._cache)
        self._same("remote", self.remote)
        theirs = _json(self.mixed, "dvc", "status", "--json")
        ours = _json(self.mixed, "placet", "status", "--json")["changes"]
        assert bool(theirs) == bool(ours), f"dvc says {theirs}, placet {ours}"

    def _cache(self, project: Project) -> dict[str, tuple[str, str]]:
        """The cache without listings that the remote has: `dvc status -c` and `dvc gc` fetch them by the way."""
        there = {key for key in self.remote(project) if key.endswith(".dir")}
        return {key: one for key, one in cache_files(project).items() if f"files/{key}" not in there}

    def remote(self, project: Project) -> dict[str, str]:
        """What the remote of one of the two holds, apart from what is ours alone."""
        objects = self._remotes[id(project)].objects()
        return {key: _short(data) for key, data in objects.items()}

    def _same(self, what: str, look: Callable[[Project], object]) -> None:
        twin, mixed = look(self.twin), look(self.mixed)
        if isinstance(twin, dict) and isinstance(mixed, dict):
            keys = sorted(key for key in twin.keys() | mixed.keys() if twin.get(key) != mixed.get(key))
            twin, mixed = ({key: one.get(key) for key in keys} for one in (twin, mixed))
        assert twin == mixed, f"{what}: with dvc alone {twin}, mixed {mixed}"

    def _step(self) -> None:
        kinds = {
            self._change: 26, self._add: 18, self._transfer: 34, self._status: 6, self._commit: 5, self._switch: 4,
            self._collect: 4, self._forget: 3, self._relink: 3, self._remove: 1,
        }  # fmt: skip
        self.random.choices(list(kinds), list(kinds.values()))[0]()

    def _change(self) -> None:
        output = self.random.choice(FILES + FOLDERS)
        path = f"{output}/{self.random.choice(NAMES)}" if output in FOLDERS else output
        fate = self.random.random()
        if fate < 0.1:
            self._delete(output)
        elif fate < 0.3:
            self._delete(path)
        else:
            self._write(
                path,
                LARGE if fate > 0.97 else self.random.choice(CONTENTS),
                exe=self._executables and fate < 0.4,
            )

    def _write(self, path: str, data: bytes, *, exe: bool = False) -> None:
        self.trace.append(f"write {path!r} {len(data)} {_short(data)} {'+x' if exe else ''}")
        for project in self.both:
            file = project.root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)
            file.write_bytes(data)
            file.chmod(0o755 if exe else 0o644)

    def _delete(self, path: str) -> None:
        self.trace.append(f"delete {path!r}")
        for project in self.both:
            found = project.root / path
            shutil.rmtree(found) if found.is_dir() else found.unlink(missing_ok=True)

    def _add(self) -> None:
        there = [one for one in FILES + FOLDERS if self._holds_files(one)]
        if there:
            self._command("add", *self._some(there))

    def _holds_files(self, output: str) -> bool:
        path = self.twin.root / output
        return any(one.is_file() for one in path.rglob("*")) if path.is_dir() else path.exists()

    def _transfer(self) -> None:
        tracked = [one for one in FILES + FOLDERS if (self.twin.root / f"{one}.dvc").exists()]
        targets = self._some(tracked) if tracked and self.random.random() < 0.4 else []
        suffix = self.random.choice(["", ".dvc"])  # DVC 3.67 loses targets where both forms are mixed
        targets = [one + suffix for one in targets]
        name = self.random.choice(["push", "push", "fetch", "pull", "checkout", "checkout"])
        force = ["--force"] if name in {"pull", "checkout"} and self.random.random() < 0.5 else []
        self._command(name, *force, *targets)

    def _some(self, outputs: list[str]) -> list[str]:
        return self.random.sample(outputs, min(len(outputs), self.random.choice([1, 1, 2])))

    def _status(self) -> None:
        remote = self.random.choice([[], ["-r", "internal-storage"]])
        self._command("status", *remote)

    def _commit(self) -> None:
        for project in self.both:
            files = [path for path in project_files(project) if path.endswith((".dvc", ".gitignore"))]
            project.git("add", "-f", ".dvc/config", *files)
            project.git("commit", "-qam", "step", "--allow-empty")
        self.trace.append("git commit")

    def _switch(self) -> None:
        self._commit()
        branch = self.random.choice(["main", "one", "two"])
        for project in self.both:
            known = project.git("branch", "--list", branch)
            project.git("checkout", "-q", *([] if known else ["-b"]), branch)
        self.trace.append(f"git checkout {branch}")

    def _collect(self) -> None:
        if self.random.random() < 0.5:
            self._either(["gc", "-f", "-A"], ["gc", "--yes", "--older-than", "0s"])
            return
        self._stock("gc", "-f", *self.random.choice([["-w"], ["-a"], ["-w", "-c"], ["-a", "-c"]]))

    def _forget(self) -> None:
        """Lose the cache, and DVC's index, from which it would take listings that are nowhere else."""
        self.trace.append("rm -rf .dvc/cache, index")
        for project in self.both:
            for folder in (project.root / ".dvc" / "cache", project.hashes.parents[1] / "index"):
                shutil.rmtree(folder, ignore_errors=True)

    def _relink(self) -> None:
        self._links = self.random.choice(COPIES if self._executables else LINKS)
        self._stock("config", "cache.type", self._links)
        self._stock("checkout", "--relink", "--force")

    def _remove(self) -> None:
        tracked = [one for one in FILES + FOLDERS if (self.twin.root / f"{one}.dvc").exists()]
        if tracked:
            self._stock("remove", f"{self.random.choice(tracked)}.dvc")

    def _stock(self, *command: str) -> None:
        codes = [project.start("dvc", *command).returncode for project in self.both]
        self.trace.append(f"dvc {' '.join(map(repr, command))} (both) -> {codes[0]}")
        self.done["dvc"] += 1
        assert codes[0] == codes[1], codes

    def _command(self, name: str, *arguments: str) -> None:
        self._either([name, *arguments], [PLACET.get(name, name), *arguments])

    def _either(self, theirs: list[str], ours: list[str]) -> None:
        """The twin gets a command from `dvc`, the mixed project from either program."""
        chosen = self.random.random() < 0.7
        expected = self.twin.start("dvc", *theirs)
        words = " ".join(map(repr, ours if chosen else theirs))
        self.trace.append(f"{'placet' if chosen else 'dvc'} {words} (dvc: {expected.returncode})")
        if expected.returncode == 0 and chosen and self._placet(*ours):
            return
        got = self.mixed.start("dvc", *theirs)
        self.done["dvc"] += 1
        assert got.returncode == expected.returncode, (
            f"alone: {expected.stdout}{expected.stderr}\nmixed: {got.stdout}{got.stderr}"
        )

    def _placet(self, name: str, *arguments: str) -> bool:
        """Did it work? Else it must have left no trace, unless it says that it was partly done (exit 3)."""
        before = project_files(self.mixed), self.remote(self.mixed)
        done = self.mixed.start("placet", name, "--json", *arguments)
        if done.returncode == 0:
            self.done["placet"] += 1
            return True
        kind = json.loads(done.stdout)["kind"]
        self.trace.append(f"  refused: {done.stdout.strip()}")
        self.done[kind] += 1
        assert kind in REFUSALS, done.stdout + done.stderr
        after = project_files(self.mixed), self.remote(self.mixed)
        assert done.returncode == 3 or after == before, f"{kind} left a trace"
        return False


def _json(project: Project, *command: str) -> dict[str, object]:
    done = project.start(*command)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _bytes_only(project: Project) -> dict[str, str]:
    """Without links and modes: of duplicates stock DVC links only one, and leaves the others as they were."""
    return {path: data for path, (_, _, data) in project_files(project).items()}


def project_files(project: Project) -> dict[str, tuple[str, str, str]]:
    """Everything outside `.git` and DVC's own folder: how it is linked, its owner's rights, its bytes.

    What others may do is left out: `dvc add` of a file with an execute bit sets its mode anew (0744).
    """
    out = {}
    cache = project.root / ".dvc" / "cache"
    for base, folders, names in os.walk(project.root):
        folders[:] = [one for one in folders if one not in {".git", ".dvc"}]
        for path in (Path(base) / name for name in names):
            if not path.exists():
                out[path.relative_to(project.root).as_posix()] = ("dangling", "", "")
                continue
            found = path.stat()
            link = "symlink" if path.is_symlink() else "hardlink" if found.st_nlink > 1 else ""
            assert link != "symlink" or path.readlink().is_relative_to(cache), path
            mode = oct(found.st_mode & 0o700)
            out[path.relative_to(project.root).as_posix()] = (link, mode, _short(path.read_bytes()))
    return out


def cache_files(project: Project) -> dict[str, tuple[str, str]]:
    """The objects of the cache: mode and bytes."""
    top = project.root / ".dvc" / "cache" / "files"
    return {
        path.relative_to(top).as_posix(): (oct(path.stat().st_mode & 0o777), _short(path.read_bytes()))
        for path in top.rglob("*")
        if path.is_file()
    }


def _short(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=6).hexdigest()
