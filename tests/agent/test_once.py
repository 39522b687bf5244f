"""`placet agent --once`: one whole round, by the lanes of the service, whatever fails beside promotion."""

import json
import socket
import time

import pytest

import mailboxes
from governance.lab import PUBLISHED
from integration.test_openlineage import served


@pytest.fixture
def hook():
    with mailboxes.webhook() as made:
        yield made


def configure(site, port, *more, agent=""):
    (site.folder / "ops.url").write_text(f"json://127.0.0.1:{port}/ops?rto=50")
    (site.folder / "ops.url").chmod(0o600)
    url = site.folder / "ops.url"
    tables = ["[notify]", "pause = 1", "[notify.targets.ops]", f'url_file = "{url}"', *more]
    site.configure("\n".join([agent, *tables]))


def once(site, expect=0):
    done = site.run("agent", "--once", "--json", expect=expect)
    found = json.loads(done.stdout)
    return found, {one["job"]: one["error"] and one["error"]["kind"] for one in found.get("jobs", ())}


def test_one_round_promotes_and_does_everything_else_that_the_settings_ask_for(site, hook):
    box, port = hook
    with served() as backend:
        configure(site, port, "[lineage]", f'url = "{backend.url}"', agent="scrub_hours = 0.001")
        ident = site.land()
        found, jobs = once(site)
        assert [(one["id"], one["state"]) for one in found["promotions"]] == [(ident, "PUBLISHED")]
        assert jobs == {"promote": None, "notify": None, "lineage": None}, "a scrub has its own time"
        assert [one["outputs"][0]["name"] for _, one in backend.got] == ["artifacts/site-b/outputs/a.csv"]
        assert "published outputs/a.csv" in box.wait(1)[0][2]["message"]
        assert once(site) == ({"promotions": [], "jobs": found["jobs"], "hangs": False}, jobs)
        assert (len(backend.got), len(box.messages)) == (1, 1)


def test_what_fails_beside_promotion_is_reported_and_holds_nothing_else_up(site, hook, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    box, port = hook
    box.refuse = True
    (site.folder / "token").write_text("x")
    (site.folder / "token").chmod(0o600)
    with served() as backend:
        backend.answers = [503]
        configure(
            site, port, "[lineage]", f'url = "{backend.url}"', "[mlflow]", 'tracking_uri = "http://127.0.0.1:9"',
            "[forge]", 'kind = "gitea"', 'url = "http://127.0.0.1:9"', 'repository = "a/b"',
            f'token = "{site.folder / "token"}"',
        )  # fmt: skip
        ident = site.land()
        site.lab.propose("outputs/open.csv")
        found, jobs = once(site, expect=3)
        assert [(one["id"], one["error"]) for one in found["promotions"]] == [(ident, None)]
        assert jobs == {
            "promote": None, "announce": "forge-unreachable", "notify": "not-told",
            "lineage": "lineage-unreachable", "mlflow": "mlflow-unreachable",
        }  # fmt: skip
        backend.answers, box.refuse = [201], False
        time.sleep(1.1)  # the target's pause
        toml = site.folder / "placet.toml"
        toml.write_text(toml.read_text().replace("[mlflow]\ntracking_uri", "[mlflow]\n# tracking_uri"))
        done = site.run("agent", "--once", expect=3)
        assert "Nothing waits to be promoted." in done.stdout and "announce: " in done.stderr
        assert "mlflow: " not in done.stderr and "lineage: " not in done.stderr
        assert len(backend.got) == 1 and "published outputs/a.csv" in box.wait(1)[0][2]["message"]


def test_a_lane_that_hangs_is_left_behind_and_people_are_told(site, hook):
    box, port = hook
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        configure(site, port, "[lineage]", f'url = "{url}"', agent="overdue = 5")
        ident = site.land()
        began = time.monotonic()
        found, jobs = once(site, expect=3)
        assert time.monotonic() - began < 28
    assert [one["id"] for one in found["promotions"]] == [ident] and found["hangs"]
    assert jobs["lineage"] == "lane-overdue" and jobs["notify"] is None
    (message,) = [post["message"] for _, _, post in box.wait(1)]
    assert "The agent fails: lane lineage." in message and "published outputs/a.csv" in message


def test_a_repository_that_does_not_verify_gives_the_exit_code_and_people_are_told(site, hook):
    box, port = hook
    configure(site, port)
    assert once(site)[1] == {"promote": None, "notify": None}
    good = site.lab.tip(PUBLISHED)
    site.lab.force(PUBLISHED, site.lab.commit(good, {"x": b"x"}))
    found, jobs = once(site, expect=13)
    (why,) = [one["error"] for one in found["jobs"] if one["job"] == "promote"]
    assert why["error"] == "Corrupt" and (found["promotions"], found["hangs"]) == ([], False)
    assert jobs["notify"] is None
    assert "The agent fails: job promote." in box.wait(1)[0][2]["message"]
    site.lab.force(PUBLISHED, good)
    time.sleep(1.1)  # the target's pause
    assert once(site)[1] == {"promote": None, "notify": None}
    assert "job promote" in box.wait(2)[1][2]["message"]


def test_a_ctrl_repository_that_does_not_answer_ends_with_1_and_the_result_is_told_all_the_same(site, hook):
    configure(site, hook[1])
    site.configure(ctrl="http://127.0.0.1:9/ctrl.git")
    found, jobs = once(site, expect=1)
    assert jobs["promote"] is not None and (found["promotions"], found["hangs"]) == ([], False)
    assert "error" not in found
    done = site.run("agent", "--once", expect=1)
    assert "Nothing waits" not in done.stdout and "http://127.0.0.1:9" in done.stderr
