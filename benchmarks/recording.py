"""What a green test pays for the sections that it would have if it failed."""

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.measuring import Row, table
from esb_e2e_plugin.credentials import Credentials
from esb_e2e_plugin.environment import Environment, Paths, Ports, Urls
from esb_e2e_plugin.recorder import BODY_BYTES, Recorder, Request

TESTS = 2000
REQUESTS = 10
BODY = b"x" * BODY_BYTES


def measure() -> Iterator[Row]:
    """Begin tests beside a log of some size, and keep the requests of each."""
    with TemporaryDirectory(prefix="esb-bench-") as folder:
        recorder = Recorder()
        environment = _environment(Path(folder))
        environment.paths.log.write_bytes(b"x\n" * 1_000_000)
        recorder.enter(environment)
        taken = []
        for number in range(TESTS):
            began = time.perf_counter()
            recorder.begin(f"e2e/scenarios/test_x.py::test_{number}[e2e-local]", environment.profile)
            for _ in range(REQUESTS):
                recorder.add(Request(began, 0.01, "POST", "/api/echo", "200", sent=BODY, received=BODY))
            taken.append((time.perf_counter() - began) * 1000)
    yield Row("recording of a green test", median(taken), 5, "ms", f"{REQUESTS} requests; {TESTS} tests")


def _environment(folder: Path) -> Environment:
    files = dict.fromkeys(
        ("root", "state", "run", "config", "certificates", "ca_certificate", "logs", "events"), folder
    )
    urls = dict.fromkeys(
        ("gateway", "gateway_http", "agent_metrics", "database", "s3", "authentication"), "http://127.0.0.1"
    )
    return Environment(
        name="e2e-local",
        profile="e2e-local",
        mode="process",
        project="esb-e2e-local",
        run_id="bench",
        ports=Ports(*range(8)),
        urls=Urls(**urls),
        paths=Paths(**files, log=folder / "log"),
        credentials=Credentials.random(),
    )


if __name__ == "__main__":
    print(table(measure()))
