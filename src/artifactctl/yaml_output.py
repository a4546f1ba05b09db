"""YAML as this project writes it: the same data gives the same bytes."""

from typing import Any

import yaml

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def dumped(document: dict[str, Any], *, sort_keys: bool = True) -> bytes:
    """Return `document` as UTF-8.

    Args:
        document: plain data.
        sort_keys: sort the keys of every mapping; otherwise they stay as they are.
    """
    text: bytes = yaml.dump(
        _unshared(document, sort_keys=sort_keys),
        Dumper=_Dumper,
        default_flow_style=False,
        allow_unicode=True,
        encoding="utf-8",
        sort_keys=False,
        width=110,
    )
    return text


def _unshared(value: Any, *, sort_keys: bool) -> Any:
    """Return a copy of `value` with nothing shared, so that no aliases are written."""
    if isinstance(value, dict):
        keys = list(value)
        if sort_keys:
            # YAML's own sorting gives up when numbers and strings are keys of one mapping.
            keys.sort(key=lambda key: (not isinstance(key, str), str(key)))
        return {key: _unshared(value[key], sort_keys=sort_keys) for key in keys}
    if isinstance(value, list):
        return [_unshared(item, sort_keys=sort_keys) for item in value]
    return value
