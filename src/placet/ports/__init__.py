"""What the engine needs from the outside world, as small contracts; no implementation lives here.

One module a port; those of a single integration (`lineage`, `messenger`) are imported from their modules.
Every adapter of a port passes the suite of the same name in `placet.testing`. Errors are those of
`placet.errors`; a foreign exception never crosses a port.
"""

from __future__ import annotations

from placet.ports.checks import Checks, CheckSession
from placet.ports.clock import Clock
from placet.ports.forge import (
    PLAIN,
    Account,
    Commission,
    Forge,
    Hole,
    PullRequest,
    Remark,
    Review,
    StatusState,
)
from placet.ports.memory import Remembered, TrustMemory
from placet.ports.objects import CopyWay, Fan, ObjectInfo, ObjectStore, StoreAddress, StoreTraits, Version
from placet.ports.past import Past, PastFile
from placet.ports.progress import Progress
from placet.ports.repo import Change, Commit, RefUpdate, Repo, TreeEntry
from placet.ports.signer import Signer
from placet.ports.state import FileStamp, Placed, PlacedOutputs, State

__all__ = [
    "PLAIN",
    "Account",
    "Change",
    "CheckSession",
    "Checks",
    "Clock",
    "Commission",
    "Commit",
    "CopyWay",
    "Fan",
    "FileStamp",
    "Forge",
    "Hole",
    "ObjectInfo",
    "ObjectStore",
    "Past",
    "PastFile",
    "Placed",
    "PlacedOutputs",
    "Progress",
    "PullRequest",
    "RefUpdate",
    "Remark",
    "Remembered",
    "Repo",
    "Review",
    "Signer",
    "State",
    "StatusState",
    "StoreAddress",
    "StoreTraits",
    "TreeEntry",
    "TrustMemory",
    "Version",
]
