"""Files of `KEY=value` lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from esb_e2e_plugin.errors import UserError

if TYPE_CHECKING:
    from esb_e2e_plugin.matrix import Entry

_LINE = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*)", re.DOTALL)
_QUOTED = re.compile(r"(?P<quote>['\"])(?P<text>.*?)(?P=quote)\s*(?:#.*)?")
_COMMENT = re.compile(r"(?:^|\s+)#.*")


def read_env_file(path: Path) -> dict[str, str]:
    """Read variables from a file.

    Blank lines and lines that start with `#` say nothing; `export` in front of a name is skipped. One pair of
    quotes around a value is removed, and what it holds is taken as it is; after a value without quotes, ` #`
    starts a comment. Of two lines with one name the later wins.

    Args:
        path: The file, UTF-8.

    Raises:
        UserError: The file cannot be read or a line is malformed; values are never shown.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8", "save it as UTF-8") from error
    values: dict[str, str] = {}
    for number, match in _variables(text, path):
        values[match["name"]] = _value(match["value"], f"{path}:{number}: {match['name']}")
    return values


def variables_of(entry: Entry) -> dict[str, str]:
    """Return the variables that a user has set for an environment: in its env file, and in the matrix.

    Raises:
        UserError: see `read_env_file`.
    """
    return {**(read_env_file(entry.env_file) if entry.env_file is not None else {}), **entry.env_vars}


def line_of(path: Path, name: str) -> int:
    """Return the line, from 1, of the last variable `name` of a file that `read_env_file` takes; else 0."""
    text = path.read_text(encoding="utf-8-sig")
    return max((number for number, match in _variables(text, path) if match["name"] == name), default=0)


def _variables(text: str, path: Path) -> Iterator[tuple[int, re.Match[str]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        if match is None or "\0" in stripped:
            raise UserError(f"{path}:{number}: is no variable; expected KEY=value, or # and a comment")
        yield number, match


def _value(text: str, place: str) -> str:
    if not text.startswith(("'", '"')):
        return _COMMENT.sub("", text, count=1)
    match = _QUOTED.fullmatch(text)
    if match is None:
        raise UserError(f"{place}: its quotes are not closed; expected one pair around the value")
    return match["text"]
