"""What pydantic says about a matrix, in the words of this project."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypedDict

from pydantic_core import ErrorDetails

from artifactctl.errors import one_line, shown
from esb_e2e_plugin.matrix.shape import EntryShape, GatewayShape, MatrixShape, SuiteShape

Keys = tuple[str | int, ...]

_KINDS: Mapping[type, str] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "a mapping",
    type(None): "nothing",
}
_TYPES: Mapping[str, str] = {
    "string_type": "a text",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
}
_LIMITS: Mapping[str, tuple[str, str]] = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "of at least"),
    "less_than_equal": ("le", "of at most"),
}


class Explanation(TypedDict, total=False):
    """The parts of a message, as `MatrixError.at` takes them."""

    problem: str
    expected: str | None
    given: str | None
    known: tuple[str, ...]
    remedy: str | None


def label(keys: Keys) -> str:
    """Return a key as people write it: `matrix[0].suites[1]`."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return one_line(text.removeprefix("."))


def explain(error: ErrorDetails) -> Explanation:
    """Say what is wrong and what would be right.

    Values are shown only where they are choices; others may be secrets.
    """
    kind, keys, value = error["type"], error["loc"], error["input"]
    context: Mapping[str, Any] = error.get("ctx", {})
    if kind == "mistake":
        return Explanation(
            problem=one_line(context["problem"]),
            expected=one_line(context["expected"]),
            given=context["given"],
            known=context["known"],
        )
    if kind == "extra_forbidden":
        known = tuple(_fields(keys))
        return Explanation(
            problem="unknown key", expected=f"one of {', '.join(known)}", given=str(keys[-1]), known=known
        )
    if kind == "missing":
        return Explanation(problem="is missing", expected=f"the key {keys[-1]!r} in this place")
    if kind == "too_short":
        return Explanation(problem="is empty", expected="at least one")
    if kind == "literal_error":
        choices = tuple(re.findall(r"'([^']*)'", context["expected"]))
        return Explanation(
            problem=f"found {shown(value)}",
            expected=" or ".join(choices),
            given=value if isinstance(value, str) else None,
            known=choices,
        )
    if kind in _LIMITS:
        limit, words = _LIMITS[kind]
        return Explanation(problem=f"found {shown(value)}", expected=f"a number {words} {context[limit]:g}")
    if kind in _TYPES:
        expected = _TYPES[kind]
        remedy = "put it in quotes" if expected == "a text" and isinstance(value, int | float) else None
        return Explanation(
            problem=f"found {_KINDS.get(type(value), 'something else')}", expected=expected, remedy=remedy
        )
    return Explanation(problem=one_line(error["msg"]))


def _fields(keys: Keys) -> list[str]:
    """Return the keys that are known in the place of the last one of `keys`."""
    if len(keys) == 1:
        return sorted(MatrixShape.model_fields)
    if keys[0] == "suites":
        return sorted(SuiteShape.model_fields)
    return sorted((GatewayShape if "gateway" in keys[:-1] else EntryShape).model_fields)
