"""The rows of the table: what each tool is told to do, in what order, and how its result is proven right."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.stage import Spent, Stage, copy_tree, git, md5_of, md5s_of

DVC_LIKE = ("dvc", "placet")
Row = dict[str, list[Spent]]


@dataclass(slots=True)
class Work:
    """One tool's workspace, home and place in the store."""

    stage: Stage
    tool: str
    name: str
    jobs: int | None = None
    folder: Path = field(init=False)
    home: Path = field(init=False)
    bucket: str = field(init=False)

    def __post_init__(self) -> None:
        self.folder = self.stage.root / self.name / self.tool / "work"
        self.home = self.stage.root / self.name / self.tool / "home"
        self.folder.mkdir(parents=True)
        self.home.mkdir()
        self.bucket = self.stage.bucket(self.tool)

    @property
    def env(self) -> dict[str, str]:
        """What its commands see."""
        return self.stage.environment(self.home)

    @property
    def url(self) -> str:
        """Where its objects go."""
        return f"s3://{self.bucket}/{self.name}"

    def init(self) -> None:
        """A Git and DVC project with one remote; s5cmd needs none."""
        if self.tool not in DVC_LIKE:
            return
        git(self.folder, self.env, "init", "-q", "-b", "main")
        for words in (
            ("dvc", "init", "-q"),
            ("dvc", "config", "core.analytics", "false"),
            ("dvc", "config", "core.check_update", "false"),
            ("dvc", "remote", "add", "-q", "-d", "store", self.url),
            ("dvc", "remote", "modify", "-q", "store", "endpointurl", self.stage.server.endpoint),
        ):
            self.stage.spawner.run(words, self.folder, self.env)

    def run(self, *words: str, cwd: Path | None = None) -> Spent:
        """One command of the tool."""
        jobs = ["--jobs", str(self.jobs)] if self.jobs and words[0] in {"push", "pull"} else []
        return self.stage.spawner.run([self.tool, *words, *jobs], cwd or self.folder, self.env)

    def floor(self, *words: str) -> Spent:
        """One floor, as a process."""
        program = str(Path(__file__).with_name("floors.py"))
        return self.stage.spawner.run(["python", program, *words], self.folder, self.env)

    def s5cmd(self, *words: str) -> Spent:
        """One command of s5cmd."""
        endpoint = self.stage.server.endpoint
        return self.stage.spawner.run(["s5cmd", "--endpoint-url", endpoint, *words], self.folder, self.env)

    def clone(self) -> Path:
        """Commit, clone into a fresh folder with a fresh site cache; the clone's folder."""
        git(self.folder, self.env, "add", ".")
        git(self.folder, self.env, "commit", "-q", "-m", "data")
        target = self.folder.parent / "clone"
        shutil.rmtree(target, ignore_errors=True)
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir()
        git(self.folder.parent, self.env, "clone", "-q", "work", "clone")
        return target


class Round:
    """One round: each row once for each tool, the tools one after the other, in turns of who begins."""

    def __init__(
        self, stage: Stage, name: str, tools: Sequence[str], *, turn: int, jobs: int | None = None
    ) -> None:
        self.rows: dict[str, dict[str, Spent]] = {}
        self.folder = stage.root / name
        self.works = {tool: Work(stage, tool, name, jobs) for tool in tools}
        self._turn = turn
        for work in self.works.values():
            work.init()

    def row(
        self, name: str, does: Mapping[str, Callable[[Work], Spent]], check: Callable[[Work], None]
    ) -> None:
        """Time what each tool does, and prove its result right before the next one begins."""
        tools = [tool for tool in self.works if tool in does]
        for tool in tools[self._turn % len(tools) :] + tools[: self._turn % len(tools)]:
            spent = does[tool](self.works[tool])
            check(self.works[tool])
            self.rows.setdefault(name, {})[tool] = spent

    def both(self, name: str, *words: str, check: Callable[[Work], None]) -> None:
        """A row in which DVC and Placet are told the same; `track` is DVC's `add`."""

        def do(work: Work) -> Spent:
            first = "add" if work.tool == "dvc" and words[0] == "track" else words[0]
            return work.run(first, *words[1:])

        self.row(name, dict.fromkeys(DVC_LIKE, do), check)


@contextmanager
def cleaned(folder: Path) -> Iterator[None]:
    """Remove a round's folder afterwards."""
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def require(right: bool, what: str) -> None:
    """A wrong result ends the benchmark: a fast wrong answer is no result."""
    if not right:
        raise RuntimeError(f"wrong result: {what}")


