"""Who runs what next, whatever the workers do: simulated, in the orders that hypothesis thinks of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from esb_e2e_plugin.dispatcher import Dispatcher, Work, units_of

ENVIRONMENTS = ("one", "two", "three")
SETTINGS = settings(max_examples=300, deadline=None)


@st.composite
def works(draw: st.DrawFn) -> Work:
    """Some tests of up to three environments, in units, with exclusive ones among them."""
    tests = draw(
        st.lists(
            st.tuples(
                st.none() | st.integers(0, len(ENVIRONMENTS) - 1),
                st.none() | st.integers(0, 2),
                st.booleans(),
                st.sampled_from([0.1, 0.4, 1.0, 60.0]),
            ),
            max_size=25,
        )
    )
    order = draw(st.sampled_from([(False, False), (True, False), (True, True)]))
    return Work(
        environments=ENVIRONMENTS,
        environment_of=[environment for environment, *_ in tests],
        units=units_of([None if unit is None else (unit, env) for env, unit, *_ in tests]),
        exclusive=frozenset(i for i, (env, _, alone, _) in enumerate(tests) if alone and env is not None),
        seconds=[seconds for *_, seconds in tests],
        keep_order=order[0],
        strict=order[1],
    )


@dataclass
class Simulation:
    """Workers that do what `steps` say, watched."""

    work: Work
    dispatcher: Dispatcher
    ready: set[str] = field(default_factory=set)
    runs: dict[int, int] = field(default_factory=dict)
    begun: set[int] = field(default_factory=set)
    ran: Counter[int] = field(default_factory=Counter)
    crashed: list[int] = field(default_factory=list)
    order: list[int] = field(default_factory=list)
    workers: int = 0

    def add(self) -> None:
        """Let one more worker come."""
        self.dispatcher.add_worker(self.workers)
        self.workers += 1

    def hand_out(self) -> None:
        """Let workers get what they are given."""
        for worker, test in self.dispatcher.assign(self.ready.__contains__):
            assert isinstance(worker, int)
            assert worker not in self.runs
            environment = self.work.environment_of[test]
            assert environment is None or ENVIRONMENTS[environment] in self.ready
            self.runs[worker] = test
            self.order.append(test)
        self.check_exclusive()

    def check_exclusive(self) -> None:
        """Expect each exclusive test to be the only one of its environment."""
        running = list(self.runs.values())
        for test in set(running) & set(self.work.exclusive):
            environment = self.work.environment_of[test]
            assert sum(self.work.environment_of[other] == environment for other in running) == 1

    def step(self, what: str, choice: int) -> None:
        """Let one thing happen."""
        if what == "ready":
            self.ready.add(ENVIRONMENTS[choice % len(ENVIRONMENTS)])
        elif what == "worker":
            self.add()
        elif self.runs:
            self.progress(sorted(self.runs)[choice % len(self.runs)], what)
        self.hand_out()

    def progress(self, worker: int, what: str) -> None:
        """Let a worker begin its test, end it, or die before it, in it, or after its last report."""
        test = self.runs[worker]
        if what != "die early" and worker not in self.begun:
            self.dispatcher.begin(worker)
            self.begun.add(worker)
            self.ran[test] += 1
        if what == "begin":
            return
        begun = worker in self.begun
        if what == "die late":
            self.dispatcher.report(worker)
        del self.runs[worker]
        self.begun.discard(worker)
        if what == "complete":
            self.dispatcher.complete(worker, test)
            self.dispatcher.settle(worker)
            return
        crashed = self.dispatcher.remove_worker(worker)
        assert crashed == (test if begun and what != "die late" else None)
        if crashed is not None:
            self.crashed.append(crashed)

    def finish(self) -> None:
        """Let everything come up, and the workers that are left do their work; expect the end."""
        self.ready.update(ENVIRONMENTS)
        if not self.dispatcher.workers:
            self.add()
        self.hand_out()
        for _ in self.work.seconds:
            if self.runs:
                self.step("complete", 0)
        assert not self.runs


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["ready", "worker", "begin", "complete", "complete", "die early", "die in it", "die late"]
        ),
        st.integers(0, 100),
    ),
    max_size=80,
)


def _simulate(work: Work, steps: Sequence[tuple[str, int]], workers: int) -> Simulation:
    simulation = Simulation(work, Dispatcher(work))
    for _ in range(workers):
        simulation.add()
    simulation.hand_out()
    for what, choice in steps:
        simulation.step(what, choice)
    simulation.finish()
    return simulation


@SETTINGS
@given(works(), STEPS, st.integers(0, 4))
def test_every_test_runs_exactly_once_whatever_happens_to_workers(
    work: Work, steps: list[tuple[str, int]], workers: int
) -> None:
    """None is lost, none is run again after a crash, and the end is reached and noticed."""
    simulation = _simulate(work, steps, workers)
    assert simulation.ran == Counter(range(len(work.seconds)))
    assert len(set(simulation.crashed)) == len(simulation.crashed)
    assert simulation.dispatcher.finished


@SETTINGS
@given(works(), STEPS, st.integers(1, 4))
def test_an_environment_is_in_use_until_its_tests_are_done_and_its_fixtures_gone(
    work: Work, steps: list[tuple[str, int]], workers: int
) -> None:
    """At the end only the workers that have not settled since hold one; when they have, nobody does."""
    simulation = Simulation(work, Dispatcher(work))
    for _ in range(workers):
        simulation.add()
    for what, choice in steps:
        simulation.step(what, choice)
        unfinished = {
            ENVIRONMENTS[environment]
            for test, environment in enumerate(work.environment_of)
            if environment is not None and (not simulation.ran[test] or test in simulation.runs.values())
        }
        assert unfinished <= simulation.dispatcher.used()
    simulation.finish()
    for worker in simulation.dispatcher.workers:
        simulation.dispatcher.settle(worker)
    assert simulation.dispatcher.used() == set()


@SETTINGS
@given(works(), st.integers(1, 4))
def test_units_stay_on_one_worker_in_their_order(work: Work, workers: int) -> None:
    """Where no worker dies, each unit's tests are run one after the other by the worker that began it."""
    dispatcher = Dispatcher(work)
    ran: dict[object, list[int]] = {number: [] for number in range(workers)}
    for number in range(workers):
        dispatcher.add_worker(number)
    while not dispatcher.finished:
        given_out = list(dispatcher.assign(lambda _: True))
        for worker, test in given_out:
            ran[worker].append(test)
        worker, test = next(dispatcher.in_flight())
        dispatcher.complete(worker, test)
    for unit in work.units:
        worker = next(worker for worker, tests in ran.items() if unit[0] in tests)
        at = ran[worker].index(unit[0])
        assert ran[worker][at : at + len(unit)] == unit


