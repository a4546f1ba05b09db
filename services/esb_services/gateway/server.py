"""The gateway's process: its two listeners, its background work, and its end."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import ssl
from collections.abc import Coroutine, Iterator
from typing import Any

import uvicorn

from esb_services.gateway.agent_client import AgentError, GrpcAgentClient
from esb_services.gateway.app import create_app
from esb_services.gateway.auth import Authenticator
from esb_services.gateway.config import ConfigReader, Scaling
from esb_services.gateway.config_source import ConfigSource
from esb_services.gateway.functions import FunctionRegistry
from esb_services.gateway.invocation import Invoker
from esb_services.gateway.janitor import Janitor
from esb_services.gateway.lambda_api import LambdaApi
from esb_services.gateway.metrics import RequestMetrics
from esb_services.gateway.proxy import Proxy
from esb_services.gateway.request_frame import RequestFrame
from esb_services.gateway.scheduler import Scheduler
from esb_services.gateway.settings import Settings

CONFIG_POLL_INTERVAL = 0.1
KEEP_ALIVE = 75
DRAIN_TIMEOUT = 0.7
"""Seconds that requests in flight have after SIGTERM."""
REMOVAL_TIMEOUT = 0.5
"""Seconds that the removal of the workers has after that."""
CLOSE_TIMEOUT = 0.4
"""Seconds that the connections have to close after that."""

logger = logging.getLogger("esb.gateway")


class BackgroundTasks:
    """Tasks that nobody waits for; an unexpected failure of one is logged."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` in the background."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def cancel(self) -> None:
        """Cancel what still runs and wait for its end."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("background task failed", exc_info=error)


class _Server(uvicorn.Server):
    """A uvicorn server whose end is decided by the gateway, not by signals of its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Gateway:
    """All parts of a gateway, wired."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._background = BackgroundTasks()
        spawn = self._background.spawn
        self._agent = GrpcAgentClient(
            settings.agent_address,
            settings.project,
            ca=settings.agent_ca_file.read_bytes(),
            certificate=settings.agent_client_cert_file.read_bytes(),
            key=settings.agent_client_key_file.read_bytes(),
        )
        self._functions = FunctionRegistry(settings, self._agent, spawn)
        scaling = Scaling(
            settings.default_min_capacity,
            settings.default_max_capacity,
            settings.idle_timeout,
            settings.acquire_timeout,
        )
        self._source = ConfigSource(settings.config_dir, ConfigReader(scaling, os.environ))
        invoker = Invoker(self._agent, os.environ.get("AWS_REGION") or "us-east-1")
        self._scheduler = Scheduler(self._functions, invoker, spawn)
        self._janitor = Janitor(self._functions, self._agent, settings.orphan_grace_period)
        metrics = RequestMetrics(self._functions)
        auth = Authenticator(settings)
        self._app = RequestFrame(
            create_app(
                functions=self._functions,
                source=self._source,
                agent=self._agent,
                auth=auth,
                auth_path=settings.auth_endpoint_path,
                metrics=metrics,
                lambda_api=LambdaApi(self._functions, invoker, spawn),
                proxy=Proxy(self._functions, auth, invoker),
            ),
            metrics,
        )

    async def serve(self, https: socket.socket, http: socket.socket, stop: asyncio.Event) -> None:
        """Serve on both listening sockets until `stop` is set, then remove the workers."""
        await self._load_config()
        servers = [_Server(self._uvicorn_config(tls=True)), _Server(self._uvicorn_config(tls=False))]
        work = [asyncio.create_task(self._watch_config()), asyncio.create_task(self._janitor.run())]
        serving = [
            asyncio.create_task(server.serve(sockets=[listener]))
            for server, listener in zip(servers, (https, http), strict=True)
        ]
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([stopping, *work, *serving], return_when=asyncio.FIRST_COMPLETED)
        for task in (*work, stopping):
            task.cancel()
        for server in servers:
            server.should_exit = True
        await self._scheduler.stop()
        await self._drain()
        self._functions.close()
        await self._background.cancel()
        await self._remove_workers()
        self._app.cut()
        for server in servers:
            server.force_exit = True
        await asyncio.wait(serving, timeout=CLOSE_TIMEOUT)
        for task in serving:
            task.cancel()
        results = await asyncio.gather(*work, *serving, return_exceptions=True)
        await self._agent.close()
        for result in results:
            if isinstance(result, Exception):
                raise result

    def _uvicorn_config(self, *, tls: bool) -> uvicorn.Config:
        settings = self._settings
        return uvicorn.Config(
            self._app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE,
            ssl_certfile=settings.tls_cert_file if tls else None,
            ssl_keyfile=settings.tls_key_file if tls else None,
        )

    async def _watch_config(self) -> None:
        while True:
            await asyncio.sleep(CONFIG_POLL_INTERVAL)
            await self._load_config()

    async def _load_config(self) -> None:
        generation = self._source.changed()
        if generation is None:
            return
        config = await asyncio.to_thread(self._source.load, generation)
        if config is None:
            return
        self._functions.apply(config)
        self._scheduler.apply(config.functions.values())
        logger.info("config loaded", extra={"fields": {"config_digest": config.digest}})

    async def _drain(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_TIMEOUT):
                await self._app.drained()

    async def _remove_workers(self) -> None:
        try:
            async with asyncio.timeout(REMOVAL_TIMEOUT):
                workers = await self._agent.workers()
                await asyncio.gather(*(self._agent.destroy(worker.id) for worker in workers))
        except (AgentError, TimeoutError) as error:
            logger.warning("workers are left to the agent: %s", error or "it did not answer in time")


async def _serve(settings: Settings, https: socket.socket, http: socket.socket) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    gateway = Gateway(settings)
    await gateway.serve(https, http, stop)


def check_certificate(settings: Settings) -> None:
    """Raise OSError (ssl.SSLError included) when the TLS certificate and its key cannot be served."""
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert_file, settings.tls_key_file)


def run(settings: Settings, https: socket.socket, http: socket.socket) -> None:
    """Run the gateway until SIGTERM or SIGINT."""
    asyncio.run(_serve(settings, https, http))
