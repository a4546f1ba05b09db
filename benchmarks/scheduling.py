"""What scheduling costs, how well it uses the workers, and what two environments cost beside one."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from heapq import heappop, heappush
from itertools import permutations
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

from benchmarks.bring_up import moments
from benchmarks.measuring import Row, own_host, project, pytest
from esb_e2e_plugin.dispatcher import Dispatcher, Work, units_of
from esb_e2e_plugin.durations import Durations
from esb_e2e_plugin.scheduling import EnvironmentScheduling

ITEMS, ENVIRONMENTS, WORKERS = 20_000, 8, 16
BRING_UPS, TESTS, TEST_SECONDS = (6.0, 1.0, 3.0), 2, 1.0
LENGTHS = {"long": [0.5] * 24, "single": [6.0], "short": [0.25] * 8}
"""Each environment's tests in seconds; with longer ones, which end up alone, two equal halves are luck."""
LENGTHS_RUNS = 3
TWO = ("e2e-local", "e2e-docker")
UPS = 5


def measure() -> Iterator[Row]:
    """Schedule many tests, simulate the example of three bring-ups, and run real ones."""
    yield Row(
        f"scheduling {ITEMS} tests on {ENVIRONMENTS} environments and {WORKERS} workers",
        _schedule_many(),
        1,
        "s",
        "CPU of the controller, beside what xdist itself does",
    )
    end, best = _simulated_end(), _best_end()
    yield Row(
        "idle: bring-ups of 6, 1 and 3 s, two tests each, two workers",
        end / best,
        1.05,
        "x",
        f"best of all orders: {best:.1f} s (simulated)",
    )
    yield _three_lengths()
    yield from _two_environments()


class _Node:
    """A worker that takes tests and does nothing with them."""

    shutting_down = False

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.test = -1

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        self.test = indices[0]


