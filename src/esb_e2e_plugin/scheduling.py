"""How tests are handed to xdist's workers when environments are in play: `dispatcher`, as xdist sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast

import pytest
from xdist.report import report_collection_diff
from xdist.workermanage import WorkerController

from esb_e2e_plugin.dispatcher import Dispatcher, Work


class Environments(Protocol):
    """What a scheduler asks of the controller's side.

    Attributes:
        refusal: why a worker runs nothing, and the run ends; None where all do.
    """

    refusal: str | None

    @property
    def stops(self) -> bool:
        """Whether pytest, or a plugin of it, wants no further test to begin."""

    def ends(self, node: WorkerController) -> bool:
        """Tell whether a worker was told to end, and tears down everything."""

    @property
    def late(self) -> Sequence[WorkerController]:
        """The workers that have not begun."""

    def begin_late(self, unfinished: int) -> None:
        """Let those of them begin that there is room for, and tests."""

    def work_of(self, node: WorkerController, ids: Sequence[str]) -> Work:
        """Return what there is to run, as a worker has collected it."""

    def is_open(self, profile: str) -> bool:
        """Tell whether an environment's tests may go out."""

    def need(self, profile: str) -> None:
        """Learn that no test can run before this environment is there."""

    def release(self, profile: str) -> None:
        """Learn that nothing will use an environment any more."""

    def disturb(self, profile: str, test: str) -> None:
        """Learn that an exclusive test of an environment is about to begin."""

    def calm(self, profile: str) -> None:
        """Learn that it has ended."""

    def drain(self) -> None:
        """Do what other threads leave to the main thread."""

    def wake(self) -> None:
        """Have tests handed out once what happens now is told to everybody."""


