"""What a network or a service does at its worst, on real SeaweedFS behind a proxy that brings the trouble."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest
from lab import Lab, md5_key

from placet.adapters.objects.open import open_store
from placet.core.digest import digest
from placet.errors import Refused
from placet.testing.trouble import (
    Answer,
    Call,
    CorruptAnswer,
    CorruptBody,
    Hang,
    LoseAnswer,
    Reset,
    Rule,
    Truncate,
)
from placet.wire import data as wire

FILES = "files/md5/../[0-9a-f]{30}$"
PASSING = {
    "reset": Reset(),
    "lost answer": LoseAnswer(),
    "SlowDown": Answer(503, "SlowDown"),
    "InternalError": Answer(500, "InternalError"),
    "bad gateway": Answer(502),
    "too many": Answer(429),
    "no answer in time": Hang(),
}


@pytest.fixture
def made(lab: Lab) -> dict[str, bytes]:
    made = lab.fill(files=6)
    lab.placet("track", "data")
    return made


def require_pushed(lab: Lab, made: dict[str, bytes]) -> None:
    keys = lab.require_remote_sound()
    assert {md5_key(data) for data in made.values()} | {lab.out_key("data")} <= keys.keys()


@pytest.mark.parametrize("trouble", PASSING)
def test_a_push_outlives_trouble_that_passes(lab, made, proxy, trouble):
    """Every PUT and every HEAD meets it once: each is sent again, and what arrived twice is proven."""
    lab.add_remote("main", {**lab.remotes["main"], "read_timeout": "1"})
    times = {"times": 1, "per_key": trouble != "no answer in time"}
    proxy.meet(Rule(PASSING[trouble], method="PUT", **times), Rule(PASSING[trouble], method="HEAD", **times))
    assert lab.placet("push").json["objects"] == len(made) + 2
    require_pushed(lab, made)


@pytest.mark.parametrize("trouble", [*PASSING, "truncated", "empty", "corrupt"])
def test_a_fetch_outlives_trouble_that_passes(lab, made, proxy, trouble):
    lab.add_remote("main", {**lab.remotes["main"], "read_timeout": "1"})
    lab.placet("push")
    lab.forget("data")
    more = {"truncated": Truncate(300), "empty": Truncate(0), "corrupt": CorruptAnswer(-7)}
    times = {"times": 1, "per_key": trouble != "no answer in time"}
    proxy.meet(Rule({**PASSING, **more}[trouble], method="GET", **times))
    lab.placet("pull")
    assert lab.tree() == made
    lab.require_sound()


@pytest.mark.parametrize("trouble", ["reset", "SlowDown", "truncated"])
def test_a_listing_outlives_trouble_that_passes(seaweed, proxy, trouble):
    """In the middle of its pages: nothing is passed over, nothing comes twice."""
    remote = seaweed.remote("target")
    store = wire.open_store({**remote, "endpointurl": proxy.endpoint})
    client, prefix = seaweed.server.client(), store.address.prefix
    keys = [f"files/{number:04}" for number in range(1050)]
    for key in keys:
        client.put_object(Bucket="target", Key=f"{prefix}/{key}", Body=b"x")
    trouble = {**PASSING, "truncated": Truncate(5000)}[trouble]
    proxy.meet(Rule(trouble, query="list-type", skip=1, times=1))
    assert [one.key for one in store.list("files/")] == keys
    assert proxy.count("GET") == 3
    proxy.meet(Rule(trouble, query="list-type", times=1))
    assert [one.key for one in store.list("files/")] == keys


@pytest.mark.parametrize("trouble", ["reset", "lost answer", "SlowDown"])
def test_an_upload_by_parts_outlives_trouble_that_passes(lab, proxy, trouble):
    body = os.urandom(40 << 20)
    (lab.root / "big.bin").write_bytes(body)
    lab.placet("track", "big.bin")
    proxy.meet(
        Rule(PASSING[trouble], method="PUT", query="partNumber=2", times=1),
        Rule(PASSING[trouble], method="POST", query="uploadId", times=1),
    )
    assert lab.placet("push").json["objects"] == 1
    assert lab.require_remote_sound() == {md5_key(body): len(body)}
    assert lab.uploads() == []
    lab.forget("big.bin")
    proxy.meet(Rule(PASSING[trouble], method="GET", skip=1, times=2))
    lab.placet("pull")
    assert (lab.root / "big.bin").read_bytes() == body


@pytest.mark.parametrize("size", [1000, 20 << 20])
def test_bytes_that_change_on_their_way_are_sent_again_and_never_stored(lab, proxy, size):
    body = os.urandom(size)
    (lab.root / "x.bin").write_bytes(body)
    lab.placet("track", "x.bin")
    proxy.meet(Rule(CorruptBody(500), method="PUT", times=1))
    lab.placet("push")
    assert proxy.count("PUT") > 1
    assert lab.require_remote_sound() == {md5_key(body): size}
    (lab.root / "y.bin").write_bytes(b"other" * 200)
    lab.placet("track", "y.bin")
    proxy.meet(Rule(CorruptBody(500), method="PUT"))
    lab.fails("push", "y.bin", code=13, kind="digest-mismatch")
    assert lab.require_remote_sound() == {md5_key(body): size}


@pytest.mark.parametrize("trouble", ["corrupt", "truncated"])
def test_a_download_that_stays_wrong_is_an_error_and_leaves_nothing(lab, made, proxy, trouble):
    """`truncated`: the remote's object itself ends too early, and says so nowhere."""
    lab.placet("push")
    lab.forget("data")
    victim = md5_key(made["part0/file0.bin"])
    if trouble == "corrupt":
        proxy.meet(Rule(CorruptAnswer(3), method="GET", key=victim))
    else:
        lab.bucket.put_object(Bucket="target", Key=f"{lab.prefix}/main/{victim}", Body=b"short")
    lab.fails("pull", code=13, kind="digest-mismatch", words="placet fetch --verify")
    assert not (lab.cache / victim).exists()
    assert not list(lab.cache.rglob("*.tmp"))
    assert not (lab.root / "data").exists()
    lab.require_sound()
    proxy.meet()
    lab.bucket.put_object(Bucket="target", Key=f"{lab.prefix}/main/{victim}", Body=made["part0/file0.bin"])
    lab.placet("pull")
    assert lab.tree() == made


