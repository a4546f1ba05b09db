"""What a worker is told by its environment; everything that is not its own goes on to the function."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass

from esb_services.variables import SettingError, Variables

ADDRESS = "ESB_RUNTIME_ADDRESS"
READY_FD = "ESB_RUNTIME_READY_FD"
LIFELINE_FD = "ESB_RUNTIME_LIFELINE_FD"
WORKER_NAME = "ESB_WORKER_NAME"
JAVA = "ESB_RUNTIME_JAVA"
OWN_VARIABLES = frozenset({ADDRESS, READY_FD, LIFELINE_FD, WORKER_NAME, JAVA})
"""Variables that the function does not see."""
MEMORY_EXCEEDED = 99
"""Exit status of a worker whose function asked for more memory than it may have."""

_ADDRESS_FORM = "<host>:<port>, such as 127.0.0.1:0"


@dataclass(frozen=True)
class Settings:
    """One worker: its handler, its names in logs, and how it reports to whoever started it.

    Attributes:
        ready_fd: an inherited pipe that receives one line, its port, once the function is initialised.
        lifeline_fd: an inherited pipe whose other end only the starter holds: its end is the worker's end.
        java: the folder that was prepared for Java functions; None where the function is Python.
    """

    handler: str
    function: str
    worker: str
    host: str
    port: int
    timeout_seconds: int
    region: str
    ready_fd: int | None
    lifeline_fd: int | None
    java: str | None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings of a worker.

        Raises:
            SettingError: a variable is missing or wrong.
        """
        variables = Variables(environ)
        address = variables.text(ADDRESS, _ADDRESS_FORM, "0.0.0.0:8080")
        host, _, port = address.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise SettingError(ADDRESS, address, _ADDRESS_FORM)
        return cls(
            handler=variables.text("_HANDLER", "the function's handler, such as app.handler"),
            function=variables.text("AWS_LAMBDA_FUNCTION_NAME", "the function's name", "function"),
            worker=variables.text(WORKER_NAME, "the worker's name", socket.gethostname()),
            host=host,
            port=int(port),
            timeout_seconds=variables.integer("AWS_LAMBDA_FUNCTION_TIMEOUT", 3, low=1),
            region=variables.text("AWS_REGION", "a region, such as us-east-1", "us-east-1"),
            ready_fd=variables.integer(READY_FD) if READY_FD in environ else None,
            lifeline_fd=variables.integer(LIFELINE_FD) if LIFELINE_FD in environ else None,
            java=str(variables.folder(JAVA)) if JAVA in environ else None,
        )
