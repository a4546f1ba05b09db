"""Errors of the plugin: one root, and the user's mistakes below it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Self


class EsbError(Exception):
    """The root of every error of this plugin.

    Args:
        message: What failed, where and why, in one line.
        remedy: What the reader can do about it.
        component: What is guilty, where that can be named.
    """

    def __init__(self, message: str, remedy: str | None = None, component: str | None = None) -> None:
        super().__init__(message, remedy, component)
        self.message = message
        self.remedy = remedy
        self.component = component

    def __str__(self) -> str:
        return self.message if self.remedy is None else f"{self.message} ({self.remedy})"


class UserError(EsbError):
    """A mistake in what the user wrote; plugin.py shows it as a usage error."""


class MatrixError(UserError):
    """A mistake in the matrix or in a file that it names."""

    @classmethod
    def at(
        cls,
        path: Path,
        line: int,
        key: str,
        problem: str,
        *,
        expected: str | None = None,
        given: str | None = None,
        known: Iterable[str] = (),
        remedy: str | None = None,
    ) -> Self:
        """Build the one-line message `FILE:LINE: key: problem; expected …; did you mean 'x'?`.

        Args:
            path: The file with the mistake.
            line: Its line, from 1; 0 when the file has no line to point at.
            key: The key as a path, such as `matrix[0].suites`; empty for the file as a whole.
            problem: What is wrong.
            expected: What would have been right.
            given: The name that was not understood, compared with `known`.
            known: The valid names in this place.
            remedy: What the reader can do, where it is more than writing what was expected.
        """
        place = f"{path}:{line}" if line else str(path)
        parts = [f"{place}: {key}: {problem}" if key else f"{place}: {problem}"]
        if expected:
            parts.append(f"expected {expected}")
        if given is not None and (near := nearest(given, known)) is not None:
            parts.append(f"did you mean {near!r}?")
        return cls("; ".join(parts), remedy)


def nearest(given: str, known: Iterable[str]) -> str | None:
    """Return the valid name that looks most like `given` without regard to case, if any does."""
    # The module is imported in every pytest run; difflib is needed only for a mistake.
    import difflib

    by_folded = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(given.casefold(), by_folded, n=1, cutoff=0.5)
    return by_folded[found[0]] if found else None
