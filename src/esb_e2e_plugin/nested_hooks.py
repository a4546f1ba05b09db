"""Finds hooks of this plugin in conftest files that an xdist controller would never load."""

import ast
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from esb_e2e_plugin.errors import UserError

_CONFTEST = "conftest.py"
_PREFIX = "pytest_esb_"


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
        for line, name in _hooks(path.read_text(encoding="utf-8", errors="replace")):
            raise UserError(
                f"{path}:{line}: {name} would not run with xdist: its controller loads no such file",
                f"move it to {root / _CONFTEST}, or into a plugin",
            )


def _hooks(text: str) -> list[tuple[int, str]]:
    """Return line and name of each hook that a module defines, imports, assigns or gives another name."""
    if _PREFIX not in text:
        return []
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except SyntaxError:  # pytest shows it best
        return []
    named: list[tuple[int, str]] = []
    for node in nodes:
        match node:
            case ast.FunctionDef(name=name) | ast.Name(id=name, ctx=ast.Store()):
                named.append((node.lineno, name))
            case ast.alias():
                named.append((node.lineno, node.asname or node.name))
            case ast.keyword(arg="specname", value=ast.Constant(value=str() as name)):
                named.append((node.lineno, name))
            case _:
                pass
    return sorted((line, name) for line, name in named if name.startswith(_PREFIX))


def _conftests(arguments: Iterable[str], folder: Path, root: Path) -> Iterator[Path]:
    for argument in arguments:
        target = Path(os.path.normpath(folder / argument.partition("::")[0]))
        for parent in target.parents:
            if parent.is_relative_to(root) and (parent / _CONFTEST).is_file():
                yield parent / _CONFTEST
        for below, _, files in os.walk(target):
            if _CONFTEST in files:
                yield Path(below, _CONFTEST)