@SETTINGS
@given(works(), STEPS, st.integers(1, 4))
def test_strict_order_is_that_of_the_collection(
    work: Work, steps: list[tuple[str, int]], workers: int
) -> None:
    """`--stepwise` skips what comes before a failure: nothing may overtake it, or run beside it."""
    strict = Work(**{**vars(work), "strict": True, "units": [[test] for test in range(len(work.seconds))]})
    simulation = Simulation(strict, Dispatcher(strict))
    for _ in range(workers):
        simulation.add()
    simulation.hand_out()
    for what, choice in steps:
        simulation.step(what, choice)
        assert len(simulation.runs) <= 1
        awaited = simulation.dispatcher.awaited()
        if simulation.dispatcher.workers and awaited is not None:
            assert awaited not in simulation.ready
    simulation.finish()
    first = list(dict.fromkeys(simulation.order))
    assert first == sorted(first)


@SETTINGS
@given(works(), st.integers(1, 4))
def test_strict_order_names_the_environment_that_it_waits_for(work: Work, workers: int) -> None:
    """Whatever came up first, and whatever units there are: what is awaited lets the tests go on."""
    dispatcher = Dispatcher(Work(**{**vars(work), "strict": True}))
    for number in range(workers):
        dispatcher.add_worker(number)
    ready: set[str] = set()
    while not dispatcher.finished:
        given_out = list(dispatcher.assign(ready.__contains__))
        assert len(given_out) <= 1
        for worker, test in given_out:
            dispatcher.complete(worker, test)
        if not given_out:
            awaited = dispatcher.awaited()
            assert awaited is not None
            assert awaited not in ready
            ready.add(awaited)


def _work(
    environments: Sequence[int | None], seconds: Sequence[float], exclusive: Sequence[int] = ()
) -> Work:
    units = [[test] for test in range(len(seconds))]
    return Work(ENVIRONMENTS, environments, units, frozenset(exclusive), seconds)


def _given(dispatcher: Dispatcher, ready: Sequence[str]) -> dict[object, int]:
    return dict(dispatcher.assign(ready.__contains__))


