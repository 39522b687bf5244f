"""Mutations of seeds: small, deterministic for a `Random`, and half of them know JSON.

Atheris (`make fuzz`) mutates by coverage; this is what `make test` has, and what any machine can run.
"""

import json
from collections.abc import Callable, Sequence
from random import Random

MAX_BYTES = 1 << 16
TOKENS = (
    b"\x00", b"\n", b"\r\n", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", "\u2028".encode(), "é".encode(), "e\u0301".encode(),
    b"\\ud800", b"\\u0000", b"..", b"../", b"/", b"\\", b"'", b'"', b"{", b"}", b"[", b"]", b":", b": ", b"- ", b"? ", b"#",
    b"&a ", b"*a", b"<<: ", b"!!python/object:x ", b"!!binary ", b"!!set ", b"!!omap ", b"!x ", b"|\n", b">\n", b"%YAML 1.1\n", b"---\n", b"...\n",
    b"null", b"true", b"~", b"NaN", b"Infinity", b"-0", b"1e999", b"0x10", b"0o7", b"1_000", b"1:30", b".inf", b"2026-11-24T10:00:00Z", b"2026-99-99",
    b"0000-01-01T00:00:00Z", b"9" * 25, b"9" * 5000, b"9007199254740991", b"-1", b"0", b"1", b"0" * 32, b"a" * 64, b".dir", b"<Error>", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"<Code>",
)  # fmt: skip
VALUES = (
    None, True, False, 0, 1, -1, 2**53 - 1, 2**53, 2**64, 10**400, 1.5, "", "a", "\x00", "\ud800", "é", "../x", "/x", "a\n", "A" * 5000,
    "0" * 32, "a" * 64, "a" * 40, "2026-11-24T10:00:00Z", "0000-00-00T00:00:00Z", "9999-12-31T23:59:59Z", [], {}, [[]], {"a": 1}, ["a"] * 50,
)  # fmt: skip


def mutated(seeds: Sequence[bytes], random: Random) -> bytes:
    """One new input out of one seed, or two."""
    data = random.choice(seeds)
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        if random.random() < 0.4:
            data = _tree(data, random) or data
        else:
            data = random.choice(_BYTES)(data, random, seeds)
    return data[:MAX_BYTES]


def _span(data: bytes, random: Random) -> tuple[int, int]:
    start = random.randint(0, len(data))
    return start, min(len(data), start + random.choice((0, 1, 1, 2, 4, 8, 16, 64, 256)))


def _flip(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    if not data:
        return b"\x80"
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :]


def _cut(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    return data[: random.randint(0, len(data))]


def _drop(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    start, end = _span(data, random)
    return data[:start] + data[end:]


def _repeat(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    start, end = _span(data, random)
    return data[:end] + data[start:end] * random.choice((1, 1, 2, 10, 200)) + data[end:]


def _token(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    start, end = _span(data, random)
    return data[:start] + random.choice(TOKENS) + data[start if random.random() < 0.5 else end :]


def _splice(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    other = random.choice(seeds)
    return data[: random.randint(0, len(data))] + other[random.randint(0, len(other)) :]


def _number(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    digits = [at for at, char in enumerate(data) if 48 <= char <= 57]
    if not digits:
        return data
    start = random.choice(digits)
    end = start
    while end < len(data) and 48 <= data[end] <= 57:
        end += 1
    return (
        data[:start]
        + random.choice((b"", b"0", b"-1", b"00", b"9" * 20, b"9" * 5000, b"1.5", b"x"))
        + data[end:]
    )


def _lines(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    lines = data.split(b"\n")
    one, two = random.randrange(len(lines)), random.randrange(len(lines))
    lines[one], lines[two] = lines[two], lines[one] if random.random() < 0.5 else lines[two]
    return b"\n".join(lines)


def _nest(data: bytes, random: Random, seeds: Sequence[bytes]) -> bytes:
    start, end = _span(data, random)
    left, right = random.choice(
        ((b"[", b"]"), (b'{"a":', b"}"), (b"{a: ", b"}"), (b"- ", b""), (b"<a>", b"</a>"))
    )
    times = random.choice((1, 3, 30, 300))
    return data[:start] + left * times + data[start:end] + right * times + data[end:]


_BYTES: tuple[Callable[[bytes, Random, Sequence[bytes]], bytes], ...] = (
    _flip, _cut, _drop, _repeat, _token, _token, _splice, _number, _lines, _nest,
)  # fmt: skip


def _tree(data: bytes, random: Random) -> bytes | None:
    """The same JSON with one value, key or entry changed; None if it is no JSON."""
    try:
        root = {"root": json.loads(data)}
    except (ValueError, RecursionError):
        return None
    places: list[tuple[dict | list, str | int]] = []
    todo: list[object] = [root]
    while todo:
        one = todo.pop()
        if isinstance(one, dict | list):
            keys = list(one) if isinstance(one, dict) else list(range(len(one)))
            places += [(one, key) for key in keys]
            todo += [one[key] for key in keys]
    holder, key = random.choice(places)
    how = random.randrange(4)
    if how == 0 and holder is not root:
        del holder[key]
    elif how == 1:
        holder[key] = [holder[key]] * random.choice((1, 2, 2000))
    elif how == 2 and isinstance(holder, dict) and holder is not root:
        holder[random.choice(("a", "", "é", *root))] = random.choice(VALUES)
    else:
        holder[key] = random.choice(VALUES)
    try:
        return json.dumps(root["root"], ensure_ascii=random.random() < 0.8).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return None
