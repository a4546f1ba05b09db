"""The end of the output: blocks of failed environments, their commands, and the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from esb_e2e_plugin.failure import Failure, Kind
from esb_e2e_plugin.invocation import invocation, node_id, removal
from esb_e2e_plugin.planner import Scenario
from esb_e2e_plugin.reporting.blocks import Place, block
from esb_e2e_plugin.reporting.board import OUTCOMES, Standing
from esb_e2e_plugin.reporting.table import table
from esb_e2e_plugin.reporting.words import width
from esb_e2e_plugin.settings import Settings

HERE = Path("/work/project")
FAILURE = Failure(
    "e2e-docker",
    "compose",
    Kind.SERVICE_START,
    "gateway",
    "gateway exited with status 2",
    "its last lines say why",
    service="gateway",
    service_lines=tuple(f"line {number}" for number in range(20)),
)
PLACE = Place(
    command="pytest --esb-profile e2e-docker",
    removal="esb down --env e2e-docker",
    test="",
    running=False,
    attached=False,
    look="docker ps --all",
    log="/work/project/e2e/.parallel-e2e-docker.log",
)
TEST = replace(FAILURE, phase="test", kind=Kind.TEST, test="t.py::test_a[e2e-docker]", service_lines=())
TESTED = replace(PLACE, test="'t.py::test_a[e2e-docker]'")


def test_the_first_lines_of_a_block_say_why_and_what_to_do() -> None:
    """However long what follows is: class, component, cause and remedy come before any log line."""
    lines = block(FAILURE, PLACE, tests=3, tail=["12:00:00.000 [gateway] the last"] * 2, cleaned_up=True)
    assert lines == [
        "class:     service start",
        "component: gateway",
        "cause:     gateway exited with status 2",
        "remedy:    its last lines say why",
        "tests:     3 ended in this error",
        "last lines of gateway:",
        *(f"  line {number}" for number in range(20)),
        "last 2 lines of /work/project/e2e/.parallel-e2e-docker.log:",
        *["  12:00:00.000 [gateway] the last"] * 2,
        "log:       /work/project/e2e/.parallel-e2e-docker.log",
        "reproduce: pytest --esb-profile e2e-docker",
        "enter:     pytest --esb-profile e2e-docker --esb-keep-failed",
        "           docker ps --all",
        "clean up:  done, nothing is left",
    ]


def commands(failure: Failure, place: Place, *, cleaned_up: bool = True) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    name = ""
    for line in block(failure, place, tests=0, tail=(), cleaned_up=cleaned_up):
        name = line[:11].strip(": ") or name
        found.setdefault(name, []).append(line[11:])
    return {name: found[name] for name in ("reproduce", "enter", "clean up") if name in found}


@pytest.mark.parametrize(
    ("failure", "place", "expected"),
    [
        pytest.param(
            TEST,
            TESTED,
            {
                "reproduce": [f"{PLACE.command} {TESTED.test}"],
                "enter": [
                    f"{PLACE.command} --esb-keep-failed {TESTED.test}",
                    f"{PLACE.command} --esb-test-only",
                ],
                "clean up": ["done, nothing is left"],
            },
            id="a failed test, removed",
        ),
        pytest.param(
            TEST,
            replace(TESTED, running=True),
            {
                "reproduce": [f"{PLACE.command} {TESTED.test}"],
                "enter": [f"{PLACE.command} --esb-test-only"],
                "clean up": [PLACE.removal],
            },
            id="a failed test, left running",
        ),
        pytest.param(
            TEST,
            replace(TESTED, running=True, attached=True),
            {
                "reproduce": [f"{PLACE.command} --esb-test-only {TESTED.test}"],
                "enter": [f"{PLACE.command} --esb-test-only"],
                "clean up": [PLACE.removal],
            },
            id="a failed test in what was found running",
        ),
        pytest.param(
            FAILURE,
            replace(PLACE, running=True),
            {
                "reproduce": [PLACE.command],
                "enter": ["docker ps --all"],
                "clean up": [PLACE.removal],
            },
            id="left as it failed to come up",
        ),
        pytest.param(
            replace(FAILURE, phase="reset"), PLACE, {"reproduce": [PLACE.command]}, id="it never began"
        ),
        pytest.param(
            replace(FAILURE, phase="test"),
            replace(PLACE, attached=True),
            {"reproduce": [PLACE.command]},
            id="not found running",
        ),
    ],
)
def test_commands_fit_what_is_left(failure: Failure, place: Place, expected: Mapping[str, list[str]]) -> None:
    """Where it still runs it is entered at once, else by a run that leaves it."""
    assert commands(failure, place) == expected


def test_a_failed_clean_up_does_not_say_that_nothing_is_left() -> None:
    """Neither in its own block nor in that of the failure before it."""
    assert "clean up" not in commands(FAILURE, PLACE, cleaned_up=False)
    assert commands(replace(FAILURE, phase="cleanup"), PLACE, cleaned_up=False) == {
        "reproduce": [PLACE.command]
    }


def settings(**given: Any) -> Settings:
    values = {"matrix": None, "root": None, "no_cache": False, **given}
    sources = {name: "command line" if name in given else "default" for name in values}
    return cast("Settings", SimpleNamespace(**values, sources=sources))


def scenario(profile: str, name: str) -> Scenario:
    return cast("Scenario", SimpleNamespace(profile=profile, name=name))


def test_a_command_repeats_what_says_which_environment_it_is() -> None:
    """Matrix, root and instance, quoted; a path below the folder as one of it."""
    given = settings(matrix=HERE / "my e2e/m.yaml", root=Path("/other"), no_cache=True)
    assert invocation(scenario("E2E-docker", "e2e-docker-mine"), given, HERE, ["-c", "x.ini"]) == (
        "pytest -c x.ini --esb-profile E2E-docker --esb-matrix 'my e2e/m.yaml' --esb-root /other "
        "--esb-env e2e-docker-mine --esb-no-cache"
    )
    assert (
        invocation(scenario("E2E-docker", "e2e-docker"), settings(), HERE)
        == "pytest --esb-profile E2E-docker"
    )


def test_the_command_that_removes_names_the_instance_and_where_it_is_from() -> None:
    """The profile only where the name is not its own; the root as the variable that `esb` reads."""
    assert removal(scenario("e2e-docker", "e2e-docker"), settings(), HERE) == "esb down --env e2e-docker"
    given = settings(matrix=HERE / "m.yaml", root=Path("/other one"))
    assert removal(scenario("E2E-docker", "mine"), given, HERE) == (
        "ESB_ROOT='/other one' esb down --env mine --profile E2E-docker --matrix m.yaml"
    )


def test_a_command_leaves_out_what_the_ini_file_says() -> None:
    """The next run finds it there again; a variable may be gone by then."""
    given = settings(matrix=HERE / "m.yaml", root=HERE)
    given.sources.update(matrix="ini esb_matrix", root="environment ESB_ROOT")  # type: ignore[attr-defined]
    assert invocation(scenario("a", "a"), given, HERE) == "pytest --esb-profile a --esb-root ."


def test_a_node_id_is_quoted_and_starts_where_the_command_is_given() -> None:
    """Ids start at pytest's root, arguments where the user is; `$` and quotes mean nothing to the shell."""
    assert node_id("e2e/t.py::test_a[x-$b'c]", HERE, HERE) == "'e2e/t.py::test_a[x-$b'\"'\"'c]'"
    assert node_id("e2e/t.py::test_a", HERE, HERE / "e2e") == "t.py::test_a"
    assert node_id("e2e/t.py::test_a", HERE, Path("/elsewhere")) == "/work/project/e2e/t.py::test_a"


