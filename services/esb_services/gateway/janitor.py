"""Keeps pools and agent in step: idle workers, dead ones, and those that an earlier gateway left."""

import asyncio
import logging
import time

from esb_services.gateway.agent_client import AgentClient, AgentError, WorkerRecord
from esb_services.gateway.functions import FunctionRegistry

MAINTENANCE_INTERVAL = 0.2
RECONCILE_INTERVAL = 1.0
EXITED = "EXITED"

logger = logging.getLogger("esb.gateway.janitor")


class Janitor:
    """Looks after the workers for as long as `run` runs.

    Args:
        functions: whose pools to look after.
        agent: lists and removes workers.
        grace_period: seconds for which a worker that no pool knows may live.
    """

    def __init__(self, functions: FunctionRegistry, agent: AgentClient, grace_period: float) -> None:
        self._functions = functions
        self._agent = agent
        self._grace_period = grace_period
        self._agent_answers = True

    async def run(self) -> None:
        """Maintain and reconcile until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._maintain())
            group.create_task(self._reconcile())

    async def _maintain(self) -> None:
        while True:
            self._functions.maintain()
            await asyncio.sleep(MAINTENANCE_INTERVAL)

    async def _reconcile(self) -> None:
        while True:
            try:
                await self.reconcile()
            except AgentError as error:
                if self._agent_answers:
                    logger.warning("the agent does not answer: %s", error)
                self._agent_answers = False
            else:
                self._agent_answers = True
            await asyncio.sleep(RECONCILE_INTERVAL)

    async def reconcile(self) -> None:
        """Drop workers that the agent has no more, and destroy those that no pool knows.

        Raises:
            AgentError: the agent does not answer.
        """
        idle = [(pool, worker) for pool in self._functions.pools for worker in pool.idle]
        records = await self._agent.workers()
        status = {record.id: record.status for record in records}
        for pool, worker in idle:
            if status.get(worker.id, EXITED) == EXITED and worker in pool.idle:
                fields = {"function": pool.function.name, "worker": worker.name}
                logger.warning("idle worker is gone", extra={"fields": fields})
                pool.discard(worker)
        await self._remove_orphans(records)

    async def _remove_orphans(self, records: list[WorkerRecord]) -> None:
        pools = self._functions.pools
        known = {worker.id for pool in pools for worker in pool.workers}
        starting = {pool.function.name for pool in pools if pool.starting}
        newest = time.time() - self._grace_period
        for record in records:
            if record.id in known or record.function in starting or record.created_at > newest:
                continue
            fields = {"function": record.function, "worker": record.name}
            logger.info("removing a worker that nobody uses", extra={"fields": fields})
            await self._agent.destroy(record.id)
