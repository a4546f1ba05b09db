"""Ports of this machine that tests have to themselves, or take as a stranger would."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from esb_e2e_plugin.ports import BLOCK_SIZE

BLOCKS = 10
"""Blocks of ports in a range that a test may use for itself."""


@contextlib.contextmanager
def own_ports(ranges: int = 1) -> Iterator[int]:
    """Reserve ports that no other test uses meanwhile, in whatever process it runs, and yield the first.

    Args:
        ranges: how many ranges of `BLOCKS` blocks, one after the other.
    """
    size = BLOCKS * BLOCK_SIZE
    for base in range(20000, 32600 - ranges * size, size):
        with contextlib.ExitStack() as guards:
            try:
                for first in range(base, base + ranges * size, size):
                    guard = guards.enter_context(socket.socket())
                    guard.bind(("127.0.0.1", first + BLOCK_SIZE - 1))  # no service has this offset
                    guard.listen(1)
            except OSError:
                continue
            if all(is_free(base + i) for i in range(ranges * size) if i % size != BLOCK_SIZE - 1):
                yield base
                return
    raise AssertionError("all ranges of ports are in use")


def ephemeral_ports_begin() -> int:
    """Return the port after the last one that an environment may have."""
    return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])


@contextlib.contextmanager
def listener(port: int) -> Iterator[None]:
    """Take a port, as a stranger would."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen(1)
        yield


def is_free(port: int) -> bool:
    """Return whether nobody listens on a port."""
    try:
        with listener(port):
            return True
    except OSError:
        return False
