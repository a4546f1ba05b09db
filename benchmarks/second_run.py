"""How soon a second run of an environment says who holds it."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.bring_up import moments
from benchmarks.measuring import (
    ENVIRONMENT,
    FOR_TESTS_ONLY,
    RUN_SECONDS,
    Row,
    own_host,
    project,
    pytest,
    table,
)

PROFILE = "e2e-local"
SELECTED = ("--esb-profile", PROFILE, "-k", "test_holds")
WORKERS = ("0", "auto")
RUNS = 7
MOST_SECONDS = 1.0
LINE = f"[{PROFILE}] waiting: held by pid "
HOLDS = """
import time
from pathlib import Path

def test_holds(esb_environment):
    print({held!r}, flush=True)
    deadline = time.monotonic() + {seconds}
    while not Path({done!r}).exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
"""
HELD = "the environment is held"


def measure() -> Iterator[Row]:
    """Start runs of an environment that another run is in the middle of, and end each once it has said so."""
    with project() as copy:
        done = copy.parent / "done"
        scenario = copy / "e2e/scenarios/smoke/test_holds.py"
        scenario.write_text(HOLDS.format(held=HELD, done=str(done), seconds=RUN_SECONDS))
        wanted = {workers: _seconds_until_wanted(copy, done, workers) for workers in WORKERS}
        with _run(copy, "-n0", "--capture=no") as holding:
            _read_until(HELD, holding)
            for workers in WORKERS:
                told = median(_seconds_until_told(copy, workers) for _ in range(RUNS))
                beside = f"from wanting it; from enter: {told:.2f} s; {RUNS} runs each"
                name = f"a second run names who holds, -n {workers}"
                yield Row(name, told - wanted[workers], MOST_SECONDS, "s", beside)
            done.touch()
            output, _ = holding.communicate(timeout=RUN_SECONDS)
            if holding.returncode:
                raise SystemExit(f"the run that held {PROFILE}: exit code {holding.returncode}\n{output}")


def _seconds_until_wanted(copy: Path, done: Path, workers: str) -> float:
    """Return when runs of an environment that is free begin to bring it up."""
    done.touch()
    events = copy / f".esb/e2e/state/{PROFILE}/events.jsonl"
    seconds = []
    for _ in range(RUNS):
        used = pytest([*SELECTED, "-n", workers], copy, own_host(copy))
        seconds.append(moments(events)["reset started"] - used.started)
    done.unlink()
    return median(seconds)


def _seconds_until_told(copy: Path, workers: str) -> float:
    began = time.perf_counter()
    with _run(copy, "-n", workers) as second:
        _read_until(LINE, second)
        told = time.perf_counter() - began
        second.terminate()
        second.communicate(timeout=RUN_SECONDS)
    return told


@contextmanager
def _run(copy: Path, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Start a run of the one test, which the end of the block finds ended."""
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *FOR_TESTS_ONLY, *SELECTED, *arguments],
        cwd=copy,
        env={**ENVIRONMENT, **own_host(copy)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        deadline = threading.Timer(RUN_SECONDS, process.kill)
        deadline.start()
        try:
            yield process
        finally:
            deadline.cancel()
            process.terminate()


def _read_until(text: str, process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    read = []
    for line in process.stdout:
        read.append(line)
        if text in line:
            return
    raise SystemExit(f"pytest ended without {text!r}:\n{''.join(read)}")


if __name__ == "__main__":
    print(table(measure()))