@pytest.fixture
def standings() -> list[Standing]:
    first, second, third = (Standing(name, name) for name in ("e2e-docker", "e2e-local", "e2e-containerd"))
    first.seconds = {"reset": 0.44, "compose": 12.31, "deploy": 4.5, "test": 125.0, "cleanup": 1.0}
    second.seconds = {"reset": 0.1, "compose": 3.0, "cleanup": 0.2}
    first.counts = {**dict.fromkeys(OUTCOMES, 0), "passed": 39, "failed": 1}
    second.counts = {**dict.fromkeys(OUTCOMES, 0), "error": 40}
    return [first, second, third]


RESULTS = ("failed", "failed in compose", "not run")


def test_the_table_is_aligned(standings: list[Standing]) -> None:
    """Counts that are 0 everywhere have no column, but for passed and failed."""
    assert table(standings, RESULTS, 120) == [
        "environment     result             reset  compose  deploy  test  cleanup  passed  failed  errors",
        "e2e-docker      failed             0.4 s   12.3 s   4.5 s  2:05    1.0 s      39       1       0",
        "e2e-local       failed in compose  0.1 s    3.0 s                  0.2 s       0       0      40",
        "e2e-containerd  not run                                                        0       0       0",
    ]


def test_a_narrower_table_leaves_phases_out(standings: list[Standing]) -> None:
    """First those that say least; results and tests stay."""
    assert table(standings, RESULTS, 80) == [
        "environment     result             compose  deploy  test  passed  failed  errors",
        "e2e-docker      failed              12.3 s   4.5 s  2:05      39       1       0",
        "e2e-local       failed in compose    3.0 s                     0       0      40",
        "e2e-containerd  not run                                        0       0       0",
    ]


def test_on_a_narrow_terminal_each_environment_has_lines_of_its_own(standings: list[Standing]) -> None:
    """Nothing is lost, and nothing is wider than the terminal."""
    lines = table(standings, RESULTS, 40)
    assert lines == [
        "e2e-docker: failed",
        "  reset 0.4 s, compose 12.3 s",
        "  deploy 4.5 s, test 2:05, cleanup 1.0 s",
        "  passed 39, failed 1",
        "e2e-local: failed in compose",
        "  reset 0.1 s, compose 3.0 s",
        "  cleanup 0.2 s, errors 40",
        "e2e-containerd: not run",
    ]
    assert max(map(width, lines)) <= 40
