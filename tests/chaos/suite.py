"""A project with several environments that cost little, whose runs write down what happens when."""

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.faults.project import Project
from tests.faults.run import Run

RUN_SECONDS = 300.0
"""Hard deadline of a run; whoever is not through by then hangs."""

_POLL_SECONDS = 0.005

NAMES = tuple(f"e{number}" for number in range(8))

_CONFTEST = """
import os, sys
from pathlib import Path

import pytest

from esb_e2e_plugin.lifecycle import stack
from esb_e2e_plugin.lifecycle.health import HealthCheck
from esb_e2e_plugin.lifecycle.supervisor import Command

ROOT = Path(__file__).parent

if "-nauto" in sys.argv:  # on one processor all workers but one begin late
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

def note(*words):
    descriptor = os.open(ROOT / "moments", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, (" ".join(words) + "\\n").encode())
    os.close(descriptor)

def health(environment):
    return HealthCheck(f"{environment.urls.gateway_http}/health")

def services(context):
    argv = (sys.executable, "-I", "-S", str(ROOT / "service.py"), str(context.ports.gateway_http))
    command = Command("gateway", argv, {**context.environment, "ESB_RUN_ID": context.run_id})
    return (stack.Service(command, health(context), (context.ports.gateway_http,)),)

stack.services, stack.gateway_health = services, health

@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    callspec = getattr(item, "callspec", None)
    profile = callspec.params.get("esb_environment", "-") if callspec else "-"
    how = "alone" if item.get_closest_marker("esb_exclusive") else "shared"
    note("begin", item.nodeid, str(os.getpid()), profile, how)
    try:
        return (yield)
    finally:
        note("end", item.nodeid, str(os.getpid()))

class Worker:
    def pytest_sessionstart(self):
        note("worker", str(os.getpid()))

    def pytest_collection_finish(self):
        note("collected", str(os.getpid()))

class Controller:
    def pytest_runtest_logreport(self, report):
        note("report", report.nodeid, report.when, report.outcome)

def pytest_configure(config):
    config.pluginmanager.register(Worker() if hasattr(config, "workerinput") else Controller())
"""

_SERVICE = """
import json, os, socket, sys

body = json.dumps({"status": "healthy", "run_id": os.environ["ESB_RUN_ID"]}).encode()
answer = b"HTTP/1.0 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(body), body)
with socket.socket() as server:
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind(("127.0.0.1", int(sys.argv[1])))
    except OSError:
        sys.exit(98)
    server.listen(64)
    while True:
        client, _ = server.accept()
        with client:
            client.recv(65536)
            client.sendall(answer)
"""

_TESTS = """
import http.client, json, time

import pytest

def use(environment, seconds):
    connection = http.client.HTTPConnection("127.0.0.1", environment.ports.gateway_http, timeout=60)
    connection.request("GET", "/health")
    assert json.loads(connection.getresponse().read())["run_id"] == environment.run_id
    connection.close()
    time.sleep(seconds)
"""

_SHARED = """
@pytest.mark.parametrize("seconds", {durations})
def test_shared(esb_environment, seconds):
    use(esb_environment, seconds)
"""

_ALONE = """
@pytest.mark.esb_exclusive
@pytest.mark.parametrize("seconds", {durations})
def test_alone(esb_environment, seconds):
    use(esb_environment, seconds)
"""

_PLAIN = """
class TestPlain:
    @pytest.mark.parametrize("number", range({count}))
    def test_plain(self, number):
        pass
"""


@dataclass(frozen=True)
class TestFile:
    """A file of tests.

    Attributes:
        shared: how long each test takes that others may run beside, in seconds.
        alone: how long each exclusive test takes, in seconds.
        plain: how many tests need no environment.
    """

    __test__ = False
    shared: tuple[float, ...]
    alone: tuple[float, ...]
    plain: int

    def text(self) -> str:
        """Return its content."""
        shared = _SHARED.format(durations=list(self.shared)) if self.shared else ""
        alone = _ALONE.format(durations=list(self.alone)) if self.alone else ""
        return _TESTS + shared + alone + (_PLAIN.format(count=self.plain) if self.plain else "")

    def ids(self, path: str, environments: Sequence[str]) -> list[str]:
        """Return the node ids of its tests."""
        used = (("test_shared", self.shared), ("test_alone", self.alone))
        ids = [
            f"{path}::{name}[{environment}-{seconds}]"
            for name, durations in used
            for seconds in durations
            for environment in environments
        ]
        return ids + [f"{path}::TestPlain::test_plain[{number}]" for number in range(self.plain)]


@dataclass(frozen=True)
class Kill:
    """The end of a worker: after how many notes of the run, and how many seconds later."""

    notes: int
    seconds: float


