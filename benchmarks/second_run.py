"""How soon a second run of an environment says who holds it."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.measuring import ENVIRONMENT, RUN_SECONDS, Row, own_host, project, pytest, table

PROFILE = "e2e-local"
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
        plain = copy.parent / "test_plain.py"
        plain.write_text("def test_plain():\n    pass\n")
        done = copy.parent / "done"
        scenario = copy / "e2e/scenarios/smoke/test_holds.py"
        scenario.write_text(HOLDS.format(held=HELD, done=str(done), seconds=RUN_SECONDS))
        with _run(copy, "-n0", "--capture=no") as holding:
            _read_until(HELD, holding)
            for workers in ("0", "auto"):
                told, without = [], []
                for _ in range(RUNS):
                    began = time.perf_counter()
                    with _run(copy, "-n", workers) as second:
                        _read_until(LINE, second)
                        told.append(time.perf_counter() - began)
                        second.terminate()
                        second.communicate(timeout=RUN_SECONDS)
                    without.append(pytest(["-n", workers, str(plain)], copy.parent).wall)
                beside = f"from enter; plain pytest with one test: {median(without):.2f} s; {RUNS} pairs"
                name = f"a second run names who holds, -n {workers}"
                yield Row(name, median(told), MOST_SECONDS, "s", beside)
            done.touch()
            output, _ = holding.communicate(timeout=RUN_SECONDS)
            if holding.returncode:
                raise SystemExit(f"the run that held {PROFILE}: exit code {holding.returncode}\n{output}")


@contextmanager
def _run(copy: Path, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Start a run of the one test, which the end of the block finds ended."""
    selected = ["--esb-profile", PROFILE, "-p", "no:hypothesispytest", "-k", "test_holds"]
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *selected, *arguments],
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
