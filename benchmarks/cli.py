"""How long the `esb` command takes to start."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from benchmarks.measuring import ENVIRONMENT, ROOT, Row, table

STARTS = 15
TARGET_SECONDS = 0.25


def measure() -> Iterator[Row]:
    """Start `esb` for its help and its version, in turns with an interpreter that does nothing."""
    esb = str(Path(sys.executable).with_name("esb"))
    commands = {"esb --help": [esb, "--help"], "esb version": [esb, "version"]}
    taken: dict[str, list[float]] = {name: [] for name in commands}
    bare: list[float] = []
    for _ in range(STARTS):
        bare.append(_seconds([sys.executable, "-c", ""]))
        for name, command in commands.items():
            taken[name].append(_seconds(command))
    beside = f"python -c '': {median(bare):.2f} s; {STARTS} starts"
    for name, seconds in taken.items():
        yield Row(name, median(seconds), TARGET_SECONDS, "s", beside)


def _seconds(command: Sequence[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    print(table(measure()))