class EnvironmentScheduling:
    """xdist's `Scheduling` protocol.

    A worker holds a test back until it knows the next one. So each test is sent with a pause behind it, which
    the worker is in until its next test is decided. See `pausing` for the worker's side.
    """

    def __init__(self, config: pytest.Config, environments: Environments) -> None:
        """Schedule the tests that the first worker will have collected.

        Args:
            config: the controller's configuration.
            environments: when tests may use theirs.
        """
        self._config = config
        self._environments = environments
        self._nodes: dict[WorkerController, None] = {}
        self._collector: WorkerController | None = None
        self._collection: list[str] = []
        self._dispatcher: Dispatcher | None = None
        self._resting: set[WorkerController] = set()
        self._used: set[str] = set()
        self._shown = False
        self._hushed = False

    @property
    def nodes(self) -> list[WorkerController]:
        """The workers that are ready to collect, or have collected, and those that have not begun."""
        return [*self._nodes, *self._environments.late]

    @property
    def collection_is_completed(self) -> bool:
        """Whether there is something to schedule: the first collection decides."""
        return self._dispatcher is not None

    @property
    def tests_finished(self) -> bool:
        """Whether every test has been run."""
        return self._dispatcher is not None and self._dispatcher.finished

    @property
    def has_pending(self) -> bool:
        """Whether there is something to do; xdist shows the state of collection as long as there is not."""
        return self._dispatcher is not None

    @property
    def unfinished(self) -> int:
        """How many tests have not been run to their end."""
        return self._dispatcher.unfinished if self._dispatcher is not None else 0

    def add_node(self, node: WorkerController) -> None:
        """Learn of a worker that begins to collect."""
        self._nodes[node] = None

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        """Count on a worker, if it has collected the same tests as the first one."""
        if self._environments.refusal is not None:
            self._abandon()
            return
        if self._dispatcher is None:
            self._collector, self._collection = node, list(collection)
            self._dispatcher = Dispatcher(self._environments.work_of(node, collection))
            self._used = self._dispatcher.used()
        elif list(collection) != self._collection:
            self._refuse(node, collection)
            return
        self._dispatcher.add_worker(node)

    def schedule(self) -> None:
        """Hand out tests to the workers that wait."""
        self._hush()
        self._show()
        self._hand_out()
        self._environments.begin_late(self.unfinished)

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:  # noqa: ARG002  xdist's
        """Learn that a worker is done with a test, or with a pause."""
        if self._dispatcher is None:
            return
        if item_index < len(self._collection):
            self._dispatcher.complete(node, item_index)
            self._calm(item_index)
            self._hand_out()
        elif item_index == len(self._collection):
            self._dispatcher.settle(node)
            self._release()

    def mark_test_pending(self, item: str) -> None:
        """Run a test again, which a plugin wants to be run although its worker crashed."""
        if self._dispatcher is not None:
            self._dispatcher.requeue(self._collection.index(item))
            self._hand_out()

    def remove_pending_tests_from_node(self, node: WorkerController | None, indices: Sequence[int]) -> None:  # noqa: ARG002  xdist's
        """Look at what other threads have done: no worker is ever asked for tests back."""
        self._environments.drain()
        self._hand_out()
        self._environments.begin_late(self.unfinished)

    def remove_node(self, node: WorkerController) -> str | None:
        """Forget a worker that has ended; return the test that it crashed in, or None.

        Raises:
            KeyError: it was never ready.
        """
        del self._nodes[node]
        self._resting.discard(node)
        if self._dispatcher is None or node not in self._dispatcher.workers:
            return None
        if not hasattr(node, "workeroutput"):  # which comes with an orderly end
            self._report_teardown(node, self._dispatcher.torn_down(node, ends=self._environments.ends(node)))
        lost = self._dispatcher.running(node)
        crashed = self._dispatcher.remove_worker(node)
        if lost is not None:
            self._calm(lost)
        if crashed is None:
            self._hand_out()
            return None
        # Its environment, and who may stop the run, or run the test again, are still to be told of the crash.
        self._environments.wake()
        return self._collection[crashed]

    def test_started(self, nodeid: str) -> None:
        """Learn that some worker has begun with a test."""
        if self._dispatcher is not None:
            for worker, test in self._dispatcher.in_flight():
                if self._collection[test] == nodeid:
                    self._dispatcher.begin(worker)

    def test_reported(self, report: pytest.TestReport) -> None:
        """Learn of a phase of a worker's test; the last one is its teardown."""
        node = getattr(report, "node", None)
        if self._dispatcher is None or (test := self._dispatcher.running(node)) is None:
            return
        if self._collection[test] != report.nodeid:
            return
        if report.when == "teardown":
            self._dispatcher.report(node)
        elif report.when == "setup":  # once more, where a plugin runs a failed test again
            self._dispatcher.begin(node)

    def _hand_out(self) -> None:
        dispatcher = self._dispatcher
        if dispatcher is None:
            return
        if self._environments.stops:
            dispatcher.abandon()
        again = True
        while again:
            again = False
            for worker, test in dispatcher.assign(self._environments.is_open):
                if (profile := dispatcher.taken_alone(test)) is not None:
                    self._environments.disturb(profile, self._collection[test])
                # A test and the pause behind it: the last of what a worker has waits for its successor.
                if self._send(cast("WorkerController", worker), test, len(self._collection)):
                    dispatcher.leave(worker)
                else:
                    dispatcher.take_back(worker)
                    self._calm(test)
                    again = True
        if (profile := dispatcher.awaited()) is not None:
            self._environments.need(profile)
        for worker in dispatcher.idle_holders():
            node = cast("WorkerController", worker)
            if node not in self._resting and self._send(node, len(self._collection) + 1):
                self._resting.add(node)
                dispatcher.leave(node)
        self._release()

    def _show(self) -> None:
        """Say once how much there is to do, as xdist does when all workers have collected."""
        terminal: Any = self._config.pluginmanager.getplugin("terminalreporter")
        if self._shown or terminal is None or self._config.option.verbose < 0:
            return
        self._shown = True
        workers, items = len(self._config.option.tx), len(self._collection)
        terminal.write_line(f"{_count(workers, 'worker')} [{_count(items, 'item')}]")

    def _hush(self) -> None:
        """End the line about workers that xdist writes over and over on a terminal: results come now."""
        terminal: Any = self._config.pluginmanager.getplugin("terminalreporter")
        reporter: Any = self._config.pluginmanager.getplugin("terminaldistreporter")
        if self._hushed or terminal is None or reporter is None:
            return
        self._hushed = True
        if terminal.isatty:
            terminal.write_line("")
        write = reporter.rewrite
        reporter.rewrite = lambda line, newline=False: write(line, newline=True) if newline else None

    def _report_teardown(self, node: WorkerController, test: int | None) -> None:
        """Report a worker's end while it tore down what a test shares with others: an error of that test."""
        if test is None:
            return
        nodeid = self._collection[test]
        message = (
            f"worker {node.gateway.id!r} crashed in the teardown of what {nodeid!r} shares with other tests"
        )
        path = nodeid.partition("::")[0]
        report: Any = pytest.TestReport(nodeid, (path, None, path), {}, "failed", message, "teardown")
        report.node = node
        self._config.hook.pytest_runtest_logreport(report=report)

    def _calm(self, test: int) -> None:
        if self._dispatcher is not None and (profile := self._dispatcher.taken_alone(test)) is not None:
            self._environments.calm(profile)

    def _send(self, node: WorkerController, *indices: int) -> bool:
        if node.shutting_down:
            return False
        try:
            node.send_runtest_some(list(indices))
        except OSError:  # it is gone; xdist tells so next
            return False
        self._resting.discard(node)
        return True

    def _release(self) -> None:
        """Give up the environments that nothing uses any more."""
        if self._dispatcher is None or not self._used:
            return
        used = self._dispatcher.used()
        for profile in self._used - used:
            self._environments.release(profile)
        self._used &= used

    def _refuse(self, node: WorkerController, collection: Sequence[str]) -> None:
        """End the run as xdist does where workers see different tests."""
        first: Any = self._collector
        message = report_collection_diff(self._collection, collection, first.gateway.id, node.gateway.id)
        report = pytest.CollectReport(nodeid=node.gateway.id, outcome="failed", longrepr=message, result=[])
        self._config.hook.pytest_collectreport(report=report)
        self._abandon()

    def _abandon(self) -> None:
        """Hand out nothing more."""
        if self._dispatcher is None:
            self._dispatcher = Dispatcher(Work((), (), (), frozenset(), ()))
        self._dispatcher.abandon()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"
