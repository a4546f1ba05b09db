"""Which xdist worker runs which test next; pure: no pytest, no xdist, no clock.

Tests are handed out one by one, as late as possible: a worker that waits can still take anything.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

LONG_SECONDS = 0.5
_URGENT_SHARE = 4


@dataclass(frozen=True)
class Work:
    """What there is to run.

    Attributes:
        environments: the profiles that tests use.
        environment_of: for each test the index of its environment, or None where it needs none.
        units: tests that stay together on one worker, in their order, each inside one environment.
        exclusive: the tests that take their environment alone.
        seconds: how long each test is expected to take.
        keep_order: whether the tests of an environment go out in the order of the collection.
        strict: whether all tests do, and one at a time: none begins before all in front of it have ended.
    """

    environments: Sequence[str]
    environment_of: Sequence[int | None]
    units: Sequence[Sequence[int]]
    exclusive: Collection[int]
    seconds: Sequence[float]
    keep_order: bool = False
    strict: bool = False


@dataclass(eq=False)
class _Unit:
    tests: deque[int]
    seconds: float

    @property
    def first(self) -> int:
        return self.tests[0]


@dataclass(eq=False)
class _Queue:
    """The tests of one environment; those that need none have a queue of their own."""

    name: str | None
    exclusive: deque[_Unit] = field(default_factory=deque)
    long: deque[_Unit] = field(default_factory=deque)
    rest: deque[_Unit] = field(default_factory=deque)
    seconds: float = 0.0
    unfinished: int = 0
    workers: int = 0
    in_flight: int = 0
    alone: bool = False
    waiting_alone: set[Hashable] = field(default_factory=set)

    def add(self, unit: _Unit, exclusive: Collection[int], *, keep_order: bool) -> None:
        self.seconds += unit.seconds
        if keep_order:
            self.rest.append(unit)
        elif unit.first in exclusive:
            self.exclusive.append(unit)
        else:
            (self.long if unit.seconds >= LONG_SECONDS else self.rest).append(unit)

    def head(self, exclusive: Collection[int]) -> deque[_Unit] | None:
        """Return the line whose first unit may start now; None where nothing may."""
        if self.alone or self.waiting_alone:
            return None
        if self.exclusive and not self.in_flight:
            return self.exclusive
        line = self.long or self.rest
        if not line or (self.in_flight and line[0].first in exclusive):
            return None
        return line

    def lines(self) -> Iterator[deque[_Unit]]:
        yield from (self.exclusive, self.long, self.rest)


@dataclass(eq=False)
class _Worker:
    queue: _Queue | None = None
    unit: deque[int] = field(default_factory=deque)
    running: int | None = None
    started: bool = False
    reported: bool = False
    last: int | None = None
    leaving: bool = False
    holds: set[str] = field(default_factory=set)


class Dispatcher:
    """Hands out every test of some work exactly once, whatever becomes of the workers."""

    def __init__(self, work: Work) -> None:
        """Queue all tests of `work`."""
        self._work = work
        self._queues = [_Queue(name) for name in (*work.environments, None)]
        self._workers: dict[Hashable, _Worker] = {}
        self._free: dict[Hashable, None] = {}
        self._unfinished = sum(map(len, work.units))
        self._seconds = 0.0
        for tests in work.units:
            self._enqueue(tests)
            self._queue_of(tests[0]).unfinished += len(tests)
        for queue in self._queues:
            queue.long = deque(sorted(queue.long, key=lambda unit: -unit.seconds))

    @property
    def finished(self) -> bool:
        """Whether every test has been run, or has crashed its worker."""
        return not self._unfinished

    @property
    def unfinished(self) -> int:
        """How many tests have not been run to their end."""
        return self._unfinished

    @property
    def workers(self) -> tuple[Hashable, ...]:
        """The workers that are there."""
        return tuple(self._workers)

    def add_worker(self, worker: Hashable) -> None:
        """Count on a worker from now on."""
        self._workers[worker] = _Worker()
        self._free[worker] = None

    def remove_worker(self, worker: Hashable) -> int | None:
        """Forget a worker and requeue what it was to run; return the test that it crashed in, or None."""
        gone = self._workers.pop(worker)
        self._free.pop(worker, None)
        test, begun = gone.running, gone.started
        crashed = test if begun and not gone.reported else None
        if test is not None:
            if not begun:
                gone.unit.appendleft(test)
            self._land(gone, finished=begun)
        self._leave(worker, gone)
        if gone.unit:
            self._enqueue(gone.unit, first=True)
        return crashed

    def begin(self, worker: Hashable) -> None:
        """Learn that a worker has begun with its test: should it end now, the test is not run again."""
        found = self._workers[worker]
        found.started, found.reported = True, False

    def report(self, worker: Hashable) -> None:
        """Learn that a worker's test is reported in full: should it end now, it crashed in none."""
        self._workers[worker].reported = True

    def complete(self, worker: Hashable, test: int) -> None:
        """Learn that a worker has done its test, and waits for the next one."""
        found = self._workers.get(worker)
        if found is not None and found.running == test:
            self._land(found, finished=True)
            found.last, found.leaving = test, False
            self._free[worker] = None

    def leave(self, worker: Hashable) -> None:
        """Learn that a worker was told what comes next: it tears down what that does not share."""
        found = self._workers[worker]
        found.leaving = found.last is not None

    def settle(self, worker: Hashable) -> None:
        """Learn that of a worker's fixtures only those that its next test shares are still there."""
        found = self._workers.get(worker)
        if found is not None:
            found.leaving = False
            name = found.queue.name if found.queue is not None and found.running is not None else None
            found.holds = {name} if name is not None else set()

    def take_back(self, worker: Hashable) -> None:
        """Requeue a test that could not be handed to a worker, which gets nothing more."""
        found = self._workers[worker]
        if found.running is not None:
            found.unit.appendleft(found.running)
            self._land(found, finished=False)
        self._leave(worker, found)
        if found.unit:
            self._enqueue(found.unit, first=True)
            found.unit = deque()
        self._free.pop(worker, None)

    def requeue(self, test: int) -> None:
        """Run a test once more that has crashed its worker."""
        self._unfinished += 1
        self._queue_of(test).unfinished += 1
        self._enqueue([test], first=True)

    def abandon(self) -> None:
        """Hand out nothing more."""
        self._unfinished = sum(worker.running is not None for worker in self._workers.values())
        for queue in self._queues:
            queue.unfinished = queue.in_flight
            for line in queue.lines():
                line.clear()
        for worker in self._workers.values():
            worker.unit.clear()

    def taken_alone(self, test: int) -> str | None:
        """Return the environment that a test takes alone, or None."""
        return self._queue_of(test).name if test in self._work.exclusive else None

    def torn_down(self, worker: Hashable, *, ends: bool) -> int | None:
        """Return the test whose shared fixtures a worker may be tearing down, or None.

        Args:
            worker: one that is there.
            ends: whether it was told to end, and tears down everything.
        """
        found = self._workers[worker]
        between = found.running is None or not found.started
        return found.last if between and (found.leaving or ends) else None

    def awaited(self) -> str | None:
        """Return the environment that has to come up before any other test may run, or None."""
        if not self._work.strict or self._is_busy():
            return None
        first = self._first_of_all()
        return first.name if first is not None else None

    def in_flight(self) -> Iterator[tuple[Hashable, int]]:
        """Yield each worker that has a test, and the test."""
        for worker, found in self._workers.items():
            if found.running is not None:
                yield worker, found.running

    def running(self, worker: Hashable) -> int | None:
        """Return the test that a worker has, or None."""
        found = self._workers.get(worker)
        return found.running if found is not None else None

    def assign(self, is_open: Callable[[str], bool]) -> Iterator[tuple[Hashable, int]]:
        """Yield a worker and its next test for each worker that waits and can be given one.

        Args:
            is_open: tells whether tests of an environment may go out: it is ready, or known to have failed.
        """
        if not self._free:
            return
        now_open = [queue for queue in self._queues if queue.name is None or is_open(queue.name)]
        free = list(self._free)
        if self._work.strict:
            # The last one goes on: what its tests have shared ends before the next one begins.
            free.sort(key=lambda worker: self._workers[worker].last is not None)
            free.reverse()
        for worker in free:
            test = self._next(worker, self._workers[worker], now_open)
            if test is not None:
                del self._free[worker]
                yield worker, test

    def used(self) -> set[str]:
        """Return the environments that have unfinished tests, or that a worker's fixtures still hold."""
        used = {queue.name for queue in self._queues if queue.unfinished and queue.name is not None}
        return used.union(*(worker.holds for worker in self._workers.values()))

    def idle_holders(self) -> list[Hashable]:
        """Return the workers that wait, and hold an environment that has no unfinished tests."""
        over = {queue.name for queue in self._queues if not queue.unfinished}
        return [worker for worker in self._free if over & self._workers[worker].holds]

    def _next(self, worker: Hashable, found: _Worker, now_open: Collection[_Queue]) -> int | None:
        if self._work.strict and self._is_busy(but=found):
            return None
        if found.unit:
            return self._continue(worker, found, now_open)
        queue = self._choose(found, now_open)
        line = queue.head(self._work.exclusive) if queue is not None else None
        if queue is None or not line:
            return None
        unit = line.popleft()
        queue.seconds -= unit.seconds
        self._seconds -= unit.seconds
        found.unit = unit.tests
        if queue is not found.queue:
            self._leave(worker, found)
            found.queue = queue
            queue.workers += 1
        return self._launch(worker, found, queue)

    def _continue(self, worker: Hashable, found: _Worker, now_open: Collection[_Queue]) -> int | None:
        """Go on with a unit; an exclusive test in its middle waits for all others, and they for it."""
        queue = found.queue
        if queue is None or queue not in now_open:
            return None
        if found.unit[0] in self._work.exclusive:
            if queue.in_flight:
                queue.waiting_alone.add(worker)
                return None
        elif queue.alone or queue.waiting_alone:
            return None
        return self._launch(worker, found, queue)

    def _launch(self, worker: Hashable, found: _Worker, queue: _Queue) -> int:
        test = found.unit.popleft()
        queue.waiting_alone.discard(worker)
        queue.in_flight += 1
        queue.alone = test in self._work.exclusive
        found.running, found.started, found.reported = test, False, False
        if queue.name is not None:
            found.holds.add(queue.name)
        return test

    def _choose(self, found: _Worker, now_open: Collection[_Queue]) -> _Queue | None:
        if self._work.strict:
            first = self._first_of_all()
            return first if first in now_open else None
        exclusive = self._work.exclusive
        heads = [(queue, line[0]) for queue in now_open if (line := queue.head(exclusive))]
        if not heads:
            return None
        queue, unit = max(heads, key=lambda head: head[1].seconds)
        urgent = unit.seconds * len(self._workers) * _URGENT_SHARE >= self._seconds
        if urgent and unit.seconds >= LONG_SECONDS:
            return queue
        candidates = [queue for queue, _ in heads if queue.name is not None]
        if found.queue in candidates:
            return found.queue
        if not candidates:
            return heads[0][0]
        return max(candidates, key=lambda queue: queue.seconds / (queue.workers + 1))

    def _first_of_all(self) -> _Queue | None:
        waiting = [queue for queue in self._queues if queue.rest]
        return min(waiting, key=lambda queue: queue.rest[0].first, default=None)

    def _is_busy(self, *, but: _Worker | None = None) -> bool:
        """Tell whether a worker, other than one, has a test or the rest of a unit."""
        return any(
            worker.running is not None or worker.unit
            for worker in self._workers.values()
            if worker is not but
        )

    def _enqueue(self, tests: Iterable[int], *, first: bool = False) -> None:
        """Queue a unit; one that comes back goes to where it came from, ahead of the others."""
        work = self._work
        unit = _Unit(deque(tests), sum(work.seconds[test] for test in tests))
        queue = self._queue_of(unit.first)
        self._seconds += unit.seconds
        queue.add(unit, work.exclusive, keep_order=work.keep_order or work.strict)
        if first:
            line = next(line for line in queue.lines() if line and line[-1] is unit)
            line.rotate(1)

    def _queue_of(self, test: int) -> _Queue:
        environment = self._work.environment_of[test]
        return self._queues[-1 if environment is None else environment]

    def _land(self, found: _Worker, *, finished: bool) -> None:
        queue = found.queue
        if queue is not None:
            queue.in_flight -= 1
            queue.alone = False
            queue.unfinished -= finished
        self._unfinished -= finished
        found.running = None

    def _leave(self, worker: Hashable, found: _Worker) -> None:
        if found.queue is not None:
            found.queue.workers -= 1
            found.queue.waiting_alone.discard(worker)
            found.queue = None


def units_of(keys: Sequence[Hashable | None]) -> list[list[int]]:
    """Return the tests of each unit in their order; a test without a key is a unit of its own.

    Args:
        keys: for each test what its unit has in common, or None.
    """
    counts = Counter(key for key in keys if key is not None)
    units: list[list[int]] = []
    by_key: dict[Hashable, list[int]] = {}
    for test, key in enumerate(keys):
        if key is None or counts[key] == 1:
            units.append([test])
        elif key in by_key:
            by_key[key].append(test)
        else:
            units.append(by_key.setdefault(key, [test]))
    return units
