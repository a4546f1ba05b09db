"""Failures travel whole: through a channel, a pickle, a line."""

from __future__ import annotations

import json
import pickle

from esb_e2e_plugin.failure import EnvironmentFailedError, Failure, Kind, StepError

FAILURE = Failure(
    "one",
    "compose",
    Kind.SERVICE_START,
    "gateway",
    "gateway exited",
    "look at it",
    "gateway",
    ("a", "b"),
    "t.py::test_a[one]",
)


def test_a_failure_survives_a_channel() -> None:
    """What a worker gets is what the owner sent, also through JSON."""
    data = FAILURE.to_data()
    assert type(data["kind"]) is str, "execnet takes no subclass"
    assert Failure.from_data(json.loads(json.dumps(data))) == FAILURE


def test_one_line_names_environment_phase_and_cause() -> None:
    """A test's report shows where and why, and nothing else."""
    assert FAILURE.one_line() == "[one] failed in compose: gateway exited"
    assert str(EnvironmentFailedError(FAILURE)) == FAILURE.one_line()
    assert EnvironmentFailedError(FAILURE).failure is FAILURE


def test_a_step_error_shows_its_remedy_and_carries_the_guilty_service() -> None:
    """The remedy is in parentheses where there is one."""
    error = StepError("it broke", remedy="mend it", service="agent", lines=("last",))
    assert str(error) == "it broke (mend it)"
    assert (error.service, error.lines) == ("agent", ("last",))
    assert str(StepError("it broke")) == "it broke"


def test_a_failure_can_be_pickled() -> None:
    """It crosses process borders."""
    assert pickle.loads(pickle.dumps(FAILURE)) == FAILURE  # noqa: S301  made here
