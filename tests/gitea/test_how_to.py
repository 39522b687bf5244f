"""docs/how-to/gitea.md as written, on Gitea and a real object store, every party with an account of its own."""

import re
import textwrap
from pathlib import Path

import pytest

from gitea import world
from placet.demo.world import World, fresh_folder

pytestmark = pytest.mark.gitea

PAGE = (Path(__file__).parent.parent.parent / "docs/how-to/gitea.md").read_text()
BLOCKS = re.findall(
    r"^( *)<!-- run: ([a-z-]+)( workspace)? -->\n *```sh\n(.*?)^ *```", PAGE, re.MULTILINE | re.DOTALL
)


@pytest.fixture(scope="module")
def stage(tmp_path_factory, gitea):
    with World.start(fresh_folder(tmp_path_factory.mktemp("gitea-world") / "stack")) as made:
        yield made


def test_the_page_works_as_written(stage, gitea):
    for name in ("dana", "alice", "bob", "site-a"):
        stage[name].public = stage[name].placet("keygen", f"{name}.key").json["public"]
    world.people(stage, gitea)
    world.policy(stage, gitea)
    (settings,) = re.findall(r"^ *```toml\n(.*?)^ *```", PAGE, re.MULTILINE | re.DOTALL)
    known = {"https://git.example.org": gitea.url}
    dana = stage["dana"].folder / "placet.toml"
    dana.write_text(textwrap.dedent(settings).replace("https://git.example.org", gitea.url))
    keys = zip(("RESEARCHER_KEY", "RESEARCHER_SECRET"), stage.store.credentials("researcher"), strict=True)
    known |= dict(keys)
    said = []
    for _, name, inside, block in BLOCKS:
        text = textwrap.dedent(block)
        for old, new in known.items():
            text = text.replace(old, new)
        party = stage["site-a-agent" if name == "agent" else name]
        cwd = party.folder / "workspace" if inside else party.folder
        out = world.shell(party, text, cwd, stdin=f"{gitea.token(name)}\n" if "cat >" in text else "")
        said.append(out)
        if "init --forge" in text:
            stage.trust_root = known["THE_DIGEST"] = re.search(r"sha256:([0-9a-f]{64})", out)[1]
            world.settle(stage, gitea)
            outputs = stage["site-a"].folder / "workspace/outputs"
            outputs.mkdir()
            (outputs / "summary.csv").write_text("measurement,n,mean\nbmi,221,26.4\n")
        if "propose" in text:
            known["ID"] = re.search(r"\b[0-9a-f]{32}\b", out)[0]
    assert said[1].strip() == f'"id":{gitea.account("alice")}'
    assert "no hole seen in the protection of main and what is published" in said[3]
    assert "Everything that is here is exactly what was approved." in said[-1]
    assert re.search(rf"trust root +pinned, sha256:{stage.trust_root}", said[-1])
    made = (stage["site-a"].folder / "workspace/outputs/summary.csv").read_bytes()
    assert (stage["researcher"].folder / "results/artifacts/site-a/outputs/summary.csv").read_bytes() == made
