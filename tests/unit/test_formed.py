"""Many threads read statements, policies and settings for the first time at once, and nothing crashes."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent.parent / "golden"
PROGRAM = """
import json, pathlib, sys, threading
sys.setswitchinterval(1e-6)
import msgspec
from placet.core import predicates, statement
golden = pathlib.Path({golden!r})
kinds = {{"manifest": predicates.Manifest, "decision": predicates.Decision, "receipt": predicates.Receipt,
         "ledger-entry": predicates.LedgerEntry, "checkpoint": predicates.Checkpoint, "freeze": predicates.Freeze}}
texts = [(kind, (golden / f"{{name}}.json").read_bytes()) for name, kind in kinds.items()]
together = threading.Barrier(8)
failed = []

def read():
    together.wait()
    for kind, data in texts:
        try:
            statement.parse(data, kind)
        except Exception as error:
            failed.append(error)

threads = [threading.Thread(target=read) for _ in range(8)]
for one in threads:
    one.start()
for one in threads:
    one.join()
print(len(failed))
"""


def run(patch=""):
    code = patch + PROGRAM.format(golden=str(GOLDEN))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_threads_that_begin_together_do_not_crash():
    for _ in range(3):
        done = run()
        assert (done.returncode, done.stdout.strip()) == (0, "0"), done.stderr


def test_without_that_msgspec_does_crash():
    """The day it does not any more, `placet.core.formed` can go."""
    patch = "import sys, types; sys.modules['placet.core.formed'] = types.SimpleNamespace(formed=lambda *_: None)\n"
    for _ in range(12):
        code = run(patch).returncode
        if code:
            assert code == -signal.SIGSEGV
            return
    pytest.skip("not seen in twelve runs")
