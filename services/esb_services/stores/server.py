"""Serves one store over HTTP: a few of moto's backends behind one port, and `/health`."""

import json
import logging
import socket
from collections.abc import Callable, Iterable
from typing import Any, cast

from moto.backends import SERVICE_NAMES
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import BaseWSGIServer, make_server

from esb_services.health import healthy

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class RequestHandler(MotoRequestHandler):
    """Answers on kept-alive connections without Nagle's delay, and logs requests at DEBUG only."""

    # headers and body leave in two sends: with Nagle each answer waits 40 ms for a delayed ACK
    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002 - werkzeug's signature
        """Write one access line, visible with `LOG_LEVEL=DEBUG`."""
        logging.getLogger("esb.stores").debug("%s %s %s", self.command, self.path, code)


def with_health(application: Application) -> Application:
    """Return `application` with an unsigned `GET /health` in front that answers 200."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        is_health = environ["REQUEST_METHOD"] == "GET" and environ["PATH_INFO"] == "/health"
        if is_health and "HTTP_AUTHORIZATION" not in environ:
            body = json.dumps(healthy()).encode()
            start_response(
                "200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
            )
            return [body]
        return application(environ, start_response)

    return answer


def make_store(listener: socket.socket, backends: tuple[str, ...]) -> BaseWSGIServer:
    """Return a threaded server for `backends` on a socket that listens already.

    Args:
        listener: the listening TCP socket.
        backends: names of AWS services as moto knows them; made ready before the first request.
    """
    dispatcher = DomainDispatcherApplication(create_backend_app)
    for backend in backends:
        dispatcher.app_instances[backend] = create_backend_app(cast("SERVICE_NAMES", backend))
    host, port = listener.getsockname()[:2]
    return make_server(
        host,
        port,
        with_health(dispatcher),
        threaded=True,
        request_handler=RequestHandler,
        fd=listener.fileno(),
    )
