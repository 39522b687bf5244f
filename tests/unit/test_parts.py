"""Uploads by parts at the limits of S3: 10,000 parts, 5 MiB to 5 GiB each, 5 TiB together."""

import math

from hypothesis import given
from hypothesis import strategies as some

from placet.adapters.objects import obs
from placet.adapters.objects.multipart import parts_of
from placet.core.digest import Hasher, digest

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40
LIMITS = [1, 5 * GIB - 1, 5 * GIB, 5 * GIB + 1, 9_000 * 16 * MIB, 9_000 * 16 * MIB + 1, 5 * TIB - 1, 5 * TIB]


@given(some.sampled_from(LIMITS) | some.integers(1, 5 * TIB))
def test_every_size_that_s3_takes_goes_by_parts_that_s3_takes(size):
    part = obs.part_bytes(size)
    assert 5 * MIB <= part <= 5 * GIB
    assert math.ceil(size / part) <= 10_000


@given(some.lists(some.binary(max_size=50), max_size=12), some.integers(1, 9))
def test_a_stream_in_parts_is_the_stream(chunks, part):
    data, hasher = b"".join(chunks), Hasher()
    whole = obs.PART
    obs.PART = part
    try:
        parts = list(parts_of(iter(chunks), len(data), hasher))
    finally:
        obs.PART = whole
    assert b"".join(parts) == data
    assert all(len(one) == part for one in parts[:-1])
    assert all(0 < len(one) <= part for one in parts)
    assert hasher.digests() == digest(data)
