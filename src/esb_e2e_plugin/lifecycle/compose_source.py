"""Where in a project's compose files a key stands, for people who have to change it."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "tag:yaml.org,2002:merge"


def find(files: Sequence[Path], keys: Sequence[str]) -> tuple[Path, int]:
    """Return the file and the line, from 1, of a key.

    The last file that has it decides, as in Compose; where none has all of `keys`, the one that has most.

    Args:
        files: the compose files, at least one.
        keys: the way to the key, such as `("services", "web", "image")`.
    """
    best, place = -1, (files[-1], 0)
    for path in reversed(files):
        depth, line = _walk(_root(path), keys)
        if depth > best:
            best, place = depth, (path, line)
    return place


def unreadable(files: Iterable[Path]) -> Path | None:
    """Return the first file that is no YAML, or None."""
    return next((path for path in files if _root(path) is None), None)


def names(files: Iterable[Path], part: str) -> list[str]:
    """Return what files define below a key at their top, such as `services`."""
    found: dict[str, None] = {}
    for path in files:
        entry = _entry(_root(path), part)
        if entry is not None and isinstance(entry[1], yaml.MappingNode):
            found.update((str(name.value), None) for name, _ in entry[1].value)
    return list(found)


def _root(path: Path) -> Any:
    try:
        return yaml.compose(path.read_bytes(), Loader=_Loader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return None


def _walk(node: Any, keys: Sequence[str]) -> tuple[int, int]:
    """Return how many of `keys` are there, and the line of the last of these."""
    line = 0
    for depth, key in enumerate(keys):
        entry = _entry(node, key)
        if entry is None:
            return depth, line
        line, node = entry[0].start_mark.line + 1, entry[1]
    return len(keys), line


def _entry(node: Any, key: str) -> tuple[Any, Any] | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    merged: list[Any] = []
    for name, value in node.value:
        if name.tag == _MERGE:
            merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
        elif name.value == key:
            return name, value
    return next((entry for other in merged if (entry := _entry(other, key)) is not None), None)
