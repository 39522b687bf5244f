"""The docs are part of the build: generated pages are current, links resolve, commands and options exist."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from placet.cli.app import app

ROOT = Path(__file__).parent.parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
WRITTEN = [page for page in PAGES if page.name not in {"cli.md", "errors.md", "states.md"}]


def commands(command, name="placet"):
    if isinstance(command, click.Group):
        context = click.Context(command)
        for key in command.list_commands(context):
            yield from commands(command.get_command(context, key), f"{name} {key}")
    else:
        yield name, command


COMMANDS = dict(commands(app))


def test_generated_pages_are_current():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "generate_docs.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("name", [name for name, one in COMMANDS.items() if not one.hidden])
def test_each_command_is_explained_somewhere(name):
    words = name.removeprefix("placet ")
    assert any(re.search(rf"`?(placet )?{words}\b", page.read_text()) for page in WRITTEN)


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_names_a_command_or_option_that_is_not_there(page):
    common = {"--json", "-q", "-v", "--no-progress", "--help", "-h"}
    for line in re.findall(r"(?:^|[`$/(])(placet [a-z][^`#\n]*)", page.read_text(), re.MULTILINE):
        words = line.split()
        name = next((key for key in (" ".join(words[:3]), " ".join(words[:2])) if key in COMMANDS), None)
        assert name, f"{page.name}: {line}"
        options = {
            word.split("=")[0] for word in words if re.fullmatch(r"-\w|--[a-z][a-z-]*", word.split("=")[0])
        }
        known = {option for parameter in COMMANDS[name].params for option in parameter.opts} | common
        assert options <= known, f"{page.name}: {line}"


def test_public_names_are_those_promised():
    import placet

    for name in placet.__all__:
        assert getattr(placet, name).__name__ == name
    with pytest.raises(AttributeError):
        placet.nothing  # noqa: B018
    code = "import placet, sys; placet.Client; assert 'dagster' not in sys.modules and 'obstore' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nobody_is_told_to_install_placet_by_a_name_that_anybody_may_take():
    """It is not on PyPI: a command with its bare name would install whatever a stranger puts there."""
    folders = [ROOT / name for name in ("src", "docs", "examples", "integrations", "deploy")]
    files = [
        one
        for folder in folders
        for one in folder.rglob("*")
        if one.suffix in {".py", ".md", ".yml", ".yaml"}
    ]
    bare = re.compile(r"pip install\s[^\n`]*?(?<![/\w.-])placet(?:\[|\s|'|\"|$)", re.MULTILINE)
    found = [one for one in (*PAGES, *files) if bare.search(one.read_text())]
    assert len(files) > 300 and found == []
