"""Inputs that are small and would like to become large, for every parser, under a limit of memory and time."""

import resource
import sys
from pathlib import Path

ROOM = 512 << 20
MANY = 5_000

BOMBS = {
    "nested lists": b"[" * MANY,
    "nested lists, closed": b"[" * MANY + b"]" * MANY,
    "nested objects": b'{"a":' * MANY + b"1" + b"}" * MANY,
    "nested YAML": b"{a: " * MANY,
    "nested blocks": b"- " * MANY,
    "nested keys": b"? " * MANY,
    "deeper and deeper": b"".join(b" " * depth + b"a:\n" for depth in range(600)),
    "aliases": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (98 + n, 98 + n, b",".join([b"*%c" % (97 + n)] * 9)) for n in range(9)),
    "merged aliases": b"a: &a {x: 1}\n"
    + b"".join(
        b"%c: &%c {<<: [%s]}\n" % (98 + n, 98 + n, b",".join([b"*%c" % (97 + n)] * 9)) for n in range(9)
    ),
    "a long number": b"9" * (1 << 16),
    "a long number in JSON": b'{"payload": ' + b"9" * (1 << 16) + b"}",
    "a long number in a metafile": b"outs:\n- md5: a\n  size: " + b"9" * (1 << 16) + b"\n  path: x\n",
    "a long float": b"a: 1" + b"0" * 5000 + b"e" + b"9" * 5000,
    "a sexagesimal": b"a: " + b"59:" * 30_000 + b"59",
    "a long line": b"x" * (1 << 18),
    "many lines": b"a\n" * (1 << 13),
    "many keys": b"".join(b"k%d: v\n" % n for n in range(1500)),
    "many quotes": b'"' * MANY + b"'" * MANY,
    "many escapes": b'["' + b"\\u0041" * MANY + b'"]',
    "many nulls": b"\0" * (1 << 20),
    "entities": b'<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb">'
    + b"".join(b'<!ENTITY %c "%s">' % (99 + n, b"&%c;" % (98 + n) * 10) for n in range(9))
    + b"]><Error><Code>&k;</Code></Error>",
    "nested elements": b"<Error>" * MANY,
    "foreign entity": b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><Error><Code>&b;</Code></Error>',
    "an encoding": b'<?xml version="1.0" encoding="utf-32"?><Error/>',
    "a listing": b'[{"md5": "' + b"a" * 32 + b'", "relpath": "' + b"../" * MANY + b'x"}]',
    "digest lines": (b"a" * 64 + b"  x\n") * 8000,
}


def limit() -> None:
    """Allow this process `ROOM` bytes more of address space than it has."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main() -> int:
    """Feed all bombs to all targets; prints how many, and to stderr what went wrong."""
    from fuzz.run import bounded, quiet
    from fuzz.targets import TARGETS

    quiet()
    for target in TARGETS:
        for seed in target.seeds():
            target.try_one(seed)
    limit()
    count, wrong = 0, []
    for target in TARGETS:
        for name, data in BOMBS.items():
            count += 1
            try:
                with bounded():
                    target.try_one(data)
            except BaseException as error:  # noqa: BLE001 - MemoryError and hangs too
                wrong.append(f"{target.name}: {name}: {error!r:.200}")
    print(count, "inputs")
    for one in wrong:
        print(one, file=sys.stderr)
    return bool(wrong)
