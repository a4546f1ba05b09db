"""The calls of Docker's API that the docker runtime makes, each in a thread of a small pool."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import requests
from docker.api.client import APIClient
from docker.errors import APIError, DockerException, NotFound

from esb_services.agent.docker_events import EventWatch, Listener, label_filters, root_cause
from esb_services.agent.runtime import EngineError

CALL_SECONDS = 30
"""Deadline of each call; the engine answers most in milliseconds, and starts a container in 0.3 s."""
THREADS = 8

Value = TypeVar("Value")
Json = dict[str, Any]


class DockerEngine:
    """One engine.

    Args:
        host: its address, such as `unix:///var/run/docker.sock`.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._threads = ThreadPoolExecutor(THREADS, "engine")
        self._connected: APIClient | None = None

    async def connect(self, network: str) -> str:
        """Connect, and return the engine's id.

        Args:
            network: the name of the workers' network.

        Raises:
            EngineError: the engine does not answer, or has no such network.
        """
        try:
            # one connection more than threads: the stream of events
            self._connected = await self._call(
                APIClient, self._host, "auto", CALL_SECONDS, max_pool_size=THREADS + 1
            )
        except EngineError as error:
            raise EngineError(f"{error}; mount the engine's socket there, or set DOCKER_HOST") from error
        if await self._call(_unless_missing, self._client.inspect_network, network) is None:
            raise EngineError(
                f"the engine at {self._host} has no network {network!r};"
                " AGENT_NETWORK must name the network of the workers"
            )
        return str((await self._call(self._client.info))["ID"])

    def close(self) -> None:
        """Start no more calls; those in flight end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._connected is not None:
            self._connected.close()

    def watch(self, labels: Mapping[str, str], listener: Listener) -> EventWatch:
        """Watch the containers with these labels."""
        return EventWatch(self._client, labels, listener)

    async def launch(self, name: str, config: Json) -> Json:
        """Create and start a container, and return what `inspect` says of it."""

        def launch() -> Json:
            client = self._client
            create: Callable[[Json, str], Json] = client.create_container_from_config
            container = create(config, name)["Id"]
            client.start(container)
            inspected: Json = client.inspect_container(container)
            return inspected

        return await self._call(launch)

    async def inspect(self, container: str) -> Json | None:
        """Return all that the engine knows about a container, or None if there is none."""
        return await self._call(_unless_missing, self._client.inspect_container, container)

    async def containers(self, labels: Mapping[str, str]) -> list[Json]:
        """List all containers with these labels, also those that do not run."""
        return await self._call(self._client.containers, all=True, filters=label_filters(labels))

    async def last_lines(self, container: str, number: int) -> list[str]:
        """Return the last `number` lines that a container wrote."""
        output = await self._call(lambda: self._client.logs(container, tail=number))
        return output.decode("utf-8", "replace").splitlines()

    async def stats(self, container: str) -> Json | None:
        """Measure a container once; None if there is none."""
        return await self._call(_unless_missing, self._client.stats, container, stream=False, one_shot=True)

    async def pause(self, container: str) -> None:
        """Freeze all processes of a container."""
        await self._call(self._client.pause, container)

    async def unpause(self, container: str) -> None:
        """Let the processes of a container go on."""
        await self._call(self._client.unpause, container)

    async def remove(self, container: str) -> None:
        """Kill and remove a container and its anonymous volumes; it is fine if there is none."""

        def remove() -> None:
            try:
                self._client.remove_container(container, v=True, force=True)
            except APIError as error:
                # 409: somebody else is removing it
                if error.status_code not in (404, 409):
                    raise

        await self._call(remove)

    @property
    def _client(self) -> APIClient:
        if self._connected is None:
            raise RuntimeError("the engine is not connected")
        return self._connected

    async def _call(self, function: Callable[..., Value], *arguments: Any, **options: Any) -> Value:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, partial(function, *arguments, **options))
        except APIError as error:
            raise EngineError(str(error.explanation or error)) from error
        except (DockerException, requests.RequestException) as error:
            raise EngineError(f"the engine at {self._host} does not answer: {root_cause(error)}") from error


def _unless_missing(function: Callable[..., Json], *arguments: Any, **options: Any) -> Json | None:
    try:
        return function(*arguments, **options)
    except NotFound:
        return None
