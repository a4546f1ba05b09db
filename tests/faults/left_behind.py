"""Looks at what runs may leave behind: processes, held locks, files."""

import fcntl
import os
from pathlib import Path

from esb_e2e_plugin.processes import environment_of


def processes_of(folder: Path) -> list[int]:
    """Return every process that names a file below a folder in its environment."""
    mine = os.fsencode(f"{folder}/")
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if pid != os.getpid() and mine in environment_of(pid)]


def command_of(pid: int) -> bytes:
    """Return the command line of a process; empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:
        return b""


def reaper_of(folder: Path) -> int:
    """Return the pid of the reaper of a run in a folder, also when it is at work; 0 where there is none."""
    return next((pid for pid in processes_of(folder) if b"watchdog.py" in command_of(pid)), 0)


def below(folder: Path) -> list[str]:
    """Return what there is below a folder, whoever removes some of it meanwhile, which a glob minds."""
    return [
        os.path.join(parent, name)  # noqa: PTH118
        for parent, folders, files in os.walk(folder)
        for name in (*folders, *files)
    ]


def is_held(path: Path) -> bool:
    """Return whether somebody holds a lock file."""
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
