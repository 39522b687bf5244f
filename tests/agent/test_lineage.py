"""Lineage with the real program: the how-to page as it is written, and an agent that tells a backend."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from agent.site import PLACET, Agent, Site
from governance.lab import PUBLISHED
from integration.test_openlineage import served
from placet.cli.app import run
from placet.cli.output import output
from placet.core import layout

PAGE = Path(__file__).parent.parent.parent / "docs" / "how-to" / "lineage.md"


def shell(site: Site, script: str, **environ):
    path = f"{Path(PLACET).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-ec", script], cwd=site.folder, env=site.env | {"PATH": path} | environ, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (script, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture
def workspace(seaweed, tmp_path):
    """A site whose credential may write to its internal tier, as a job's."""
    made = Site.make(seaweed, tmp_path / "site", internal="writer")
    yield made
    made.lab.repo.close()


def land(site, ident):
    site.lab.decide(ident, "alice", "bob")
    site.lab.merge(ident)


def test_the_how_to_page_works_as_it_is_written(workspace):
    site = workspace
    text = PAGE.read_text()
    by_hand, with_slsa, see, send = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    (slsa,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    (toml,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (python,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (site.folder / "outputs").mkdir()
    for name in ("table", "means", "figure"):
        (site.folder / "outputs" / f"{name}.csv").write_text(f"{name},n\nx,12\n")
    table, means = shell(site, by_hand).split()
    (site.folder / "slsa.json").write_text(slsa)
    (figure,) = shell(site, with_slsa).split()
    for ident in (table, means, figure):
        land(site, ident)
    shell(site, "placet agent --once")
    tree = shell(site, see, ID=means[:12])
    assert f"site-b/outputs/table.csv  PUBLISHED  {table[:12]}" in tree and "s3://clinic/raw.csv" in tree
    assert f"outputs/figure.csv  PUBLISHED  {figure[:12]}" in tree
    assert (site.folder / "lineage.svg").read_text().count("<g>") == 4
    told = shell(site, see.replace(" --svg lineage.svg", ""), ID=figure)
    assert "https://ci.example/runs/4711" in told and "4f5e1c0a9b8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f" in told
    _read_the_crate(site, means, python)
    with served() as backend:
        settings = toml.replace("http://127.0.0.1:5000", backend.url)
        own = site.folder / "placet.toml"
        own.write_text(own.read_text() + settings)
        (site.folder / "lineage.token").touch(0o600)
        (site.folder / "lineage.token").write_text("key")
        assert shell(site, send) == "3 events told\n"
        assert [one["outputs"][0]["name"] for _, one in backend.got] == [
            f"artifacts/site-b/outputs/{name}.csv" for name in ("table", "means", "figure")
        ]


def _read_the_crate(site, ident, python):
    tree = site.lab.repo.tree(site.lab.tip(PUBLISHED))
    folder = site.folder / "crate"
    for path, entry in tree.items():
        if path.startswith(layout.folder(ident)):
            file = folder / path.removeprefix(layout.folder(ident))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(site.lab.repo.read(entry.blob, 1 << 20))
    said = []
    exec(python, {"FOLDER": str(folder), "print": lambda *words: said.append(" ".join(map(str, words)))})
    assert any(one.startswith("Decision of alice: approve") for one in said)
    assert len(said) == 3, "the run, and two decisions"


def test_an_agent_tells_what_it_published_and_is_not_kept_by_a_backend_that_is_down(site):
    with served() as backend:
        backend.answers = [503]
        site.configure(f'interval = 0.5\n[lineage]\nurl = "{backend.url}"')
        ident = site.land()
        with Agent(site) as agent:
            agent.wait("published", proposal=ident)
            assert agent.ever("job-failed", job="lineage")["kind"] == "lineage-unreachable"
            backend.answers = [201]
            told = agent.wait("job-done", job="lineage")
            assert told and [
                one["run"]["facets"]["placet_publication"]["proposal"] for _, one in backend.got
            ] == [ident]
            assert agent.stop() == 0


def test_json_of_lineage_and_wrong_uses(workspace, monkeypatch, capsys):
    site = workspace
    ident = site.land()
    for name, value in site.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(site.folder)
    monkeypatch.setattr(output, "json", True)

    def placet(*argv):
        """Exit code and what was said; each start of the program costs seconds."""
        code = run(list(argv))
        return code, capsys.readouterr().out

    code, said = placet("lineage", ident)
    assert code == 0 and [one["key"] for one in json.loads(said)["nodes"]] == [ident]
    assert placet("lineage")[0] == 2
    assert placet("lineage", ident, "--send")[0] == 2
    assert placet("lineage", "--send")[0] == 10
    (site.folder / "bad.json").write_text('{"buildDefinition": {}}')
    (site.folder / "outputs").mkdir()
    (site.folder / "outputs" / "b.csv").write_text("n\n")
    code, said = placet("propose", "outputs/b.csv", "-m", "m", "--provenance", "bad.json")
    assert code == 2 and "provenance" in json.loads(said)["what"]
    assert placet("propose", "outputs/b.csv", "-m", "m", "--input", "outputs/none.csv")[0] == 10
