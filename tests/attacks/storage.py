"""Attacks on bytes: in the internal tier, in the publication tier, on their way, and before the reviewer."""

import os
from datetime import UTC, datetime, timedelta

from attacks.field import DATA, KEY, METAFILE, TIER, AttackSucceeded, Quiet
from placet.core import layout
from placet.core.digest import digest, md5_hex
from placet.core.dvcfile import Output, encode_metafile
from placet.core.mentions import mentioned
from placet.core.sums import encode_sums
from placet.engine import transfer
from placet.engine.contents import read_contents
from placet.engine.disk import Cache
from placet.engine.roots import governed
from placet.engine.scrub import Scrub
from placet.engine.scrubmark import MarkFile
from placet.engine.verify import verify
from placet.errors import PlacetError, Unavailable
from placet.ports import RefUpdate
from placet.testing import twins
from placet.wire.ctrl import write_proposal

LONG = 4 << 20


def swap_after_approval(ground):
    """The approved object is replaced in the internal tier by its MD5 twin, which DVC's hash cannot tell."""
    field = ground.at("landed")
    field.overwrite(field.internal, KEY, twins.B)
    with field.refused("bytes that nobody approved were published", "digest-mismatch"):
        field.promote()


def swap_between_check_and_copy(ground):
    """The same, after the agent looked and before it copies."""
    field = ground.at("landed")

    class Racing:
        def __init__(self, inner):
            self._inner = inner

        def __getattr__(self, name):
            return getattr(self._inner, name)

        def copy_from(self, source, key, want, **options):
            field.overwrite(field.internal, KEY, twins.B)
            return self._inner.copy_from(source, key, want, **options)

    target = field.promoter().targets[TIER]
    target = type(target)(Racing(target.store), target.url, target.endpointurl)
    with field.refused("bytes swapped at the last moment were published", "digest-mismatch"):
        field.promote(targets={TIER: target})


def swap_of_a_large_object(ground):
    """The same with an object that the service itself copies, by whichever way it can."""
    field = ground.at("new", ("bytes: 1000000", "bytes: 9000000"))
    one, two = twins.A + bytes(LONG), twins.B + bytes(LONG)
    ident = _large(field, one)
    field.overwrite(field.internal, layout.data_key(md5_hex(one)), two)
    with field.refused("large bytes that nobody approved were published", "digest-mismatch"):
        field.promote(ident)


def _large(field, data):
    candidate = field.file_candidate(data, "outputs/large.bin")
    return field.land(field.propose_these(candidate))


def swapped_listing(ground):
    """The `.dir` object is replaced in the internal tier: another file under an approved name."""
    field = ground.at("new")
    ident = field.land(field.propose_these(field.folder_candidate([("a", b"approved"), ("b", b"b")])))
    artifact = field.view().find(ident).manifest.body.artifacts[0]
    swapped = field.folder_candidate([("a", b"swapped."), ("b", b"b")], "outputs/other")
    other = b"".join(field.internal.get(layout.data_key(swapped.md5, is_dir=True)))
    field.overwrite(field.internal, layout.data_key(artifact.md5, is_dir=True), other)
    with field.refused("another list of files was published", "digest-mismatch"):
        field.promote(ident)


def swapped_digest_list(ground):
    """The digest list is replaced together with an object by its MD5 twin: all that DVC knows stays the same."""
    field = ground.at("new")
    candidate = field.folder_candidate([("a", twins.A)])
    ident = field.land(field.propose_these(candidate))
    swapped = encode_sums([("a", digest(twins.B).sha256)])
    field.overwrite(field.internal, layout.sums_key(candidate.sha256), swapped)
    field.overwrite(field.internal, KEY, twins.B)
    with field.refused("a swapped digest list let other bytes out", "digest-mismatch"):
        field.promote(ident)


def lists_that_disagree(ground):
    """A node signs a `.dir` object and a digest list that name different files: reviewers see one of them."""
    field = ground.at("new")
    honest = field.folder_candidate([("a", b"x"), ("b", b"y")])
    shown = field.folder_candidate([("a", b"x"), ("c", b"y")])
    ident = field.propose_these(type(honest)(**{**_fields(honest), "sha256": shown.sha256}))
    with field.refused("two lists of different files were accepted", "digest-list"):
        _read(field, ident)


