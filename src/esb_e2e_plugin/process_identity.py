"""Who a process is, so that a recycled pid is never mistaken for it."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class ProcessIdentity:
    """A process of this host.

    Attributes:
        pid: Its id, which the kernel gives to others after its end.
        start: When it started, in clock ticks since boot.
        boot: The boot of the host that both belong to.
    """

    pid: int
    start: int
    boot: str

    @classmethod
    def current(cls) -> ProcessIdentity:
        """Return this process."""
        pid = os.getpid()
        return cls(pid, start_time(pid) or 0, boot_id())

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.boot == boot_id() and start_time(self.pid) == self.start


def start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None if there is none that runs."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command in field 2 may hold spaces and parentheses: count from its end (proc_pid_stat(5)).
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


@functools.cache
def boot_id() -> str:
    """Return what the kernel calls this boot of the host."""
    return _BOOT_ID.read_text(encoding="ascii").strip()
