"""What a forked command says and leaves is what the command says and leaves by itself."""

import json
import sys
from pathlib import Path

import pytest
from stock import VERSIONS, server

from forkserver import ForkServer

COMMANDS = (
    ["add", "a b.txt", "ü"], ["push"], ["pull", "no such"], ["bad-command"],
    ["remote", "modify", "absent", "url", "x"], ["status"], ["gc", "-w", "-f"], ["remote", "default", "absent"],
)  # fmt: skip


@pytest.mark.parametrize(("version", "count"), [("dvc", len(COMMANDS)), ("dvc-old", 4)])
def test_forked_dvc_is_dvc(new_project, version, count):
    said, left = {}, {}
    for way in ("run", "run_plain"):
        project = new_project(f"project-{way}", stock=version)
        for name in ("a b.txt", "ü"):
            (project.root / name).write_text("ä")
        run = getattr(server(version), way)
        done = [run(command, project.root, project.env) for command in COMMANDS[:count]]
        said[way] = [
            (
                one.returncode,
                *(sorted(text.replace(project.root.name, "").split()) for text in (one.stdout, one.stderr)),
            )
            for one in done
        ]
        files = {path.relative_to(project.root): path for path in project.root.rglob("*") if path.is_file()}
        left[way] = {
            name: path.read_bytes()
            for name, path in files.items()
            if name.parts[0] != ".git" and name.parts[:2] not in {(".dvc", "tmp"), (".dvc", "config")}
        }
    assert said["run"] == said["run_plain"]
    assert left["run"] == left["run_plain"]
    assert {one[0] for one in said["run"]} >= {0, 1, 254}
    assert Path("ü.dvc") in left["run"]


def test_versions_are_a_year_apart(project):
    new, old = (server(one).run(["--version"], project.root, project.env).stdout for one in VERSIONS)
    assert new.startswith("3.67.")
    assert old.startswith("3.64.")


def test_placet_by_itself_and_forked(project):
    for argv in (["status", "--json"], ["track", "absent"], ["--version"], ["track"]):
        forked = server("placet").run(argv, project.root, project.env)
        plain = server("placet").run_plain(argv, project.root, project.env)
        assert (forked.returncode, forked.stdout, forked.stderr) == (
            plain.returncode,
            plain.stdout,
            plain.stderr,
        )
    assert json.loads(project.placet("status", "--json"))["changes"] == []


def test_a_command_that_is_killed_is_no_success(project):
    killed = ForkServer(Path(sys.executable), "os:abort")
    assert killed.run([], project.root, project.env).returncode == -1
    killed.close()


def test_threads_before_a_fork_are_refused(project, tmp_path, monkeypatch):
    (tmp_path / "threaded.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    bad = ForkServer(Path(sys.executable), "os:getpid", ["threaded"])
    for _ in range(2):
        with pytest.raises(RuntimeError, match="2 threads in the server"):
            bad.run([], project.root, project.env)
    bad.close()