def _read(field, ident):
    """What a reviewer's client and the agent do first."""
    contents = read_contents(field.internal, field.view().find(ident).manifest)
    paths = write_proposal(field.internal, contents, field.folder / f"out-{ident[:8]}", 2)
    assert paths


def _fields(value):
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def the_reviewer_is_shown_other_bytes(ground):
    """While the reviewer looks, the internal tier holds the harmless twin; or the other way round."""
    field = ground.at("proposed")
    field.overwrite(field.internal, KEY, twins.B)
    with field.refused("a reviewer was shown other bytes than those of the manifest", "digest-mismatch"):
        _read(field, field.ident)


def twin_in_the_publication_tier(ground):
    """The publication tier holds the twin already: promotion would find the object there and stop."""
    field = ground.at("landed")
    field.hold(DATA)
    field.overwrite(field.publication, KEY, twins.B)
    with field.refused("the twin in the publication tier was published as approved", "md5-twin"):
        field.promote()


def twins_in_one_proposal(ground):
    """Two files with one MD5 in one directory: DVC keeps one object for both."""
    field = ground.at("new")
    candidate = field.folder_candidate([("a", twins.A), ("b", twins.B)])
    ident = field.land(field.propose_these(candidate))
    with field.refused("one object stands for two approved contents", "md5-twin"):
        field.promote(ident)


def twins_before_the_reviewer(ground):
    """The same, before anybody decides: one object is shown for two files."""
    field = ground.at("new")
    ident = field.propose_these(field.folder_candidate([("a", twins.A), ("b", twins.B)]))
    manifest = field.view().find(ident).manifest
    with field.refused("one object stands for two files that are shown", "md5-twin"):
        read_contents(field.internal, manifest)


def twin_of_what_was_proposed_before(ground):
    """The twin of a proposed file, in a proposal of its own: past the client, to the gate."""
    field = ground.at("proposed")
    ident = field.past_the_client(field.file_candidate(twins.B, "outputs/twin.bin"))
    tip = field.branch(ident)
    field.drop(field.branch_ref(ident))
    field.repo.fetch()
    with field.refused("one MD5 stands for two proposed contents", "push-refused"):
        field.push(RefUpdate(field.branch_ref(ident), None, tip))


def more_in_the_work_tree(ground):
    """The bucket and a researcher's work tree hold an artifact more, with a `.dvc` file that nobody published."""
    field = ground.at("published")
    root = field.clone()
    field.hold(b"unapproved", store=field.publication)
    out = Output("more.bin", md5_hex(b"unapproved"), len(b"unapproved"))
    (root / METAFILE).with_name("more.bin.dvc").write_bytes(encode_metafile(out))
    report = verify(field.view(), tier=TIER, root=root, targets=(), now=field.now, jobs=2, progress=Quiet())
    field.holds(not report.ok, "`verify` passed over what nobody published")


def publication_bucket_overwritten(ground):
    """Whoever can write the bucket replaces a published object by its twin, and a researcher pulls it."""
    field = ground.at("published")
    field.overwrite(field.publication, KEY, twins.B)
    root = field.clone()
    (root / METAFILE).with_suffix("").write_bytes(b"".join(field.publication.get(KEY)))
    report = verify(field.view(), tier=TIER, root=root, targets=(), now=field.now, jobs=2, progress=Quiet())
    field.holds(not report.ok, "`verify` took bytes for approved that nobody approved")


def pulled_bytes_are_not_what_their_name_says(ground):
    """The published object is replaced by any other bytes: they must not get into a cache."""
    field = ground.at("published")
    field.overwrite(field.publication, KEY, b"x" * len(DATA))
    cache = Cache(field.folder / "cache")
    with field.refused("wrong bytes got a right name in the cache", "digest-mismatch"):
        transfer.download(field.publication, KEY, cache, md5=md5_hex(DATA), limit=len(DATA))
    field.holds(not os.path.lexists(cache.path(KEY)), "wrong bytes are in the cache")


