"""A report in few bytes, for the page: tests as columns of numbers, every text once.

`page/model.js` reads it, too. A column whose values are all the same is that value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from esb_e2e_plugin.errors import UserError
from esb_e2e_plugin.reporting.report import json_file
from esb_e2e_plugin.reporting.report.records import (
    OUTCOMES,
    VERSION,
    Report,
    RunRecord,
    TestRecord,
    node_id,
)

_RUN = TypeAdapter(RunRecord)
_MILLISECONDS = 1000


class _Texts:
    """Texts by number, in the order in which they were first seen."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        return self._numbers.setdefault(text, len(self._numbers))

    def all(self) -> list[str]:
        return list(self._numbers)


def pack(report: Report) -> dict[str, Any]:
    """Return a report as plain data in few bytes."""
    texts = _Texts()
    runs = [
        {
            **_RUN.dump_python(replace(run, tests=()), mode="json"),
            "tests": _pack_tests(run, texts),
        }
        for run in report.runs
    ]
    return {"version": VERSION, "runs": runs, "texts": texts.all()}


def unpack(data: Any, label: str) -> Report:
    """Return the report that `pack` gave `data` for.

    Args:
        data: the plain data.
        label: where it was found, for messages.

    Raises:
        UserError: it is no report, or one of another version.
    """
    if not isinstance(data, dict) or data.get("version") != VERSION:
        return json_file.from_data(data, label)  # which says what is wrong
    try:
        runs = [{**run, "tests": _unpack_tests(run, data["texts"])} for run in data["runs"]]
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise UserError(f"{label}: the data of this report are broken: {error!r}") from None
    return json_file.from_data({"version": VERSION, "runs": runs}, label)


def _pack_tests(run: RunRecord, texts: _Texts) -> dict[str, Any]:
    tests = run.tests
    place = {environment.name: index for index, environment in enumerate(run.environments)}
    profile = {environment.name: environment.profile for environment in run.environments}

    def column(value: Callable[[TestRecord], int | None]) -> Any:
        return _folded([value(test) for test in tests])

    def milliseconds(value: Callable[[TestRecord], float]) -> Any:
        return column(lambda test: round(value(test) * _MILLISECONDS))

    return {
        "count": len(tests),
        "scenario": column(lambda test: texts(test.scenario)),
        "environment": column(lambda test: -1 if test.environment is None else place[test.environment]),
        "outcome": column(lambda test: OUTCOMES.index(test.outcome)),
        "file": column(lambda test: texts(test.file)),
        "line": column(lambda test: test.line),
        "failed_line": column(lambda test: test.failed_line),
        "worker": column(lambda test: -1 if test.worker is None else texts(test.worker)),
        "started": column(
            lambda test: None if test.started is None else round((test.started - run.started) * _MILLISECONDS)
        ),
        "setup": milliseconds(lambda test: test.setup),
        "call": milliseconds(lambda test: test.call),
        "teardown": milliseconds(lambda test: test.teardown),
        "message": column(lambda test: texts(test.message)),
        "attempts": {index: test.attempts for index, test in enumerate(tests) if test.attempts != 1},
        "id": {
            index: texts(test.id)
            for index, test in enumerate(tests)
            if test.id != node_id(test.scenario, profile.get(test.environment or ""))
        },
        "sections": {
            index: [[texts(section.title), texts(section.text)] for section in test.sections]
            for index, test in enumerate(tests)
            if test.sections
        },
    }


def _unpack_tests(run: dict[str, Any], texts: Sequence[str]) -> Iterable[dict[str, Any]]:
    packed = run["tests"]
    environments = run["environments"]
    tests = []
    for index in range(packed["count"]):
        value = {name: _at(column, index) for name, column in packed.items() if name not in _SPARSE}
        sparse = {name: packed[name].get(index, packed[name].get(str(index))) for name in _SPARSE}
        environment = None if value["environment"] < 0 else environments[value["environment"]]
        scenario = texts[value["scenario"]]
        profile = None if environment is None else environment["profile"]
        tests.append(
            {
                "id": node_id(scenario, profile) if sparse["id"] is None else texts[sparse["id"]],
                "scenario": scenario,
                "environment": None if environment is None else environment["name"],
                "outcome": OUTCOMES[value["outcome"]],
                "file": texts[value["file"]],
                "line": value["line"],
                "failed_line": value["failed_line"],
                "worker": None if value["worker"] < 0 else texts[value["worker"]],
                "started": None
                if value["started"] is None
                else round(run["started"] + value["started"] / _MILLISECONDS, 3),
                **{name: value[name] / _MILLISECONDS for name in ("setup", "call", "teardown")},
                "attempts": sparse["attempts"] or 1,
                "message": texts[value["message"]],
                "sections": [
                    {"title": texts[title], "text": texts[text]} for title, text in sparse["sections"] or ()
                ],
            }
        )
    return tests


_SPARSE = ("attempts", "id", "sections")


def _folded(values: list[int | None]) -> list[int | None] | int | None:
    """Return the one value of a column that has no other, else the column."""
    return values[0] if len(set(values)) == 1 else values


def _at(column: Any, index: int) -> Any:
    return column[index] if isinstance(column, list) else column
