"""Actions, workflows and hooks as their tools' own checkers see them; pins and permissions."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ci.manifests import named, walk
from ci.runner import EXPRESSION, ROOT, load

BIN = Path(sys.executable).parent
REUSABLE = [".github/workflows/check.yml", ".github/workflows/promote.yml"]
EXAMPLES = [
    f"integrations/ci/{forge}/{name}.yml" for forge in ("github", "gitea") for name in ("check", "promote")
]
ACTION = "integrations/ci/check/action.yml"
NOT_KNOWN = [r'specifying action "(\$/|https://FORGE/)', 'label "placet" is unknown']
"""What actionlint 1.7 does not know: GitHub's self-repository syntax, Gitea's addresses, labels of runners."""
OURS = re.compile(r"(OWNER|https://FORGE/OWNER)/placet/[\w./-]+@0{40}")
OTHERS = re.compile(r"actions/[a-z-]+@[0-9a-f]{40}")


def run(*argv, env=None):
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_nothing_was_forgotten():
    found = {str(path.relative_to(ROOT)) for path in (ROOT / ".github").rglob("*") if path.is_file()}
    found |= {
        str(path.relative_to(ROOT)) for path in (ROOT / "integrations" / "ci").rglob("*") if path.is_file()
    }
    assert found == {*REUSABLE, *EXAMPLES, ACTION}


def test_the_schemas_of_workflows_and_actions_hold():
    run(BIN / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", *REUSABLE, *EXAMPLES)
    run(BIN / "check-jsonschema", "--builtin-schema", "vendor.github-actions", ACTION)


def test_zizmor_finds_nothing():
    run(BIN / "zizmor", "--offline", "--no-progress", "--persona=pedantic", *REUSABLE, *EXAMPLES, ACTION)


def test_zizmor_would_find_what_matters(tmp_path):
    text = (ROOT / REUSABLE[0]).read_text()
    bad = re.sub(r"setup-python@[0-9a-f]{40}.*", "setup-python@v6", text)
    bad += "      - run: echo ${{ inputs.trust-root }}\n"
    (tmp_path / "bad.yml").write_text(bad)
    argv = [BIN / "zizmor", "--offline", "--no-progress", "--format=plain", tmp_path / "bad.yml"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode and "unpinned-uses" in done.stdout and "template-injection" in done.stdout


def test_actionlint_finds_nothing():
    found = shutil.which("actionlint")
    if found is None:
        pytest.skip("actionlint is not installed here; see `make test-ci`")
    run(found, "-no-color", *(part for one in NOT_KNOWN for part in ("-ignore", one)), *REUSABLE, *EXAMPLES)


@pytest.mark.parametrize("file", [*REUSABLE, *EXAMPLES, ACTION])
def test_pins_permissions_and_scripts(file):
    text, form = (ROOT / file).read_text(), load(file)
    for one in named(form, ".*/uses"):
        assert OURS.fullmatch(one) or OTHERS.fullmatch(one) or one == "$/integrations/ci/check", one
    for line in re.findall(r".*uses: actions/.*", text):
        assert re.search(r"# v\d+\.\d+\.\d+$", line)
    assert not [one for one in named(form, ".*/run") if EXPRESSION.search(one)]
    assert "pull_request_target" not in text and "secrets." not in text and "secrets: inherit" not in text
    if file != ACTION:
        rights = [form["permissions"], *(one.get("permissions", {}) for one in form["jobs"].values())]
        assert all(one in ({}, {"contents": "read"}) for one in rights)


@pytest.mark.parametrize("file", [".github/workflows/promote.yml", "integrations/ci/gitea/promote.yml"])
def test_promotion_takes_nothing_from_the_forge(file):
    form = load(file)
    assert (
        not named(form, ".*/uses") and "token" not in str([value for _, value in walk(form["jobs"])]).lower()
    )
    assert all(one.get("permissions", {}) == {} for one in (form, *form["jobs"].values()))


def test_what_is_given_on_is_what_is_taken():
    (job,) = load("integrations/ci/github/check.yml")["jobs"].values()
    inputs = load(REUSABLE[0])["on"]["workflow_call"]["inputs"]
    assert (
        {name for name, one in inputs.items() if one.get("required")} <= job["with"].keys() <= inputs.keys()
    )
    (step,) = [one for one in load(REUSABLE[0])["jobs"]["check"]["steps"] if one["name"] == "Check"]
    assert (ROOT / step["uses"].removeprefix("$/") / "action.yml").is_file()
    assert {"trust-root"} <= step["with"].keys() <= load(ACTION)["inputs"].keys()
    (job,) = load("integrations/ci/github/promote.yml")["jobs"].values()
    assert job["with"].keys() == load(REUSABLE[1])["on"]["workflow_call"]["inputs"].keys()


def test_pages_show_the_files_as_they_are():
    page = (ROOT / "docs" / "how-to" / "ci.md").read_text()
    shown = dict(re.findall(r"<!-- file: (\S+) -->\n```yaml\n(.*?)```", page, re.DOTALL))
    assert len(shown) == 3
    for file, text in shown.items():
        assert (ROOT / file).read_text() == text


def test_hooks_are_those_of_pre_commit():
    run(BIN / "pre-commit", "validate-manifest", ".pre-commit-hooks.yaml")
    for one in load(".pre-commit-hooks.yaml"):
        if one.get("pass_filenames", True):
            assert one["args"][-1] == "--" and one["require_serial"] is True
