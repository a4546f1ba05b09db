"""What is shown of an environment's log for one failed test."""

import json
from datetime import datetime
from typing import Any

from esb_e2e_plugin.recorder import Request, new_trace_id, trace_suffix
from esb_e2e_plugin.reporting.section_texts import requests_text, states_text
from esb_e2e_plugin.reporting.trace_log import excerpt, in_order_of_time, parse, unfinished
from esb_e2e_plugin.service_state import ServiceState

TRACE = "1-5759e988-bd862e3fe1be46a994272793"
OTHER = "1-5759e988-aaaaaaaaaaaaaaaaaaaaaaaa"
BEGAN = datetime(2026, 3, 1, 12, 0, 0)  # noqa: DTZ001  the log has the clock of this machine


def is_own(trace_id: str | None) -> bool:
    """Tell whether a trace is the test's."""
    return trace_id == TRACE


def structured(second: float, source: str = "gateway", written: float | None = None, **record: object) -> str:
    """Return a structured line: made at `second`, in the log at `written`."""
    stamp = datetime.fromtimestamp(BEGAN.timestamp() + second).astimezone()
    precision = "milliseconds" if second % 1 else "seconds"
    given = {"timestamp": stamp.isoformat(timespec=precision), "level": "INFO", "service": source, **record}
    return line(second if written is None else written, source, json.dumps(given))


def line(second: float, source: str, text: str) -> str:
    """Return a line as it stands in the log."""
    clock = datetime.fromtimestamp(BEGAN.timestamp() + second).strftime("%H:%M:%S.%f")[:12]  # noqa: DTZ006
    return f"{clock} [{source}] {text}\n"


def shown(*lines: str, **bounds: int) -> list[str]:
    """Return what is shown of a log for the test of `TRACE`."""
    found = in_order_of_time(parse("".join(lines), BEGAN.timestamp()))
    return excerpt(found, is_own, **bounds).splitlines()


def test_lines_of_the_trace_and_of_none_are_shown_in_the_order_of_their_time() -> None:
    """Whoever copies the logs copies them one after the other: their own times say what came first."""
    assert shown(
        structured(1.5, "agent", trace_id=TRACE, message="second"),
        line(1.6, "database", "third, without a structure"),
        structured(1.25, trace_id=TRACE, message="first", written=1.7),
        structured(1.55, trace_id=OTHER, level="ERROR", message="of another test"),
    ) == [
        "12:00:01.250 gateway INFO first",
        "12:00:01.500 agent INFO second",
        "12:00:01.600 database third, without a structure",
    ]


def test_a_test_without_a_trace_is_shown_the_trouble_of_others() -> None:
    """It has asked by means of its own, and nobody knows which lines are its."""
    assert shown(
        structured(1.5, trace_id=OTHER, message="fine"),
        structured(1.75, trace_id=OTHER, level="ERROR", message="trouble"),
    ) == ["12:00:01.750 gateway ERROR trouble"]


def test_a_line_of_a_function_that_tells_whole_seconds_stands_within_its_invocation() -> None:
    """The agent's line says when the invocation ran, and how long it took."""
    function: dict[str, Any] = {
        "service": "function",
        "function": "lambda-x",
        "worker": "esb-e2e-lambda-x-1a2b3c4d",
    }
    assert shown(
        structured(3.1, trace_id=TRACE, message="asked"),
        structured(
            3.4, "agent", trace_id=TRACE, request_id="r", message="invoked", status=200, duration_ms=200.0
        ),
        structured(3, "w", 3.6, **function, trace_id=TRACE, request_id="r", message="raised", level="ERROR"),
        structured(3.5, trace_id=TRACE, message="answered"),
        structured(3.7, "agent", trace_id=TRACE, request_id="r", message="worker started", duration_ms=600.0),
    ) == [
        "12:00:03.100 gateway INFO asked",
        "12:00:03.399 lambda-x/1a2b3c4d ERROR raised",
        "12:00:03.400 agent INFO invoked",
        "12:00:03.500 gateway INFO answered",
        "12:00:03.700 agent INFO worker started",
    ]


def test_a_traceback_is_shown_below_its_line() -> None:
    """Where a function raised is what its test is red for."""
    stack = ['  File "app.py", line 3, in handler\n    boom()\n', "  File ...\n"]
    text = shown(structured(1.5, trace_id=TRACE, level="ERROR", message="KeyError: x", stackTrace=stack))
    assert text[0] == "12:00:01.500 gateway ERROR KeyError: x"
    assert text[1].strip() == 'File "app.py", line 3, in handler'
    assert text[2].strip() == "boom()"


def test_a_line_after_midnight_comes_after_the_one_before() -> None:
    """Lines carry no date."""
    evening = datetime(2026, 3, 1, 23, 59, 59)  # noqa: DTZ001
    late, early = parse("23:59:59.500 [a] x\n00:00:00.500 [a] y\n", evening.timestamp())
    assert 0 < early.time - late.time < 2


