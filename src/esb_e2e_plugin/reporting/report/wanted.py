"""Whether a session makes reports, and can: asked by every session before it loads anything else."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from esb_e2e_plugin.errors import UserError

if TYPE_CHECKING:
    import pytest

    from esb_e2e_plugin.settings import Settings


def is_wanted(config: pytest.Config, settings: Settings) -> bool:
    """Tell whether anybody asks for a report, JUnit properties or annotations."""
    return bool(settings.reports or config.getoption("xmlpath", None) or in_github_actions())


def in_github_actions() -> bool:
    """Tell whether annotations are read."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def check_writable(paths: Iterable[Path], label: str) -> None:
    """Make sure that reports can be written, without writing anything.

    Args:
        paths: the files, absolute.
        label: what named them, for the message.

    Raises:
        UserError: a folder cannot be written to, or a file is a folder.
    """
    for path in paths:
        if path.is_dir():
            raise UserError(f"{label}: {path} is a folder", "name a file")
        folder = next(parent for parent in path.parents if os.path.exists(parent))  # noqa: PTH110  raises nothing
        if not folder.is_dir():
            raise UserError(f"{label}: {path}: {folder} is no folder", "name another folder")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise UserError(
                f"{label}: {path}: the folder {folder} cannot be written to", "name another folder"
            )
