"""Many workers, many environments, and workers that are killed at random moments."""

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.chaos.seeds import cases, seeds
from tests.chaos.suite import NAMES, RUN_SECONDS, Kill, Suite, TestFile
from tests.faults.run import Result, Run

LOG = logging.getLogger(__name__)
ALL = tuple((workers, environments) for workers in (0, 1, 2, 4, 8, "auto") for environments in range(1, 9))
SAMPLE = ((0, 2), (2, 4), (4, 8), ("auto", 3))
DISTRIBUTIONS = ("load", "worksteal", "loadscope", "loadfile", "loadgroup")


@dataclass(frozen=True)
class Plan:
    """What a seed stands for.

    Attributes:
        workers: number of xdist workers, or `auto`: then most of them begin late.
        environments: names of the environments.
        distribution: `--dist`.
        restarts: how many crashed workers may be replaced; None for xdist's default.
        files: the tests.
        kills: when workers are killed.
    """

    workers: int | str
    environments: tuple[str, ...]
    distribution: str
    restarts: int | None
    files: tuple[TestFile, ...]
    kills: tuple[Kill, ...]

    @classmethod
    def of(cls, chance: random.Random) -> "Plan":
        """Return a plan."""
        workers, environments = chance.choice((1, 2, 2, 4, 8, "auto", "auto")), NAMES[: chance.randint(1, 8)]
        files = tuple(_file(chance) for _ in range(chance.randint(1, 3)))
        tests = sum((len(file.shared) + len(file.alone)) * len(environments) + file.plain for file in files)
        begun = workers if isinstance(workers, int) else 1
        kills = [
            Kill(chance.randint(1, 2 * begun + 5 * tests), chance.uniform(0, 0.05))
            for _ in range(chance.randint(1, 4))
        ]
        return cls(
            workers,
            environments,
            chance.choice(DISTRIBUTIONS),
            chance.choice((None, None, None, 0, 1)),
            files,
            tuple(sorted(kills, key=lambda kill: kill.notes)),
        )

    @property
    def options(self) -> list[str]:
        """Return pytest's options."""
        restarts = [f"--max-worker-restart={self.restarts}"] if self.restarts is not None else []
        return [f"-n{self.workers}", f"--dist={self.distribution}", *restarts]


@pytest.fixture
def suite(making: Callable[[type[Suite]], Suite]) -> Suite:
    """A project without tests."""
    return making(Suite)


def end_of(suite: Suite, run: Run) -> Result:
    """Wait for the end of a run, and assert what holds of every end."""
    result = run.wait(RUN_SECONDS)
    assert "INTERNALERROR" not in result.output, result.output
    wrong = [*suite.miscounted(), *suite.company()]
    assert not wrong, "\n".join([*wrong, result.output])
    suite.check_nothing_left()
    return result


@pytest.mark.parametrize(("workers", "environments"), cases(SAMPLE, ALL))
def test_each_environment_is_brought_up_once(suite: Suite, workers: int | str, environments: int) -> None:
    """Whatever the number of workers, each environment comes up once, and each test runs once."""
    names = NAMES[:environments]
    suite.write_tests(names, [TestFile((0.0, 0.01, 0.02), (0.0,), 2)])
    result = end_of(suite, suite.start(f"-n{workers}"))
    assert result.code == 0, result.output
    assert suite.bring_ups() == dict.fromkeys(names, 1)
    assert suite.untold() == []
    assert f"{len(suite.ids)} passed" in result.output


@pytest.mark.parametrize("seed", seeds(2, 100), ids="seed-{}".format)
def test_killed_workers_cost_no_more_than_their_tests(suite: Suite, seed: int) -> None:
    """Each test runs at most once and is told of exactly once; nothing hangs, nothing is left."""
    chance = random.Random(seed)
    plan = Plan.of(chance)
    LOG.warning("seed %s: %s", seed, plan)
    suite.write_tests(plan.environments, plan.files)
    run = suite.start(*plan.options)
    killed = suite.kill_workers(run, plan.kills, chance)
    result = end_of(suite, run)
    failed, untold, bring_ups = suite.failed(), suite.untold(), suite.bring_ups()
    assert len(failed) <= killed, result.output
    assert set(bring_ups.values()) <= {1}, bring_ups
    if untold:
        assert plan.restarts is not None, "\n".join([*untold, result.output])
        assert result.code in (1, 2), result.output
    else:
        assert result.code == (1 if failed else 0), result.output


def _file(chance: random.Random) -> TestFile:
    def durations(most: int) -> tuple[float, ...]:
        return tuple(sorted({round(chance.uniform(0, 0.05), 3) for _ in range(chance.randint(0, most))}))

    return TestFile(durations(4), durations(2), chance.randint(1, 4))
