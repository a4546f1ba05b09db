"""The agent's Prometheus metrics, and the small HTTP server that shows them."""

import json
from collections import Counter as Count

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from esb_services.agent.runtime import WorkerState
from esb_services.health import healthy
from esb_services.http1 import Message, Response


class Metrics:
    """Counts what the agent does."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._workers = Gauge(
            "esb_agent_workers",
            "Workers by function and status.",
            ["function", "status"],
            registry=self._registry,
        )
        self.starts = Counter(
            "esb_agent_worker_starts", "Starts of workers.", ["function", "result"], registry=self._registry
        )
        self.invocations = Counter(
            "esb_agent_invocations",
            "Invocations by gRPC status.",
            ["function", "code"],
            registry=self._registry,
        )
        self.seconds = Histogram(
            "esb_agent_invocation_seconds", "Duration of invocations.", ["function"], registry=self._registry
        )

    def render(self, states: list[WorkerState]) -> bytes:
        """Return the metrics as Prometheus text."""
        self._workers.clear()
        for (function, status), number in Count((state.function, state.status) for state in states).items():
            self._workers.labels(function, status).set(number)
        return generate_latest(self._registry)


def answer(request: Message, metrics: Metrics, states: list[WorkerState], engine: str) -> Response:
    """Answer a request to the metrics port; `/health` tells the engine that workers run on."""
    if request.start[:2] == ("GET", "/health"):
        return Response(200, json.dumps(healthy(engine=engine)).encode())
    if request.start[:2] == ("GET", "/metrics"):
        return Response(200, metrics.render(states), content_type=CONTENT_TYPE_LATEST)
    return Response(404, b'{"message":"there are only GET /health and GET /metrics"}')
