"""The firewall of a researcher: what `pull`, `fetch` and `checkout` may do in a clone of a Ctrl repository.

DVC believes the metafiles and the configuration that lie there. Here they count only if the commit that is
checked out recomputes from the trust root as a published one, and lie there as it holds them; then what a
tier delivers is proven by the SHA-256 that was approved before it is linked to its place, and once more when
it is there. What is the user's own stays so: `.dvc/config.local`, DVC's global configuration, the cache.
"""

from __future__ import annotations

import contextlib
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from placet.core import layout
from placet.core.digest import sha256_hex
from placet.core.dvcfile import parse_canonical
from placet.core.guards import guard
from placet.core.outputs import Tracking
from placet.core.policy import MAX_POLICY, Policy
from placet.core.predicates import Artifact
from placet.engine.artifact import not_in_cache, remember_sums
from placet.engine.cases import canonical_metafile
from placet.engine.checkout import CheckedOut, checkout, present_files
from placet.engine.contents import Contents, Item, from_lists, read_artifact, require_listable, sums_limit
from placet.engine.ctrl import View
from placet.engine.disk import disk
from placet.engine.fetch import Fetched, fetch
from placet.engine.hashes import digest_files
from placet.engine.history import History
from placet.engine.proof import prove_cached
from placet.engine.published import Publication, PublishedLine
from placet.engine.takenback import left_over, taken_back
from placet.engine.tips import ref_tip
from placet.engine.workspace import Workspace
from placet.engine.worktree import changed, require_as_published, require_no_link
from placet.errors import Corrupt, Invalid, NotFound, PlacetError, Refused
from placet.ports import ObjectStore, Progress, State

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Clone:
    """A clone whose checked-out commit is a published one.

    Attributes:
        tier: The tier whose branch it is on.
        workspace: The work tree, with exactly the published outputs.
        approved: Data path -> (artifact, SHA-256), as the manifests say.
        retracted: Data path -> why it is not to be used any more, as of the last fetch.
        left: Of those, what lies here and is not tracked any more.
        repository: The Ctrl repository's id.
    """

    tier: str
    workspace: Workspace
    approved: Mapping[str, tuple[Artifact, str]]
    retracted: Mapping[str, str] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)
    repository: str = ""

    def without(self, targets: Iterable[str | Path], failed: Container[str]) -> list[str]:
        """What is meant by these targets, but for the outputs that failed, as targets."""
        meant = [one for one in self.workspace.select(targets) if one.path not in failed]
        return [str(self.workspace.root / one.path / part) for one in meant for part in one.inside or ("",)]


def admit_clone(view: View, head: str, root: Path, now: datetime) -> tuple[Publication, list[Tracking]]:
    """What the checked-out commit publishes, if the clone holds exactly that.

    A commit of a published branch recomputes as a whole: its tree is what follows from what was approved, and
    regular files only. Reads only; nothing of the work tree is believed before.

    Args:
        view: The repository as the clone holds it, recomputed.
        head: The commit that is checked out.
        root: The work tree.
        now: For entries from the future.

    Raises:
        Refused: kind `not-published`: the commit is on no published branch.
        Corrupt: kind `clone-changed`, or the branch does not recompute.
        Invalid: kind `link-outside-workspace`.
    """
    publication = _publication(view, head, now)
    for path in (layout.DVC_CONFIG, layout.GITIGNORE, layout.DVC_GITIGNORE):
        require_as_published(root, path, view.repo.read(publication.blobs[path], MAX_POLICY))
    outs = []
    for metafile, (artifact, _) in _approved(publication).items():
        data = canonical_metafile(artifact)
        require_as_published(root, metafile, data)
        outs.append(Tracking(metafile.removesuffix(".dvc"), metafile, parse_canonical(data)))
    return publication, outs


def governed(
    publication: Publication, latest: Publication | None, workspace: Workspace, outs: Sequence[Tracking]
) -> Clone:
    """The admitted clone, for its steps; `latest` is the branch as of the last fetch."""
    approved = {path.removesuffix(".dvc"): one for path, one in _approved(publication).items()}
    latest = latest or publication
    gone = {path: taken_back(latest, ident, path) for path, ident in publication.current.items()}
    retracted = {path.removesuffix(".dvc"): why for path, why in gone.items() if why}
    left = left_over(publication, latest, workspace.root)
    given = replace(workspace, given=tuple(outs))
    repository = publication.entries[0].body.repository
    return Clone(publication.tier, given, approved, {**left, **retracted}, left, repository)


