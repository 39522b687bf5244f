"""The page about the last soak, from its result."""

from __future__ import annotations

import json
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"
_TEXT = """\
# The soak

Generated from `soak/results/` by `make docs`.

`make soak` lets an installation live: two nodes with two agents each, four people, two publication tiers, a real
Git server's gate and a real object store. Steps are drawn at random, from a seed: propose files and directories,
approve, return, reject, withdraw, resubmit, land, promote, supersede, change the policy. While agents promote,
things go wrong: the store resets, loses answers, changes or cuts bytes, is full, denies; the process dies at any
call or by `SIGKILL`; the push's answer is lost; two agents do the same at once; a clock is wrong.

At the end all is judged twice. `soak/judge.py` recomputes the invariants of the design from Git, the tiers and
the trust root; it shares no line with Placet, and `tests/faults/test_soak.py` breaks each invariant in a copy and sees it found.
Stock `git` (fsck, clone) and stock `dvc pull` judge what researchers get.

| variable | |
|---|---|
| `PROPOSALS` | how many are made (300) |
| `MINUTES` | after these no more are made (10) |
| `SEED` | of all that is random (1000); a soak that fails prints it |

## The last result

"""


def page() -> str:
    """The text of `docs/explanation/soak.md`."""
    results = sorted(RESULTS.glob("*.json"))
    if not results:
        return _TEXT + "None was kept yet.\n"
    found = json.loads(results[-1].read_text(encoding="utf-8"))
    spent = found["seconds"]
    lines = [
        f"{found['when'][:16].replace('T', ' ')} UTC, commit {found['commit'][:12]}, seed {found['seed']}:",
        f"{found['proposals']} proposals, {found['commits_of_main']} commits of `main`,",
        f"{found['objects_published']} objects published, {found['pulled_by_stock_dvc']} commits pulled by stock DVC;",
        f"lived {spent['lived']} s, judged in {spent['judged']} s.",
        f"Invariants found broken: {len(found['broken'])}. Everything is in",
        f"[`soak/results/{results[-1].name}`](../../soak/results/{results[-1].name}).",
        "",
        "| step or fault | times |",
        "|---|---|",
        *(f"| {name} | {count} |" for name, count in found["steps"].items()),
        "",
        "| refused, or failed by a fault | times |",
        "|---|---|",
        *(f"| {name} | {count} |" for name, count in found["refused"].items()),
        "",
        "| state at the end | proposals |",
        "|---|---|",
        *(f"| {name} | {count} |" for name, count in found["states"].items()),
        "",
    ]
    return _TEXT + "\n".join(lines)
