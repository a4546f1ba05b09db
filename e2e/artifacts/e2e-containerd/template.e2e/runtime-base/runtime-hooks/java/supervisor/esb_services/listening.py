"""Listening sockets, with one exit code for an address that is taken."""

import errno
import socket

ADDRESS_IN_USE = 98
"""Exit status of a service whose address is taken; whoever started it may move it to another port."""


class AddressInUseError(OSError):
    """The address that a service was told to listen on belongs to somebody else."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(errno.EADDRINUSE, f"{host}:{port} is already in use")


def listen(host: str, port: int, backlog: int = 512) -> socket.socket:
    """Return a TCP socket that listens on `host`:`port`.

    Raises:
        AddressInUseError: another process listens there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise AddressInUseError(host, port) from error
        raise
    return sock