class Small(Round):
    """Rows of many small files.

    Args:
        stage: Where it happens.
        data: The files.
        md5s: Path -> MD5 of each.
        label: How the rows are called.
        tools: Who takes part.
        turn: The number of the round.
        jobs: `--jobs` of push and pull.
    """

    def __init__(
        self,
        stage: Stage,
        data: Path,
        md5s: Mapping[str, str],
        label: str,
        tools: Sequence[str],
        *,
        turn: int,
        jobs: int | None = None,
    ) -> None:
        self._name = f"{label.replace(' ', '-')}-{turn}-{jobs or 'default'}"
        super().__init__(stage, self._name, tools, turn=turn, jobs=jobs)
        self._stage, self._label, self._tools, self._turn_number = stage, label, tools, turn
        self._want = dict(md5s)
        self._size = next(data.rglob("*.bin")).stat().st_size
        for work in self.works.values():
            copy_tree(data, work.folder / "data")

    def play(self) -> dict[str, dict[str, Spent]]:
        """All rows."""
        self.both(f"{self._label}: track, first time", "track", "data", check=self._tracked)
        self.both(f"{self._label}: track again, unchanged", "track", "data", check=self._tracked)
        self.both(f"{self._label}: status", "status", check=self._clean)
        self.row(f"{self._label}: push", self._each(self._push), self._pushed)
        self.row(f"{self._label}: push, nothing new", self._each(self._sync), self._pushed)
        self.row(f"{self._label}: pull into a fresh clone", self._each(self._pull), self._pulled)
        if self._turn_number == 0 and "dvc" in self.works:
            self._floors(self.works["placet"])
        victim = sorted(self._want)[self._turn_number]
        for work in self.works.values():
            file = work.folder / "data" / victim
            file.write_bytes(file.read_bytes()[::-1])
            self._want[victim] = md5_of(file)
        self.row(
            f"{self._label}: one changed, track + push",
            self._each(self._change),
            self._pushed,
        )
        return self.rows

    def moves(self) -> dict[str, dict[str, Spent]]:
        """Push and pull only."""
        for work in self.works.values():
            work.run("add" if work.tool == "dvc" else "track", "data")
        self.row(f"{self._label}: push", self._each(self._push), self._pushed)
        self.row(f"{self._label}: pull into a fresh clone", self._each(self._pull), self._pulled)
        return self.rows

    def _each(self, does: Callable[[Work], Spent]) -> dict[str, Callable[[Work], Spent]]:
        return dict.fromkeys(self._tools, does)

    def _floors(self, work: Work) -> None:
        """The least that each row needs; in Placet's place, after it."""
        data, endpoint = str(work.folder / "data"), self._stage.server.endpoint
        url = f"s3://{work.bucket}/{self._name}-floor"
        for row, words in {
            "track, first time": ("read", data, str(work.home / "read")),
            "track again, unchanged": ("stat", data),
            "status": ("stat", data),
            "push": ("put", data, url, endpoint),
            "push, nothing new": ("list", f"{url}/data", endpoint),
            "pull into a fresh clone": ("get", f"{url}/data", endpoint, str(work.home / "get")),
        }.items():
            self.rows[f"{self._label}: {row}"]["floor"] = work.floor(*words)

    def _tracked(self, work: Work) -> None:
        cache = work.folder / ".dvc" / "cache" / "files" / "md5"
        files = [one for one in cache.rglob("*") if one.is_file()]
        have = {one.parent.name + one.name for one in files if not one.name.endswith(".dir")}
        require(set(self._want.values()) <= have, f"{work.tool}: objects are missing in the cache")
        for one in random.sample(files, 50):
            plain = (one.parent.name + one.name).removesuffix(".dir")
            require(md5_of(one) == plain, f"{work.tool}: {one} is corrupt")
        require(f"nfiles: {len(self._want)}" in (work.folder / "data.dvc").read_text(), "nfiles")

    def _clean(self, work: Work) -> None:
        said = (work.folder.parent / "last.log").read_text()
        require("up to date" in said, f"{work.tool} says {said[:200]!r}")

    def _pushed(self, work: Work) -> None:
        own = work.tool == "s5cmd"
        prefix = f"{self._name}/" if own else f"{self._name}/files/md5/"
        stored = self._stage.stored(work.bucket, prefix)
        keys = set(self._want) if own else {f"{md5[:2]}/{md5[2:]}" for md5 in self._want.values()}
        require(keys <= set(stored), f"{work.tool}: {len(keys - set(stored))} objects are missing")
        require(all(stored[key] == self._size for key in keys), f"{work.tool}: sizes differ")
        for key in random.sample(sorted(keys), 20):
            md5 = self._want[key] if own else key.replace("/", "")
            found = self._stage.md5_stored(work.bucket, prefix + key)
            require(found == md5, f"{work.tool}: {key} is corrupt")

    def _pulled(self, work: Work) -> None:
        folder = work.folder / "back" if work.tool == "s5cmd" else work.folder.parent / "clone" / "data"
        require(md5s_of(folder) == self._want, f"{work.tool}: the files differ")

    def _push(self, work: Work) -> Spent:
        return work.s5cmd("cp", "data/", f"{work.url}/") if work.tool == "s5cmd" else work.run("push")

    def _sync(self, work: Work) -> Spent:
        return work.s5cmd("sync", "data/", f"{work.url}/") if work.tool == "s5cmd" else work.run("push")

    def _pull(self, work: Work) -> Spent:
        if work.tool == "s5cmd":
            return work.s5cmd("cp", f"{work.url}/*", "back/")
        return work.run("pull", cwd=work.clone())

    def _change(self, work: Work) -> Spent:
        if work.tool == "s5cmd":
            return work.s5cmd("sync", "data/", f"{work.url}/")
        return work.run("add" if work.tool == "dvc" else "track", "data") + work.run("push")


