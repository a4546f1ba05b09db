"""Runs functions by their schedules."""

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Iterable

from esb_services import logs
from esb_services.gateway.config import FunctionConfig, ScheduledEvent
from esb_services.gateway.functions import FunctionRegistry
from esb_services.gateway.invocation import ACCOUNT_ID, Invocation, InvocationError, Invoker
from esb_services.gateway.lambda_api import EVENT_QUEUE_TIMEOUT
from esb_services.gateway.pool import Spawn
from esb_services.gateway.trace import Trace, new_request_id

logger = logging.getLogger("esb.gateway.schedule")

_LONGEST_SLEEP = 30.0
"""Seconds after which a sleeping schedule looks at the clock again, which somebody may have set."""
_LATE = 1.0


class Scheduler:
    """One timer task per schedule; a schedule that a new config still has keeps its timer."""

    def __init__(self, functions: FunctionRegistry, invoker: Invoker, spawn: Spawn) -> None:
        self._functions = functions
        self._invoker = invoker
        self._spawn = spawn
        self._timers: dict[tuple[str, ScheduledEvent], asyncio.Task[None]] = {}

    def apply(self, functions: Iterable[FunctionConfig]) -> None:
        """Follow the schedules of `functions` from now on, and no others."""
        wanted = {(function.name, event) for function in functions for event in function.schedules}
        for key in self._timers.keys() - wanted:
            self._timers.pop(key).cancel()
        for name, event in wanted - self._timers.keys():
            self._timers[name, event] = asyncio.create_task(self._follow(name, event))

    async def stop(self) -> None:
        """End all timers."""
        timers = list(self._timers.values())
        self.apply(())
        await asyncio.gather(*timers, return_exceptions=True)

    async def _follow(self, name: str, event: ScheduledEvent) -> None:
        moment = time.time()
        while (due := await asyncio.to_thread(event.schedule.next_after, moment)) is not None:
            await _sleep_until(due)
            self._spawn(self._run(name, event, due))
            moment = max(due, time.time() - _LATE)

    async def _run(self, name: str, event: ScheduledEvent, due: float) -> None:
        function = self._functions.current.functions.get(name)
        if function is None:
            return
        trace, request_id = Trace.accept(None), new_request_id()
        logs.trace_id.set(trace.root)
        logs.request_id.set(request_id)
        fields = {"function": name, "schedule": event.expression}
        payload = event.payload if event.payload is not None else _event(due)
        try:
            result = await self._invoker.invoke(
                function, Invocation(payload, trace.header, request_id), queue_timeout=EVENT_QUEUE_TIMEOUT
            )
        except InvocationError as error:
            message = "scheduled run failed: %s"
            logger.error(message, error, extra={"fields": fields})  # noqa: TRY400 the cause is in the message
            return
        if result.error is not None:
            text = result.payload.decode(errors="replace")
            logger.error("scheduled run ended in an error: %s", text, extra={"fields": fields})
        else:
            logger.info("scheduled run done", extra={"fields": fields})


async def _sleep_until(moment: float) -> None:
    while (left := moment - time.time()) > 0:  # noqa: ASYNC110 the clock may be set meanwhile
        await asyncio.sleep(min(left, _LONGEST_SLEEP))


def _event(due: float) -> bytes:
    """Return the event that EventBridge sends when a schedule has no input."""
    return json.dumps(
        {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": ACCOUNT_ID,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(due)),
            "resources": [],
            "detail": {},
        }
    ).encode()
