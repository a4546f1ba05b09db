"""What a Java function writes, as records in the environment's log."""

import json
import uuid

import pytest
import requests

from esb_e2e_plugin.fixtures.logs import EnvironmentLogs

pytestmark = pytest.mark.usefixtures("java")


def _log(
    gateway: requests.Session, trace_id: str, logs: EnvironmentLogs, contains: str
) -> tuple[str, list[dict[str, object]]]:
    text = f"log-{uuid.uuid4()}"
    answer = gateway.post("/api/probe-java", json={"action": "log", "text": text})
    assert answer.status_code == 200, answer.text
    found = logs.wait_for(
        trace_id=trace_id, service="function", function="lambda-probe-java", contains=text + contains
    )
    return text, found


def test_java_levels_have_the_names_of_all_others(
    esb_gateway: requests.Session, trace_id: str, esb_logs: EnvironmentLogs
) -> None:
    """Records of four levels arrive as a Python function's do; one without a level is INFO."""
    text, plain = _log(esb_gateway, trace_id, esb_logs, " without a level")
    assert [record["level"] for record in plain] == ["INFO"]
    records = esb_logs.records(trace_id=trace_id, service="function", function="lambda-probe-java")
    levels = [record["level"] for record in records if record["message"] == text]
    assert levels == ["DEBUG", "INFO", "WARNING", "ERROR"]


def test_java_printed_lines_are_records_too(
    esb_gateway: requests.Session, trace_id: str, esb_logs: EnvironmentLogs
) -> None:
    """A line on stdout or stderr becomes a record of its trace."""
    text, found = _log(esb_gateway, trace_id, esb_logs, " on stdout")
    assert [record["message"] for record in found] == [f"{text} on stdout"]
    found = esb_logs.wait_for(trace_id=trace_id, contains=f"{text} on stderr")
    assert [record["message"] for record in found] == [f"{text} on stderr"]


def test_java_stack_trace_is_one_record(
    esb_gateway: requests.Session, trace_id: str, esb_logs: EnvironmentLogs
) -> None:
    """An exception that is logged stays together: message, type and stack in one record."""
    _, found = _log(esb_gateway, trace_id, esb_logs, " with a traceback")
    assert len(found) == 1
    text = json.dumps(found[0])
    assert "ProbeException" in text
    assert "Handler.java" in text


def test_java_cloudwatch_calls_reach_the_environment(
    esb_gateway: requests.Session, esb_logs: EnvironmentLogs
) -> None:
    """Events that a function puts through the CloudWatch Logs API are kept, in order."""
    answer = esb_gateway.post("/api/connectivity/java", json={"action": "test_cloudwatch"})
    assert answer.status_code == 200, answer.text
    events = esb_logs.cloudwatch(answer.json()["cloudwatch"]["log_group"])
    assert [event["message"] for event in events] == [
        "[DEBUG] event 0",
        "[INFO] event 1",
        "[WARNING] event 2",
        "[ERROR] event 3",
    ]
