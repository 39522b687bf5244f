"""A node's Dagster project: copy it, and put your own assets into `defs`."""
