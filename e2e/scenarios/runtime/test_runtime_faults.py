"""A function that misbehaves looks the same from outside, whatever its language."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import requests

from esb_e2e_plugin.fixtures.logs import EnvironmentLogs

pytestmark = pytest.mark.usefixtures("java")

LANGUAGES = {"python": "", "java": "-java"}


@pytest.mark.parametrize(
    ("function", "event", "status", "logged"),
    [
        ("lambda-errors", {"action": "raise", "text": "on purpose"}, 200, "on purpose"),
        ("lambda-errors", {"action": "not_json"}, 200, "Runtime.MarshalError"),
        ("lambda-errors", {"action": "exit", "status": 3}, 502, "exited with status 3 during an invocation"),
        ("lambda-errors", {"action": "sleep", "seconds": 60}, 504, "invocation failed"),
        ("lambda-memory", {"action": "allocate", "mib": 400, "hold_seconds": 8}, 502, "exceeded its memory"),
    ],
    ids=["throws", "returns-no-json", "exits", "exceeds-its-timeout", "exceeds-its-memory"],
)
def test_fault_is_the_same_in_both_languages(
    esb_gateway: requests.Session,
    esb_logs: EnvironmentLogs,
    take_turn: Callable[[str], None],
    workers: Callable[[str], set[str]],
    eventually: Callable[..., Any],
    function: str,
    event: dict[str, Any],
    status: int,
    logged: str,
) -> None:
    """Status, header, shape and text of the answer, the worker's fate, and the fields of the log agree."""
    seen = {}
    for language, suffix in LANGUAGES.items():
        name = f"{function}{suffix}"
        take_turn(name)
        before = workers(name)
        answer = esb_gateway.post(f"/2015-03-31/functions/{name}/invocations", json=event)
        body = answer.json()
        seen[language] = {
            "status": answer.status_code,
            "error": answer.headers.get("X-Amz-Function-Error"),
            "fields": sorted(body),
            "message": _without_names(body.get("message", "")),
            "request id": body.get("requestId", "") in ("", answer.headers["x-amzn-RequestId"]),
            "worker is kept": bool(before & workers(name)),
        }
    assert seen["python"]["status"] == status
    assert seen["java"] == seen["python"]

    def logs_agree() -> None:
        """Services' lines come by themselves: those of one language may be complete before the other's."""
        python, java = (_logged(esb_logs, f"{function}{suffix}", logged) for suffix in LANGUAGES.values())
        assert python
        assert java == python

    eventually(logs_agree)


def _logged(logs: EnvironmentLogs, function: str, text: str) -> set[tuple[str, ...]]:
    """Return service, level and fields of a function's lines that hold `text`."""
    found = logs.records(contains=text, function=function)
    return {(str(record["service"]), str(record["level"]), *sorted(record)) for record in found}


def _without_names(message: str) -> str:
    """Return a message without what tells one worker from another, and how much memory it had."""
    return re.sub(r"lambda-[a-z-]+?(-java)?(-[0-9a-f]{8})?\b|\d+ MiB( \(it used [^)]*\))?", "…", message)
