"""Rows that never leave this node, and aggregates of them that may, once people have approved them."""

import csv
import random
from statistics import mean
from typing import Any

import dagster as dg

from placet.integrations.dagster import PlacetResource

MONTHS = ["2026-01", "2026-02", "2026-03"]
FEWEST = 10
Rows = list[dict[str, Any]]


@dg.asset(code_version="1")
def visits() -> Rows:
    """One row a visit: made up here, a database of yours there.

    What an asset returns is tracked under `internal/`, where the policy lets nothing be proposed.
    """
    chance = random.Random(20260101)
    return [
        {"month": chance.choice(MONTHS), "age": chance.randint(18, 90), "days": chance.randint(1, 14)}
        for _ in range(400)
    ]


@dg.asset(code_version="1")
def summary(visits: Rows, placet: PlacetResource) -> dg.MaterializeResult[Any]:
    """Visits and their mean length by month; a month with few visits is left out."""
    with placet.fresh("outputs/summary.csv") as place:
        with place.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["month", "visits", "mean_days"])
            for month in MONTHS:
                days = [one["days"] for one in visits if one["month"] == month]
                if len(days) >= FEWEST:
                    table.writerow([month, len(days), f"{mean(days):.2f}"])
        return placet.materialize("outputs/summary.csv", written=place)


@dg.asset(
    code_version="1",
    partitions_def=dg.StaticPartitionsDefinition(MONTHS),
    metadata={"placet/path": "outputs/ages/{partition}.json"},
)
def ages(context: dg.AssetExecutionContext, visits: Rows) -> dict[str, int]:
    """Visits by decade of age; each month is an artifact of its own."""
    found: dict[str, int] = {}
    for one in visits:
        if one["month"] == context.partition_key:
            decade = f"{one['age'] // 10 * 10}s"
            found[decade] = found.get(decade, 0) + 1
    return {decade: count for decade, count in found.items() if count >= FEWEST}