def test_ready_environments_come_before_those_coming_up() -> None:
    """Workers join the one that is ready, fill the gap with tests that need none, and then wait."""
    dispatcher = Dispatcher(_work([0, 0, 1, 1, None], [0.1] * 5))
    for worker in range(4):
        dispatcher.add_worker(worker)
    assert _given(dispatcher, ["two"]) == {0: 2, 1: 3, 2: 4}
    assert _given(dispatcher, ["one", "two"]) == {3: 0}


def test_idle_workers_spread_over_environments_by_the_work_that_is_left() -> None:
    """The most expensive one comes first, and gets a second worker before a cheap one gets its first."""
    dispatcher = Dispatcher(_work([0] * 2 + [1] * 8 + [2] * 3, [0.1] * 13))
    for worker in range(3):
        dispatcher.add_worker(worker)
    assert _given(dispatcher, ENVIRONMENTS) == {0: 2, 1: 3, 2: 10}


def test_a_long_test_begins_before_short_ones() -> None:
    """Begun last, it would end alone; so it goes first, whatever environment a worker is in."""
    dispatcher = Dispatcher(_work([0, 0, 1, 1], [0.1, 2.0, 0.1, 5.0]))
    dispatcher.add_worker("w")
    order = []
    while not dispatcher.finished:
        ((worker, test),) = dispatcher.assign(lambda _: True)
        dispatcher.complete(worker, test)
        order.append(test)
    assert order == [3, 1, 0, 2]


def test_an_exclusive_test_goes_out_first_and_alone() -> None:
    """The others of its environment wait for it; those of another one do not."""
    dispatcher = Dispatcher(_work([0, 0, 1], [0.1] * 3, exclusive=[1]))
    for worker in range(3):
        dispatcher.add_worker(worker)
    assert _given(dispatcher, ENVIRONMENTS) == {0: 1, 1: 2}
    dispatcher.complete(0, 1)
    assert set(_given(dispatcher, ENVIRONMENTS).values()) == {0}


def test_in_strict_order_one_worker_goes_on_as_long_as_it_can() -> None:
    """So that nothing runs beside the end of what its tests have shared."""
    dispatcher = Dispatcher(Work(**{**vars(_work([0, 0, 1], [0.1] * 3)), "strict": True}))
    for number in range(3):
        dispatcher.add_worker(number)
    ran = []
    while not dispatcher.finished:
        ((worker, test),) = _given(dispatcher, ENVIRONMENTS).items()
        dispatcher.complete(worker, test)
        dispatcher.add_worker(f"late-{test}")
        ran.append(worker)
    assert len(set(ran)) == 1


def test_what_a_worker_may_be_tearing_down_is_that_of_its_last_test() -> None:
    """From its successor, or the word to rest, until it has settled; and when it ends."""
    dispatcher = Dispatcher(_work([0, 0, 0], [0.1, 0.1, 0.1]))
    dispatcher.add_worker("w")
    assert dispatcher.torn_down("w", ends=True) is None
    assert _given(dispatcher, ["one"]) == {"w": 0}
    dispatcher.leave("w")
    assert dispatcher.torn_down("w", ends=False) is None
    dispatcher.begin("w")
    dispatcher.complete("w", 0)
    assert dispatcher.torn_down("w", ends=False) is None
    assert dispatcher.torn_down("w", ends=True) == 0
    assert _given(dispatcher, ["one"]) == {"w": 1}
    dispatcher.leave("w")
    assert dispatcher.torn_down("w", ends=False) == 0
    dispatcher.settle("w")
    assert dispatcher.torn_down("w", ends=False) is None
    dispatcher.begin("w")
    assert dispatcher.torn_down("w", ends=True) is None
    dispatcher.complete("w", 1)
    dispatcher.leave("w")
    assert dispatcher.torn_down("w", ends=False) == 1


def test_a_worker_that_waits_is_told_to_give_up_an_environment_that_is_done() -> None:
    """Its fixtures hold the environment; nothing else would make it tear them down."""
    dispatcher = Dispatcher(_work([0, 1], [0.1, 0.1]))
    dispatcher.add_worker("w")
    assert _given(dispatcher, ["one"]) == {"w": 0}
    dispatcher.complete("w", 0)
    assert dispatcher.idle_holders() == ["w"]
    assert dispatcher.used() == {"one", "two"}
    dispatcher.settle("w")
    assert dispatcher.used() == {"two"}
    assert dispatcher.idle_holders() == []
