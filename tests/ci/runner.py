"""Runs the steps of actions and workflows as a runner does: inputs, expressions, environment, bash."""

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent.parent
SHELL = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail"]
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


def load(path):
    return YAML(typ="safe").load(ROOT / path)


def evaluate(text, context):
    """What a text with expressions says; as strict as a runner on what it knows, and stricter on the rest."""
    return EXPRESSION.sub(lambda found: _either(found[1], context), text) if isinstance(text, str) else text


def _either(text, context):
    return next((value for one in text.split(" || ") if (value := _value(one, context))), "")


def _value(text, context):
    call = re.fullmatch(r"format\('([^']*)', (.*)\)", text)
    if call:
        return call[1].format(*(_value(one, context) for one in call[2].split(", ")))
    assert re.fullmatch(r"[a-z_]+(\.[a-z_-]+)+", text), text
    found = context
    for part in text.split("."):
        found = found.get(part, {})
    return found if isinstance(found, str) else ""


@dataclass
class Job:
    """A job on a runner: what is left of it are its output, its summary and its exit code."""

    folder: Path
    github: dict
    env: dict = field(default_factory=dict)
    out: str = ""
    limit_s: float = 120

    @property
    def temp(self):
        return self.folder / "temp"

    @property
    def summary(self):
        return (self.folder / "summary.md").read_text()

    def run(self, steps, inputs):
        """Every step that is a script, until one fails; the exit code."""
        self.temp.mkdir(parents=True, exist_ok=True)
        (self.folder / "summary.md").write_text("")
        kept = {
            key: one for key, one in os.environ.items() if not key.startswith(("PLACET_", "GIT_", "GITHUB_"))
        }
        base = kept | {
            "RUNNER_TEMP": str(self.temp),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary.md"),
            "GITHUB_SERVER_URL": self.github["server_url"],
            "HOME": str(self.folder),
            **self.env,
        }
        context = {"github": self.github, "inputs": inputs, "runner": {"temp": str(self.temp)}}
        for step in steps:
            if "run" not in step:
                continue
            assert not EXPRESSION.search(step["run"]), "what an expression says would be run as a script"
            own = {key: evaluate(one, context) for key, one in step.get("env", {}).items()}
            script = self.folder / "step.sh"
            script.write_text(step["run"])
            done = subprocess.run(
                [*SHELL, script], cwd=self.folder, env=base | own, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=self.limit_s, check=False,
            )  # fmt: skip
            self.out += done.stdout
            if done.returncode:
                return done.returncode
        return 0


def run_action(job, path, **given):
    """A composite action with these inputs; the others have their defaults."""
    action = load(f"{path}/action.yml")
    names = {name.replace("_", "-"): value for name, value in given.items()}
    assert names.keys() <= action["inputs"].keys()
    context = {"github": job.github}
    inputs = {
        name: names[name] if name in names else evaluate(one.get("default", ""), context)
        for name, one in action["inputs"].items()
    }
    job.env["GITHUB_ACTION_PATH"] = str(ROOT / path)
    return job.run(action["runs"]["steps"], inputs)
