"""What a lineage backend is told of one ledger entry, whatever protocol it speaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from placet.core.provenance import Resource

Change = Literal["CREATE", "OVERWRITE", "DROP"]


@dataclass(frozen=True, slots=True)
class Dataset:
    """An input or output, by OpenLineage's naming.

    Attributes:
        version: The digest of its bytes.
        change: Of an output: what became of it.
        source: Of an output: tier and address where it is.
        rows: As a check counted them.
    """

    namespace: str
    name: str
    version: str = ""
    change: Change | None = None
    source: tuple[str, str] | None = None
    size: int | None = None
    files: int | None = None
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class LineageEvent:
    """One ledger entry that published or took back.

    Attributes:
        branch: The ledger's.
        run: A UUID that follows from the entry.
        time: The entry's.
        text: The proposer's words.
        code: Where the code is.
        invocation: The builder's run, of `builder`.
        approvals: Who approved, having seen what.
    """

    branch: str
    sequence: int
    run: str
    time: str
    namespace: str
    job: str
    text: str
    proposal: str
    manifest: str
    tier: str
    inputs: tuple[Dataset, ...]
    outputs: tuple[Dataset, ...]
    code: Resource | None
    builder: str
    invocation: str
    approvals: tuple[str, ...]
