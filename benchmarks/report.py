"""The report: size of a big one and the time to open it, and what it costs a run in which all goes well."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from pytest import TestReport  # noqa: PT013  `pytest` is the function of benchmarks.measuring here

from benchmarks.measuring import Row, own_host, project, pytest, table
from esb_e2e_plugin.reporting.report import files
from esb_e2e_plugin.reporting.report.outcomes import Outcomes
from esb_e2e_plugin.reporting.report.records import (
    EnvironmentRecord,
    FailureRecord,
    Outcome,
    Phase,
    Report,
    RunRecord,
    Section,
    Span,
    TestRecord,
    node_id,
)

TESTS = 5_000
ENVIRONMENTS = 8
WORKERS = 8
RUNS = 3
_BEGUN = 1_800_000_000.0
_FAILS_EVERY = 97
_LOG = "".join(
    f"12:00:{n % 60:02}.000 [gateway] INFO request {n} was answered with 200\n" for n in range(120)
)
_TARGET_BYTES = 20_000_000


def measure() -> Iterator[Row]:
    """Write and open a report of 40,000 tests, then run the smoke scenarios with a report and without."""
    beside = f"{TESTS} tests on {ENVIRONMENTS} environments, every {_FAILS_EVERY}th with its logs"
    with TemporaryDirectory(prefix="esb-bench-") as folder:
        path, report = Path(folder, "big.html"), big_report()
        taken = []
        for _ in range(RUNS):
            started = time.perf_counter()
            files.write(report, path)
            taken.append(time.perf_counter() - started)
        yield Row("report: size", path.stat().st_size / 1e6, _TARGET_BYTES / 1e6, "MB", beside)
        yield Row("report: write", median(taken), 5, "s", beside)
        yield Row(
            "report: open", median(_open(path) for _ in range(RUNS)), 2, "s", "headless Chromium, all drawn"
        )
    yield Row("report: listen to a test", _milliseconds_of_a_test(), 5, "ms", "3 phases of a passed test")
    yield from _green_run()


def big_report(tests: int = TESTS, environments: int = ENVIRONMENTS) -> Report:
    """Return the report of a run in which something of each kind has happened."""
    names = [f"env-{number}" for number in range(environments)]
    cases = tuple(_case(number, index, name) for index, name in enumerate(names) for number in range(tests))
    run = RunRecord(
        id="20270115-080000-000000",
        started=_BEGUN,
        finished=_BEGUN + 60 + tests / WORKERS,
        exit_code=1,
        interrupted=False,
        command=("pytest", "--esb-profile", "all", "-n", str(WORKERS)),
        root="/project",
        python="3.13.0",
        pytest="9.2.0",
        plugin="0.1.0",
        environments=tuple(_environment(name, tests) for name in names),
        tests=cases,
    )
    return Report(runs=(run,))


def _case(number: int, index: int, name: str) -> TestRecord:
    scenario = f"e2e/scenarios/standard/test_{number // 50:03}.py::test_that_order_{number:04}_is_paid"
    outcome: Outcome = "passed"
    sections: tuple[Section, ...] = ()
    if (number + 31 * index) % _FAILS_EVERY == 0:
        outcome = "failed"
        sections = (
            Section(title="esb requests", text=f"POST /api/orders/{number} 500\n" * 5),
            Section(title="esb logs", text=f"{_LOG}12:01:00.000 [orders] ERROR order {number} on {name}\n"),
            Section(
                title="Traceback", text=f"    assert status == 200\nE   assert 500 == 200 ({number})\n" * 20
            ),
        )
    elif number % 61 == 0:
        outcome = "skipped"
    began = _BEGUN + 40 + number / WORKERS + (number % 7) / 100
    return TestRecord(
        id=node_id(scenario, name),
        scenario=scenario,
        environment=name,
        outcome=outcome,
        file=scenario.partition("::")[0],
        line=number % 50 * 12 + 1,
        failed_line=number % 50 * 12 + 9 if sections else None,
        worker=f"gw{number % WORKERS}",
        started=round(began, 3),
        setup=0.002,
        call=round(0.1 + number * 7919 % 800 / 1000, 3),
        teardown=0.001,
        message=f"AssertionError: assert 500 == 200 ({number})" if sections else "",
        sections=sections,
    )


def _environment(name: str, tests: int) -> EnvironmentRecord:
    ends = (("reset", 1.0), ("compose", 25.0), ("deploy", 38.0), ("test", 45.0 + tests / WORKERS))
    phases, begun = [], _BEGUN
    for phase, seconds in ends:
        phases.append(Phase(name=phase, started=begun, finished=_BEGUN + seconds, ok=phase != "test"))
        begun = _BEGUN + seconds
    services = (
        Span(name=service, started=_BEGUN + 2, finished=_BEGUN + 9 + index, ok=True)
        for index, service in enumerate(("gateway", "agent", "database", "s3-storage"))
    )
    return EnvironmentRecord(
        name=name,
        profile=name,
        mode="docker",
        ok=False,
        phases=tuple(phases),
        services=tuple(services),
        failures=(FailureRecord(phase="test", kind="test", component="orders", cause="assert 500 == 200"),),
        log=f"/project/e2e/.parallel-{name}.log",
        log_lines=tuple(_LOG.splitlines()),
    )


def _open(path: Path) -> float:
    """Return how long a browser takes from a page's address until everything is drawn, in seconds."""
    from tests.report.chromium import chromium

    with TemporaryDirectory(prefix="esb-bench-browser-") as folder, chromium(Path(folder)) as browser:
        started = time.perf_counter()
        browser.get(path.as_uri())
        assert browser.execute_script("return document.documentElement.dataset.ready") == "true"
        return time.perf_counter() - started


def _milliseconds_of_a_test() -> float:
    outcomes, count = Outcomes(), 20_000
    reports = [
        TestReport(
            f"test_a.py::test_{number}[env]",
            ("test_a.py", 1, "t"),
            {},
            "passed",
            None,
            when,
            start=1.0,
            stop=2.0,
        )
        for number in range(count)
        for when in ("setup", "call", "teardown")
    ]
    started = time.process_time()
    for report in reports:
        outcomes.take(report, str)
    return (time.process_time() - started) / count * 1000


def _green_run() -> Iterator[Row]:
    taken: dict[bool, list[float]] = {False: [], True: []}
    with project() as copy:
        for _ in range(RUNS):
            for with_report in (False, True):
                options = (
                    ["--esb-report", "report.html", "--esb-report", "report.json"] if with_report else []
                )
                arguments = ["-q", "--esb-profile", "e2e-local", "e2e/scenarios/smoke", *options]
                taken[with_report].append(pytest(arguments, copy, own_host(copy)).wall)
    beside = f"without: {median(taken[False]):.2f} s, smoke scenarios of e2e-local; {RUNS} pairs"
    yield Row("report: green run", median(taken[True]) / median(taken[False]), 1.03, "x", beside)


if __name__ == "__main__":
    print(table(measure()))