class _Ready:
    """Environments that are all there."""

    refusal: str | None = None
    stops = False
    late: Sequence[Any] = ()

    def work_of(self, _node: object, ids: Sequence[str]) -> Work:
        return Work(
            environments=[f"e{number}" for number in range(ENVIRONMENTS)],
            environment_of=[number * ENVIRONMENTS // len(ids) for number in range(len(ids))],
            units=units_of([None] * len(ids)),
            exclusive=frozenset(range(0, len(ids), 100)),
            seconds=Durations().seconds(ids),
        )

    def is_open(self, _profile: str) -> bool:
        return True

    def need(self, profile: str) -> None:
        """Do nothing."""

    def release(self, profile: str) -> None:
        """Do nothing."""

    def disturb(self, profile: str, test: str) -> None:
        """Do nothing."""

    def calm(self, profile: str) -> None:
        """Do nothing."""

    def begin_late(self, unfinished: int) -> None:
        """Do nothing."""

    def ends(self, _node: object) -> bool:
        """Know that no worker was told to end."""
        return False

    def drain(self) -> None:
        """Do nothing."""

    def wake(self) -> None:
        """Do nothing."""


def _schedule_many() -> float:
    ids = [f"tests/test_scenarios.py::test_{number}[environment]" for number in range(ITEMS)]
    nodes: list[Any] = [_Node(f"gw{number}") for number in range(WORKERS)]
    config: Any = SimpleNamespace(pluginmanager=SimpleNamespace(getplugin=lambda _name: None))
    began = time.process_time()
    schedule = EnvironmentScheduling(config, _Ready())
    for node in nodes:
        schedule.add_node(node)
        schedule.add_node_collection(node, ids)
    schedule.schedule()
    while not schedule.tests_finished:
        for node in nodes:
            test, node.test = node.test, -1
            if test >= 0:
                report: Any = SimpleNamespace(node=node, nodeid=ids[test], when="teardown")
                schedule.test_started(ids[test])
                schedule.test_reported(report)
                schedule.mark_test_complete(node, test)
                schedule.mark_test_complete(node, ITEMS)
    return time.process_time() - began


def _simulated_end() -> float:
    """Return when two workers end that the dispatcher gives tests to, on a clock that nobody waits for."""
    count = len(BRING_UPS)
    names = [str(number) for number in range(count)]
    owners = [number for number in range(count) for _ in range(TESTS)]
    work = Work(names, owners, units_of([None] * len(owners)), frozenset(), [TEST_SECONDS] * len(owners))
    dispatcher = Dispatcher(work)
    for worker in range(2):
        dispatcher.add_worker(worker)
    events: list[tuple[float, int, int]] = []
    for number, seconds in enumerate(BRING_UPS):
        heappush(events, (seconds, -1, number))
    ready: set[str] = set()
    now = 0.0
    while not dispatcher.finished:
        now, worker, what = heappop(events)
        if worker < 0:
            ready.add(names[what])
        else:
            dispatcher.complete(worker, what)
        for given, test in dispatcher.assign(ready.__contains__):
            assert isinstance(given, int)
            heappush(events, (now + TEST_SECONDS, given, test))
    return now


def _best_end() -> float:
    """Return when two workers end in the best of all orders."""
    owners = [seconds for seconds in BRING_UPS for _ in range(TESTS)]
    ends = []
    for order in set(permutations(owners)):
        workers = [0.0, 0.0]
        for ready in order:
            first = workers.index(min(workers))
            workers[first] = max(workers[first], ready) + TEST_SECONDS
        ends.append(max(workers))
    return min(ends)


def _three_lengths() -> Row:
    """Run tests that only sleep, in three environments: once to remember, then the worst run counts."""
    with project() as copy:
        (copy / "e2e/scenarios").rename(copy / "e2e/unused")
        entries = "".join(
            f"- {{esb_env: {name}-local, mode: process, suites: [{name}]}}\n" for name in LENGTHS
        )
        suites = "".join(f"  {name}: {{targets: [../scenarios/test_{name}.py]}}\n" for name in LENGTHS)
        matrix = copy / "e2e/environments/test_matrix.yaml"
        matrix.write_text(f"suites:\n{suites}matrix:\n{entries}")
        (copy / "e2e/scenarios").mkdir()
        for name, seconds in LENGTHS.items():
            text = f"import pytest, time\n@pytest.mark.parametrize('seconds', {seconds})\n"
            text += "def test_sleep(esb_environment, seconds): time.sleep(seconds)\n"
            (copy / f"e2e/scenarios/test_{name}.py").write_text(text)
        ratios = []
        for counted in range(LENGTHS_RUNS + 1):
            pytest(["--esb-profile", "all", "-n", "2"], copy, own_host(copy))
            runs = _runs([event for name in LENGTHS for event in _events(copy, f"{name}-local")])
            best = sum(ended - began for began, ended in runs) / 2
            taken = max(ended for _, ended in runs) - min(began for began, _ in runs)
            if counted:
                ratios.append(taken / best)
    beside = f"first test to last, worst of {LENGTHS_RUNS}; best order: {best:.1f} s on each of two workers"
    return Row("three environments of very different length", max(ratios), 1.05, "x", beside)


def _runs(events: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Return when each test began and ended."""
    began = {event["test"]: event["t"] for event in events if event["kind"] == "test.started"}
    return [(began[event["test"]], event["t"]) for event in events if event["kind"] == "test.finished"]


def _two_environments() -> Iterator[Row]:
    """Run two environments, one after the other and together."""
    ups: dict[str, list[float]] = {}
    whole: dict[str, float] = {}
    with project() as copy:
        for counted in range(UPS + 1):
            for profiles in (*TWO, ",".join(TWO)):
                # Whole runs once, and then as many tests as it takes to see the first.
                few = ["-k", "test_smoke_health"] if counted else []
                arguments = ["--esb-profile", profiles, "-n", "auto", "--esb-suffix", "bench", *few]
                used = pytest(arguments, copy, own_host(copy))
                if not counted:
                    whole[profiles] = used.wall
                    continue
                firsts = [_first_test(copy, f"{name}-bench") for name in profiles.split(",")]
                ups.setdefault(profiles, []).append(max(firsts) - used.started)
    up = {profiles: median(seconds) for profiles, seconds in ups.items()}
    both, alone = ",".join(TWO), [up[name] for name in TWO]
    beside = f"alone: {' and '.join(f'{seconds:.1f} s' for seconds in alone)}"
    yield Row("two environments up, first test of each included", up[both] / max(alone), 1.3, "x", beside)
    runs = [whole[name] for name in TWO]
    beside = f"alone: {' and '.join(f'{seconds:.1f} s' for seconds in runs)}, together {whole[both]:.1f} s"
    yield Row("whole run of two environments, beside the sum", whole[both] / sum(runs), 0.8, "x", beside)


def _first_test(copy: Path, environment: str) -> float:
    return moments(copy / f".esb/e2e/state/{environment}/events.jsonl")["first test"]


def _events(copy: Path, environment: str) -> Iterator[Mapping[str, Any]]:
    for line in (copy / f".esb/e2e/state/{environment}/events.jsonl").read_text().splitlines():
        yield json.loads(line)