def small(
    stage: Stage, data: Path, md5s: Mapping[str, str], turn: int, label: str, tools: Sequence[str]
) -> dict[str, dict[str, Spent]]:
    """All rows of many small files."""
    play = Small(stage, data, md5s, label, tools, turn=turn)
    with cleaned(play.folder):
        return play.play()


def best_jobs(
    stage: Stage, data: Path, md5s: Mapping[str, str], label: str, jobs: int, turn: int
) -> dict[str, dict[str, Spent]]:
    """Push and pull by stock DVC with this many jobs, as a tool of its own."""
    play = Small(stage, data, md5s, label, ("dvc",), turn=turn, jobs=jobs)
    with cleaned(play.folder):
        return {row: {f"dvc --jobs {jobs}": by["dvc"]} for row, by in play.moves().items()}


def large(
    stage: Stage, data: Path, md5: str, turn: int, label: str, tools: Sequence[str]
) -> dict[str, dict[str, Spent]]:
    """All rows of one large file."""
    name = f"{label}-{turn}".replace(" ", "-")
    with cleaned(stage.root / name):
        play = Round(stage, name, tools, turn=turn)
        for work in play.works.values():
            copy_tree(data, work.folder / "data.bin")

        def tracked(work: Work) -> None:
            file = work.folder / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
            require(md5_of(file) == md5, f"{work.tool}: the cache object differs")

        def pushed(work: Work) -> None:
            key = "data.bin" if work.tool == "s5cmd" else f"files/md5/{md5[:2]}/{md5[2:]}"
            require(stage.md5_stored(work.bucket, f"{name}/{key}") == md5, f"{work.tool}: the object differs")

        def pulled(work: Work) -> None:
            file = (
                work.folder / "back.bin"
                if work.tool == "s5cmd"
                else work.folder.parent / "clone" / "data.bin"
            )
            require(md5_of(file) == md5, f"{work.tool}: the file differs")

        def push(work: Work) -> Spent:
            return (
                work.s5cmd("cp", "data.bin", f"{work.url}/data.bin")
                if work.tool == "s5cmd"
                else work.run("push")
            )

        def pull(work: Work) -> Spent:
            if work.tool == "s5cmd":
                return work.s5cmd("cp", f"{work.url}/data.bin", "back.bin")
            return work.run("pull", cwd=work.clone())

        play.both(f"{label}: track", "track", "data.bin", check=tracked)
        play.row(f"{label}: push", dict.fromkeys(tools, push), pushed)
        play.row(f"{label}: pull into a fresh clone", dict.fromkeys(tools, pull), pulled)
        if turn:
            return play.rows
        work, endpoint = play.works["placet"], stage.server.endpoint
        url, data = f"s3://{work.bucket}/{name}-floor", str(work.folder / "data.bin")
        for row, words in {
            "track": ("read", data, str(work.home / "read")),
            "push": ("put", data, url, endpoint),
            "pull into a fresh clone": ("get", url, endpoint, str(work.home / "get")),
        }.items():
            play.rows[f"{label}: {row}"]["floor"] = work.floor(*words)
        return play.rows


def start_up(stage: Stage, turn: int) -> dict[str, dict[str, Spent]]:
    """What a command costs that does nothing."""
    name = f"start-{turn}"
    with cleaned(stage.root / name):
        play = Round(stage, name, DVC_LIKE, turn=turn)

        def three(*words: str) -> Callable[[Work], Spent]:
            return lambda work: min((work.run(*words) for _ in range(3)), key=lambda one: one.wall)

        for word in ("--version", "--help"):
            play.row(word, dict.fromkeys(DVC_LIKE, three(word)), lambda _: None)
            play.rows[word]["floor"] = play.works["placet"].floor("start")
        return play.rows
