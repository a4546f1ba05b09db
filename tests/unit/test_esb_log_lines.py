"""Lines of logs: which are wanted, their order, how they look."""

import json

import pytest

from esb_cli.log_lines import Line, Source, Wanted, in_order, parse, shown, trace_id_of
from esb_cli.log_sources import source_of

TRACE = "1-65f2a0b1-0123456789abcdef01234567"
GATEWAY = Source("gateway")
WORKER = Source("echo-0123abcd", "echo")


def line(source: Source, **fields: object) -> Line:
    return parse(source, json.dumps(fields), "")


def test_lines_are_taken_by_service_function_and_trace() -> None:
    """A function's record passed on by the agent counts as the function's."""
    call = line(GATEWAY, service="gateway", trace_id=TRACE, function="echo", message="invoked")
    own = line(WORKER, service="function", trace_id=TRACE, function="echo", message="hello")
    passed_on = line(Source("agent"), service="function", function="echo", message="hello")
    plain = parse(WORKER, "no structure", "2026-01-31T12:00:00.123")
    lines = [call, own, passed_on, plain]

    def taken(wanted: Wanted) -> list[Line]:
        return [each for each in lines if wanted.takes(each)]

    assert taken(Wanted()) == lines
    assert taken(Wanted(service="gateway")) == [call]
    assert taken(Wanted(service="function")) == [own, passed_on, plain]
    assert taken(Wanted(service="agent")) == [passed_on]
    assert taken(Wanted(function="echo")) == lines
    assert taken(Wanted(function="other")) == []
    assert taken(Wanted(trace=TRACE)) == [call, own]
    assert taken(Wanted(service="function", trace=TRACE)) == [own]


def test_lines_of_all_sources_are_put_in_the_order_of_their_time() -> None:
    """A line without a time stays behind the one before it; the last ones alone where that is asked."""
    first = line(GATEWAY, timestamp="2026-01-31T12:00:00.100Z", message="1")
    second = line(WORKER, timestamp="2026-01-31T12:00:00.200Z", message="2")
    behind = parse(WORKER, "traceback", second.when)
    third = line(GATEWAY, timestamp="2026-01-31T12:00:01Z", message="3")
    assert in_order([first, third, second, behind]) == [first, second, behind, third]
    assert in_order([first, third, second, behind], last=2) == [behind, third]
    assert in_order([first], last=0) == []


def test_a_line_is_shown_with_its_time_its_writer_and_what_else_it_tells() -> None:
    """Structured or not."""
    record = line(
        GATEWAY, timestamp="2026-01-31T12:00:00.123Z", level="INFO", service="gateway", message="up", port=1
    )
    assert shown(record) == "12:00:00.123 gateway: INFO up  port=1"
    assert shown(parse(WORKER, "plain", "2026-01-31T12:00:00.123")) == "12:00:00.123 echo-0123abcd: plain"
    assert shown(parse(WORKER, "{broken", "")) == "echo-0123abcd: {broken"


@pytest.mark.parametrize("given", [TRACE, f"Root={TRACE}", f"Root={TRACE};Sampled=1", f" {TRACE} "])
def test_a_trace_id_is_found_in_what_a_user_has_at_hand(given: str) -> None:
    """The id alone, or the header."""
    assert trace_id_of(given) == TRACE


def test_what_is_no_trace_id_is_none() -> None:
    assert trace_id_of("abc") is None


def test_a_worker_tells_its_function_by_its_name() -> None:
    """Names of containers and of log files."""
    assert source_of("esb-x-my-echo-0123abcd", "esb-x", worker=True) == Source("my-echo-0123abcd", "my-echo")
    assert source_of("gateway", "esb-x", worker=False) == Source("gateway")
