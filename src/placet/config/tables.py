"""The tables of `placet.toml` that parts of Placet declare for themselves.

The form of each is in `placet.core`, and read only where the settings have it. Another one is a field and a
reader here, and nothing elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from placet.core.agentform import AgentForm
    from placet.core.forgeform import ForgeForm
    from placet.core.lineageform import LineageForm
    from placet.core.mlflowform import MlflowForm
    from placet.core.notifyform import NotifyForm

_AGENT = "PLACET_AGENT_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """What these tables say; None where the settings have no such table.

    Attributes:
        agent: How the agent runs.
        forge: The hosted forge that the Ctrl repository is on; None also for plain Git.
        lineage: Which OpenLineage backend is told of publications.
        mlflow: Which MLflow server is kept true to the ledger.
        notify: Who is told what.
    """

    agent: AgentForm | None = None
    forge: ForgeForm | None = None
    lineage: LineageForm | None = None
    mlflow: MlflowForm | None = None
    notify: NotifyForm | None = None


def read_tables(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `Tables` that the settings have.

    Raises:
        Invalid: kind `settings`.
    """
    return {name: read(values[name]) for name, read in _READERS.items() if name in values}


def with_variables(values: dict[str, Any], env: Mapping[str, str]) -> dict[str, Any]:
    """The same settings, with what `PLACET_FORGE` and `PLACET_AGENT_<KEY>` say in place of what they have."""
    if "PLACET_FORGE" in env:
        values = {**values, "forge": env["PLACET_FORGE"]}
    told = {key.removeprefix(_AGENT).lower(): one for key, one in env.items() if key.startswith(_AGENT)}
    table = values.get("agent", {})
    return {**values, "agent": {**table, **told}} if told and isinstance(table, dict) else values


def _agent(value: object) -> AgentForm:
    from placet.core.agentform import read_agent

    return read_agent(value)


def _lineage(value: object) -> LineageForm:
    from placet.core.lineageform import read_lineage

    return read_lineage(value)


def _notify(value: object) -> NotifyForm:
    from placet.core.notifyform import read_notify

    return read_notify(value)


def _forge(value: object) -> ForgeForm | None:
    from placet.core.forgeform import read_forge

    found = read_forge(value)
    return found if found.kind != "git" else None


def _mlflow(value: object) -> MlflowForm:
    from placet.core.mlflowform import read_mlflow

    return read_mlflow(value)


_READERS: Mapping[str, Callable[[object], object]] = {
    "forge": _forge, "agent": _agent, "lineage": _lineage, "notify": _notify, "mlflow": _mlflow,
}  # fmt: skip
TABLES = frozenset(_READERS)
