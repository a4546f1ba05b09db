"""What the kernel tells about processes, and a kill that cannot hit a recycled pid."""

# ruff: noqa: PTH123, PTH208 - read several times a second for each worker, where pathlib takes twice as long

import contextlib
import os
import re
import signal
import time
from pathlib import Path
from typing import NamedTuple

MARK = "ESB_WORKER_MARK"
"""Variable in the environment block of every process of a worker: the worker's log folder and name."""

_EXEC_SECONDS = 1.0
_LOOK_AGAIN_SECONDS = 0.005
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_MEMORY = re.compile(rb"^Vm(HWM|RSS):\s+(\d+) kB$", re.MULTILINE)


class Memory(NamedTuple):
    """Resident memory of a process tree in bytes: now, and the highest that one of its processes ever had."""

    current: int
    peak: int


def tree(pid: int) -> list[int]:
    """Return `pid` and all its descendants that exist now."""
    found = [pid]
    for parent in found:
        try:
            for task in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{task}/children", "rb") as children:
                    found.extend(int(child) for child in children.read().split())
        except OSError:
            continue
    return found


def memory(pids: list[int]) -> Memory:
    """Return the resident memory of processes; one that has ended counts nothing."""
    current = peak = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/status", "rb") as status:
                figures = {name: int(kib) * 1024 for name, kib in _MEMORY.findall(status.read())}
        except OSError:
            continue
        current += figures.get(b"RSS", 0)
        peak = max(peak, figures.get(b"HWM", 0))
    return Memory(current, peak)


def cpu_ns(pids: list[int]) -> int:
    """Return the processor time of processes, and of their children that were waited for, in nanoseconds."""
    ticks = 0
    for pid in pids:
        fields = _stat(pid)
        if fields is not None:
            ticks += sum(int(field) for field in fields[11:15])
    return ticks * _TICK_NS


def _stat(pid: int) -> list[bytes] | None:
    """Return the fields of /proc/<pid>/stat after the command's name, which may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None


def mark_of(pid: int) -> str | None:
    """Return the worker's mark in a process' environment block, or None where there is none."""
    for entry in _environment(pid).split(b"\0"):
        if entry.startswith(MARK.encode() + b"="):
            return os.fsdecode(entry.partition(b"=")[2])
    return None


def _environment(pid: int) -> bytes:
    """Return a process' environment block, which it does not have in the middle of an exec.

    Neither is it known then where its code begins; kernel threads and zombies have no program.
    """
    end = time.monotonic() + _EXEC_SECONDS
    with contextlib.suppress(OSError):
        while not (block := _read(pid, "environ")):
            Path(f"/proc/{pid}/exe").readlink()
            if time.monotonic() >= end:
                return _read(pid, "environ")
            fields = _stat(pid)
            if fields is None:
                break
            start_code, env_start, env_end = fields[23], fields[47], fields[48]
            if start_code == b"0":
                time.sleep(_LOOK_AGAIN_SECONDS)
            elif env_start == env_end:
                break
        return block
    return b""


def _read(pid: int, name: str) -> bytes:
    with open(f"/proc/{pid}/{name}", "rb") as file:
        return file.read()


def signal_marked(prefix: str, number: signal.Signals) -> set[int]:
    """Send a signal to every process whose mark starts with `prefix`, and return the pids that got it.

    Between look and signal a pid may go to another process: it is pinned by a pidfd, then looked at again.
    """
    hit = set()
    for name in os.listdir("/proc"):
        if not name.isdigit() or not (mark_of(int(name)) or "").startswith(prefix):
            continue
        pid = int(name)
        with contextlib.suppress(OSError):
            descriptor = os.pidfd_open(pid)
            try:
                if (mark_of(pid) or "").startswith(prefix):
                    signal.pidfd_send_signal(descriptor, number)
                    hit.add(pid)
            finally:
                os.close(descriptor)
    return hit


def kill_marked(prefix: str, deadline: float) -> int:
    """Kill processes by their mark until none is left, or for `deadline` seconds; return how many."""
    hit: set[int] = set()
    empty = 0
    end = time.monotonic() + deadline
    # one that is started while the list of processes is read is not in it: only a second look is sure
    while empty < 2 and time.monotonic() < end:
        found = signal_marked(prefix, signal.SIGKILL)
        hit |= found  # a killed process may be seen once more before it is gone
        empty = 0 if found else empty + 1
        time.sleep(_LOOK_AGAIN_SECONDS)
    return len(hit)
