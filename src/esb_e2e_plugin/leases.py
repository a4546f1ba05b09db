"""Numbers that belong to one environment at a time, leased among all runs of a user on this host."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from esb_e2e_plugin.errors import EsbError
from esb_e2e_plugin.process_identity import ProcessIdentity, boot_id

_LOCK_TIMEOUT = 30.0

OnMove = Callable[[int, int, str], None]
"""Called with the first number of a block that was passed over, the number that is taken, and the reason."""


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

    def overlaps(self, base: int, size: int) -> bool:
        return abs(self.base - base) < size


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


class LeaseLedger:
    """The table of one kind of leases, shared by every process that uses one host folder.

    A lease belongs to a process and ends with it, unless it is kept. A key that comes back gets the block
    it had, as long as nobody else needs it.

    Args:
        host_dir: The folder that all runs of this user on this host share.
        name: What is leased, such as `ports`: the table's name.
    """

    def __init__(self, host_dir: Path, name: str) -> None:
        self._table_path = host_dir / f"{name}.json"
        self._lock_path = host_dir / "locks" / f"{name}.lock"
        self._name = name

    def lease(
        self,
        key: str,
        *,
        environment: str,
        blocks: range,
        taken: Callable[[int], tuple[int, str] | None],
        none_left: EsbError,
        on_move: OnMove | None = None,
    ) -> int:
        """Lease a block for this process, the one that `key` had where it is still free.

        Args:
            key: What the lease is for: the key of the environment's lock.
            environment: The environment's name, for people who read the table or an error.
            blocks: The first number of each block; its step is the size of a block.
            taken: Returns the first number of a block that cannot be used, with the reason, or None.
            none_left: Raised where no block is left.
            on_move: Called, after the lease is made, for each block that had to be passed over.

        Returns:
            The first number of the block.

        Raises:
            EsbError: No block is left, or another living process holds the lease of `key`.
        """
        passed: list[tuple[int, int, str]] = []
        with self._table() as table:
            mine = table.leases.get(key)
            me = ProcessIdentity.current()
            if mine is not None and mine.holder is not None and mine.holder != me and mine.holder.alive:
                raise EsbError(
                    f"the {self._name} of environment {environment} are held by process {mine.holder.pid}",
                    "wait for its end, or end it",
                    self._name,
                )
            for base in _candidates(table, key, blocks):
                if (found := taken(base)) is None:
                    break
                passed.append((base, *found))
            else:
                raise none_left
            overlapped = [
                name
                for name, lease in table.leases.items()
                if name != key and lease.overlaps(base, blocks.step)
            ]
            for other in overlapped:
                del table.leases[other]
            table.leases[key] = _Lease(base, environment, table.tick(), me)
        if on_move is not None:
            for move in passed:
                on_move(*move)
        return base

    def release(self, key: str) -> None:
        """Give the block of `key` back; it stays remembered for the next time."""
        self._change(key, holder=None, kept_boot=None)

    def keep(self, key: str) -> None:
        """Let the lease of `key` outlive this process, until it is leased again or released."""
        self._change(key, holder=None, kept_boot=boot_id())

    def is_kept(self, key: str) -> bool:
        """Tell whether the lease of `key` is kept, and the host has not been started anew since."""
        lease = self._read().leases.get(key)
        return lease is not None and lease.kept_boot == boot_id()

    def preview(self, key: str, blocks: range, taken: Callable[[int], tuple[int, str] | None]) -> int | None:
        """Return the block that `lease` would lease now; None where none is left. Nothing is leased."""
        candidates = _candidates(self._read(), key, blocks)
        return next((base for base in candidates if taken(base) is None), None)

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
                str(self._lock_path),
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
        # The lock is held, so one name serves all: what a killed process left there is written over.
        new = self._table_path.with_suffix(".json.new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(table.to_json())
        new.replace(self._table_path)


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


def _candidates(table: _Table, key: str, blocks: range) -> list[int]:
    """Return the blocks that may be leased to `key`, best first: its own, unknown ones, longest unused."""
    held: set[int] = set()
    last_used: dict[int, int] = {}
    for other in (lease for name, lease in table.leases.items() if name != key):
        # A lease made from another range can lie across two blocks.
        first = (other.base - blocks.start) // blocks.step * blocks.step + blocks.start
        across = {first} if first == other.base else {first, first + blocks.step}
        if other.held:
            held |= across
        for base in across:
            last_used[base] = max(other.used, last_used.get(base, 0))
    mine = table.leases.get(key)
    own = mine.base if mine is not None else None
    free = [base for base in blocks if base not in held]
    return sorted(free, key=lambda base: (base != own, last_used.get(base, 0), base))
