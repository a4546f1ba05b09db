"""How much goes on at once, and what earlier runs took."""

from __future__ import annotations

import pytest

from esb_e2e_plugin.capacity import Bounds, begun, most_starting, workers
from esb_e2e_plugin.durations import Durations

GIB = 1 << 30


@pytest.mark.parametrize(
    ("cores", "environments", "expected"), [(2, 1, 2), (2, 2, 4), (2, 3, 6), (2, 9, 8), (6, 2, 6), (64, 1, 8)]
)
def test_auto_is_two_workers_for_each_environment_within_bounds(
    cores: int, environments: int, expected: int
) -> None:
    """At least one for each core, at most eight."""
    assert workers(cores, environments) == expected


@pytest.mark.parametrize(
    ("cores", "starting", "ready", "expected"),
    [(2, True, 0, 2), (2, True, 2, 2), (2, True, 5, 5), (1, True, 0, 1), (2, False, 0, None)],
)
def test_while_environments_come_up_workers_begin_for_processors_or_ready_ones(
    cores: int, starting: bool, ready: int, expected: int | None
) -> None:
    """All others begin when nothing comes up."""
    assert begun(cores, starting=starting, ready=ready) == expected


@pytest.mark.parametrize(
    ("cores", "memory", "expected"), [(2, 24, 4), (1, 24, 2), (8, 24, 16), (16, 4, 4), (2, 0, 1)]
)
def test_bring_ups_at_once_are_bound_by_cores_and_memory(cores: int, memory: int, expected: int) -> None:
    """They wait more than they compute, but each needs its memory."""
    assert most_starting(cores, memory * GIB) == expected


def test_an_environment_starts_while_there_is_room() -> None:
    """Room to come up, and room to be there."""
    bounds = Bounds(starting=2, alive=3)
    assert bounds.admit(starting=1, alive=2, leaving=0, needed=False)
    assert not bounds.admit(starting=2, alive=2, leaving=0, needed=True)
    assert not bounds.admit(starting=0, alive=3, leaving=0, needed=False)
    assert Bounds(starting=1).admit(starting=0, alive=100, leaving=0, needed=False)


def test_what_a_test_waits_for_starts_where_nothing_else_would_make_room() -> None:
    """A test that waits keeps the environments alive that it would have to wait for."""
    bounds = Bounds(starting=1, alive=1)
    assert bounds.admit(starting=0, alive=1, leaving=0, needed=True)
    assert not bounds.admit(starting=0, alive=1, leaving=1, needed=True)


def test_long_tests_are_remembered_one_by_one_and_short_ones_by_their_mean() -> None:
    """The next run knows what took long, and what each environment costs."""
    first = Durations()
    assert first.cost("one", weight=2.0, tests=10) == 2 * first.cost("two", weight=1.0, tests=10)
    for number in range(9):
        first.took(f"t.py::test_{number}", "one", 0.2)
    first.took("t.py::test_long", "one", 5.0)
    first.took("t.py::test_long", "one", 3.0)
    first.brought_up("one", 4.0)
    second = Durations()
    second.remember(first.to_data())
    assert second.seconds(["t.py::test_long", "t.py::test_1"]) == [8.0, 0.1]
    assert second.cost("one", weight=100.0, tests=10) == pytest.approx(4.0 + 9 * 0.2 + 8.0)
    second.took("t.py::test_long", "one", 0.1)
    assert "t.py::test_long" not in second.to_data()["tests"]


@pytest.mark.parametrize(
    "data", [None, [], {"tests": 1}, {"tests": {"t": "x"}, "bring_up": None, "mean": []}]
)
def test_a_cache_that_somebody_else_wrote_is_forgotten(data: object) -> None:
    """Guesses take its place."""
    durations = Durations()
    durations.remember(data)
    assert durations.seconds(["t"]) == Durations().seconds(["t"])
    assert durations.cost("one", 1.0, 1) == Durations().cost("one", 1.0, 1)


def test_an_environment_that_an_early_end_has_cut_short_is_not_taken_for_a_quick_one() -> None:
    """What earlier runs took, or else the matrix' first guess, stays the best that is known."""
    durations = Durations()
    durations.brought_up("new", 0.0)
    assert durations.cost("new", 2.0, 1) == Durations().cost("new", 2.0, 1)
    durations.brought_up("known", 30.0)
    before = durations.cost("known", 1.0, 1)
    durations.brought_up("known", 0.0)
    assert durations.cost("known", 1.0, 1) == before
