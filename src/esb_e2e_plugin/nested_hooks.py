"""Finds hooks of this plugin in conftest files that an xdist controller would never load."""

import ast
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from esb_e2e_plugin import hookspecs
from esb_e2e_plugin.errors import UserError

_CONFTEST = "conftest.py"
_HOOKS = frozenset(name for name in vars(hookspecs) if name.startswith("pytest_esb_"))


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
        for line, name in _hooks(path.read_bytes()):
            raise UserError(
                f"{path}:{line}: {name} would not run with xdist: its controller loads no such file",
                f"move it to {root / _CONFTEST}, or into a plugin",
            )


class _Names(ast.NodeVisitor):
    """Finds what a module defines, imports, assigns, or says to be a hook by another name.

    Attributes:
        found: line and name of each.
    """

    def __init__(self, *, registers: bool) -> None:
        """Look at what belongs to the module; where it registers plugins, also at their methods."""
        self.found: list[tuple[int, str]] = []
        self._registers = registers

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.found.append((node.lineno, node.name))
        for inner in (*node.decorator_list, *(node.body if self._registers else ())):
            self.visit(inner)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if self._registers:
            self.generic_visit(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """Pass over what is not the module's."""

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        """Pass over what is no hook."""

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self.found.append((node.lineno, node.id))

    def visit_alias(self, node: ast.alias) -> None:
        self.found.append((node.lineno, node.asname or node.name))

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg == "specname" and isinstance(node.value, ast.Constant):
            self.found.append((node.value.lineno, str(node.value.value)))


def _hooks(text: bytes) -> list[tuple[int, str]]:
    """Return line and name of each hook of a module, in their order."""
    if not any(name.encode() in text for name in _HOOKS):
        return []
    names = _Names(registers=b".register(" in text)
    try:
        names.visit(ast.parse(text))
    except (SyntaxError, ValueError, RecursionError):  # pytest shows it best
        return []
    return sorted((line, name) for line, name in names.found if name in _HOOKS)


def _conftests(arguments: Iterable[str], folder: Path, root: Path) -> Iterator[Path]:
    for argument in arguments:
        target = Path(os.path.normpath(folder / argument.partition("::")[0]))
        for parent in target.parents:
            if parent.is_relative_to(root) and (parent / _CONFTEST).is_file():
                yield parent / _CONFTEST
        for below, _, files in os.walk(target):
            if _CONFTEST in files:
                yield Path(below, _CONFTEST)
