"""Which MLflow server: by the settings, or by MLflow's own variables."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING

from placet.core.mlflowform import MlflowForm
from placet.errors import NotFound

if TYPE_CHECKING:
    from mlflow import MlflowClient

_OURS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


def require_mlflow(environ: MutableMapping[str, str] | None = None) -> None:
    """Refuse to go on without MLflow's client; to be called before anything imports it in a program of ours.

    It looks at the environment then: it sends no telemetry, and gives up in a minute or two.

    Raises:
        NotFound: kind `no-mlflow`.
    """
    env = os.environ if environ is None else environ
    for name, value in _OURS.items():
        env.setdefault(name, value)
    if importlib.util.find_spec("mlflow") is None:
        raise NotFound(
            "MLflow is not installed.", kind="no-mlflow", mend="pip install '/path/to/placet[mlflow]'"
        )


def server(form: MlflowForm) -> MlflowClient:
    """The server's client.

    Raises:
        NotFound: kind `no-mlflow`: it is not installed, or no server is named.
    """
    require_mlflow()
    tracking = _tracking(form, os.environ)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=tracking, registry_uri=form.registry_uri)


def _tracking(form: MlflowForm, environ: Mapping[str, str]) -> str:
    uri = form.tracking_uri or environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        raise NotFound(
            "No MLflow server is named.",
            kind="no-mlflow",
            mend='Write [mlflow] tracking_uri = "https://..." to placet.toml, or set MLFLOW_TRACKING_URI.',
        )
    return uri
