"""Run every benchmark, or those named on the command line, and print one table."""

import sys

from benchmarks import (
    artifactctl,
    bring_up,
    cli,
    collection,
    docker,
    echo,
    idle,
    java,
    output,
    recording,
    report,
    reuse,
    scheduling,
    second_run,
    worker_start,
)
from benchmarks.measuring import table

BENCHMARKS = {
    "bring_up": bring_up,
    "echo": echo,
    "collection": collection,
    "idle": idle,
    "cli": cli,
    "artifactctl": artifactctl,
    "docker": docker,
    "output": output,
    "java": java,
    "worker_start": worker_start,
    "scheduling": scheduling,
    "second_run": second_run,
    "recording": recording,
    "report": report,
    "reuse": reuse,
}


def main() -> None:
    """Measure, one benchmark after the other: they would disturb each other."""
    names = sys.argv[1:] or list(BENCHMARKS)
    if unknown := [name for name in names if name not in BENCHMARKS]:
        raise SystemExit(f"no benchmark {unknown[0]!r}; known: {', '.join(BENCHMARKS)}")
    rows = []
    for name in names:
        print(f"measuring {name} ...", file=sys.stderr)
        rows.extend(BENCHMARKS[name].measure())
    print(table(rows))


main()
