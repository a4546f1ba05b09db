"""Whole runs on the engine, images cached: the plugin beside a shell, pytest-docker and testcontainers."""

import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median

import yaml

from benchmarks.by_hand import PROFILE, Stack
from benchmarks.measuring import ROOT, Row, own_host, project, pytest, table

RUNS = 7
RESETS = 3
SUITE = "e2e/scenarios/smoke"
TESTS = ("-k", "not crosses_languages")
"""All but those that read the services' logs, which only the plugin collects."""
SERVICES = ("services/images", "services/esb_services", "services/runtime-node")
PYTHON = ROOT / ".venv-bench" / "bin" / "python"

Driver = Callable[[Stack], None]


def measure() -> Iterator[Row]:
    """Take turns between all of them, after one run of each that builds what is missing."""
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode != 0:  # noqa: S607
        return
    if not PYTHON.exists():
        raise SystemExit("pytest-docker and testcontainers are not installed; run: make bench ARGS=docker")
    taken: dict[str, list[float]] = {}
    removals, resets = [], []
    with project() as copy:
        prepare(copy)
        for counted in range(RUNS + 1):
            times = {"plugin": _plugin(copy)}
            for name, drive in _DRIVERS.items():
                times[name] = _by_hand(copy, name, drive)
            if counted:
                for name, seconds in times.items():
                    taken.setdefault(name, []).append(seconds)
                removals.append(_phase(copy, "cleanup"))
        for kept in range(RESETS + 1):
            _plugin(copy, "--esb-keep")
            if kept:
                resets.append(_phase(copy, "reset"))
        _plugin(copy)
    yield from _comparisons(taken)
    beside = "its services, function workers, networks and volumes"
    yield Row("clean-up of one docker environment", median(removals), 1.5, "s", beside)
    yield Row("reset of a docker environment that was left", median(resets), 1.5, "s", beside)


def _comparisons(taken: Mapping[str, list[float]]) -> Iterator[Row]:
    plugin = taken["plugin"]
    for name in _DRIVERS:
        ratio = median(a / b for a, b in zip(plugin, taken[name], strict=True))
        beside = (
            f"{_BESIDE[name]}: {median(taken[name]):.2f} s (fastest {min(taken[name]):.2f}); "
            f"the run: {median(plugin):.2f} s (fastest {min(plugin):.2f})"
        )
        yield Row(f"e2e-docker, cold run of the smoke suite, beside {name}", ratio, 1.0, "x", beside)


def _plugin(copy: Path, *options: str) -> float:
    arguments = ["--esb-profile", PROFILE, "--esb-test-target", SUITE, *TESTS, *options]
    return pytest(arguments, copy, own_host(copy)).wall


def _by_hand(copy: Path, name: str, drive: Driver) -> float:
    matrix = yaml.safe_load((copy / "e2e/environments/test_matrix.yaml").read_text())
    project_name = f"{matrix['matrix'][0]['esb_project']}-{os.getpid()}-{name}"
    stack = Stack.with_free_ports(copy, project_name, Path(sys.executable).with_name("artifactctl"))
    started = time.perf_counter()
    drive(stack)
    return time.perf_counter() - started


def _shell(stack: Stack) -> None:
    try:
        stack.compose("up", "--detach", "--wait")
        with stack.deployed():
            _scenarios(stack, "shell")
    finally:
        stack.compose("--profile", "deploy", "down", "--volumes", "--timeout", "0")


def _pytest_docker(stack: Stack) -> None:
    _scenarios(stack, "with_pytest_docker")


def _testcontainers(stack: Stack) -> None:
    _scenarios(stack, "with_testcontainers")


_DRIVERS: Mapping[str, Driver] = {
    "shell": _shell,
    "pytest-docker": _pytest_docker,
    "testcontainers": _testcontainers,
}
_BESIDE = {
    "shell": "up --wait, apply, pytest, down --timeout 0",
    "pytest-docker": "its up and down --timeout 0, the shell's apply, the same tests",
    "testcontainers": "its up and down (cannot be told not to wait), the shell's apply, the same tests",
}


def _scenarios(stack: Stack, driver: str) -> None:
    """Run the suite by plain pytest, in an environment that `driver` gives it."""
    plain = Path(stack.project, driver)
    if not plain.exists():
        shutil.copytree(Path(stack.project, "e2e/scenarios"), plain / "scenarios")
        fixtures = (
            "esb_e2e_plugin.fixtures.aws",
            "esb_e2e_plugin.fixtures.gateway",
            f"benchmarks.drivers.{driver}",
        )
        (plain / "conftest.py").write_text("".join(f"from {name} import *\n" for name in fixtures))
        (plain / "pyproject.toml").write_text("")
    variables = {**stack.variables, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    pytest([f"scenarios/{Path(SUITE).name}", *TESTS], plain, variables, python=PYTHON)


def prepare(copy: Path, profile: str = PROFILE) -> None:
    """Give the copy its own names, one environment, and the services as a checkout has them."""
    for folder in SERVICES:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    path = copy / "e2e/environments/test_matrix.yaml"
    matrix = yaml.safe_load(path.read_text())
    (entry,) = [entry for entry in matrix["matrix"] if entry["esb_env"] == profile]
    matrix["matrix"] = [{**entry, "esb_project": f"bench{uuid.uuid4().hex[:6]}"}]
    path.write_text(yaml.safe_dump(matrix))


def _phase(copy: Path, phase: str) -> float:
    """Return how long a phase of the last run took, in seconds."""
    events = copy / ".esb/e2e/state" / PROFILE / "events.jsonl"
    records = [json.loads(line) for line in events.read_text().splitlines()]
    start = next(r["t"] for r in records if r["kind"] == "phase.started" and r["phase"] == phase)
    end = next(r["t"] for r in records if r["kind"] == "phase.finished" and r["phase"] == phase)
    return float(end - start)


if __name__ == "__main__":
    print(table(measure()))
