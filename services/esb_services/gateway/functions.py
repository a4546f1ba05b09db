"""The functions that are served: each with its pool and breaker, swapped as a whole on a new config."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from esb_services.gateway.agent_client import AgentClient
from esb_services.gateway.breaker import CircuitBreaker
from esb_services.gateway.config import FunctionConfig, GatewayConfig
from esb_services.gateway.pool import Pool, Spawn
from esb_services.gateway.settings import Settings


@dataclass(frozen=True, slots=True)
class LiveFunction:
    """A function with what serves it; the pool and the breaker outlive a change of its scaling."""

    config: FunctionConfig
    pool: Pool
    breaker: CircuitBreaker


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One configuration as it is served; a request works with one snapshot from its start to its end."""

    config: GatewayConfig = field(default_factory=GatewayConfig)
    functions: Mapping[str, LiveFunction] = field(default_factory=dict)


class FunctionRegistry:
    """Holds the current snapshot, and the pools of replaced or removed functions until they are empty."""

    def __init__(self, settings: Settings, agent: AgentClient, spawn: Spawn) -> None:
        self._settings = settings
        self._agent = agent
        self._spawn = spawn
        self._draining: list[Pool] = []
        self.current = Snapshot()

    @property
    def pools(self) -> list[Pool]:
        """All pools that may hold workers."""
        return [*(function.pool for function in self.current.functions.values()), *self._draining]

    def apply(self, config: GatewayConfig) -> None:
        """Serve `config`: unchanged functions keep their workers, changed and removed ones lose theirs."""
        before = self.current.functions
        functions = {name: self._live(before.get(name), wanted) for name, wanted in config.functions.items()}
        self.current = Snapshot(config, functions)
        kept = {id(function.pool) for function in functions.values()}
        self._drain(function.pool for function in before.values() if id(function.pool) not in kept)
        self.maintain()

    def maintain(self) -> None:
        """Let each pool remove what is idle for too long and start what its minimum lacks."""
        for pool in self.pools:
            pool.maintain()
        self._draining = [pool for pool in self._draining if not pool.empty]

    def close(self) -> None:
        """Start no worker any more."""
        for pool in self.pools:
            pool.close()

    def _live(self, before: LiveFunction | None, wanted: FunctionConfig) -> LiveFunction:
        if before is not None and before.config.runs_like(wanted):
            before.pool.reconfigure(wanted)
            return LiveFunction(wanted, before.pool, before.breaker)
        breaker = CircuitBreaker(
            self._settings.breaker_threshold, self._settings.breaker_recovery_timeout, time.monotonic
        )
        return LiveFunction(wanted, Pool(wanted, self._agent, self._spawn), breaker)

    def _drain(self, pools: Iterable[Pool]) -> None:
        for pool in pools:
            pool.drain()
            self._draining.append(pool)
