"""The summary in words: a process of its own, started by Dagster, that needs `dagster_pipes` only."""

import csv
from pathlib import Path

from dagster_pipes import open_dagster_pipes

with open_dagster_pipes() as pipes:
    with Path(pipes.get_extra("inputs")["summary"]).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    lines = [f"{row['month']}: {row['visits']} visits of {row['mean_days']} days\n" for row in rows]
    Path(pipes.get_extra("output")).write_text("".join(lines), encoding="utf-8")
    pipes.log.info("wrote %d months", len(rows))
