"""A node's Dagster project: a model of diabetes progression on one site's patients, and its aggregates."""