@guard(33)
def refuse_retracted(clone: Clone, targets: Iterable[str | Path]) -> dict[str, PlacetError]:
    """What of these targets (none = everything tracked) was retracted: path -> the refusal.

    Raises:
        Refused: kind `retracted`: a target names something that is not tracked any more.
    """
    wanted = [str(one) for one in targets]
    for one in wanted:
        named = Path(one.rstrip("/").removesuffix(".dvc"))
        path = (clone.workspace.root / named).relative_to(clone.workspace.root).as_posix()
        if path in clone.left:
            raise _retracted(path, clone.left[path])
    meant = [one.path for one in clone.workspace.select(wanted)]
    return {path: _retracted(path, clone.retracted[path]) for path in meant if path in clone.retracted}


def _retracted(path: str, why: str) -> Refused:
    return Refused(f"{path} was retracted.", kind="retracted", why=why)


def gone_policy(folder: Path) -> Corrupt:
    """The refusal of what was a clone of a Ctrl repository here, and shows no policy any more."""
    return changed(f"{folder} is known as a clone of a Ctrl repository, but holds no {layout.POLICY}.")


@guard(7, 8)
def require_known_config(root: Path, policies: Sequence[Policy]) -> None:
    """Refuse a `.dvc/config` that no policy of the chain asks for, before a credential goes where it points.

    Raises:
        Corrupt: kind `clone-changed`.
        Invalid: kind `link-outside-workspace`.
    """
    known = list(dict.fromkeys(one.derived()[layout.DVC_CONFIG] for one in policies))
    for wanted in known[:0:-1]:
        with contextlib.suppress(Corrupt):
            return require_as_published(root, layout.DVC_CONFIG, wanted)
    return require_as_published(root, layout.DVC_CONFIG, known[0])


def fetch_published(
    clone: Clone,
    store: ObjectStore,
    targets: Iterable[str | Path],
    state: State,
    jobs: int,
    progress: Progress,
    *,
    verify: bool = False,
) -> Fetched:
    """As `fetch`, from a publication tier, with the SHA-256 of every object proven before it has its name.

    Raises:
        Corrupt: kind `digest-mismatch`: the tier has other bytes than those that were approved.
        Invalid: kinds `dir-object`, `digest-list`, `too-large`: a list with a path that is not safe.
    """
    wanted = [str(one) for one in targets]
    cache, proven = clone.workspace.objects, {}
    bad = refuse_retracted(clone, wanted)
    for one in clone.workspace.select(wanted):
        if one.path in bad:
            continue
        artifact, sha256 = clone.approved[one.path]
        try:
            found = _cached(clone, one) or read_artifact(store, artifact, sha256)
        except (Corrupt, Invalid, NotFound) as error:
            bad[one.path] = error
            continue
        proven.update({item.key: item.sha256 for item in found.items})
        if found.sums is not None and found.dir is not None:
            remember_sums(cache, artifact.md5, found.sums)
            cache.write(layout.data_key(artifact.md5, is_dir=True), found.dir)
    failed = {path: error.what for path, error in bad.items()}
    good = clone.without(wanted, failed) if bad else wanted
    fetched = Fetched(0, 0, 0, (), ())
    try:
        if good or not bad:
            fetched = fetch(clone.workspace, store, good, state, jobs, progress, verify=verify, proven=proven)
        for first in bad.values():
            raise first
    except PlacetError as error:
        more = error.details.get("failed")
        error.details["failed"] = {**failed, **(more if isinstance(more, dict) else {})}
        raise
    return fetched


def checkout_published(
    clone: Clone,
    targets: Iterable[str | Path],
    state: State,
    jobs: int,
    progress: Progress,
    *,
    force: bool = False,
) -> CheckedOut:
    """As `checkout`; the SHA-256 of what is linked is proven in the cache before, and at its place after.

    Raises:
        NotFound: kind `not-in-cache`.
        Corrupt: kind `digest-mismatch`: the cache, or then the work tree, held other bytes than those that
            were approved; they were taken away.
    """
    wanted = [str(one) for one in targets]
    bad = refuse_retracted(clone, wanted)
    for first in bad.values():
        rest = clone.without(wanted, bad)
        if rest:
            checkout_published(clone, rest, state, jobs, progress, force=force)
        raise first
    contents = []
    for one in clone.workspace.select(wanted):
        require_no_link(clone.workspace.root, f"{one.path}/" if one.out.is_dir else one.path)
        found = _cached(clone, one)
        if found is None:
            raise not_in_cache(one.path, one.out.key)
        contents.append((one, [item for item in found.items if not one.out.is_dir or one.means(item.path)]))
    require_proven(clone, [item for _, items in contents for item in items], state, jobs)
    done = checkout(clone.workspace, wanted, state, jobs, progress, force=force)
    for one, items in contents:
        require_approved(clone, one, items, state, jobs)
    return done


