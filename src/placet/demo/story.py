"""The story: two hospitals publish aggregates of their patient records, and what cannot happen on the way."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from placet.core.digest import digest_chunks
from placet.demo import attacks, cast
from placet.demo.world import PUBLICATION, SITES, Failed, Party, World

OUTPUTS = ("outputs/model.pkl", "outputs/summary.csv", "outputs/replicates")
_HALF = 500  # of 1,005 objects


class Story:
    """Tells and does the steps in order; `facts` is what was found, for tests."""

    def __init__(self, world: World, console: Console) -> None:
        self.world = world
        self.console = console
        self.facts: dict[str, Any] = {"steps": [], "refused": []}
        self.ids: dict[str, str] = {}

    def tell(self) -> None:
        """Everything.

        Raises:
            Failed: something did not work that must, or worked that must not.
        """
        self.console.print(
            "[bold]Placet: nothing leaves until the right people approved exactly these bytes.[/bold]"
        )
        for title, step in (
            ("Set up: object store, keys, policy, Ctrl repository", self.set_up),
            ("Work: each hospital's Dagster makes its outputs on its own patients", self.work),
            ("Propose: each hospital proposes what may leave", self.propose),
            ("Govern: two stewards from two hospitals look, check, approve; merge", self.govern),
            (
                "Promote: each hospital's agent copies the approved bytes, verified; one is killed",
                self.promote,
            ),
            ("Research: stock git and dvc, then verify", self.research),
            ("What must not work", self.refuse),
            ("The policy changes; what was proposed before is stale", self.change_policy),
        ):
            with self._step(title):
                step()
        self._summary()

    def set_up(self) -> None:
        """Keys, policy 0, Ctrl repository, settings."""
        cast.make_keys(self.world)
        made = cast.begin(self.world)
        cast.settle(self.world)
        self.say(f"Ctrl repository {self.world.ctrl_url}; every party pins policy 0:")
        self.say(f"  trust_root = sha256:{made['trust_root']}")
        self.facts["trust_root"] = made["trust_root"]

    def work(self) -> None:
        """Dagster materializes the assets of both sites, at the same time."""
        with ThreadPoolExecutor() as pool:
            found = dict(zip(SITES, pool.map(self._materialize, SITES), strict=True))
        for site, assets in found.items():
            for one in assets:
                metadata = one["metadata"]
                self.say(
                    f"{site}: asset {one['asset']}: {metadata['placet/path']}, {metadata['placet/size']} B,"
                    f" version {one['data_version'][:23]}..., tier {metadata['placet/tier']}"
                )
        self.facts["assets"] = found

    def propose(self) -> None:
        """Both sites propose their three outputs."""
        for site in SITES:
            run = self.world[site].placet(
                "propose",
                *OUTPUTS,
                "-m",
                f"Diabetes model of {site}: aggregates only",
                cwd=self._workspace(site),
            )
            self.ids[site] = run.json["id"]
            self.say(f"{site} proposes {run.json['id'][:12]}")
        again = self.world["site-a"].placet(
            "propose", *OUTPUTS, "-m", "the same again", cwd=self._workspace("site-a")
        )
        self.expect(
            again.json["id"] == self.ids["site-a"] and not again.json["created"], "proposing twice is one"
        )

    def govern(self) -> None:
        """Alice reads site-a's bytes, Bob site-b's; each sees only the report of the other."""
        for site, ident in self.ids.items():
            shown = self.world["alice"].placet("show", ident).json
            passed = all(check["passed"] for check in shown["checks"])
            self.say(
                f"{ident[:12]}: {len(shown['checks'])} checks {'passed' if passed else 'FAILED'};"
                f" {shown['missing'][0]}"
            )
            for name in ("alice", "bob"):
                reads = (name, site) in {("alice", "site-a"), ("bob", "site-b")}
                if reads:
                    checked = self.world[name].placet("check", ident).json
                    self.expect(checked["on"] == "bytes", f"{name} can read the bytes of {site}")
                self.world[name].placet("approve", ident, "-m", "aggregates only, as agreed")
                looked = "ran the checks again on the bytes" if reads else "read the report of the checks"
                self.say(f"  {name} {looked}, and approves")
            commit = self.world["alice"].placet("merge", ident).json["commit"]
            self.say(f"  landed on main as {commit[:12]}")

    def promote(self) -> None:
        """One run of each agent; the first one's is killed half-way before."""
        self._kill_half_way("site-a")
        for site in SITES:
            done = self.world[f"{site}-agent"].placet("agent", "--once").json["promotions"]
            self.expect([one["state"] for one in done] == ["PUBLISHED"], f"{site} publishes one proposal")
            for part in done[0]["artifacts"]:
                ways = ", ".join(f"{count} by {way}" for way, count in part["ways"].items()) or "none copied"
                self.say(f"{site}: {part['path']}: {part['objects']} objects, {ways}")
            self.facts.setdefault("promoted", {})[site] = done
        found = sum(part["found"] for part in self.facts["promoted"]["site-a"][0]["artifacts"])
        self.expect(found >= _HALF, "what was there already is found, and proven")
        self.say(f"site-a: of the promotion that was killed {found} objects were found, proven and kept")
        idle = self.world["site-a-agent"].placet("agent", "--once").json["promotions"]
        self.expect(idle == [], "running the agent again finds nothing to do")

    def _kill_half_way(self, site: str) -> None:
        """`kill -9` in the middle of a promotion; a researcher can see nothing that is wrong."""
        agent, researcher = self.world[f"{site}-agent"], self.world["researcher"]
        before = researcher.git("ls-remote", self.world.ctrl_url, "published").out
        agent.kill(sys.executable, "-m", "placet.demo.halfway", self.ids[site], str(_HALF), says="half-way")
        store = attacks.store_of(self.world, PUBLICATION, "researcher")
        keys = [one.key for one in store.list("files/")]
        with ThreadPoolExecutor(16) as pool:
            right = list(pool.map(lambda key: self._is_made(site, key, store.get(key)), keys))
        self.expect(all(right) and len(keys) >= _HALF, "all that a researcher can read is approved bytes")
        after = researcher.git("ls-remote", self.world.ctrl_url, "published").out
        self.expect(after == before, "nothing counts as published before all of it is there")
        self.facts["killed"] = {"site": site, "objects": len(keys)}
        self.say(
            f"{site}'s agent: kill -9 with {len(keys)} objects copied; each is right, none is listed yet"
        )

    def _is_made(self, site: str, key: str, data: Iterator[bytes]) -> bool:
        return digest_chunks(data).sha256 == _digest(self._workspace(site) / ".dvc" / "cache" / key)

    def research(self) -> None:
        """A researcher with stock tools; every byte is compared with what the hospitals made."""
        researcher = self.world["researcher"]
        clone = self._clone(researcher)
        researcher.dvc("pull", "-q", "-r", "publication-storage", cwd=clone)
        files = 0
        for site in SITES:
            for output in OUTPUTS:
                made, got = self._workspace(site) / output, clone / "artifacts" / site / output
                files += self._same_bytes(made, got)
        status = researcher.git("status", "--porcelain", cwd=clone)
        self.expect(status.out == "", "`git status` of the clone is clean")
        self.say(f"git clone, dvc pull: {files} files, every byte equal to what the hospitals made")
        report = self._verify(researcher, clone)
        self.say(
            f"placet verify: {len(report['artifacts'])} artifacts, {report['entries']} ledger entries, proven"
        )
        self._sha256sum(researcher, clone)
        self._one_file(researcher, clone)
        self.facts["files"] = files

    def refuse(self) -> None:
        """Everything of `placet.demo.attacks`, each with the words of the refusal."""
        for attack in attacks.ATTACKS:
            title, said = attack(self)
            self.facts["refused"].append({"what": title, "said": said})
            self.console.print(f"  [green]refused[/green]  {title}")
            self.console.print(f"           [dim]{_short(said)}[/dim]", highlight=False)

    def change_policy(self) -> None:
        """A proposal that forked before a policy change is STALE; proposed again, it goes through."""
        note = self._workspace("site-a") / "outputs" / "notes.txt"
        note.write_text("Coefficients are on the original scale of the records.\n")
        old = self.proposed("site-a", "outputs/notes.txt", "Notes to the model")
        self.approve(old, "alice", "bob")
        self._next_policy()
        stale = self.world["alice"].placet("merge", old, expect=12).json
        self.facts["refused"].append(
            {"what": "a branch forked from before a policy change", "said": stale["what"]}
        )
        self.console.print("  [green]refused[/green]  a branch forked from before a policy change")
        self.console.print(f"           [dim]{_short(stale['what'] + ' ' + stale['why'])}[/dim]")
        new = self.proposed("site-a", "outputs/notes.txt", "Notes to the model, again")
        self.expect(new != old, "a new proposal follows the stale one")
        self.approve(new, "alice", "bob")
        self.world["bob"].placet("merge", new)
        done = self.world["site-a-agent"].placet("agent", "--once").json["promotions"]
        self.expect([one["state"] for one in done] == ["PUBLISHED"], "the new proposal is published")
        researcher, clone = self.world["researcher"], self.world["researcher"].folder / "results"
        researcher.git("pull", "-q", cwd=clone)
        researcher.dvc("pull", "-q", "-r", "publication-storage", cwd=clone)
        report = self._verify(researcher, clone)
        self.expect(report["policies"] == 2, "both policies are in the chain")  # noqa: PLR2004
        self.say("git pull, dvc pull, placet verify: published under the new policy")

    def proposed(self, site: str, path: str, message: str) -> str:
        """Propose one output; returns the id."""
        run = self.world[site].placet("propose", path, "-m", message, cwd=self._workspace(site))
        return str(run.json["id"])

    def approve(self, ident: str, *names: str) -> None:
        """Approve as these people."""
        for name in names:
            self.world[name].placet("approve", ident)

    def say(self, text: str) -> None:
        """One line of the story."""
        self.console.print(f"  {text}", highlight=False, markup=False)

    def expect(self, holds: bool, what: str) -> None:
        """Go on only if it holds."""
        if not holds:
            raise Failed(f"not true: {what}")

    def _materialize(self, site: str) -> list[dict[str, Any]]:
        node = self.world[site]
        run = node.run(
            sys.executable, "-m", "placet.demo.nodeproject",
            "--workspace", str(self._workspace(site)), "--site", site, "--home", str(node.folder / "dagster"),
        )  # fmt: skip
        return [json.loads(line) for line in run.out.splitlines() if line.startswith("{")]

    def _next_policy(self) -> None:
        dana = self.world["dana"]
        text = (dana.folder / "policy.yaml").read_text()
        text = text.replace("number: 0", "number: 1").replace(
            "previous: null", f'previous: "{self.world.trust_root}"'
        )
        text = text.replace("expires_days: 30", "expires_days: 14")
        (dana.folder / "policy-1.yaml").write_text(text)
        replayed = dana.placet("policy", "test", "policy-1.yaml").json
        self.expect(bool(replayed["proposals"]), "the new policy is tried on everything that was proposed")
        ident = dana.placet("policy", "propose", "policy-1.yaml", "-m", "Approvals expire sooner").json["id"]
        self.approve(ident, "alice", "bob")
        dana.placet("merge", ident)
        self.say(f"policy 1 ({ident[:12]}) is approved by two trustees under policy 0, and lands")

    def _clone(self, researcher: Party) -> Path:
        clone = researcher.folder / "results"
        researcher.git("clone", "-q", self.world.ctrl_url, str(clone))
        self.expect((clone / ".placet" / "ledger").is_dir(), "a plain clone is on the published branch")
        access, secret = self.world.store.credentials("researcher")
        for key, value in (("access_key_id", access), ("secret_access_key", secret)):
            researcher.dvc("remote", "modify", "--local", "publication-storage", key, value, cwd=clone)
        return clone

    def _verify(self, researcher: Party, clone: Path) -> dict[str, Any]:
        run = researcher.placet("verify", cwd=clone, env={"PLACET_TRUST_ROOT": self.world.trust_root})
        report: dict[str, Any] = run.json
        self.expect(all(one["data"] == "verified" for one in report["artifacts"]), "all bytes are verified")
        self.facts["verified"] = report
        return report

    def _same_bytes(self, made: Path, got: Path) -> int:
        names = [path for path in sorted(made.rglob("*")) if path.is_file()] if made.is_dir() else [made]
        for path in names:
            twin = got / path.relative_to(made) if made.is_dir() else got
            self.expect(_digest(path) == _digest(twin), f"{twin} is {path}")
        return len(names)

    def _sha256sum(self, researcher: Party, clone: Path) -> None:
        """The digest list of a directory, as it is kept in the tier, checked by coreutils."""
        store = attacks.store_of(self.world, "publication", "researcher")
        for site in SITES:
            folder = clone / "artifacts" / site / "outputs" / "replicates"
            named = next(
                one["sha256"]
                for one in self.facts["verified"]["artifacts"]
                if one["path"].endswith(f"{site}/outputs/replicates")
            )
            sums = b"".join(store.get(f"placet/sums/{named[:2]}/{named[2:]}"))
            path = researcher.folder / f"{site}-replicates.sha256"
            path.write_bytes(sums)
            researcher.run("sha256sum", "--quiet", "-c", str(path), cwd=folder)
            self.expect(sums.count(b"\n") == 1000, "the list has 1,000 lines")  # noqa: PLR2004
        self.say("sha256sum -c on the directories' digest lists: 2 x 1,000 files OK")

    def _one_file(self, researcher: Party, clone: Path) -> None:
        """The proof of one publication in one file, checked where there is only that file and the data."""
        elsewhere = researcher.folder / "elsewhere"
        elsewhere.mkdir()
        researcher.placet("bundle", self.ids["site-a"], "-o", str(elsewhere / "proof.json"), cwd=clone)
        shutil.copy(clone / "artifacts" / "site-a" / "outputs" / "model.pkl", elsewhere)
        check = (
            "verify",
            "--bundle",
            "proof.json",
            "model.pkl",
            "--trust-root",
            f"sha256:{self.world.trust_root}",
        )
        researcher.placet(*check, cwd=elsewhere)
        with (elsewhere / "model.pkl").open("ab") as stream:
            stream.write(b"x")
        researcher.placet(*check, cwd=elsewhere, expect=13)
        self.say("placet bundle: one file proves the model without the repository; a changed byte fails")

    def _workspace(self, site: str) -> Path:
        return cast.workspace(self.world[site])

    @contextmanager
    def _step(self, title: str) -> Iterator[None]:
        number = len(self.facts["steps"]) + 1
        self.console.print(f"\n[bold cyan]{number}. {title}[/bold cyan]")
        began = time.monotonic()
        with self.console.status("working ..."):
            yield
        self.facts["steps"].append({"title": title, "seconds": round(time.monotonic() - began, 1)})

    def _summary(self) -> None:
        table = Table(title="\nWhat happened", title_justify="left", box=None, header_style="bold")
        for column in ("step", "seconds"):
            table.add_column(column)
        for step in self.facts["steps"]:
            table.add_row(step["title"], f"{step['seconds']:.1f}")
        self.console.print(table)
        self.console.print(
            f"{len(self.facts['refused'])} attacks and mistakes refused; nothing unapproved got out."
        )
        for name, path in (
            ("the researcher's clone", self.world["researcher"].folder / "results"),
            ("the Ctrl repository", self.world.ctrl_path),
            ("a hospital's workspace", self._workspace("site-a")),
            ("the policy", self.world["dana"].folder / "policy.yaml"),
        ):
            self.console.print(f"  {name:<24}{path}", highlight=False)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return digest_chunks(iter(lambda: stream.read(1 << 20), b"")).sha256


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) < 160 else f"{line[:157]}..."  # noqa: PLR2004


Attack = Callable[[Story], tuple[str, str]]
