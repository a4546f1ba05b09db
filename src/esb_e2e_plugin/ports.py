"""Blocks of host ports, leased so that no two environments on this host ever share one."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from esb_e2e_plugin.errors import EsbError, UserError
from esb_e2e_plugin.process_identity import ProcessIdentity, boot_id

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

_LOCK_TIMEOUT = 30.0
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")

OnMove = Callable[[int, int, str], None]


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


@dataclass(frozen=True)
class _Lease:
    base: int
    environment: str
    used: int
    holder: ProcessIdentity | None
    kept_boot: str | None = None

    @property
    def held(self) -> bool:
        # What was kept did not survive a restart of the host.
        return self.kept_boot == boot_id() or (self.holder is not None and self.holder.alive)

    def overlaps(self, base: int) -> bool:
        return abs(self.base - base) < BLOCK_SIZE


@dataclass
class _Table:
    clock: int = 0
    leases: dict[str, _Lease] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str) -> _Table:
        """Read a table, or raise ValueError, KeyError or TypeError where it is none."""
        data = json.loads(text)
        leases = {key: _lease_from(values) for key, values in dict(data["leases"]).items()}
        return cls(int(data["clock"]), leases)

    def to_json(self) -> str:
        return json.dumps({"version": 1, **asdict(self)}, indent=1)

    def tick(self) -> int:
        self.clock += 1
        return self.clock


class PortLedger:
    """The table of port leases of this host, shared by every process that uses one host folder.

    A lease belongs to a process and ends with it, unless it is kept. A key that comes back gets the block
    it had, as long as nobody else needs it.

    Args:
        host_dir: The folder that all runs of this user on this host share.
    """

    def __init__(self, host_dir: Path) -> None:
        self._table_path = host_dir / "ports.json"
        self._lock_path = host_dir / "locks" / "ports.lock"

    def lease(
        self,
        key: str,
        *,
        environment: str,
        port_base: int = PORT_BASE,
        bind_address: str = "127.0.0.1",
        avoid: Collection[int] = (),
        on_move: OnMove | None = None,
    ) -> PortBlock:
        """Lease a block for this process, the one that `key` had where it is still free.

        Args:
            key: What the lease is for: the key of the environment's lock.
            environment: The environment's name, for people who read the table or an error.
            port_base: The first port of the first block.
            bind_address: The address of this host that the ports will be bound on.
            avoid: Ports known to be taken although they can be bound, as an engine reports them.
            on_move: Called, after the lease is made, with the base, the taken port and the reason for each
                block that had to be passed over.

        Raises:
            EsbError: No block is left, or another living process holds the lease of `key`.
            UserError: The address does not belong to this host.
        """
        passed: list[tuple[int, int, str]] = []
        with self._table() as table:
            mine = table.leases.get(key)
            me = ProcessIdentity.current()
            if mine is not None and mine.holder is not None and mine.holder != me and mine.holder.alive:
                raise EsbError(
                    f"the ports of environment {environment} are held by process {mine.holder.pid}",
                    "wait for its end, or end it",
                )
            for base in _candidates(table, key, port_base):
                if (taken := _taken_port(PortBlock(base, bind_address), avoid)) is None:
                    break
                passed.append((base, *taken))
            else:
                raise EsbError(
                    f"no block of {BLOCK_SIZE} free ports is left for environment {environment} "
                    f"in {port_base}-{_range_end(port_base) - 1} on {bind_address}",
                    "end what uses these ports, or choose another port_base in the matrix",
                )
            for other in [
                name for name, lease in table.leases.items() if name != key and lease.overlaps(base)
            ]:
                del table.leases[other]
            table.leases[key] = _Lease(base, environment, table.tick(), me)
        if on_move is not None:
            for move in passed:
                on_move(*move)
        return PortBlock(base, bind_address)

    def release(self, key: str) -> None:
        """Give the block of `key` back; it stays remembered for the next time."""
        self._change(key, holder=None, kept_boot=None)

    def keep(self, key: str) -> None:
        """Let the lease of `key` outlive this process, until it is leased again or released."""
        self._change(key, holder=None, kept_boot=boot_id())

    def _change(self, key: str, *, holder: ProcessIdentity | None, kept_boot: str | None) -> None:
        with self._table() as table:
            if (lease := table.leases.get(key)) is not None:
                table.leases[key] = replace(lease, holder=holder, kept_boot=kept_boot, used=table.tick())

    @contextlib.contextmanager
    def _table(self) -> Iterator[_Table]:
        """Hold the lock, hand out the table, and write it back unless the block raises."""
        import filelock

        self._lock_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with filelock.FileLock(self._lock_path, timeout=_LOCK_TIMEOUT, poll_interval=0.01):
                table = self._read()
                yield table
                self._write(table)
        except filelock.Timeout as error:
            raise EsbError(
                f"{self._lock_path}: still locked after {_LOCK_TIMEOUT:g} s",
                f"see who holds it: fuser {self._lock_path}",
            ) from error

    def _read(self) -> _Table:
        try:
            return _Table.from_json(self._table_path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return _Table()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            # A table that cannot be read would stop every run; its leases are worth less than that.
            self._table_path.replace(self._table_path.with_suffix(".json.corrupt"))
            return _Table()

    def _write(self, table: _Table) -> None:
        descriptor, name = tempfile.mkstemp(dir=self._table_path.parent, prefix=".ports-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(table.to_json())
            Path(name).replace(self._table_path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _lease_from(values: dict[str, Any]) -> _Lease:
    holder = values["holder"]
    return _Lease(
        base=int(values["base"]),
        environment=str(values["environment"]),
        used=int(values["used"]),
        holder=None
        if holder is None
        else ProcessIdentity(int(holder["pid"]), int(holder["start"]), str(holder["boot"])),
        kept_boot=values["kept_boot"],
    )


def _candidates(table: _Table, key: str, port_base: int) -> list[int]:
    """Return the blocks that may be leased to `key`, best first: its own, unknown ones, longest unused."""
    blocks = range(port_base, _range_end(port_base) - BLOCK_SIZE + 1, BLOCK_SIZE)
    held: set[int] = set()
    last_used: dict[int, int] = {}
    for other in (lease for name, lease in table.leases.items() if name != key):
        # A lease made with another port_base can lie across two blocks.
        first = (other.base - port_base) // BLOCK_SIZE * BLOCK_SIZE + port_base
        across = {first} if first == other.base else {first, first + BLOCK_SIZE}
        if other.held:
            held |= across
        for base in across:
            last_used[base] = max(other.used, last_used.get(base, 0))
    mine = table.leases.get(key)
    own = mine.base if mine is not None else None
    free = [base for base in blocks if base not in held]
    return sorted(free, key=lambda base: (base != own, last_used.get(base, 0), base))


def _range_end(port_base: int) -> int:
    """Return the port after the last one to use: ephemeral ports come and go under anybody's feet."""
    try:
        lowest = int(_EPHEMERAL_RANGE.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return 65536
    return lowest if port_base < lowest else 65536


def _taken_port(block: PortBlock, avoid: Collection[int]) -> tuple[int, str] | None:
    """Return the first port of a block that cannot be used, with the reason."""
    for port in block.as_mapping().values():
        if port in avoid:
            return port, "is known to be taken"
        if (reason := _bind_error(block.bind_address, port)) is not None:
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