class Suite(Project):
    """A project whose environments are one small process each."""

    def _write_files(self) -> None:
        self.state = self.root / ".esb" / "e2e" / "state"
        self.moments = self.root / "moments"
        self.environments: Sequence[str] = ()
        self.ids: list[str] = []
        addopts = "--import-mode=importlib -p no:cacheprovider -p no:hypothesispytest -p no:anyio"
        self.write("pyproject.toml", f'[tool.pytest.ini_options]\naddopts = "{addopts}"\n')
        self.write("conftest.py", _CONFTEST)
        self.write("service.py", _SERVICE)

    def write_tests(self, environments: Sequence[str], files: Sequence[TestFile]) -> None:
        """Write matrix and tests; each environment has every test that needs one."""
        matrix = {
            "suites": {"all": {"targets": ["../scenarios/"]}},
            "matrix": [{"esb_env": name, "mode": "process", "suites": ["all"]} for name in environments],
            "port_base": self.port_base,
        }
        self.write("e2e/environments/test_matrix.yaml", matrix)
        self.environments = environments
        for number, file in enumerate(files):
            path = f"e2e/scenarios/test_{number}.py"
            self.write(path, file.text())
            self.ids += file.ids(path, environments)

    @property
    def profiles(self) -> str:
        """What its runs select."""
        return "all"

    def notes(self) -> list[list[str]]:
        """Return what the run wrote down so far: a word that tells what happened, and what belongs to it."""
        lines = self.moments.read_text().splitlines(keepends=True) if self.moments.exists() else []
        return [line.split() for line in lines if line.endswith("\n")]

    def note(self, *words: str) -> None:
        """Write something down between what the run does."""
        with self.moments.open("a") as file:
            file.write(" ".join(words) + "\n")

    def events(self) -> list[dict[str, Any]]:
        """Return the events of all environments."""
        paths = sorted(self.state.glob("*/events.jsonl"))
        return [json.loads(line) for path in paths for line in path.read_text().splitlines()]

    def left_over(self) -> list[str]:
        """Return what its runs have left behind."""
        expected = {str(path) for path in self.state.glob("*")}
        return [line for line in super().left_over() if line not in expected]

    def kill_workers(self, run: Run, kills: Sequence[Kill], chance: random.Random) -> int:
        """Kill a worker at each of some moments of a run, and return how many were killed."""
        deadline = time.monotonic() + RUN_SECONDS
        killed = 0
        for kill in kills:
            while run.process.poll() is None and len(self.notes()) < kill.notes:
                assert time.monotonic() < deadline, f"hangs:\n{run.output()}"
                time.sleep(_POLL_SECONDS)
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.process.wait(kill.seconds)
            alive = set(run.xdist_workers()) if run.process.poll() is None else set()
            known = [int(words[0]) for what, *words in self.notes() if what == "worker"]
            if victims := [pid for pid in known if pid in alive]:
                victim = chance.choice(victims)
                self.note("killed", str(victim))
                with contextlib.suppress(ProcessLookupError):  # it has ended since
                    os.kill(victim, signal.SIGKILL)
                    killed += 1
        return killed

    def bring_ups(self) -> Counter[str]:
        """Return how often each environment was brought up."""
        started = [event for event in self.events() if event["kind"] == "phase.started"]
        return Counter(event["env"] for event in started if event["phase"] == "compose")

    def company(self) -> list[str]:
        """Tell which exclusive tests had company in their environment while they ran."""
        running: dict[str, list[str]] = {}
        killed: set[str] = set()
        found = []
        for what, *words in self.notes():
            if what == "begin":
                nodeid, *facts = words
                if facts[0] in killed:
                    continue
                for other, (_, profile, how) in running.items():
                    if profile == facts[1] and "alone" in (how, facts[2]):
                        found.append(f"{nodeid} ran beside {other}")
                running[nodeid] = facts
            elif what == "end":
                running.pop(words[0], None)
            elif what == "killed":
                killed.add(words[0])
                running = {nodeid: facts for nodeid, facts in running.items() if facts[0] != words[0]}
        return found

    def miscounted(self) -> Iterator[str]:
        """Tell which tests ran twice, or were not told of exactly once."""
        begun = Counter(words[0] for what, *words in self.notes() if what == "begin")
        reports = Counter(
            (words[0], words[1])
            for what, *words in self.notes()
            # A worker that is killed after a test may have torn down what it shares: one error more.
            if what == "report" and words[1:] != ["teardown", "failed"]
        )
        yield from (f"{nodeid} ran {count} times" for nodeid, count in begun.items() if count > 1)
        yield from (f"{test}: {when} told {n} times" for (test, when), n in reports.items() if n > 1)
        for nodeid in self.ids:
            ends = reports[nodeid, "teardown"] + reports[nodeid, "???"]
            if ends > 1:
                yield f"{nodeid} ended {ends} times"
        yield from (f"{nodeid} is not known" for nodeid, _ in reports if nodeid not in self.ids)

    def untold(self) -> list[str]:
        """Return the tests that nothing was told of."""
        told = {
            words[0] for what, *words in self.notes() if what == "report" and words[1] in ("teardown", "???")
        }
        return [nodeid for nodeid in self.ids if nodeid not in told]

    def failed(self) -> list[str]:
        """Return what was told to have failed."""
        return [" ".join(words) for what, *words in self.notes() if what == "report" and words[2] == "failed"]
