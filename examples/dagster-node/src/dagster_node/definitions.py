"""Everything under `defs`."""

from pathlib import Path

import dagster as dg

# Each step is a process that has what is imported here already, so that it starts at once.
STEPS = {"start_method": {"forkserver": {"preload_modules": ["placet.integrations.dagster"]}}}


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads."""
    found = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    return dg.Definitions.merge(found, dg.Definitions(executor=dg.multiprocess_executor.configured(STEPS)))
