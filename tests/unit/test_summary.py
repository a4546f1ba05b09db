"""The summary: log lines as a person reads them, and whose log shows why a test failed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from esb_e2e_plugin.reporting.summary import guilty_log, readable


def record(second: int, level: str = "INFO", **fields: object) -> str:
    return json.dumps({"timestamp": f"2026-01-02T03:04:{second:02d}.250Z", "level": level, **fields})


START = 1767323040.0  # 2026-01-02T03:04:00Z


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (record(5, message="it runs"), "03:04:05.250 INFO it runs"),
        (
            record(5, "ERROR", message="no", exception="Trace\n  line\n"),
            "03:04:05.250 ERROR no\n    Trace\n      line",
        ),
        (record(5, "ERROR", message="no", stackTrace=["a\n", "b\n"]), "03:04:05.250 ERROR no\n    a\n    b"),
        ('{"other": 1}', '{"other": 1}'),
        ("{broken", "{broken"),
        ("plain text", "plain text"),
        ("[1]", "[1]"),
    ],
)
def test_a_structured_line_is_shown_as_time_level_and_message(line: str, shown: str) -> None:
    """Exceptions are indented below; whatever is no record is shown as it is."""
    assert readable(line) == shown


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    (tmp_path / "functions").mkdir()
    return tmp_path


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_a_function_that_logged_an_error_is_guilty_before_any_service(logs: Path) -> None:
    """Services repeat what functions suffer: the function's own log says more, even if it is later."""
    write(logs / "gateway.log", record(1, "ERROR", message="502"))
    worker = write(
        logs / "functions" / "w-1.log",
        record(1, message="fine"),
        record(2, "ERROR", message="boom", function="echo"),
    )
    assert guilty_log(logs, START, START + 10) == ("echo", worker)


def test_the_first_error_within_the_test_counts(logs: Path) -> None:
    """Errors of earlier and later tests are not this one's; lines that are no records are passed over."""
    write(logs / "agent.log", record(1, "ERROR", message="early"), record(30, "ERROR", message="late"))
    late = write(logs / "database.log", "noise", "{broken", record(7, "CRITICAL", message="x"))
    write(logs / "gateway.log", '{"level": "ERROR"}', record(8, "ERROR", message="x"))
    assert guilty_log(logs, START + 5, START + 10) == ("database", late)
    assert guilty_log(logs, START + 11, START + 20) is None


def test_a_log_that_is_removed_meanwhile_is_passed_over(logs: Path) -> None:
    """Workers end while a failed test is explained; what is listed may be gone when it is read."""
    (logs / "functions" / "gone.log").symlink_to(logs / "nothing")
    worker = write(logs / "functions" / "w-1.log", record(2, "ERROR", message="boom", function="echo"))
    assert guilty_log(logs, START, START + 10) == ("echo", worker)
