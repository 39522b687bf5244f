"""Generate the pages that follow from the code; `--check` only compares, and fails where a page is old."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
from prometheus_client.metrics import MetricWrapperBase

from placet.agent.events import EVENTS
from placet.agent.metrics import Metrics
from placet.cli.app import EPILOG, app
from placet.core import bundle, policyform, states
from placet.core.agentform import AgentForm
from placet.core.happening import KINDS, LOUD
from placet.core.notifyform import NotifyForm, TargetForm
from placet.core.predicates import PREDICATES
from placet.core.statement import schema

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bench import simulate  # noqa: E402
from soak import report  # noqa: E402 - as the corpus

from attacks.threats import table  # noqa: E402 - the corpus is no package that is installed

SCALE = ROOT / "docs" / "explanation" / "scale.md"
SECURITY = ROOT / "docs" / "explanation" / "security.md"
REFERENCE = ROOT / "docs" / "reference"
_ERRORS = {"Invalid": 2, "Partial": 3, "NotFound": 10, "Conflict": 11, "Refused": 12, "Corrupt": 13}
_LEVELS = {20: "info", 30: "warning", 40: "error", 50: "critical"}
_CLASSES = {**_ERRORS, "Unavailable": 1, "Bug": 1}


def pages() -> dict[Path, str]:
    """Every generated page and what it must hold."""
    out = {
        REFERENCE / "cli.md": cli(),
        REFERENCE / "states.md": state_page(),
        REFERENCE / "errors.md": errors(),
        REFERENCE / "agent.md": agent_page(),
        REFERENCE / "notify.md": notify_page(),
        REFERENCE / "schemas" / "policy.json": _json(policyform.schema()),
        REFERENCE / "schemas" / "bundle.json": _json(bundle.schema()),
        SECURITY: security(),
        SCALE: scale(),
        ROOT / "docs" / "explanation" / "soak.md": report.page(),
    }
    for kind in PREDICATES:
        out[REFERENCE / "schemas" / f"{kind.TYPE.split(':')[2]}.json"] = _json(schema(kind))
    return out


def cli() -> str:
    """The command line, from the program itself."""
    lines = ["# Command line", "", "Generated from the program by `make docs`.", "", EPILOG, ""]
    for name, command in _commands(app, "placet"):
        lines += [f"## `{name}`", "", " ".join((command.help or "").split()), ""]
        usage = " ".join(_usage(parameter) for parameter in _shown(command))
        lines += ["```text", f"{name} {usage}".rstrip(), "```", ""]
        rows = [(_names(one), " ".join((getattr(one, "help", "") or "").split())) for one in _shown(command)]
        if rows:
            lines += ["| | |", "|---|---|", *(f"| {names} | {text} |" for names, text in rows), ""]
    return "\n".join(lines)


def state_page() -> str:
    """The state machine's diagram and table."""
    rows = [f"| {one.source} | {one.target} | {one.by} | {one.record} |" for one in states.TRANSITIONS]
    return "\n".join(
        [
            "# States of a proposal",
            "",
            "Generated from `placet.core.states` by `make docs`. A state is stored nowhere: it follows from",
            "Git and the time.",
            "",
            "```mermaid",
            states.mermaid().rstrip(),
            "```",
            "",
            "| from | to | caused by | record |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def errors() -> str:
    """Every kind of error that the source can raise, by class."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "src").rglob("*.py")):
        for name, kind in _raised(ast.parse(path.read_text(encoding="utf-8"))):
            found.setdefault(name, set()).add(kind)
    lines = [
        "# Errors and exit codes",
        "",
        "Generated from the source by `make docs`. An error says what happened, why, and how to mend it;",
        "`--json` prints it as an object with `error`, `kind`, `what`, `why`, `mend`, `exit_code`. Kinds are",
        "stable: they are added, never changed. Take an exit code that you do not know as failure. 0 is",
        "done, 130 interrupted.",
        "",
        "| class | exit code | kinds |",
        "|---|---|---|",
    ]
    for name, kinds in sorted(found.items(), key=lambda one: (_CLASSES[one[0]], one[0])):
        lines.append(f"| {name} | {_CLASSES[name]} | {', '.join(f'`{kind}`' for kind in sorted(kinds))} |")
    return "\n".join([*lines, ""])


def agent_page() -> str:
    """The agent's settings, pages, metrics and events."""
    form = msgspec.json.schema(AgentForm)["$defs"]["AgentForm"]["properties"]
    settings = [
        f"| `{key}` | {_variable(key)} | `{json.dumps(one.get('default'))}` | {one['description']} |"
        for key, one in form.items()
    ]
    metrics = [_metric(one) for one in Metrics().described()]
    events = [f"| `{key}` | {_LEVELS[level]} | {text} |" for key, (level, text) in EVENTS.items()]
    return "\n".join(
        [
            "# The agent: settings, metrics, events",
            "",
            "Generated from `placet.agent` by `make docs`. How to run it: [the agent](../how-to/agent.md).",
            "",
            "## Settings: the table `[agent]`",
            "",
            "Of the folder in which it is started; its options come first, then the variables.",
            "",
            "| key | variable | default | meaning |",
            "|---|---|---|---|",
            *settings,
            "",
            "## Pages",
            "",
            "| page | answers |",
            "|---|---|",
            "| `GET /healthz` | 200 while every thread lives and none hangs in a look, else 503 |",
            "| `GET /readyz` | 200 if each repository verifies, and no promotion hangs, else 503 |",
            "| both | `ok` or `no`, then `overdue: LANE of WORKSPACE` for each lane that hangs |",
            "| `GET /metrics` | the metrics below, as Prometheus reads them |",
            "| `POST /webhook` | 204 if the body is signed, else 403; 413 over 1 MiB; 404 without a secret |",
            "",
            "## Metrics",
            "",
            "`workspace` is the folder. They begin at 0 when the agent starts.",
            "",
            "| metric | type | labels | meaning |",
            "|---|---|---|---|",
            *metrics,
            "",
            "## Events",
            "",
            'One a line on stderr; with `--json` or `log = "json"` an object of `time`, `level`, `event`,',
            "and fields: `workspace`, `proposal`; what failed has `kind`, `error`, `why`, `mend`. Events and",
            "fields are stable: they are added, never changed. No data and no secret is in them.",
            "",
            "| event | level | meaning |",
            "|---|---|---|",
            *events,
            "",
        ]
    )


def notify_page() -> str:
    """The settings of notifications, and what there is to be told of."""
    lines = [
        "# Notifications: settings and events",
        "",
        "Generated from `placet.core` by `make docs`. How to use them: [notifications](../how-to/notify.md).",
        "",
    ]
    for title, form in (("[notify]", NotifyForm), ("[notify.targets.NAME]", TargetForm)):
        lines += [f"## Settings: the table `{title}`", "", "| key | default | meaning |", "|---|---|---|"]
        found = msgspec.json.schema(form)["$defs"][form.__name__]["properties"]
        lines += [
            f"| `{key}` | `{json.dumps(one.get('default'))}` | {one['description']} |"
            for key, one in found.items()
            if "description" in one
        ]
        lines.append("")
    lines += ["## Events", "", "Loud: somebody should act; services show it where they can.", ""]
    lines += ["| event | loud | meaning |", "|---|---|---|"]
    lines += [f"| `{key}` | {'yes' if key in LOUD else ''} | {text} |" for key, text in KINDS.items()]
    return "\n".join([*lines, ""])


def _variable(key: str) -> str:
    return "" if key == "workspaces" else f"`PLACET_AGENT_{key.upper()}`"


def _metric(one: MetricWrapperBase) -> str:
    (family,) = one.describe()
    name = {"counter": f"{family.name}_total", "info": f"{family.name}_info"}.get(family.type, family.name)
    labels = ", ".join(f"`{label}`" for label in getattr(one, "_labelnames", ()))
    return f"| `{name}` | {family.type} | {labels} | {family.documentation} |"


def security() -> str:
    """The security page, with the table of threats between its two marks."""
    before, begin, rest = SECURITY.read_text(encoding="utf-8").partition(
        "<!-- threats: generated by `make docs` -->\n"
    )
    _, end, after = rest.partition("<!-- end of threats -->\n")
    return f"{before}{begin}{table()}{end}{after}"


def scale() -> str:
    """The page about size, with the tables of the last simulation between its two marks."""
    before, begin, rest = SCALE.read_text(encoding="utf-8").partition("<!-- simulate -->\n")
    _, end, after = rest.partition("<!-- /simulate -->\n")
    found = json.loads(simulate.RESULT.read_text(encoding="utf-8"))
    return f"{before}{begin}{simulate.section(found)}{end}{after}"


def _raised(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CLASSES:
            for keyword in node.keywords:
                if keyword.arg == "kind" and isinstance(keyword.value, ast.Constant):
                    yield node.func.id, keyword.value.value


def _commands(command: object, name: str) -> Iterator[tuple[str, object]]:
    if not isinstance(command, click.Group):
        yield name, command
        return
    context = click.Context(command)
    for key in command.list_commands(context):
        found = command.get_command(context, key)
        if not found.hidden:
            yield from _commands(found, f"{name} {key}")


def _shown(command: object) -> list[object]:
    return [one for one in command.params if one.name != "help" and not getattr(one, "hidden", False)]


def _usage(parameter: object) -> str:
    if parameter.param_type_name == "argument":
        name = parameter.name.upper() + ("..." if parameter.nargs == -1 else "")
        return name if parameter.required else f"[{name}]"
    text = parameter.opts[0] + ("" if parameter.is_flag else f" {parameter.name.upper()}")
    return text if parameter.required else f"[{text}]"


def _names(parameter: object) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.name.upper()}`"
    return ", ".join(f"`{one}`" for one in sorted(parameter.opts, key=len))


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Write the pages, or with `--check` name those that are old."""
    check = sys.argv[1:] == ["--check"]
    old = []
    for path, text in pages().items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        old.append(path.relative_to(ROOT))
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for path in old:
        print(f"{path}: {'old; run `make docs`' if check else 'written'}")
    return 1 if check and old else 0


if __name__ == "__main__":
    sys.exit(main())
