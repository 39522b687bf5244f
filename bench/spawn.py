"""Runs commands for the benchmark and says what each took; a small process, on purpose.

The kernel counts the memory of whoever forks as the new process's own peak, so the benchmark itself, which
holds much, must not fork what it measures. Speaks JSON, a line each way.
"""

import json
import os
import subprocess
import sys
import time


def main() -> None:
    """Answer until the input ends."""
    for line in sys.stdin:
        task = json.loads(line)
        with open(task["log"], "wb") as out:
            start = time.perf_counter()
            process = subprocess.Popen(
                task["command"],
                cwd=task["cwd"],
                env=task["env"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        answer = {
            "code": process.returncode,
            "wall": wall,
            "cpu": usage.ru_utime + usage.ru_stime,
            "peak_mb": usage.ru_maxrss / 1024,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
