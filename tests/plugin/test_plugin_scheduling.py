"""Handing tests to workers that may die at any moment, also between death and its notice."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from xdist.remote import Producer

from esb_e2e_plugin.scheduling import EnvironmentScheduling


class Worker:
    """As much of xdist's worker as a scheduler sees."""

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.shutting_down = False
        self.dead = False
        self.got: list[int] = []
        self.stolen: list[int] = []

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        """Take tests."""
        self._reach()
        self.got.extend(indices)

    def send_steal(self, indices: Sequence[int]) -> None:
        """Be asked to give tests back."""
        self._reach()
        self.stolen.extend(indices)

    def shutdown(self) -> None:
        """Be told that there is nothing more to do."""
        self.shutting_down = True

    def _reach(self) -> None:
        if self.dead:
            raise OSError("cannot send (already closed?)")


@pytest.fixture
def workers() -> tuple[Worker, Worker]:
    return Worker("gw0"), Worker("gw1")


@pytest.fixture
def schedule(pytester: pytest.Pytester, workers: tuple[Worker, Worker]) -> EnvironmentScheduling:
    """A scheduler that knows six tests and two workers."""
    config = pytester.parseconfig("-p", "no:esb_e2e", "-d", "--tx", "2*popen")
    made = EnvironmentScheduling(config, Producer("test", enabled=False), lambda: None)
    for worker in workers:
        made.add_node(worker)
        made.add_node_collection(worker, [f"t.py::test_{number}" for number in range(6)])
    return made


def test_a_worker_that_died_before_it_got_tests_crashed_in_none_of_them(
    schedule: EnvironmentScheduling, workers: tuple[Worker, Worker]
) -> None:
    """What could not be handed to it goes to the others, and no test is called crashed."""
    alive, dead = workers
    dead.dead = True
    schedule.schedule()
    assert schedule.remove_node(dead) is None
    for number in (0, 1):
        schedule.mark_test_complete(alive, number)
    assert sorted(alive.got) == list(range(6))


def test_a_worker_that_dies_when_it_is_asked_for_tests_ends_no_run(
    schedule: EnvironmentScheduling, workers: tuple[Worker, Worker]
) -> None:
    """The test that it ran is the crashed one; those behind it are handed to the other worker."""
    idle, busy = workers
    schedule.schedule()
    assert (idle.got, busy.got) == ([0, 1, 2], [3, 4, 5])
    busy.dead = True
    for number in (0, 1):
        schedule.mark_test_complete(idle, number)
    assert busy.stolen == []
    assert schedule.remove_node(busy) == "t.py::test_3"
    assert idle.got == [0, 1, 2, 4, 5]
    assert not idle.shutting_down