def published_contents(clone: Clone, path: str) -> Contents:
    """What a whole artifact of a clone consists of, by what was approved and by lists that are proven.

    Raises:
        NotFound: kind `not-tracked`; kind `not-in-cache`: its lists were not fetched.
        Refused: kind `retracted`.
    """
    (one,) = clone.workspace.select([clone.workspace.root / path])
    for error in refuse_retracted(clone, [path]).values():
        raise error
    found = _cached(clone, one)
    if found is None:
        raise not_in_cache(one.path, one.out.key)
    return found


@guard(2, 3)
def require_proven(clone: Clone, items: Sequence[Item], state: State, jobs: int) -> None:
    """Refuse objects of the cache that are not what was approved; they are moved away from their name.

    Raises:
        Corrupt: kind `digest-mismatch`.
    """
    cache = clone.workspace.objects
    found = prove_cached(cache, {item.md5 for item in items}, state, jobs)
    wrong = {item.key for item in items if item.md5 in found.corrupt}
    wrong |= {item.key for item in items if item.md5 in found.good
              and found.good[item.md5].sha256 != item.sha256}  # fmt: skip
    for key in wrong:
        cache.set_aside(key)
    if wrong:
        raise _corrupt(f"{_named(sorted(wrong))} in the cache", "Nothing was placed. Pull again.")


@guard(2, 3)
def require_approved(clone: Clone, one: Tracking, items: Sequence[Item], state: State, jobs: int) -> None:
    """Refuse what now lies in the work tree and is not what was approved; it is removed.

    Raises:
        Corrupt: kind `digest-mismatch`.
    """
    here = present_files(clone.workspace, one.path)
    wanted = {item.path: item.sha256 for item in items}
    found = digest_files(clone.workspace, {name: here[name] for name in wanted if name in here}, state, jobs)
    wrong = sorted(name for name, known in found.items() if known.sha256 != wanted[name])
    for name in wrong:
        file = Path(here[name].path)
        with disk(file):
            file.unlink(missing_ok=True)
    if wrong:
        raise _corrupt(f"{_named(f'{one.path}/{name}' for name in wrong)}", "It was removed. Pull again.")


def _publication(view: View, head: str, now: datetime) -> Publication:
    """The published branch up to `head`, recomputed."""
    for tier, publication in view.publications.items():
        if publication.tip == head:
            return publication
        tip = ref_tip(view.repo, layout.published_ref(tier))
        line = list(view.repo.line(tip)) if tip else []
        ids = [commit.id for commit in line]
        if head in ids[1:]:
            until = PublishedLine(History(view.repo, view.history.trust_root), view.line, tier, now)
            return until.verify(line[: ids.index(head) + 1])
    for error in view.broken.values():
        raise error
    raise Refused(
        f"The checked-out commit {head[:12]} is on no published branch.",
        kind="not-published",
        why="In a clone of a Ctrl repository only what was published is pulled.",
        mend="git switch published && git pull",
    )


def _approved(publication: Publication) -> dict[str, tuple[Artifact, str]]:
    """Metafile -> artifact and SHA-256, of all that stands published."""
    out = {}
    for path, ident in sorted(publication.current.items()):
        manifest = publication.publications[ident].case.manifest
        for artifact, subject in zip(manifest.body.artifacts, manifest.subjects, strict=True):
            if layout.metafile(manifest.body.node or "", artifact.path) == path:
                out[path] = (artifact, subject.value)
    return out


def _cached(clone: Clone, one: Tracking) -> Contents | None:
    """What an output consists of, by lists of the cache that are proven by SHA-256; None if it lacks them."""
    artifact, sha256 = clone.approved[one.path]
    key = layout.data_key(artifact.md5, is_dir=artifact.dir is not None)
    if artifact.dir is None:
        return Contents(artifact, sha256, (Item(key, "", artifact.md5, sha256),))
    require_listable(artifact)
    cache = clone.workspace.objects
    sums = cache.read(layout.sums_key(sha256), sums_limit(artifact))
    listing = cache.read(key, artifact.dir.size)
    if sums is None or listing is None:
        return None
    if sha256_hex(sums) != sha256 or sha256_hex(listing) != artifact.dir.sha256:
        return None
    return from_lists(artifact, sha256, sums, listing)


def _named(names: Iterable[str]) -> str:
    known = list(names)
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return ", ".join(known[:_SHOWN]) + more


def _corrupt(what: str, mend: str) -> Corrupt:
    return Corrupt(
        f"CORRUPT: {what} is not what was approved.",
        kind="digest-mismatch",
        why="Its SHA-256 differs from the manifest's.",
        mend=mend,
    )
