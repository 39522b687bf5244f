"""Foreign bytes: whatever comes, a parser says what it means or refuses in Placet's own words.

Bounded and deterministic here, so that a failure repeats; `make fuzz` looks for new inputs.
"""

import ast
import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import placet
from fuzz import bombs, run
from fuzz.targets import NOT_PARSERS, TARGETS, inputs
from placet.errors import Invalid

INPUTS = 600
SEED = 1
SOURCE = Path(placet.__file__).parent
BY_NAME = {one.name: one for one in TARGETS}
KEPT = sorted(path for path in run.CRASHERS.glob("*/*") if path.is_file())

pytestmark = pytest.mark.filterwarnings("ignore")


def readers_of_bytes():
    """All functions that take `bytes` called `data`, or in the core by any name: `core.sums.decode_sums`."""
    for path in sorted(SOURCE.rglob("*.py")):
        module = path.relative_to(SOURCE).with_suffix("").as_posix().replace("/", ".")
        if module.startswith(("demo", "testing")):
            continue
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.FunctionDef) or (
                module.startswith(("core", "engine")) and node.name.startswith("_")
            ):
                continue
            for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
                kind = ast.unparse(one.annotation) if one.annotation else ""
                if kind in {"bytes", "bytes | None"} and (module.startswith("core.") or one.arg == "data"):
                    yield f"{module}.{node.name}"
                    break


def test_every_parser_is_in_the_table():
    covered = {name for one in TARGETS for name in one.covers}
    found = set(readers_of_bytes())
    assert found - covered - set(NOT_PARSERS) == set(), "add them to tests/fuzz/targets.py"
    assert len(found & covered) > 15
    assert set(NOT_PARSERS) <= found
    for name in covered:
        module, _, function = name.rpartition(".")
        path = SOURCE / f"{module.replace('.', '/')}.py"
        names = {
            node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)
        }
        assert function in names, f"{name} is not there any more"
    assert len(BY_NAME) == len(TARGETS)


@pytest.mark.parametrize("name", BY_NAME)
def test_bytes_are_read_or_refused(name):
    target = BY_NAME[name]
    for seed in target.seeds():
        target.try_one(seed)
    make = inputs(target, SEED)
    for _ in range(INPUTS // target.cost):
        data = make()
        with run.bounded():
            try:
                target.try_one(data)
            except Exception as error:
                error.add_note(f"the input: {data!r}")
                raise


@pytest.mark.parametrize(
    "name", [one.name for one in TARGETS if one.name not in {"names", "state-database", "trust-memory"}]
)
def test_real_bytes_are_read(name):
    """Else a target that refuses all would pass for one that is safe."""
    assert any(BY_NAME[name].try_one(seed) is not None for seed in BY_NAME[name].seeds())


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_once_failed_is_mended(path):
    with run.bounded():
        BY_NAME[path.parent.name].try_one(path.read_bytes())


def test_bombs_are_refused_in_bounded_memory():
    """Nesting, aliases, endless numbers and lines, in a process that may take little more than it had."""
    code = "import sys; from fuzz import bombs; sys.exit(bombs.main())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=run.HERE.parent, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[-2000:]
    assert int(done.stdout.split()[0]) == len(TARGETS) * len(bombs.BOMBS)


def test_the_memory_bound_is_one():
    """A parser that does need the memory is found out."""
    code = f"from fuzz import bombs; bombs.limit(); bytearray(2 * {bombs.ROOM})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=run.HERE.parent, capture_output=True, text=True, check=False
    )
    assert "MemoryError" in done.stderr
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY


def test_a_parser_without_its_guard_is_found_out(monkeypatch):
    """The fuzzing has teeth: with a check taken away, the same inputs fail."""
    from placet.core import envelope, sums

    monkeypatch.setattr(sums.operator, "lt", lambda *_: True)
    monkeypatch.setattr(envelope, "strict_json", json.loads)
    for name, found in (("sums", (AssertionError, Invalid)), ("statement-manifest", ValueError)):
        make = inputs(BY_NAME[name], SEED)
        with pytest.raises(found):
            all(BY_NAME[name].try_one(make()) or True for _ in range(INPUTS))
