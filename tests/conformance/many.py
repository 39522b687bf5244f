"""Many stock `dvc` commands in one process: starting Python is most of what a short one costs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from stock import Project

_PROGRAM = """
import json, os, shutil, sys, tempfile
from pathlib import Path
from dvc.cli import main

def listing(top):
    return sorted(p.relative_to(top).as_posix() for p in Path(top).rglob("*") if p.is_file())

results = []
for verb, *rest in json.loads(sys.argv[1]):
    if verb == "rm":
        for path in rest:
            shutil.rmtree(path, ignore_errors=True) if os.path.isdir(path) else Path(path).unlink(missing_ok=True)
        results.append(None)
    elif verb == "ls":
        results.append(listing(rest[0]))
    else:
        with tempfile.TemporaryFile("w+") as out:
            kept = os.dup(1)
            os.dup2(out.fileno(), 1)
            code = main([verb, *rest])
            sys.stdout.flush()
            os.dup2(kept, 1)
            out.seek(0)
            results.append([code, out.read()])
print(json.dumps(results))
"""


def many(project: Project, *steps: Sequence[str]) -> list:
    """Run steps in the project: a dvc command, `rm PATH...`, or `ls PATH` (which gives relative paths)."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, json.dumps([list(step) for step in steps])],
        cwd=project.root,
        env=project.env,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def objects(top: Path) -> set[str]:
    """The objects of a cache or remote that DVC knows of, by key."""
    found = (path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file())
    return {key for key in found if not key.startswith("placet/")}
