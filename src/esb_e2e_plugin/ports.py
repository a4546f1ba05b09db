"""Blocks of host ports, leased so that no two environments on this host ever share one."""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from esb_e2e_plugin.errors import EsbError, UserError
from esb_e2e_plugin.leases import LeaseLedger, OnMove

PORT_BASE = 18000
BLOCK_SIZE = 20
OFFSETS = {
    "gateway_https": 0,
    "gateway_http": 1,
    "agent_grpc": 2,
    "agent_metrics": 3,
    "registry": 4,
    "database": 5,
    "s3": 6,
    "s3_console": 7,
}

_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


@dataclass(frozen=True)
class PortBlock:
    """The host ports of one environment.

    Attributes:
        base: The first port of the block.
        bind_address: The address that the ports are bound on.
    """

    base: int
    bind_address: str = "127.0.0.1"

    @property
    def gateway_https(self) -> int:
        """Port of the gateway over TLS."""
        return self.base + OFFSETS["gateway_https"]

    @property
    def gateway_http(self) -> int:
        """Port of the gateway without TLS, for functions."""
        return self.base + OFFSETS["gateway_http"]

    @property
    def agent_grpc(self) -> int:
        """Port of the agent's gRPC service."""
        return self.base + OFFSETS["agent_grpc"]

    @property
    def agent_metrics(self) -> int:
        """Port of the agent's metrics and health."""
        return self.base + OFFSETS["agent_metrics"]

    @property
    def registry(self) -> int:
        """Port of the image registry."""
        return self.base + OFFSETS["registry"]

    @property
    def database(self) -> int:
        """Port of the DynamoDB-compatible store."""
        return self.base + OFFSETS["database"]

    @property
    def s3(self) -> int:
        """Port of the S3-compatible store."""
        return self.base + OFFSETS["s3"]

    @property
    def s3_console(self) -> int:
        """Port of the S3 store's console."""
        return self.base + OFFSETS["s3_console"]

    def as_mapping(self) -> dict[str, int]:
        """Return every port by its name."""
        return {name: self.base + offset for name, offset in OFFSETS.items()}

    def to_env(self) -> dict[str, str]:
        """Return every port by the name of its environment variable."""
        return {f"ESB_PORT_{name.upper()}": str(port) for name, port in self.as_mapping().items()}


class PortLedger:
    """The port leases of this host.

    Args:
        host_dir: The folder that all runs of this user on this host share.
    """

    def __init__(self, host_dir: Path) -> None:
        self._ledger = LeaseLedger(host_dir, "ports")

    def lease(
        self,
        key: str,
        *,
        environment: str,
        port_base: int = PORT_BASE,
        bind_address: str = "127.0.0.1",
        here: bool = True,
        avoid: Collection[int] = (),
        on_move: OnMove | None = None,
    ) -> PortBlock:
        """Lease a block for this process, the one that `key` had where it is still free.

        Args:
            key: What the lease is for: the key of the environment's lock.
            environment: The environment's name, for people who read the table or an error.
            port_base: The first port of the first block.
            bind_address: The address that the ports will be bound on.
            here: Whether that is an address of this host; what is taken on another one is not looked at.
            avoid: Ports known to be taken although they can be bound, as an engine reports them.
            on_move: Called, after the lease is made, with the base, the taken port and the reason for each
                block that had to be passed over.

        Raises:
            EsbError: No block is left, or another living process holds the lease of `key`.
            UserError: The address does not belong to this host.
        """
        end = range_end(port_base)
        base = self._ledger.lease(
            key,
            environment=environment,
            blocks=_blocks(port_base),
            taken=lambda base: _taken_port(PortBlock(base, bind_address), avoid, here=here),
            none_left=EsbError(
                f"no block of {BLOCK_SIZE} free ports is left for environment {environment} "
                f"in {port_base}-{end - 1} on {bind_address}",
                "end what uses these ports, or choose another port_base in the matrix",
                "ports",
            ),
            on_move=on_move,
        )
        return PortBlock(base, bind_address)

    def preview(
        self,
        key: str,
        *,
        port_base: int = PORT_BASE,
        bind_address: str = "127.0.0.1",
        here: bool = True,
    ) -> PortBlock | None:
        """Return the block that `lease` would lease now; None where none is left. Nothing is leased."""
        base = self._ledger.preview(
            key, _blocks(port_base), lambda base: _taken_port(PortBlock(base, bind_address), (), here=here)
        )
        return None if base is None else PortBlock(base, bind_address)

    def is_kept(self, key: str) -> bool:
        """Tell whether the lease of `key` outlives the process that made it."""
        return self._ledger.is_kept(key)

    def release(self, key: str) -> None:
        """Give the block of `key` back; it stays remembered for the next time."""
        self._ledger.release(key)

    def keep(self, key: str) -> None:
        """Let the lease of `key` outlive this process, until it is leased again or released."""
        self._ledger.keep(key)


def free_blocks(port_base: int, bind_address: str = "127.0.0.1") -> int:
    """Return how many blocks nobody listens in, of those from `port_base` on; leases are not looked at."""
    return sum(
        _taken_port(PortBlock(base, bind_address), (), here=True) is None for base in _blocks(port_base)
    )


def _blocks(port_base: int) -> range:
    return range(port_base, range_end(port_base) - BLOCK_SIZE + 1, BLOCK_SIZE)


def range_end(port_base: int) -> int:
    """Return the port after the last one to use: ephemeral ports come and go under anybody's feet."""
    try:
        lowest = int(_EPHEMERAL_RANGE.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return 65536
    return lowest if port_base < lowest else 65536


def _taken_port(block: PortBlock, avoid: Collection[int], *, here: bool) -> tuple[int, str] | None:
    """Return the first port of a block that cannot be used, with the reason."""
    for port in block.as_mapping().values():
        if port in avoid:
            return port, "is known to be taken"
        if here and (reason := _bind_error(block.bind_address, port)) is not None:
            return port, reason
    return None


def _bind_error(address: str, port: int) -> str | None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Connections of an earlier run that linger in TIME_WAIT do not make a port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return "is in use" if error.errno == errno.EADDRINUSE else "needs more rights"
            raise UserError(
                f"bind_address {address}: {error.strerror or error}", "give an address of this host"
            ) from error
    return None
