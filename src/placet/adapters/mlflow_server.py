"""A model registry and a store of runs by MLflow's own client, which bounds no answer: see `mlflow_apart`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from requests.exceptions import ConnectionError as NotConnected
from requests.exceptions import Timeout

from placet.errors import Invalid, Refused, Unavailable
from placet.ports.models import Page, Version

_PAGE = 200
_OURS = "source_path LIKE 'placet:%'"
_SCHEME = "placet:"
_ABSENT = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})
_REFUSED = frozenset({"PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"})
_SHOWN = 300

T = TypeVar("T")


def open_server(tracking: str, registry: str | None) -> MlflowServer:
    """By the addresses of both; credentials are where MLflow looks for them."""
    with _asked():
        return MlflowServer(MlflowClient(tracking_uri=tracking, registry_uri=registry))


class MlflowServer:
    """The port `placet.ports.models.ModelServer`."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client

    def versions(self, token: str | None) -> Page:
        """As the port says; the server looks for them, and what else it names is left out."""
        with _asked():
            found = self._client.search_model_versions(_OURS, max_results=_PAGE, page_token=token)
        ours = (one for one in found if str(one.source).startswith(_SCHEME))
        return Page(
            tuple(Version(one.name, str(one.version), str(one.source), _ours(one.tags)) for one in ours),
            found.token or None,
        )

    def aliases(self, model: str) -> Mapping[str, str]:
        """As the port says."""
        found = _found(lambda: self._client.get_registered_model(model))
        return {str(key): str(one) for key, one in dict(found.aliases).items()} if found else {}

    def run_tags(self, run: str) -> Mapping[str, str] | None:
        """As the port says."""
        found = _found(lambda: self._client.get_run(run))
        return _ours(found.data.tags) if found and found.info.lifecycle_stage == "active" else None

    def set_alias(self, model: str, alias: str, version: str | None) -> None:
        """As the port says."""
        with _asked():
            if version is None:
                self._client.delete_registered_model_alias(model, alias)
            else:
                self._client.set_registered_model_alias(model, alias, version)

    def set_version_tag(self, model: str, version: str, key: str, value: str) -> None:
        """As the port says."""
        with _asked():
            self._client.set_model_version_tag(model, version, key, value)

    def set_run_tag(self, run: str, key: str, value: str) -> None:
        """As the port says."""
        with _asked():
            self._client.set_tag(run, key, value)


def _ours(tags: Mapping[str, object]) -> dict[str, str]:
    return {key: str(value) for key, value in tags.items() if key.startswith("placet.")}


def _found(call: Callable[[], T]) -> T | None:
    """As `_asked`; None where the server says that there is no such thing."""
    with _asked():
        try:
            return call()
        except MlflowException as error:
            if error.error_code in _ABSENT:
                return None
            raise


@contextmanager
def _asked() -> Iterator[None]:
    """MLflow's errors as ours. It tells what its HTTP library raised in the context of its own alone."""
    try:
        yield
    except MlflowException as error:
        below = error.__context__
        why = _shown(str(error))[:_SHOWN]
        if error.error_code in _REFUSED:
            raise Refused(
                "The MLflow server does not let this be done.",
                kind="mlflow-refused",
                why=why,
                mend="See MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD, MLFLOW_TRACKING_TOKEN.",
            ) from error
        if isinstance(below, MemoryError):
            raise Invalid(
                "The MLflow server's answer is longer than any should be.", kind="mlflow-answer"
            ) from error
        if isinstance(below, (NotConnected, Timeout)):
            raise Unavailable(
                "The MLflow server does not answer.",
                kind="mlflow-unreachable",
                why=why,
                mend="Run it again when it does: placet mlflow sync",
            ) from error
        raise Unavailable(
            "The MLflow server did not do what it was asked.",
            kind="mlflow-error",
            why=why,
            mend="Run it again when that is mended: placet mlflow sync",
        ) from error
    except Exception as error:
        raise Invalid(
            "The MLflow server answers as none does.", kind="mlflow-answer", why=f"{type(error).__name__}."
        ) from error


def _shown(text: str) -> str:
    """A text without the name and password that a URI in it may have."""
    return re.sub(r"//[^/@\s]*@", "//", text)
