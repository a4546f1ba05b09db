"""The log files of an environment, beside which services and functions make and remove files meanwhile."""

import os
from pathlib import Path


def log_files(folder: Path) -> list[Path]:
    """Return the log files below a folder, sorted; folders that go away meanwhile hold none.

    Args:
        folder: of an environment's logs. What is hidden in it, as the scratch space of functions, is no log.
    """
    found: list[Path] = []
    for parent, folders, names in os.walk(folder):  # a glob raises where a folder goes away under it
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in names if name.endswith(".log")]
    return sorted(found)
