"""The trust root of a Ctrl repository: given, or recorded at the first use."""

from __future__ import annotations

import logging

from placet.core import layout
from placet.core.digest import sha256_hex
from placet.core.policy import MAX_POLICY
from placet.engine.tips import main_tip
from placet.errors import Corrupt
from placet.ports import Repo

log = logging.getLogger(__name__)


def first_policy(repo: Repo) -> str:
    """The digest of policy 0 as the repository shows it; worth a pin only if checked by another way.

    Raises:
        NotFound: kind `no-main`.
        Corrupt: kind `root-commit`.
    """
    root = repo.line(main_tip(repo))[0]
    blobs = {change.path: change.blob for change in root.changes}
    if layout.POLICY not in blobs:
        raise Corrupt("The first commit of main holds no policy.", kind="root-commit")
    return sha256_hex(repo.read(blobs[layout.POLICY], MAX_POLICY))


def warn_first_use(place: str, trust_root: str) -> None:
    """Say loudly that a trust root was taken on first use."""
    log.warning(
        "FIRST USE of %s: trust_root sha256:%s was recorded without a check. Compare it with what the"
        " administrators published, and write it to placet.toml or PLACET_TRUST_ROOT.",
        place,
        trust_root,
    )
