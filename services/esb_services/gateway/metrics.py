"""Prometheus metrics of the gateway."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from esb_services.gateway.functions import FunctionRegistry

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class RequestMetrics:
    """Counts requests and their durations; renders all metrics as Prometheus text."""

    def __init__(self, functions: FunctionRegistry) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "esb_gateway_requests",
            "Requests answered.",
            ["method", "status", "function"],
            registry=self._registry,
        )
        self._duration = Histogram(
            "esb_gateway_request_duration_seconds", "Time to answer.", ["function"], registry=self._registry
        )
        self._registry.register(_FunctionCollector(functions))

    def observe(self, method: str, status: int, function: str | None, seconds: float) -> None:
        """Count one request; `status` 0 means that the client left before it was answered."""
        known = method if method in _METHODS else "OTHER"
        self._requests.labels(known, str(status), function or "").inc()
        self._duration.labels(function or "").observe(seconds)

    def render(self) -> bytes:
        """Return all metrics in the text format."""
        return generate_latest(self._registry)


class _FunctionCollector(Collector):
    """Reads the pools and breakers at the moment of the scrape."""

    def __init__(self, functions: FunctionRegistry) -> None:
        self._functions = functions

    def collect(self) -> Iterator[Metric]:
        workers = GaugeMetricFamily(
            "esb_gateway_pool_workers", "Workers by state.", labels=["function", "state"]
        )
        queued = GaugeMetricFamily("esb_gateway_pool_queued", "Callers in the queue.", labels=["function"])
        circuit = GaugeMetricFamily(
            "esb_gateway_circuit_open", "1 while the circuit is not closed.", labels=["function"]
        )
        for name, function in self._functions.current.functions.items():
            figures = function.pool.figures()
            for state in ("idle", "busy", "provisioning"):
                workers.add_metric([name, state], figures[state])
            queued.add_metric([name], figures["queued"])
            circuit.add_metric([name], float(function.breaker.state != "closed"))
        yield from (workers, queued, circuit)
