"""The threats (`threats.toml`), where their attacks are, and the table of both for the docs."""

import ast
import tomllib
from pathlib import Path

from attacks import guards

HERE = Path(__file__).parent
THREATS = {
    int(number): threat
    for number, threat in tomllib.loads((HERE / "threats.toml").read_text(encoding="utf-8")).items()
}
PLACES = {
    node.name: path.stem
    for path in sorted(HERE.glob("*.py"))
    for node in ast.parse(path.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef) and [one.arg for one in node.args.args] == ["ground"]
}


def table():
    """Threat, guard and test of every row, and what remains open."""
    by_threat = {number: [] for number in THREATS}
    for name, threats in sorted(guards.marked().items()):
        for number in threats:
            by_threat[number].append(f"`{name.removeprefix('placet.').replace(':', '.')}`")
    lines = ["", "| | threat | what stands against it | tried by |", "|---|---|---|---|"]
    for number, threat in THREATS.items():
        words = f"{threat['guard']}." if threat["guard"] != "None" else "Nothing."
        functions = ", ".join(by_threat[number])
        lines.append(
            f"| {number} | {threat['threat']} | {words} {functions}".rstrip() + f" | {_tests(threat)} |"
        )
    lines += ["", "### What remains open", ""]
    lines += [
        f"- {one['threat']} ({number}, {one['state']}): {one['open']}"
        for number, one in THREATS.items()
        if "open" in one
    ]
    return "\n".join([*lines, "", ""])


def _tests(threat):
    attacks = [f"[{name}](../../tests/attacks/{PLACES[name]}.py)" for name in threat["attacks"]]
    others = [f"[{path.rpartition('/')[2]}](../../{path})" for path in threat["also"]]
    return ", ".join(attacks + others) or "-"
