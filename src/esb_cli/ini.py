"""The ini file of a project, as pytest finds it: the plugin's options stand there."""

import configparser
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esb_e2e_plugin.errors import UserError

# Where options stand in each file, in the order in which pytest looks for them.
_TABLES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "pytest.toml": (("pytest",),),
    ".pytest.toml": (("pytest",),),
    "pytest.ini": (("pytest",),),
    ".pytest.ini": (("pytest",),),
    "pyproject.toml": (("tool", "pytest", "ini_options"), ("tool", "pytest")),
    "tox.ini": (("pytest",),),
    "setup.cfg": (("tool:pytest",),),
}


@dataclass(frozen=True)
class Ini:
    """The options of a project.

    Attributes:
        folder: Where the file lies: relative paths in it start there.
        values: Its options, as they are written.
    """

    folder: Path
    values: Mapping[str, Any]


def find_ini(start: Path) -> Ini:
    """Return the options of the nearest ini file in a folder or above it; none where there is no such file.

    Raises:
        UserError: The file cannot be read.
    """
    for folder in (start, *start.parents):
        for values in _tables(folder):
            return Ini(folder, values)
    return Ini(start, {})


def _tables(folder: Path) -> Iterator[Mapping[str, Any]]:
    for name, places in _TABLES.items():
        path = folder / name
        if not path.is_file():
            continue
        document = _read(path)
        for place in places:
            table: Any = document
            for key in place:
                table = table.get(key) if isinstance(table, Mapping) else None
            if isinstance(table, Mapping):
                yield table
                break


def _read(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".toml":
            return tomllib.loads(text)
        parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
        parser.read_string(text, str(path))
    except (OSError, ValueError, configparser.Error) as error:
        raise UserError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    return {name: dict(parser[name]) for name in parser.sections()}
