"""What gc refuses to touch, case by case."""

from pathlib import Path

import pytest

from placet.engine.gcguard import Tiers, refuse_cache, refuse_remote
from placet.errors import Invalid, PlacetError, Refused

BASE = Path("/work/project/.dvc")
PUBLIC = {"url": "s3://pub/x", "endpointurl": "http://one", "access_key_id": "P"}


def refused(name, remotes, *, names=(), urls=(), owned=("store",)):
    tiers = Tiers({"publication-storage": PUBLIC, **remotes}, frozenset(names), tuple(urls), BASE)
    try:
        refuse_remote(name, tiers, owned=owned)
    except PlacetError as error:
        return error.kind
    return None


@pytest.mark.parametrize(
    ("store", "kind"),
    [
        ({"url": "s3://internal/x"}, None),
        ({"url": "s3://internal/x", "access_key_id": "I"}, None),
        ({"url": "s3://pub/y"}, None),
        ({"url": "s3://pub/xy"}, None),
        ({"url": "gs://pub/x"}, None),
        ({"url": "s3://pub/x"}, "gc-publication-tier"),
        ({"url": "s3://pub/x/", "endpointurl": "http://alias"}, "gc-publication-tier"),
        ({"url": "s3://pub/x/within"}, "gc-publication-tier"),
        ({"url": "s3://pub"}, "gc-publication-tier"),
        ({"url": "s3://someone@PUB//x"}, "gc-publication-tier"),
        ({"url": "remote://publication-storage/in"}, "gc-publication-tier"),
        ({"url": "s3://internal/x", "access_key_id": "P"}, "gc-publication-tier"),
        ({"url": "remote://base/x"}, "gc-publication-tier"),
        ({"url": "remote://base/x", "access_key_id": "I"}, None),
        ({"url": "remote://nowhere/x"}, "remote-option"),
    ],
)
def test_a_place_that_is_published(store, kind):
    assert refused("store", {"store": store, "base": {"url": "s3://other", "access_key_id": "P"}}) == kind


def test_tiers_by_name():
    other = {"mirror": {"url": "s3://m/x"}, "publication-eu": {"url": "s3://eu/x"}}
    assert refused("publication-eu", other, owned=other) == "gc-publication-tier"
    assert refused("mirror", other, owned=other) is None
    assert refused("mirror", other, owned=other, names=["mirror"]) == "gc-publication-tier"


def test_tiers_of_the_policy():
    assert refused("store", {"store": {"url": "s3://a/b"}}, urls=["s3://a/b"]) == "gc-publication-tier"
    assert refused("store", {"store": {"url": "s3://a/b"}}, urls=["s3://a/c"]) is None


def test_credentials_by_profile():
    public = {"publication-eu": {"url": "s3://eu/x", "credentialpath": "/keys", "profile": "pub"}}
    same = {"store": {"url": "s3://a/b", "credentialpath": "/keys", "profile": "pub"}, **public}
    other = {"store": {"url": "s3://a/b", "credentialpath": "/keys", "profile": "job"}, **public}
    assert refused("store", same) == "gc-publication-tier"
    assert refused("store", other) is None


def test_whose_users_are_not_known():
    assert refused("store", {"store": {"url": "s3://a/b"}}, owned=()) == "gc-shared-remote"


def test_local_paths(tmp_path):
    tier = {"publication-storage": {"url": "../../pub"}}
    for url in ("../../pub/in", "/work/pub", "file:///work/pub/x"):
        assert refused("store", {**tier, "store": {"url": url}}) == "gc-publication-tier"
    assert refused("store", {**tier, "store": {"url": "../../other"}}) is None


def test_a_cache(tmp_path):
    root = tmp_path / "project"
    tiers = Tiers({"publication-storage": {"url": str(tmp_path / "pub")}}, frozenset(), (), root / ".dvc")
    inside, outside = root / ".dvc" / "cache", tmp_path / "cache"
    refuse_cache(inside, root, tiers, shared=False, owned=False)
    refuse_cache(outside, root, tiers, shared=False, owned=True)
    for cache, shared in ((outside, False), (inside, True)):
        with pytest.raises(Refused) as caught:
            refuse_cache(cache, root, tiers, shared=shared, owned=False)
        assert caught.value.kind == "gc-shared-cache"
    with pytest.raises(Refused) as tier:
        refuse_cache(tmp_path / "pub" / "cache", root, tiers, shared=False, owned=True)
    assert tier.value.kind == "gc-publication-tier"
    outside.mkdir()
    inside.parent.mkdir(parents=True)
    inside.symlink_to(outside)
    with pytest.raises(Refused):
        refuse_cache(inside, root, tiers, shared=False, owned=False)


@pytest.mark.parametrize("inner", ["files", "files/md5"])
def test_a_cache_whose_objects_are_elsewhere(tmp_path, inner):
    root = tmp_path / "project"
    tiers = Tiers({"publication-storage": {"url": str(tmp_path / "pub")}}, frozenset(), (), root / ".dvc")
    link = root / ".dvc" / "cache" / inner
    link.parent.mkdir(parents=True)
    for place, owned, kind in (("out", False, "gc-shared-cache"), ("pub", True, "gc-publication-tier")):
        (tmp_path / place / "md5").mkdir(parents=True)
        link.unlink(missing_ok=True)
        link.symlink_to(tmp_path / place)
        with pytest.raises(Refused) as caught:
            refuse_cache(root / ".dvc" / "cache", root, tiers, shared=False, owned=owned)
        assert caught.value.kind == kind


def test_remotes_that_name_each_other():
    tiers = Tiers({"store": {"url": "remote://store"}}, frozenset(), (), BASE)
    with pytest.raises(Invalid):
        refuse_remote("store", tiers, owned=["store"])
