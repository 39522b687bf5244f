"""The files of a proposal as a tier holds them, proven, and its checks run again on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from placet.core.assent import rule_for
from placet.core.digest import Hasher, tee
from placet.core.guards import guard
from placet.core.predicates import CheckResult
from placet.engine.cases import Case
from placet.engine.checks import ArtifactFiles, FileSource, check_artifacts, refuse_failed
from placet.engine.contents import Contents, Item
from placet.errors import Corrupt
from placet.ports import Checks, ObjectStore, Progress


def remote_files(store: ObjectStore, contents: Sequence[Contents]) -> list[ArtifactFiles]:
    """The files of a proposal, as a tier holds them; a stream of other bytes than the manifest's fails."""
    return [
        ArtifactFiles(
            one.artifact.path,
            one.sha256,
            [FileSource(item.path, item.sha256, proven(store, item)) for item in one.items],
        )
        for one in contents
    ]


def check_contents(
    case: Case,
    store: ObjectStore,
    contents: Sequence[Contents],
    checks: Checks,
    jobs: int,
    progress: Progress,
) -> list[CheckResult]:
    """Run the checks of a proposal's policy on the bytes of a tier.

    Raises:
        As `check_artifacts`.
    """
    body = case.manifest.body
    files = remote_files(store, contents)
    return check_artifacts(case.policy, body.node or "", body.tier or "", files, checks, jobs, progress)


@guard(24, 31)
def recheck(
    case: Case,
    store: ObjectStore,
    contents: Sequence[Contents],
    checks: Checks,
    jobs: int,
    progress: Progress,
) -> None:
    """Before a promotion copies anything: run the checks again where the rule says `recheck`.

    Raises:
        Refused: kind `checks-failed`, or as `check_artifacts`.
    """
    body = case.manifest.body
    rules = [
        (one, rule_for(case.policy, body.node or "", one.artifact.path, body.tier or "")) for one in contents
    ]
    again = [one for one, rule in rules if rule is not None and rule.recheck]
    if again:
        refuse_failed(case.id, check_contents(case, store, again, checks, jobs, progress))


def proven(store: ObjectStore, item: Item) -> Callable[[], Iterator[bytes]]:
    """Begins a stream of an object that fails at its end if it is not what the manifest says."""

    def read() -> Iterator[bytes]:
        hasher = Hasher()
        yield from tee(store.get(item.key), hasher)
        _require_shown(item, hasher.digests().sha256)

    return read


@guard(1, 32)
def _require_shown(item: Item, sha256: str) -> None:
    """What a reviewer or a check was shown must be what the manifest names."""
    if sha256 != item.sha256:
        raise Corrupt(
            f"CORRUPT: {item.path or item.key} in the internal tier is not what the manifest says.",
            kind="digest-mismatch",
            mend="Do not approve. Ask the node who changed it.",
        )