def test_of_too_many_lines_trouble_and_the_trace_survive() -> None:
    """What is dropped is counted in its place."""
    noise = [structured(i + 0.5, message=f"noise {i}") for i in range(50)]
    debug = [structured(i + 0.55, trace_id=TRACE, level="DEBUG", message=f"detail {i}") for i in range(50)]
    own = structured(0.7, trace_id=TRACE, message="own")
    trouble = structured(0.6, trace_id=TRACE, level="ERROR", message="trouble")
    assert (
        shown(*noise, *debug, own, trouble, most_lines=3)
        == [
            "… 2 left out",
            "12:00:00.600 gateway ERROR trouble",
            "12:00:00.700 gateway INFO own",
            "… 97 left out",
            "12:00:49.550 gateway DEBUG detail 49",
            "",
        ][:-1]
    )


def test_a_long_line_and_a_deep_traceback_are_cut() -> None:
    """A section stays readable whatever a function logs."""
    (wide,) = shown(structured(1.5, trace_id=TRACE, message="x" * 5000))
    assert len(wide) < 1100
    deep = shown(structured(1.5, trace_id=TRACE, message="m", exception="\n".join(map(str, range(500)))))
    assert len(deep) < 60
    assert deep[-1].strip() == "499"
    assert "    … 451 lines left out" in deep


def test_an_sdk_that_tells_its_every_step_is_not_shown() -> None:
    """A function at level DEBUG drowns in what botocore says, but not in its errors."""
    own: dict[str, Any] = {"trace_id": TRACE, "service": "function", "function": "f"}
    assert shown(
        structured(1.5, "w", **own, level="DEBUG", logger="botocore.hooks", message="step"),
        structured(1.6, "w", **own, level="ERROR", logger="botocore.hooks", message="refused"),
        structured(1.7, "w", **own, level="DEBUG", logger="app", message="mine"),
    ) == ["12:00:01.600 f ERROR refused", "12:00:01.700 f DEBUG mine"]


def test_an_asynchronous_invocation_is_unfinished_until_its_agent_tells_its_end() -> None:
    """Its lines come when the test has failed already."""
    accepted = structured(
        1.5,
        trace_id=TRACE,
        request_id="r",
        status=202,
        path="/2015-03-31/functions/f/invocations",
        function="f",
        message="POST",
    )
    started = structured(
        1.6, "agent", trace_id=TRACE, request_id="r", message="worker started", function="f", duration_ms=9.0
    )
    ended = structured(
        1.7, "agent", trace_id=TRACE, request_id="r", message="invoked", status=200, duration_ms=1.0
    )

    def left(*lines: str) -> list[str]:
        return unfinished(parse("".join(lines), BEGAN.timestamp()), is_own, [])

    assert left(accepted, started) == ["the asynchronous invocation r of f"]
    assert left(accepted, started, ended) == []
    failed = structured(1.7, trace_id=TRACE, request_id="r", level="ERROR", message="it failed")
    assert left(accepted, failed) == []


def test_a_request_is_unfinished_until_the_gateway_has_told_of_it() -> None:
    """Only one that the gateway has given an id."""
    requests = [
        Request(0.0, 0.1, "POST", "/api/echo", "200", gateway=True, request_id="r"),
        Request(0.0, 0.1, "s3 PutObject", "/bucket", "200", request_id="store"),
    ]
    told = structured(1.5, trace_id=TRACE, request_id="r", status=200, path="/api/echo", message="POST")
    assert unfinished([], is_own, requests) == ["the gateway's line about POST /api/echo"]
    assert unfinished(parse(told, BEGAN.timestamp()), is_own, requests) == []


def test_a_trace_id_leads_from_its_test_and_has_the_form_that_services_accept() -> None:
    """By that the controller finds the lines of a worker that has crashed."""
    trace = new_trace_id("test_x.py::test_x[e2e-local]")
    assert trace.endswith(trace_suffix("test_x.py::test_x[e2e-local]"))
    assert [len(part) for part in trace.split("-")] == [1, 8, 24]
    assert new_trace_id() != new_trace_id()


def test_secrets_of_bodies_are_hidden_before_they_are_cut() -> None:
    """Half a secret at the end of what is shown would still be one."""
    body = ("x" * 590 + "canary-secret" + "y" * 100).encode()
    request = Request(BEGAN.timestamp() + 0.5, 0.0123, "POST", "/a", "500", request_id="r", received=body)
    text = requests_text([request], 2, lambda text: text.replace("canary-secret", "***"))
    first, second, third = text.splitlines()
    assert (first, second) == ("… 2 left out", "12:00:00.500 POST /a -> 500 in 12 ms (request r)")
    assert third.startswith("    received: xxx")
    assert third.endswith("***yyyyyyy…")
    assert "canary" not in text


def test_states_are_a_table() -> None:
    """What nobody knows is a dash; a worker is told without its environment's name."""
    states = [
        ServiceState(name="gateway", state="exited", exit_code=137, oom_killed=True, restarts=2),
        ServiceState(name="esb-e2e-f-1a2b3c4d", state="running", function=True, health="healthy"),
    ]
    assert states_text(states, "esb-e2e").splitlines() == [
        "NAME                   STATE    HEALTH   EXIT  OOM  RESTARTS",
        "gateway                exited   -        137   yes  2",
        "f-1a2b3c4d (function)  running  healthy  -     -    -",
    ]
    assert states_text([], "esb-e2e") == ""
