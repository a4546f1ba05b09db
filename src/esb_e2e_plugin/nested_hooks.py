"""Finds hooks of this plugin in conftest files that an xdist controller would never load."""

import os
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from esb_e2e_plugin.errors import UserError

_CONFTEST = "conftest.py"
_HOOK = re.compile(r"^def (pytest_esb_\w+)", re.MULTILINE)


def check(arguments: Iterable[str], *, folder: Path, root: Path, loaded: Collection[str]) -> None:
    """Refuse hooks that would run without xdist and be forgotten with it.

    Args:
        arguments: paths and node ids that are collected.
        folder: the folder that they are relative to.
        root: pytest's root; no conftest file above it is looked at.
        loaded: files of the plugins and conftest files that every process of the run has loaded already.

    Raises:
        UserError: names file, line and hook, and says where to move it.
    """
    for path in dict.fromkeys(_conftests(arguments, folder, root)):
        if str(path) in loaded:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if (found := _HOOK.search(text)) is not None:
            line = text.count("\n", 0, found.start()) + 1
            raise UserError(
                f"{path}:{line}: {found[1]} would not run with xdist: its controller loads no such file",
                f"move it to {root / _CONFTEST}, or into a plugin",
            )


def _conftests(arguments: Iterable[str], folder: Path, root: Path) -> Iterator[Path]:
    for argument in arguments:
        target = Path(os.path.normpath(folder / argument.partition("::")[0]))
        for parent in target.parents:
            if parent.is_relative_to(root) and (parent / _CONFTEST).is_file():
                yield parent / _CONFTEST
        for below, _, files in os.walk(target):
            if _CONFTEST in files:
                yield Path(below, _CONFTEST)
