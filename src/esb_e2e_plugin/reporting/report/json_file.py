"""The report as JSON, and the schema that ships with it."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import TypeAdapter, ValidationError

from esb_e2e_plugin.errors import UserError
from esb_e2e_plugin.reporting.report import records
from esb_e2e_plugin.reporting.report.records import VERSION, Report

_ADAPTER = TypeAdapter(Report)


def dump(report: Report) -> str:
    """Return a report as JSON."""
    return _ADAPTER.dump_json(report).decode() + "\n"


def load(text: str, label: str) -> Report:
    """Read a report.

    Args:
        text: what `dump` returned.
        label: where it was found, for messages.

    Raises:
        UserError: it is no report, or one of another version.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UserError(f"{label}: {error}", "expected a report of --esb-report") from None
    return from_data(data, label)


def from_data(data: Any, label: str) -> Report:
    """Read a report from plain data.

    Args:
        data: what a JSON file held.
        label: where it was found, for messages.

    Raises:
        UserError: it is no report, or one of another version.
    """
    if not isinstance(data, dict) or "runs" not in data:
        raise UserError(f"{label}: this is no report", "expected a report of --esb-report")
    if data.get("version") != VERSION:
        raise UserError(
            f"{label}: version: {data.get('version')!r}; expected {VERSION}",
            "write and merge reports with one version of the plugin",
        )
    try:
        return _ADAPTER.validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{label}: {where}: {first['msg']}", "expected a report of --esb-report") from None


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of `dump`; the docstrings of the records describe it."""
    schema = _ADAPTER.json_schema(mode="serialization")
    for name, definition in {**schema.get("$defs", {}), "Report": schema}.items():
        record = getattr(records, name)
        summary, attributes = _described(record.__doc__ or "")
        definition["description"] = summary
        definition["additionalProperties"] = False
        for attribute, rule in definition["properties"].items():
            rule.pop("title", None)
            rule["description"] = attributes[attribute]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "A report of --esb-report FILE.json",
    }


def _described(docstring: str) -> tuple[str, dict[str, str]]:
    """Return the first sentence of a docstring, and what it says about each attribute."""
    head, _, tail = docstring.partition("Attributes:")
    found = re.findall(r"^        (\w+): (.+?)(?=^        \w+: |\Z)", tail, re.MULTILINE | re.DOTALL)
    return head.strip().splitlines()[0], {name: " ".join(text.split()) for name, text in found}
