"""The attacks as functions, by name."""

from attacks import approvals, freezes, histories, metafiles, storage
from attacks.threats import PLACES

ATTACKS = {
    name: getattr(module, name)
    for module in (storage, metafiles, approvals, histories, freezes)
    for name, place in PLACES.items()
    if place == module.__name__.rpartition(".")[2]
}
