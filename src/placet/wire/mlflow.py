"""Which MLflow server: by the settings, or by MLflow's own variables."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

from placet import config
from placet.adapters.mlflow_apart import MlflowApart
from placet.core.mlflowform import MlflowForm
from placet.errors import NotFound

_OURS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


def server(form: MlflowForm, environ: Mapping[str, str] | None = None) -> MlflowApart:
    """The server, asked in a process of its own; to be closed.

    That process sends no telemetry, and gives up after some seconds, unless the environment says otherwise.

    Raises:
        NotFound: kind `no-mlflow`: it is not installed, or no server is named.
    """
    env = config.environment() if environ is None else environ
    if importlib.util.find_spec("mlflow") is None:
        raise NotFound(
            "MLflow is not installed.", kind="no-mlflow", mend="pip install '/path/to/placet[mlflow]'"
        )
    tracking = named(form, env)
    if tracking is None:
        raise NotFound(
            "No MLflow server is named.",
            kind="no-mlflow",
            mend='Write [mlflow] tracking_uri = "https://..." to placet.toml, or set MLFLOW_TRACKING_URI.',
        )
    return MlflowApart(tracking, form.registry_uri, _OURS | dict(env))


def named(form: MlflowForm, environ: Mapping[str, str] | None = None) -> str | None:
    """The address of the tracking server, if one is named."""
    env = config.environment() if environ is None else environ
    return form.tracking_uri or env.get("MLFLOW_TRACKING_URI") or None


def shown(form: MlflowForm) -> str:
    """The registry's address without the name and password that may be in it."""
    uri = form.registry_uri or named(form) or ""
    scheme, mark, rest = uri.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"
