"""Runs the node: `python -m esb_services.runtime_node`, told everything by its environment."""

import asyncio
import json
import logging
import os
import signal
import sys

from esb_services import logs
from esb_services.health import healthy
from esb_services.http1 import Message, Response, serve_connection
from esb_services.listening import ADDRESS_IN_USE, AddressInUseError, listen
from esb_services.runtime_node import containerd
from esb_services.runtime_node.host import Host, HostError
from esb_services.runtime_node.name_server import NameServer
from esb_services.runtime_node.settings import Settings
from esb_services.variables import SettingError

UNFIT_HOST = 3
"""Exit status on a host that cannot run containerd."""

_log = logging.getLogger("esb.runtime-node")


async def serve(settings: Settings) -> None:
    """Run containerd, and all that its workers need, until SIGTERM or SIGINT.

    Raises:
        ContainerdError: containerd does not stay alive.
        AddressInUseError: the port belongs to somebody else.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    node, names = containerd.Containerd(), NameServer()
    await names.open(str(settings.network.gateway))
    server = await asyncio.start_server(_health_connection, sock=listen("0.0.0.0", settings.port))  # noqa: S104 - in a container
    running, stopping = asyncio.create_task(node.keep_running()), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
    finally:
        running.cancel()
        stopping.cancel()
        server.close()
        names.close()
        await node.stop()


async def _health_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await serve_connection(reader, writer, _health, 0)


async def _health(request: Message) -> Response:
    if request.start[:2] != ("GET", "/health"):
        return Response(404, b'{"message":"there is only GET /health"}')
    if not await containerd.answers():
        return Response(503, b'{"status":"starting","message":"containerd does not answer"}')
    return Response(200, json.dumps(healthy()).encode())


def main() -> int:
    """Run until SIGTERM and return the exit status."""
    try:
        settings = Settings.from_environment(os.environ)
    except SettingError as error:
        logs.configure("runtime-node").error(str(error))
        return 2
    log = logs.configure("runtime-node", settings.log_level)
    try:
        Host().prepare(settings.network)
        asyncio.run(serve(settings))
    except HostError as error:
        log.error("%s", error)  # noqa: TRY400 - a traceback says no more
        return UNFIT_HOST
    except AddressInUseError as error:
        log.error("runtime-node cannot start: %s", error.strerror)  # noqa: TRY400 - a traceback says no more
        return ADDRESS_IN_USE
    except containerd.ContainerdError as error:
        log.error("%s", error)  # noqa: TRY400 - a traceback says no more
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
