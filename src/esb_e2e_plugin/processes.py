"""Processes that belong to an environment, known by a mark that outlives whoever started them.

A pid alone names nobody: it is given to another process as soon as its owner is gone. A process is
therefore ended through a descriptor (`pidfd_open(2)`) taken before its mark is checked, so that a signal
can only reach the process that was checked.
"""

import os
import select
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

MARK = "ESB_PROCESS_MARK"
"""Variable that everything started for an environment carries: the real path of its state folder."""

_PROC = Path("/proc")
_EXEC_SECONDS = 1.0
_SURE_LOOKS = 2
_LOOK_AGAIN_SECONDS = 0.005


def marked(mark: str) -> Iterator[int]:
    """Yield the pids of this user's running processes whose environment carries `MARK=mark`.

    The caller and its ancestors are left out: a run started from inside an environment must not end itself.
    """
    spared = set(_own_line())
    for entry in os.scandir(_PROC):
        if not entry.name.isdigit() or int(entry.name) in spared:
            continue
        if variable_of(int(entry.name), MARK) == mark:
            yield int(entry.name)


def variable_of(pid: int, name: str) -> str | None:
    """Return a variable of a process' environment; None where there is none, see `environment_of`."""
    start = os.fsencode(f"{name}=")
    for entry in environment_of(pid).split(b"\0"):
        if entry.startswith(start):
            return os.fsdecode(entry.removeprefix(start))
    return None


def end_marked(mark: str, timeout: float) -> list[int]:
    """Kill every process that carries `mark`, again until none is left.

    Args:
        mark: value of the mark, see `MARK`.
        timeout: seconds until giving up.

    Returns:
        The pids that were still there when the time was up: empty when all are gone.
    """
    deadline = time.monotonic() + timeout
    empty_looks = 0
    # One that is started while the list of processes is read is not in it: only a second look is sure.
    while empty_looks < _SURE_LOOKS:
        pids = list(marked(mark))
        if pids and time.monotonic() >= deadline:
            return pids
        empty_looks = 0 if pids else empty_looks + 1
        _kill(pids, mark, deadline)
        time.sleep(_LOOK_AGAIN_SECONDS)
    return []


def environment_of(pid: int) -> bytes:
    """Return the variables that a process was started with.

    An exec takes the environment from a process before it gives it the new one, and on a busy machine tens of
    milliseconds lie between: a process that shows none is looked at again, unless its environment is known to
    be empty, or it has no program, as kernel threads and zombies.

    Returns:
        `NAME=value` entries, each ended by a null byte; empty where the process is gone or another user's.
    """
    folder = _PROC / str(pid)
    deadline = time.monotonic() + _EXEC_SECONDS
    with suppress(OSError):
        while not (environment := (folder / "environ").read_bytes()):
            (folder / "exe").readlink()
            if time.monotonic() >= deadline:
                return (folder / "environ").read_bytes()
            fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
            # proc_pid_stat(5): start_code is 0 until an exec has set env_start and env_end.
            start_code, env_start, env_end = (fields[number - 3] for number in (26, 50, 51))
            if start_code == b"0":
                time.sleep(_LOOK_AGAIN_SECONDS)
            elif env_start == env_end:
                break
        return environment
    return b""


def described(pids: Iterable[int]) -> list[str]:
    """Return each process with the command that ends it."""
    return [f"process {pid} (kill -9 {pid})" for pid in pids]


def descriptors_ended(descriptors: Iterable[int], timeout: float) -> list[int]:
    """Wait up to `timeout` seconds for a process to end; return the pidfds of those that have."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(max(0, int(timeout * 1000)))]


def _own_line() -> Iterator[int]:
    pid = os.getpid()
    while pid > 0:
        yield pid
        try:
            stat = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return
        pid = int(stat.rpartition(")")[2].split()[1])


def _kill(pids: Sequence[int], mark: str, deadline: float) -> None:
    with ExitStack() as stack:
        descriptors = [stack.enter_context(_descriptor(pid)) for pid in pids]
        killed = [
            descriptor
            for pid, descriptor in zip(pids, descriptors, strict=True)
            if descriptor is not None and variable_of(pid, MARK) == mark
        ]
        for descriptor in killed:
            with suppress(ProcessLookupError):  # it has ended since, as with one that was killed before it
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        for descriptor in killed:
            descriptors_ended([descriptor], deadline - time.monotonic())


@contextmanager
def _descriptor(pid: int) -> Iterator[int | None]:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)