STAYING = {
    "reset": (Reset(), 1, "store-unreachable", "reset"),
    "SlowDown": (Answer(503, "SlowDown"), 1, "store-answer", "--jobs"),
    "expired": (Answer(400, "ExpiredToken"), 12, "credential-expired", "aws sso login"),
}
REFUSALS = {
    "clock": (Answer(403, "RequestTimeTooSkewed"), Refused, "clock-skew", "timedatectl"),
    "expired": (Answer(400, "ExpiredToken"), Refused, "credential-expired", "aws sso login"),
    "expired key": (Answer(403, "ExpiredToken"), Refused, "credential-expired", "session_token"),
    "unknown key": (Answer(403, "InvalidAccessKeyId"), Refused, "store-denied", "access_key_id"),
    "wrong secret": (Answer(403, "SignatureDoesNotMatch"), Refused, "store-denied", "secret_access_key"),
    "denied": (Answer(403, "AccessDenied"), Refused, "store-denied", "that the bucket is there"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_says_what_to_do_whatever_was_asked(seaweed, proxy, refusal):
    """A HEAD's answer has no body, so the reason is asked for by GET."""
    answer, kind_of, kind, words = REFUSALS[refusal]
    store = wire.open_store({**seaweed.remote("target"), "endpointurl": proxy.endpoint})
    proxy.meet(Rule(answer))
    for ask in (
        lambda: store.head("files/md5/ab/c"),
        lambda: list(store.list("files/")),
        lambda: b"".join(store.get("files/md5/ab/c")),
        lambda: store.put("files/md5/ab/c", [b"x"], digest(b"x")),
        lambda: store.put("files/md5/ab/c", [bytes(9 << 20)], digest(bytes(9 << 20)), overwrite=True),
        lambda: store.delete("files/md5/ab/c"),
    ):
        with pytest.raises(kind_of) as caught:
            ask()
        assert caught.value.kind == kind
        assert words in caught.value.mend
    assert proxy.count() == 7


@pytest.mark.parametrize("trouble", STAYING)
def test_trouble_that_stays_ends_in_a_clear_error_and_the_same_command_goes_on(lab, proxy, trouble):
    """At the first question, in the middle of a push, and in the middle of a fetch."""
    answer, code, kind, words = STAYING[trouble]
    made = lab.fill(files=3)
    lab.placet("track", "data")
    proxy.meet(Rule(answer))
    lab.fails("push", "--jobs", "2", code=code, kind=kind, words=words)
    proxy.meet(Rule(answer, method="PUT", skip=1))
    lab.fails("push", "--jobs", "2", code=code, kind=kind, words=words)
    lab.require_remote_sound()
    proxy.meet()
    lab.placet("push")
    require_pushed(lab, made)
    lab.forget("data")
    proxy.meet(Rule(answer, method="GET", skip=2))
    lab.fails("pull", "--jobs", "2", code=code, kind=kind, words=words)
    lab.require_sound()
    assert not (lab.root / "data").exists()
    proxy.meet()
    lab.placet("pull")
    assert lab.tree() == made


def test_a_service_that_never_answers(lab, made, proxy):
    lab.placet("push")
    lab.forget("data")
    lab.add_remote("main", {**lab.remotes["main"], "read_timeout": "1"})
    proxy.meet(Rule(Hang(), method="GET", skip=2))
    lab.fails("pull", code=1, kind="store-unreachable", words="no answer in time")
    assert not (lab.root / "data").exists()
    lab.require_sound()
    proxy.meet()
    lab.placet("pull")
    assert lab.tree() == made


def test_a_clock_that_is_wrong_is_what_seaweedfs_says_of_it(seaweed):
    """Not told by a proxy: a signature that is a day old, at the real server."""
    store = open_store(
        seaweed.remote("target"), environ={}, now=lambda: datetime.now(UTC) - timedelta(days=1)
    )
    with pytest.raises(Refused) as caught:
        store.head("x")
    assert caught.value.kind == "clock-skew"


def test_a_bucket_that_vanishes_between_two_commands(lab, made, seaweed):
    """SeaweedFS tells its administrator so; to others it denies what is not there, and so do we."""
    server = seaweed.server
    access, secret = server.credentials("admin")
    server.create_bucket("vanishing")
    lab.add_remote(
        "main",
        {
            **lab.remotes["main"],
            "url": "s3://vanishing/x",
            "access_key_id": access,
            "secret_access_key": secret,
        },
    )
    lab.placet("push")
    lab.forget("data")
    _delete(server.client(), "vanishing")
    lab.fails("pull", code=10, kind="no-bucket", words="vanishing")
    lab.fails("status", "-r", "main", code=10, kind="no-bucket", words="vanishing")
    lab.add_remote("main", {**lab.remotes["main"], **_writer(seaweed)})
    lab.fails("pull", code=12, kind="store-denied", words="that the bucket is there")
    assert not (lab.root / "data").exists()


def _delete(client, bucket: str) -> None:
    for one in client.list_objects_v2(Bucket=bucket)["Contents"]:
        client.delete_object(Bucket=bucket, Key=one["Key"])
    client.delete_bucket(Bucket=bucket)


def _writer(seaweed) -> dict[str, str]:
    access, secret = seaweed.server.credentials("writer")
    return {"access_key_id": access, "secret_access_key": secret}


@pytest.mark.parametrize("same", [True, False])
def test_an_upload_that_the_server_did_not_confirm_is_proven(lab, proxy, same):
    """The answer is lost, and a second try meets an object: ours counts only if it is ours."""
    body = b"the right bytes" * 20
    (lab.root / "x.bin").write_bytes(body)
    lab.placet("track", "x.bin")
    there = body if same else b"x" * len(body)

    def write(_: object) -> None:
        lab.bucket.put_object(Bucket="target", Key=f"{lab.prefix}/main/{md5_key(body)}", Body=there)

    proxy.meet(Rule(Call(write), method="PUT", times=1))
    if same:
        assert lab.placet("push").json["objects"] == 1
        assert proxy.count("GET", md5_key(body)) > 0
    else:
        lab.fails("push", code=13, kind="md5-twin", words="find out who wrote it")
