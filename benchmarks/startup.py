"""`ectype --help`: how long it takes, and that torch is not imported.

    ./dev bench startup [--rounds 20] [--again]

The time is the whole process, from its start to its end, and the median of the rounds.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from _record import measure, options

NAME = "startup"
COMMAND = [sys.executable, "-m", "ectype", "--help"]
PROTOCOL = "python -m ectype --help, a whole process, median of {rounds} after one that warms the disk cache"


def imported() -> set[str]:
    """The modules that `ectype --help` loads."""
    words = [sys.executable, "-X", "importtime", *COMMAND[1:]]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}


def once() -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    subprocess.run(COMMAND, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def figures(rounds: int) -> dict[str, object]:
    """Median and spread, seconds, and whether torch was loaded."""
    modules = imported()
    times = [once() for _ in range(rounds)]
    return {
        "seconds": round(statistics.median(times), 4),
        "fastest": round(min(times), 4),
        "slowest": round(max(times), 4),
        "torch": "torch" in modules,
        "modules": len(modules),
    }


def main() -> None:
    """Measure once."""
    asked = options(__doc__, rounds=20)
    measure(NAME, {}, PROTOCOL.format(rounds=asked.rounds), lambda: figures(asked.rounds), again=asked.again)


if __name__ == "__main__":
    main()
