"""The decision behind the project, verbatim (design 1): stock `dvc` and `git`, on a Placet installation."""

import shutil

from placet.demo import cast


def test_the_decision_works_verbatim_with_stock_tools(world):
    node, agent = world["site-a"], world["site-a-agent"]
    workspace = cast.workspace(node)
    model = workspace / "outputs" / "model.pkl"
    model.parent.mkdir(exist_ok=True)
    model.write_bytes(b"\x80\x05N.")

    # node: after Dagster has materialized the asset
    node.dvc("add", "outputs/model.pkl", cwd=workspace)
    node.dvc("push", "-r", "internal-storage", cwd=workspace)

    # the pull request with the .dvc files, its approval and merge: the governed part is Placet's
    ident = node.placet("propose", "outputs/model.pkl", "-m", "stock tools", cwd=workspace).json["id"]
    for name in ("alice", "bob"):
        world[name].placet("approve", ident)
    world["bob"].placet("merge", ident)

    # node: after approval and merge, from a clone of the Ctrl repository with the promoter's credentials
    clone = agent.folder / "by-hand"
    agent.git("clone", "-q", "-b", "main", world.ctrl_url, str(clone))
    for name in ("internal-storage", "publication-storage"):
        bucket = "internal-site-a" if name == "internal-storage" else "publication"
        remote = world.remote(bucket, "site-a-promoter")
        for key in ("url", "endpointurl", "access_key_id", "secret_access_key"):
            if key == "url":
                agent.dvc("remote", "add", "-f", "--local", name, remote[key], cwd=clone)
            else:
                agent.dvc("remote", "modify", "--local", name, key, remote[key], cwd=clone)
    agent.dvc("pull", "-r", "internal-storage", cwd=clone)
    agent.dvc("push", "-r", "publication-storage", cwd=clone)
    assert (clone / "artifacts/site-a/outputs/model.pkl").read_bytes() == model.read_bytes()

    # Placet's agent finds the objects there, proves them, and records: that is what makes them published
    done = agent.placet("agent", "--once").json["promotions"]
    assert [one["state"] for one in done] == ["PUBLISHED"]
    assert done[0]["artifacts"][0]["found"] == 1

    # researcher
    researcher = world["researcher"]
    results = researcher.folder / "by-hand"
    researcher.git("clone", "-q", world.ctrl_url, str(results))
    access, secret = world.store.credentials("researcher")
    for key, value in (("access_key_id", access), ("secret_access_key", secret)):
        researcher.dvc("remote", "modify", "--local", "publication-storage", key, value, cwd=results)
    researcher.git("pull", cwd=results)
    researcher.dvc("pull", "-r", "publication-storage", cwd=results)
    assert (results / "artifacts/site-a/outputs/model.pkl").read_bytes() == model.read_bytes()
    assert researcher.git("status", "--porcelain", cwd=results).out == ""
    assert "up to date" in researcher.dvc("status", cwd=results).out
    verified = researcher.placet("verify", cwd=results, env={"PLACET_TRUST_ROOT": world.trust_root}).json
    assert [one["data"] for one in verified["artifacts"]] == ["verified"]

    # and what stock tools cannot see, verify does: the bytes changed under the researcher
    data = results / "artifacts/site-a/outputs/model.pkl"
    data.unlink()
    data.write_bytes(b"\x80\x05K\x01.")
    tampered = researcher.placet(
        "verify", cwd=results, env={"PLACET_TRUST_ROOT": world.trust_root}, expect=13
    ).json
    assert [one["data"] for one in tampered["artifacts"]] == ["corrupt"]
    shutil.rmtree(results)
