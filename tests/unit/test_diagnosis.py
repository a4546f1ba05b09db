"""Why an environment failed: who deviated first on the graph of dependencies, and what known words mean."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from artifactctl.errors import ArtifactError
from esb_e2e_plugin.diagnosis import Deviation, Observed, Way, diagnose, diagnose_test, furthest_up
from esb_e2e_plugin.errors import EsbError, UserError
from esb_e2e_plugin.failure import Kind, StepError

NEEDS = {"gateway": frozenset({"agent", "database"}), "agent": frozenset({"node"})}


def ended(component: str, at: float, way: Way = Way.ENDED) -> Deviation:
    return Deviation(component, way, at, f"{component} exited with status 3", (f"last of {component}",))


def unhealthy(component: str, at: float) -> Deviation:
    return Deviation(component, Way.UNHEALTHY, at, f"{component} turned unhealthy")


def failed(component: str, message: str = "", **more: object) -> StepError:
    return StepError(message or f"{component} failed", service=component, **more)  # type: ignore[arg-type]


def test_a_database_that_dies_is_guilty_of_the_gateway_that_turns_unhealthy() -> None:
    """What a component needs, and what deviated no later, explains it."""
    observed = Observed((unhealthy("gateway", 12.0), ended("database", 10.0)), NEEDS)
    found = diagnose(failed("gateway", "gateway turned unhealthy"), "compose", observed)
    assert (found.kind, found.component) == (Kind.SERVICE_START, "database")
    assert found.cause == "database exited with status 3, then gateway turned unhealthy"
    assert (found.service, found.lines) == ("database", ("last of database",))


def test_the_graph_decides_where_two_deviate_at_once() -> None:
    """A dependency through another one counts too; clocks are not that exact."""
    observed = Observed((ended("gateway", 10.0), ended("node", 10.4)), NEEDS)
    assert diagnose(failed("gateway"), "compose", observed).component == "node"


def test_a_dependency_that_ends_much_later_is_no_cause() -> None:
    """Whoever deviated first is guilty, even if it needs the other."""
    observed = Observed((ended("gateway", 10.0), ended("database", 20.0)), NEEDS)
    assert diagnose(failed("gateway"), "compose", observed).component == "gateway"


def test_without_a_graph_the_earliest_is_guilty() -> None:
    """A compose file without depends_on still has times."""
    observed = Observed((ended("b", 11.0), ended("a", 12.0)))
    assert diagnose(failed("a"), "compose", observed).component == "b"


def test_a_circle_of_dependencies_ends() -> None:
    """Nobody in a circle explains another one: time decides."""
    needs = {"a": frozenset({"b"}), "b": frozenset({"a"})}
    observed = Observed((ended("a", 11.0), ended("b", 10.0)), needs)
    assert diagnose(failed("a"), "compose", observed).component == "b"
    assert furthest_up({"a", "b"}, needs) == "a"


def test_a_one_shot_that_ends_well_is_guilty_only_where_it_is_needed() -> None:
    """With success it deviates for who needs it to run, and for nobody else."""
    well = ended("node", 9.0, Way.ENDED_WELL)
    needed = diagnose(failed("gateway"), "compose", Observed((well,), NEEDS))
    assert (needed.component, needed.kind) == ("node", Kind.SERVICE_START)
    assert "service_completed_successfully" in needed.remedy
    assert diagnose(failed("gateway"), "compose", Observed((well,))).component == "gateway"


@pytest.mark.parametrize("kind", [Kind.ENGINE, Kind.IMAGE_BUILD, Kind.USER_INPUT])
def test_what_has_nothing_to_do_with_services_stays_what_it_is(kind: Kind) -> None:
    """An engine that refuses is not excused by a service that ends meanwhile."""
    observed = Observed((ended("database", 1.0),), NEEDS)
    found = diagnose(failed("images", kind=kind), "compose", observed)
    assert (found.kind, found.component) == (kind, "images")


def test_the_same_end_is_of_another_class_under_tests() -> None:
    """While tests run it is the platform that fails; a health check that fails is one of health always."""
    observed = Observed((ended("database", 1.0),))
    assert diagnose(failed("database"), "compose", observed).kind is Kind.SERVICE_START
    assert diagnose(failed("database"), "deploy", observed).kind is Kind.SERVICE_START
    assert diagnose(failed("database"), "test", observed).kind is Kind.PLATFORM
    sick = Observed((unhealthy("database", 1.0),))
    assert diagnose(failed("database"), "test", sick).kind is Kind.HEALTH


def test_the_one_that_waits_for_none_of_the_others_is_the_one_to_look_at() -> None:
    """Of those that are not healthy yet, the furthest up the graph."""
    assert furthest_up({"gateway", "agent", "database"}, NEEDS) == "agent"
    assert furthest_up({"gateway", "node"}, NEEDS) == "node"
    assert furthest_up({"b", "a"}, {}) == "a"


REGISTRY = (
    'Error response from daemon: Get "https://r:1/v2/": dial tcp 1.2.3.4:1: connect: connection refused'
)


@pytest.mark.parametrize(
    ("line", "kind", "remedy"),
    [
        ("write /var/lib/x: no space left on device", Kind.ENGINE, "make room"),
        ("OSError: [Errno 28] No space left on device", Kind.ENGINE, "make room"),
        (
            "no available, non-overlapping IPv4 address pool among",
            Kind.ENGINE,
            "network prune",
        ),
        ("Cannot connect to the Docker daemon at unix:///x.", Kind.ENGINE, "start it"),
        (REGISTRY, Kind.IMAGE_BUILD, "registry answers"),
        (
            'Get "https://r:1/v2/": tls: failed to verify: x509: unknown',
            Kind.IMAGE_BUILD,
            "trust",
        ),
        ("manifest for r:1/x:1 not found: manifest unknown", Kind.IMAGE_BUILD, "correct the image's name"),
        ("environment variable LOG_LEVEL is 'x'; expected", Kind.USER_INPUT, "correct LOG_LEVEL"),
        ('exec: "nope": executable file not found in $PATH', Kind.SERVICE_START, "command or entrypoint"),
        ("mount: Operation not permitted", Kind.ENGINE, "privileged"),
        ("TLS: CERTIFICATE_VERIFY_FAILED", Kind.SERVICE_START, "gateway.crt"),
        ("was killed by signal 9", Kind.SERVICE_START, "dmesg"),
    ],
)
def test_known_words_give_the_class_and_the_remedy(line: str, kind: Kind, remedy: str) -> None:
    """Wherever they stand: in the message, or in the last lines of who failed."""
    for error in (failed("one", line), failed("one", "one exited", lines=("before", line, "after"))):
        found = diagnose(error, "compose")
        assert found.kind is kind
        assert remedy in found.remedy


def test_what_a_service_logged_long_before_it_ended_under_tests_is_no_cause() -> None:
    """Only its last line counts then."""
    lines = ("[Errno 28] No space left on device", "served 200")
    found = diagnose(failed("database", "database exited", lines=lines), "test")
    assert found.kind is Kind.PLATFORM
    assert diagnose(failed("database", lines=lines[:1]), "test").kind is Kind.ENGINE


@pytest.mark.parametrize(
    ("error", "kind", "component"),
    [
        (UserError("no", "do"), Kind.USER_INPUT, "reset"),
        (EsbError("no", "do", "ports"), Kind.ENGINE, "ports"),
        (ArtifactError("no", path=Path("a/functions.yml")), Kind.DEPLOY_STEP, "functions.yml"),
        (OSError(errno.ENOSPC, "No space left on device", "/x/state.json"), Kind.ENGINE, "/x/state.json"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), Kind.ENGINE, "/x"),
        (StepError("no", component="functions"), Kind.ENGINE, "functions"),
    ],
)
def test_every_error_names_somebody(error: Exception, kind: Kind, component: str) -> None:
    """Errors of all layers get a class and a component, and none of these is called a fault of the plugin."""
    found = diagnose(error, "reset")
    assert (found.kind, found.component) == (kind, component)
    assert "fault of the plugin" not in found.remedy


def test_what_nobody_expected_is_called_a_fault_of_the_plugin() -> None:
    """With the type of what was raised."""
    found = diagnose(ZeroDivisionError("division by zero"), "deploy")
    assert found.cause == "ZeroDivisionError: division by zero"
    assert "fault of the plugin" in found.remedy


@pytest.mark.parametrize(
    ("message", "guilty", "kind"),
    [
        ("assert 502 == 200\n +  where 502 = <Response [502]>.status_code", "hello", Kind.PLATFORM),
        (
            "requests.exceptions.HTTPError: 500 Server Error: for url: https://a:15020/",
            "a",
            Kind.PLATFORM,
        ),
        ("An error occurred (ServiceException) when calling the Invoke operation", "gateway", Kind.PLATFORM),
        ("assert 'FunctionError' not in {'FunctionError': 'Unhandled'}", "hello", Kind.PLATFORM),
        ("assert 502 == 200", None, Kind.TEST),
        ("assert 1 == 2", "hello", Kind.TEST),
        ("assert 'https://127.0.0.1:500/x' == ''", "hello", Kind.TEST),
    ],
)
def test_a_test_blames_the_platform_only_with_a_server_error_and_a_log(
    message: str, guilty: str | None, kind: Kind
) -> None:
    """Any other failed test is guilty itself; who logged an error meanwhile is named in the remedy."""
    found = diagnose_test("t.py::test_x[one]", message, guilty, ("line",) if guilty else ())
    assert found.kind is kind
    assert found.component == (guilty if kind is Kind.PLATFORM else "t.py::test_x[one]")
    assert found.remedy
    assert guilty is None or guilty in found.remedy
