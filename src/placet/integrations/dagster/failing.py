"""Errors of Placet as Dagster understands them: what may help to try again, and what does not."""

import dagster as dg

from placet.errors import PlacetError, Unavailable


def require(error: PlacetError | None) -> None:
    """Raise what went wrong, for Dagster to try again only where that can help."""
    if isinstance(error, Unavailable):
        raise error
    if error is not None:
        raise dg.Failure(str(error), metadata={"placet/kind": error.kind}, allow_retries=False)
