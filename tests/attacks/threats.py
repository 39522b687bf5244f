"""The threats (`threats.toml`) and the attacks that they name, read once."""

import inspect
import tomllib
from pathlib import Path

from attacks import approvals, histories, metafiles, storage

MODULES = (storage, metafiles, approvals, histories)
THREATS = {
    int(number): threat
    for number, threat in tomllib.loads(
        Path(__file__).with_name("threats.toml").read_text(encoding="utf-8")
    ).items()
}
ATTACKS = {
    name: one
    for module in MODULES
    for name, one in vars(module).items()
    if inspect.isfunction(one)
    and one.__module__ == module.__name__
    and list(inspect.signature(one).parameters) == ["ground"]
}
