"""Puts the agent together: gRPC over mutual TLS on one port, metrics and health over HTTP on another."""

import asyncio
import logging
import signal
import socket

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from esb_services.agent.metrics import Metrics, answer
from esb_services.agent.runtime import MAX_RESPONSE_BYTES, Runtime
from esb_services.agent.service import AgentService
from esb_services.agent.settings import ContainerdSettings, DockerSettings, Settings
from esb_services.agent.v1 import agent_pb2, agent_pb2_grpc
from esb_services.http1 import Message, Response, serve_connection
from esb_services.listening import AddressInUseError, listen
from esb_services.variables import SettingError

MAX_MESSAGE_BYTES = MAX_RESPONSE_BYTES + 1024 * 1024
"""Room for the headers beside the longest answer."""
SERVICE_NAME = agent_pb2.DESCRIPTOR.services_by_name["AgentService"].full_name

_log = logging.getLogger("esb.agent")


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; all workers end with it.

    Raises:
        AddressInUseError: one of the ports belongs to somebody else.
        EngineError: what runs the workers cannot be used.
        SettingError: there is no such address on this machine.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    metrics = Metrics()
    with _listen(settings.host, settings.metrics_port) as metrics_socket:
        runtime = make_runtime(settings)
        server = make_server(settings, AgentService(runtime, metrics))
        await runtime.open()
        try:
            servicer = health.aio.HealthServicer()  # type: ignore[attr-defined]
            await servicer.set(SERVICE_NAME, health_pb2.HealthCheckResponse.SERVING)
            health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
            await server.start()
            await _serve_metrics(metrics_socket, metrics, runtime)
            _log.info("agent listens on %s:%d", settings.host, settings.grpc_port)
            await stop.wait()
        finally:
            await runtime.close()
            await server.stop(0.2)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return listen(host, port)
    except AddressInUseError:
        raise
    except OSError as error:
        raise SettingError("BIND_ADDRESS", host, f"an address of this machine ({error})") from error


def make_runtime(settings: Settings) -> Runtime:
    """Return what runs the workers; only that one's libraries are loaded."""
    workers = settings.workers
    if isinstance(workers, DockerSettings):
        from esb_services.agent.docker_runtime import DockerRuntime

        return DockerRuntime(settings.project, workers)
    if isinstance(workers, ContainerdSettings):
        from esb_services.agent.containerd_runtime import ContainerdRuntime

        return ContainerdRuntime(settings.project, workers)
    from esb_services.agent.images import ImageIndex
    from esb_services.agent.process_runtime import ProcessRuntime

    return ProcessRuntime(settings.project, ImageIndex(workers.image_index), workers.log_dir)


def make_server(settings: Settings, service: AgentService) -> grpc.aio.Server:
    """Return the gRPC server, bound to its port.

    Raises:
        AddressInUseError: the port belongs to somebody else.
    """
    server = grpc.aio.server(
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ]
    )
    agent_pb2_grpc.add_AgentServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call]
    credentials = grpc.ssl_server_credentials(
        [(settings.key_file.read_bytes(), settings.cert_file.read_bytes())],
        root_certificates=settings.ca_file.read_bytes(),
        require_client_auth=True,
    )
    # gRPC does not say why it could not bind
    listen(settings.host, settings.grpc_port).close()
    try:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        server.add_secure_port(f"{host}:{settings.grpc_port}", credentials)
    except RuntimeError as error:
        raise AddressInUseError(settings.host, settings.grpc_port) from error
    return server


async def _serve_metrics(sock: socket.socket, metrics: Metrics, runtime: Runtime) -> None:
    engine = await runtime.engine_id()

    async def handle(request: Message) -> Response:
        return answer(request, metrics, runtime.states(), engine)

    await asyncio.start_server(lambda reader, writer: serve_connection(reader, writer, handle, 0), sock=sock)
