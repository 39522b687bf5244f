"""The only place that reads the environment and files of settings; everybody else gets values."""

from __future__ import annotations

from placet.config.dvc import dvc_config, find_dvc, site_cache
from placet.config.policyfile import complete_policy
from placet.config.process import ask, environment, secret
from placet.config.settings import (
    MAX_JOBS,
    SETTINGS,
    TEMPLATE,
    GcSettings,
    Settings,
    key_of,
    load_settings,
    require_ctrl,
)

__all__ = [
    "MAX_JOBS",
    "SETTINGS",
    "TEMPLATE",
    "GcSettings",
    "Settings",
    "ask",
    "complete_policy",
    "dvc_config",
    "environment",
    "find_dvc",
    "key_of",
    "load_settings",
    "require_ctrl",
    "secret",
    "site_cache",
]
