"""Entry point of the gateway: `python -m esb_services.gateway`, configured by environment variables."""

import os
import signal
import socket
import sys

from esb_services import logs
from esb_services.gateway.settings import Settings
from esb_services.listening import ADDRESS_IN_USE, AddressInUseError, listen
from esb_services.variables import SettingError


def main() -> int:
    """Run the gateway; return its exit status."""
    # Until the event loop takes over; a gateway that serves nothing yet has nothing to finish.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    # The gRPC core would write lines of its own to stderr, which are no JSON.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    logger = logs.configure("gateway")
    try:
        settings = Settings.from_environ(os.environ)
    except SettingError as error:
        logger.error("%s", error, extra={"fields": {"variable": error.name}})  # noqa: TRY400 one line, no traceback
        return 2
    logs.configure("gateway", settings.log_level)
    try:
        https = listen(settings.bind_address, settings.https_port)
        http = listen(settings.bind_address, settings.http_port)
        for listener in (https, http):
            # Accepted connections inherit it; without it a response in two segments waits 40 ms for an ACK.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except AddressInUseError as error:
        logger.error("%s", error.strerror)  # noqa: TRY400
        return ADDRESS_IN_USE
    except OSError as error:
        logger.error("BIND_ADDRESS %s cannot be listened on: %s", settings.bind_address, error)  # noqa: TRY400
        return 2

    # Imported late: a wrong variable or a taken port is reported before the half second that these take.
    from esb_services.gateway.server import check_certificate, run

    try:
        check_certificate(settings)
    except OSError as error:
        logger.error("TLS_CERT_FILE and TLS_KEY_FILE: expected a certificate and its key in PEM: %s", error)  # noqa: TRY400
        return 2
    run(settings, https, http)
    return 0


if __name__ == "__main__":
    sys.exit(main())
