"""Materialize the assets of one site; print what Dagster's event log then shows, one JSON object an asset."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from pathlib import Path

import dagster as dg

from placet.demo.nodeproject.definitions import definitions, model, replicates, summary


def main() -> int:
    """Run with `--workspace DIR --site NAME --home DIR`."""
    parser = argparse.ArgumentParser(prog="python -m placet.demo.nodeproject")
    for name in ("workspace", "site", "home"):
        parser.add_argument(f"--{name}", required=True)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    home = Path(options.home)
    home.mkdir(parents=True, exist_ok=True)
    with dg.DagsterInstance.local_temp(tempfile.mkdtemp(dir=home)) as instance:
        assets = [model, summary, replicates]
        resources = definitions(options.workspace, options.site).resources
        done = dg.materialize(assets, instance=instance, resources=resources, raise_on_error=False)
        for asset in assets:
            event = instance.get_latest_materialization_event(asset.key)
            found = event.asset_materialization if event else None
            if found is None:
                continue
            shown = {
                "asset": asset.key.to_user_string(),
                "data_version": (found.tags or {})["dagster/data_version"],
                "metadata": {
                    key: value.value
                    for key, value in found.metadata.items()
                    if isinstance(value.value, str | int)
                },
            }
            print(json.dumps(shown))
    return 0 if done.success else 1


if __name__ == "__main__":
    sys.exit(main())