def others_write_the_publication_bucket(ground):
    """Credentials of readers write, replace or delete in the bucket: a real server refuses them."""
    field = ground.at("published")
    store = field.store("publication", "reader")
    before = b"".join(field.publication.get(KEY))
    for what in (lambda: store.delete(KEY), lambda: field.overwrite(store, KEY, twins.B)):
        try:
            what()
        except PlacetError as error:
            assert error.kind == "store-denied", error.kind  # noqa: PT017 - the kind is not what is tested
        else:
            raise AttackSucceeded("a reader's credential changed the publication tier")
    field.holds(b"".join(field.publication.get(KEY)) == before, "the published object was changed")


def object_gone_after_approval(ground):
    """An approved object is deleted, or one file of a directory: no part of it may be published."""
    field = ground.at("landed")
    field.internal.delete(KEY)
    with field.refused("an artifact was published without its object", "no-object"):
        field.promote()


def part_of_a_directory(ground):
    """One file of an approved directory is gone from the internal tier: the rest alone is not it."""
    field = ground.at("new")
    ident = field.land(field.propose_these(field.folder_candidate([("a", b"a"), ("b", b"b")])))
    field.internal.delete(layout.data_key(md5_hex(b"b")))
    with field.refused("a part of a directory was published", "no-object"):
        field.promote(ident)


def crash_in_the_middle(ground):
    """The agent dies between copy and record: nothing counts as published, and running it again ends well."""
    field = ground.at("landed")
    before = field.tip("refs/heads/published")

    class Dying:
        def __getattr__(self, name):
            return getattr(field.repo, name)

        def push(self, updates):
            raise Unavailable("the power went", kind="ctrl-unreachable")

    (done,) = field.promoter(repo=Dying()).run([field.ident])
    field.holds(
        done.error is not None and field.tip("refs/heads/published") == before,
        "half a promotion counts as published",
    )
    field.promote()
    field.holds(field.state(field.ident) == "PUBLISHED", "a crash left what cannot be completed")


def declared_smaller_than_it_is(ground):
    """A node declares fewer bytes than there are, to stay below the limits of the policy."""
    field = ground.at("new")
    ident = field.land(
        field.propose_these(field.file_candidate(DATA, "outputs/s.bin", size=1, metafile=_small()))
    )
    with field.refused("an artifact above the limit was published as a small one", "digest-mismatch"):
        field.promote(ident)


def _small():
    return encode_metafile(Output("s.bin", md5_hex(DATA), 1))


def published_object_removed_from_the_bucket(ground):
    """Somebody with the bucket's keys, or a lifecycle, removes a published object."""
    field = ground.at("published")
    field.publication.delete(KEY)
    field.holds(not _scrubbed(field).ok, "a published object is gone, and scrub does not say so")


def published_object_swapped_in_the_bucket(ground):
    """The published object is replaced by its twin: as long, with the same MD5 and ETag."""
    field = ground.at("published")
    field.overwrite(field.publication, KEY, twins.B)
    field.holds(not _scrubbed(field).ok, "scrub took other bytes for the published ones")


def more_in_the_publication_bucket(ground):
    """The promoter's credential puts an object into the bucket that nobody approved, days ago."""
    field = ground.at("published")
    field.hold(b"smuggled", store=field.publication)
    field.holds(not _scrubbed(field).ok, "scrub passes over what nobody published")


def _scrubbed(field):
    """What a scrub says days later, reading everything."""
    view, later = field.view(), datetime.now(UTC) + timedelta(days=3)
    return Scrub(
        view=view,
        publication=view.publications[TIER],
        store=field.store("publication", "writer"),
        others=[],
        clock=lambda: later,
        jobs=2,
        progress=Quiet(),
        mark=MarkFile(field.folder / "mark.json"),
        standing=lambda: set(field.view().publications[TIER].publications),
        read=True,
    ).run()


def collection_of_what_is_promised(ground):
    """The node collects what its workspace no longer needs: nothing that is approved or published may go."""
    for stage in ("proposed", "landed", "published"):
        field = ground.at(stage)
        kept = governed(field.view(), field.now, "site-b")
        named = {md5 for md5, *_ in kept.objects}
        named |= {one for file in kept.files for one, _ in mentioned(file.data)}
        field.holds(md5_hex(DATA) in named, f"`gc` would remove what is {stage}")
