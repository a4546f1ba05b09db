"""Schedules: what AWS accepts, when they are due, and that the gateway runs them."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from esb_services.gateway.config import FunctionConfig, Scaling, ScheduledEvent
from esb_services.gateway.functions import FunctionRegistry
from esb_services.gateway.invocation import Invocation, Invoker, Result
from esb_services.gateway.schedule import Schedule, ScheduleError, parse_schedule
from esb_services.gateway.scheduler import Scheduler

FRIDAY = datetime(2026, 11, 20, 16, 0, 30, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("expression", "due"),
    [
        ("rate(1 minute)", "2026-11-20 16:01:30"),
        ("rate(5 minutes)", "2026-11-20 16:05:30"),
        ("rate(2 hours)", "2026-11-20 18:00:30"),
        (" rate( 1  day ) ", "2026-11-21 16:00:30"),
        ("cron(* * * * ? *)", "2026-11-20 16:01:00"),
        ("cron(0 10 * * ? *)", "2026-11-21 10:00:00"),
        ("cron(15 12 ? * 2 *)", "2026-11-23 12:15:00"),
        ("cron(0 18 ? * MON-FRI *)", "2026-11-20 18:00:00"),
        ("cron(0/10 * ? * 1,7 *)", "2026-11-21 00:00:00"),
        ("cron(0 0 ? * 2/2 *)", "2026-11-23 00:00:00"),
        ("cron(0 8 1 * ? *)", "2026-12-01 08:00:00"),
        ("cron(0 0 1 JAN,MAR ? *)", "2027-01-01 00:00:00"),
        ("cron(0 0 L 2 ? 2028)", "2028-02-29 00:00:00"),
        ("cron(0 0 15W 8 ? 2027)", "2027-08-16 00:00:00"),
        ("cron(0 0 ? * L *)", "2026-11-21 00:00:00"),
        ("cron(0 0 ? * 6L *)", "2026-11-27 00:00:00"),
        ("cron(0 0 ? * FRIL *)", "2026-11-27 00:00:00"),
        ("cron(0 0 ? * 3#2 *)", "2026-12-08 00:00:00"),
        ("cron(0 0 ? * TUE#2 *)", "2026-12-08 00:00:00"),
        ("cron(30 6 1 1 ? 2030-2040/5)", "2030-01-01 06:30:00"),
        ("cron(0 0 1 1 ? 2026/2)", "2028-01-01 00:00:00"),
        ("cron(0 0 1 1 ? 2030-2199)", "2030-01-01 00:00:00"),
        ("cron(0 0 1 1 ? 2020)", None),
        ("cron(0 0 30 2 ? *)", None),
    ],
)
def test_the_next_run_is_what_aws_would_choose(expression: str, due: str | None) -> None:
    """In UTC, counted from a Friday afternoon; None when there is no run any more."""
    moment = parse_schedule(expression).next_after(FRIDAY)
    shown = None if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S")
    assert shown == due


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "expected rate(…) or cron(…)"),
        ("5 minutes", "expected rate(…) or cron(…)"),
        ("rate(5)", "expected rate(<number> minute|minutes|hour|hours|day|days)"),
        ("rate(5 seconds)", "expected rate(<number>"),
        ("rate(-1 minutes)", "expected rate(<number>"),
        ("rate(0 minutes)", "the number must be at least 1"),
        ("rate(1 minutes)", "write 1 minute"),
        ("rate(5 minute)", "write 5 minutes"),
        ("cron(* * * * *)", "expected 6 fields (minutes hours day-of-month month day-of-week year), found 5"),
        ("cron(0 0 * * * *)", "exactly one of day-of-month and day-of-week must be ?"),
        ("cron(0 0 ? * ? *)", "exactly one of day-of-month and day-of-week must be ?"),
        ("cron(60 * * * ? *)", "minutes: '60' is not in 0-59"),
        ("cron(0 24 * * ? *)", "hours: '24' is not in 0-23"),
        ("cron(0 0 32 * ? *)", "day-of-month: '32' is not in 1-31"),
        ("cron(0 0 32W * ? *)", "day-of-month: '32' is not in 1-31"),
        ("cron(0 0 1 13 ? *)", "month: '13' is not in 1-12 or JAN-DEC"),
        ("cron(0 0 ? * 0 *)", "day-of-week: '0' is not in 1-7 or SUN-SAT"),
        ("cron(0 0 ? * MON#6 *)", "day-of-week: '6' is not in 1-5"),
        ("cron(0 0 ? * FRI-MON *)", "range 'FRI-MON' ends before it starts"),
        ("cron(0 0 1 1 ? 1969)", "year: '1969' is not in 1970-2199"),
        ("cron(1/0 0 * * ? *)", "minutes: '0' is not in 1-59"),
        ("cron(1, 0 * * ? *)", "minutes: '' is not in 0-59"),
    ],
)
def test_a_bad_expression_is_refused_with_the_reason(expression: str, reason: str) -> None:
    """The message shows the expression and the part that is wrong."""
    with pytest.raises(ScheduleError) as raised:
        parse_schedule(expression)
    assert repr(expression) in str(raised.value)
    assert reason in str(raised.value)


@dataclass(frozen=True)
class Soon:
    """A schedule that is due at once, `count` times."""

    count: int

    def next_after(self, moment: float) -> float | None:
        """Count down by the fraction of the moment."""
        runs = _RUNS.setdefault(self, [])
        runs.append(moment)
        return moment if len(runs) <= self.count else None


_RUNS: dict[Soon, list[float]] = {}


class Recorder:
    """Stands for the invoker: remembers what was invoked, and lets a test wait for it."""

    def __init__(self) -> None:
        self.seen: asyncio.Queue[tuple[str, Invocation]] = asyncio.Queue()

    async def invoke(self, function: Any, invocation: Invocation, **_: Any) -> Result:
        """Remember the invocation."""
        await self.seen.put((function.config.name, invocation))
        return Result(b"null", None)

    async def next(self) -> tuple[str, Invocation]:
        """Return the next invocation."""
        async with asyncio.timeout(20):
            return await self.seen.get()


def function(name: str, *schedules: tuple[Schedule, bytes | None]) -> FunctionConfig:
    events = tuple(ScheduledEvent("soon", schedule, payload) for schedule, payload in schedules)
    return FunctionConfig(name, "f:1", {}, 3, 128, Scaling(0, 1, 1, 1), events)


def run(
    scenario: Callable[[Scheduler, Recorder], Coroutine[Any, Any, None]], *configs: FunctionConfig
) -> None:
    """Run `scenario` with a scheduler that knows `configs` as the current functions."""

    async def main() -> None:
        recorder = Recorder()
        live = {config.name: SimpleNamespace(config=config) for config in configs}
        registry = SimpleNamespace(current=SimpleNamespace(functions=cast("Mapping[str, Any]", live)))
        tasks: set[asyncio.Task[None]] = set()

        def spawn(work: Coroutine[Any, Any, None]) -> None:
            tasks.add(asyncio.get_running_loop().create_task(work))

        scheduler = Scheduler(cast("FunctionRegistry", registry), cast("Invoker", recorder), spawn)
        scheduler.apply(configs)
        try:
            await scenario(scheduler, recorder)
        finally:
            await scheduler.stop()
            await asyncio.gather(*tasks)

    _RUNS.clear()
    asyncio.run(main())


def test_a_due_schedule_sends_its_input() -> None:
    """Each run has a trace and a request id of its own."""

    async def scenario(_scheduler: Scheduler, recorder: Recorder) -> None:
        (name, first), (_, second) = await recorder.next(), await recorder.next()
        assert (name, first.payload) == ("f", b'{"scheduled": true}')
        assert first.trace_header.startswith("Root=1-")
        assert first.trace_header != second.trace_header
        assert first.request_id != second.request_id

    run(scenario, function("f", (Soon(2), b'{"scheduled": true}')))


def test_a_schedule_without_input_sends_an_eventbridge_event() -> None:
    """The event has the shape that AWS sends."""

    async def scenario(_scheduler: Scheduler, recorder: Recorder) -> None:
        _, invocation = await recorder.next()
        event = json.loads(invocation.payload)
        assert (event["source"], event["detail-type"]) == ("aws.events", "Scheduled Event")
        assert datetime.strptime(event["time"], "%Y-%m-%dT%H:%M:%S%z")

    run(scenario, function("f", (Soon(1), None)))


def test_a_schedule_that_a_new_config_keeps_is_not_started_anew() -> None:
    """`rate` counts from when it was first loaded, also over later applies."""

    async def scenario(scheduler: Scheduler, recorder: Recorder) -> None:
        await recorder.next()
        scheduler.apply([function("f", (Soon(1), None)), function("g", (Soon(2), None))])
        assert (await recorder.next())[0] == "g"
        assert len(_RUNS[Soon(1)]) <= 2

    run(scenario, function("f", (Soon(1), None)), function("g"))


def test_a_schedule_of_a_removed_function_ends() -> None:
    """After an apply without it no timer is left."""

    async def scenario(scheduler: Scheduler, recorder: Recorder) -> None:
        await recorder.next()
        scheduler.apply([function("g", (Soon(1), None))])
        while (await recorder.next())[0] != "g":
            pass
        runs = len(_RUNS[Soon(10**9)])
        scheduler.apply([function("h", (Soon(2), None))])
        assert (await recorder.next())[0] == "h"
        assert len(_RUNS[Soon(10**9)]) <= runs + 1  # one look at the clock may have begun before

    run(scenario, function("f", (Soon(10**9), None)), function("g"), function("h"))


def test_a_rate_starts_one_interval_after_it_was_loaded() -> None:
    """Loading a config runs nothing at once."""

    async def scenario(_scheduler: Scheduler, recorder: Recorder) -> None:
        assert (await recorder.next())[0] == "soon"
        assert recorder.seen.empty()

    run(scenario, function("f", (parse_schedule("rate(1 minute)"), None)), function("soon", (Soon(1), None)))
