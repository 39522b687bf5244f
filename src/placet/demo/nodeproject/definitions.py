"""The assets. No patient row leaves `patients`: what is written are coefficients and aggregates.

Data: the 442 patient records of Efron, Hastie, Johnstone and Tibshirani, "Least Angle Regression" (2004), as
they come with scikit-learn; even rows are site-a's patients, odd rows are site-b's.
"""

from __future__ import annotations

import pickle
import shutil
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression

from placet.integrations.dagster import PlacetResource

SITES = ("site-a", "site-b")
REPLICATES = 1000


class Site(dg.ConfigurableResource[Any]):
    """Which hospital this is."""

    name: str

    def patients(self) -> pd.DataFrame:
        """The patients of this site."""
        frame = load_diabetes(as_frame=True, scaled=False).frame
        return frame.iloc[SITES.index(self.name) :: len(SITES)].reset_index(drop=True)


def fit(frame: pd.DataFrame) -> LinearRegression:
    """Disease progression from the ten measurements."""
    return LinearRegression().fit(frame.drop(columns="target").to_numpy(), frame["target"].to_numpy())


@dg.asset(code_version="1")
def model(site: Site, placet: PlacetResource) -> dg.MaterializeResult[Any]:
    """The fitted model."""
    fitted = fit(site.patients())
    placet.path("outputs/model.pkl").write_bytes(pickle.dumps(fitted, protocol=5))
    return placet.materialize("outputs/model.pkl")


@dg.asset(code_version="1")
def summary(site: Site, placet: PlacetResource) -> dg.MaterializeResult[Any]:
    """Count, mean and standard deviation of each measurement."""
    table = site.patients().agg(["count", "mean", "std"]).T.round(3)
    table["count"] = table["count"].astype(int)
    table.to_csv(placet.path("outputs/summary.csv"), index_label="measurement", lineterminator="\n")
    return placet.materialize("outputs/summary.csv")


@dg.asset(code_version="1")
def replicates(site: Site, placet: PlacetResource) -> dg.MaterializeResult[Any]:
    """Bootstrap replicates of the coefficients, one small Parquet file each."""
    frame = site.patients()
    names = [*frame.columns.drop("target"), "intercept"]
    inputs = np.column_stack([frame.drop(columns="target").to_numpy(), np.ones(len(frame))])
    target = frame["target"].to_numpy()
    random = np.random.default_rng(20040407)
    folder = placet.path("outputs/replicates")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number in range(REPLICATES):
        drawn = random.integers(0, len(frame), len(frame))
        found, *_ = np.linalg.lstsq(inputs[drawn], target[drawn], rcond=None)
        table = pa.table({"term": names, "coefficient": np.round(found, 6)})
        pq.write_table(table, folder / f"replicate-{number:04}.parquet")
    return placet.materialize("outputs/replicates", metadata={"replicates": REPLICATES})


def definitions(workspace: str, site: str) -> dg.Definitions:
    """The project of one site."""
    resources = {"site": Site(name=site), "placet": PlacetResource(workspace=workspace)}
    return dg.Definitions(assets=[model, summary, replicates], resources=resources)
