"""`make fuzz`: new inputs for minutes, each target in a process of its own; what fails is kept as a regression input.

Atheris (coverage-guided, libFuzzer) if it is installed, else the mutations that `make test` uses.
"""

import argparse
import importlib.util
import logging
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HANG_S = 20
HERE = Path(__file__).parent
CRASHERS = HERE / "crashers"
CORPUS = HERE.parent.parent / ".fuzz"


class Hang(BaseException):
    """One input took longer than any should."""


@contextmanager
def bounded(seconds: int = HANG_S) -> Iterator[None]:
    """Turn an input that hangs into a failure."""

    def ring(*_: object) -> None:
        raise Hang(f"one input took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def quiet() -> None:
    """What the parsers log or warn of millions of bad inputs is of no interest."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")


def keep(name: str, data: bytes) -> Path:
    """Keep an input that failed; its name is its content's."""
    from placet.core.digest import sha256_hex

    path = CRASHERS / name / sha256_hex(data)[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def mutate(name: str, seconds: float, seed: int) -> int:
    """Try mutated seeds until the time is over; 0 if none failed."""
    from fuzz.targets import TARGETS, inputs

    target = next(one for one in TARGETS if one.name == name)
    make, end, count = inputs(target, seed), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        data = make()
        count += 1
        try:
            with bounded():
                target.try_one(data)
        except (Exception, Hang):  # noqa: BLE001 - each is a finding
            traceback.print_exc()
            print(f"{name}: kept as {keep(name, data)}", file=sys.stderr)
            return 1
    print(f"{name}: {count} inputs, no finding", flush=True)
    return 0


def guided(name: str, seconds: float, seed: int) -> int:
    """The same by coverage; libFuzzer ends the process and keeps what failed."""
    import atheris

    with atheris.instrument_imports(include=["placet", "ruamel", "json"]):
        from fuzz.targets import TARGETS
    target = next(one for one in TARGETS if one.name == name)
    corpus, kept = CORPUS / name, CRASHERS / name
    corpus.mkdir(parents=True, exist_ok=True)
    kept.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(one)
    options = [
        f"-max_total_time={int(seconds)}", f"-seed={seed or 1}", f"-timeout={HANG_S}", "-rss_limit_mb=2048",
        "-max_len=16384", "-print_final_stats=0", "-verbosity=0", f"-artifact_prefix={kept}/",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(corpus)], lambda data: target.try_one(data) and None)
    atheris.Fuzz()
    return 0


def main() -> int:
    from fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(prog="make fuzz")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument(
        "--target", default="", help="one of the table in tests/fuzz/targets.py; all if none is named"
    )
    parser.add_argument("--seed", type=int, default=int(time.time()))
    names = [one.name for one in TARGETS]
    given = parser.parse_args()
    wanted = [given.target] if given.target else names
    if not set(wanted) <= set(names):
        parser.error(f"targets: {', '.join(names)}")
    engine = "guided" if importlib.util.find_spec("atheris") else "mutate"
    print(f"{len(wanted)} targets, {given.minutes:g} minutes, seed {given.seed}, {engine}", flush=True)
    failed = []
    for name in wanted:
        code = f"import sys; from fuzz import run; run.quiet(); sys.exit(run.{engine}({name!r}, {60 * given.minutes / len(wanted)}, {given.seed % 2**31}))"
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, "-c", code], cwd=HERE.parent, check=False).returncode:
            failed.append(name)
    for path in CRASHERS.iterdir():
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    print(f"findings: {', '.join(failed) or 'none'}; inputs are in {CRASHERS}", flush=True)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
