"""The AWS Invoke API, called by boto3 and by hand."""

import base64
import json
import threading
from collections.abc import Iterator
from typing import Any

import boto3
import grpc
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from mypy_boto3_lambda import LambdaClient

from tests.services.fake_agent import Call, Refusal, function_error
from tests.services.gateway_support import Stack, Together, stack
from tests.services.service_process import PATIENCE
from tests.waiting import eventually

ARN = "arn:aws:lambda:eu-test-1:123456789012:function:echo"


@pytest.fixture(scope="module")
def esb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A gateway that serves the function `echo`, one worker at most, and `fickle`."""
    with stack(
        tmp_path_factory.mktemp("gateway"), POOL_ACQUIRE_TIMEOUT="0.1", CIRCUIT_BREAKER_THRESHOLD="100"
    ) as esb:
        esb.serve(echo={"scaling": {"max_capacity": 1}}, fickle={}, unstartable={})
        yield esb


@pytest.fixture(autouse=True)
def _plain_echo(esb: Stack) -> None:
    esb.agent.calls.clear()
    esb.agent.handlers["echo"] = lambda call: {"got": call.event}


@pytest.fixture
def client(esb: Stack) -> Iterator[LambdaClient]:
    """A boto3 client as a user makes it, but without its retries."""
    client = boto3.client(
        "lambda",
        endpoint_url=esb.gateway.http_url,
        region_name="eu-test-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}),
    )
    yield client
    client.close()


def test_boto3_gets_the_functions_answer(esb: Stack, client: LambdaClient) -> None:
    """A synchronous call returns status, version and payload."""
    answer = client.invoke(FunctionName="echo", Payload=json.dumps({"a": 1}))
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in answer
    assert json.loads(answer["Payload"].read()) == {"got": {"a": 1}}
    assert answer["ResponseMetadata"]["RequestId"] == esb.agent.calls[0].headers["x-amzn-requestid"]


def test_boto3_works_over_tls_with_the_environments_authority(esb: Stack) -> None:
    """The Invoke API is on the HTTPS listener, too."""
    client = boto3.client(
        "lambda",
        endpoint_url=esb.gateway.url,
        region_name="eu-test-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        verify=str(esb.gateway.certificates.ca),
    )
    assert client.invoke(FunctionName="echo")["StatusCode"] == 200
    client.close()


@pytest.mark.parametrize(
    "name",
    [
        "echo",
        "echo:$LATEST",
        "echo:prod",
        "function:echo",
        "123456789012:function:echo",
        "123456789012:function:echo:prod",
        ARN,
        f"{ARN}:prod",
    ],
)
def test_each_form_of_a_function_name_is_understood(client: LambdaClient, name: str) -> None:
    """Name, name with qualifier, partial and full ARN mean the same function."""
    assert client.invoke(FunctionName=name)["StatusCode"] == 200


def test_a_qualifier_parameter_is_understood(client: LambdaClient) -> None:
    """The qualifier may come as a parameter, as long as it says the same as the name."""
    assert client.invoke(FunctionName="echo", Qualifier="prod")["StatusCode"] == 200
    with pytest.raises(client.exceptions.InvalidParameterValueException):
        client.invoke(FunctionName="echo:prod", Qualifier="test")


@pytest.mark.parametrize("name", ["unknown", f"{ARN}-unknown", "unknown:prod"])
@pytest.mark.parametrize("kind", ["RequestResponse", "Event", "DryRun"])
def test_an_unknown_function_is_awss_resource_not_found(client: LambdaClient, name: str, kind: Any) -> None:
    """boto3 raises the modelled exception, whatever the invocation type."""
    with pytest.raises(client.exceptions.ResourceNotFoundException) as raised:
        client.invoke(FunctionName=name, InvocationType=kind)
    assert "Function not found: arn:aws:lambda:eu-test-1:" in str(raised.value)
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_a_malformed_name_is_400(esb: Stack) -> None:
    """What cannot be a name or an ARN is refused as AWS does."""
    answer = esb.gateway.invoke("a%20b")
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (400, "ValidationException")
    assert answer.json()["message"]


def test_an_event_is_accepted_at_once_and_runs_in_the_background(esb: Stack, client: LambdaClient) -> None:
    """The answer, 202 without a payload, does not wait for the function; the trace goes with the event."""
    let_go = threading.Event()

    def wait(_call: Call) -> None:
        assert let_go.wait(PATIENCE)

    esb.agent.handlers["echo"] = wait
    answer = client.invoke(FunctionName="echo", InvocationType="Event", Payload=b'{"n": 1}')
    assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
    eventually(lambda: esb.agent.calls, "the function runs")
    let_go.set()
    trace_id = answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-trace-id"]
    assert esb.agent.calls[0].event == {"n": 1}
    assert esb.agent.calls[0].headers["x-amzn-trace-id"] == trace_id
    eventually(lambda: esb.gateway.pool("echo")["idle"] == 1, "the worker is given back")


def test_events_wait_for_a_worker_longer_than_callers_do(esb: Stack, client: LambdaClient) -> None:
    """Each of several events for one worker is run, though the queue's time-out is over long before."""
    let_go = threading.Event()

    def wait(_call: Call) -> None:
        assert let_go.wait(PATIENCE)

    esb.agent.handlers["echo"] = wait
    for number in range(3):
        client.invoke(FunctionName="echo", InvocationType="Event", Payload=json.dumps({"n": number}))
    assert esb.gateway.invoke("echo").status_code == 429
    let_go.set()
    eventually(lambda: len(esb.agent.calls) == 3, "all events are run")
    assert [call.event["n"] for call in esb.agent.calls] == [0, 1, 2]
    eventually(lambda: esb.gateway.pool("echo")["idle"] == 1, "the worker is given back")


def test_a_failed_event_is_logged_with_its_trace(esb: Stack, client: LambdaClient) -> None:
    """Nobody waits for an event's answer, so its failure is in the log."""
    esb.agent.handlers["echo"] = lambda _call: function_error("ValueError", "lost")
    answer = client.invoke(FunctionName="echo", InvocationType="Event")
    request_id = answer["ResponseMetadata"]["RequestId"]
    records = eventually(
        lambda: esb.gateway.log(request_id=request_id, level="ERROR", function="echo"),
        "the failure is logged",
    )
    assert "lost" in records[0]["message"]
    assert records[0]["trace_id"].startswith("1-")


def test_a_dry_run_checks_and_runs_nothing(esb: Stack, client: LambdaClient) -> None:
    """204 for a function that exists; it is not called."""
    assert client.invoke(FunctionName="echo", InvocationType="DryRun")["StatusCode"] == 204
    assert not esb.agent.calls


def test_an_unknown_invocation_type_is_400(esb: Stack) -> None:
    """The message lists the types that exist."""
    answer = esb.gateway.invoke("echo", headers={"x-amz-invocation-type": "Later"})
    assert answer.status_code == 400
    assert "RequestResponse, Event, DryRun" in answer.json()["message"]


def test_a_function_error_is_reported_as_aws_does(esb: Stack, client: LambdaClient) -> None:
    """200 with FunctionError and the report as payload."""
    esb.agent.handlers["echo"] = lambda _call: function_error("ValueError", "bad value")
    answer = client.invoke(FunctionName="echo")
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    report = json.loads(answer["Payload"].read())
    assert report == {"errorType": "ValueError", "errorMessage": "bad value", "stackTrace": []}


def test_an_empty_payload_is_an_empty_event(esb: Stack, client: LambdaClient) -> None:
    """AWS sends an empty object to the function, so do we."""
    client.invoke(FunctionName="echo")
    assert esb.agent.calls[0].event == {}


def test_a_payload_that_is_no_json_is_400(client: LambdaClient) -> None:
    """boto3 raises the modelled exception."""
    with pytest.raises(client.exceptions.InvalidRequestContentException):
        client.invoke(FunctionName="echo", Payload=b"{")


def test_a_payload_beyond_six_mebibytes_is_413(client: LambdaClient) -> None:
    """boto3 raises the modelled exception."""
    with pytest.raises(client.exceptions.RequestTooLargeException):
        client.invoke(FunctionName="echo", Payload=json.dumps("x" * (6 << 20)))


def test_the_client_context_reaches_the_worker_as_sent(esb: Stack, client: LambdaClient) -> None:
    """The context travels as base64, as the SDK sends it."""
    context = base64.b64encode(b'{"custom": {"k": "v"}}').decode()
    client.invoke(FunctionName="echo", ClientContext=context)
    assert esb.agent.calls[0].headers["x-amz-client-context"] == context


def test_a_full_pool_is_awss_too_many_requests(esb: Stack, client: LambdaClient) -> None:
    """boto3 raises the modelled exception when no worker became free in time."""
    let_go = threading.Event()

    def wait(_call: Call) -> None:
        assert let_go.wait(PATIENCE)

    esb.agent.handlers["echo"] = wait
    with Together() as together:
        first = together.go(lambda: esb.gateway.invoke("echo").status_code)
        eventually(lambda: esb.agent.calls, "the worker is busy")
        try:
            with pytest.raises(client.exceptions.TooManyRequestsException):
                client.invoke(FunctionName="echo")
        finally:
            let_go.set()
        assert first.result() == 200


@pytest.mark.parametrize(
    ("code", "status"), [(grpc.StatusCode.UNAVAILABLE, 502), (grpc.StatusCode.DEADLINE_EXCEEDED, 504)]
)
def test_a_crash_is_502_and_a_timeout_504(
    esb: Stack, client: LambdaClient, code: grpc.StatusCode, status: int
) -> None:
    """The worker is destroyed, not used again, and the message names the function."""

    def fail(_call: Call) -> None:
        raise Refusal(code, "exit status 1")

    esb.agent.handlers["fickle"] = fail
    with pytest.raises(ClientError) as raised:
        client.invoke(FunctionName="fickle")
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert "fickle" in str(raised.value)
    worker = esb.agent.calls[-1].worker
    eventually(lambda: worker.id in esb.agent.destroyed, "the worker is destroyed")
    esb.agent.handlers["fickle"] = lambda _call: "fine"
    assert client.invoke(FunctionName="fickle")["StatusCode"] == 200
    assert esb.agent.calls[-1].worker is not worker


def test_a_worker_that_cannot_be_started_is_503_with_its_last_lines(esb: Stack) -> None:
    """What the worker said before it ended reaches the caller."""

    def refuse(request: Any) -> None:
        if request.function_name == "unstartable":
            raise Refusal(grpc.StatusCode.FAILED_PRECONDITION, "ImportError: no module named app")

    esb.agent.before_start = refuse
    answer = esb.gateway.invoke("unstartable")
    assert answer.status_code == 503
    assert "ImportError: no module named app" in answer.json()["message"]


def test_no_token_is_needed_but_other_methods_are_routed(esb: Stack) -> None:
    """Only POST is the Invoke API; a GET of the same path is an ordinary request."""
    headers = {"authorization": "AWS4-HMAC-SHA256 Credential=whatever"}
    assert esb.gateway.invoke("echo", headers=headers).status_code == 200
    answer = esb.gateway.get("/2015-03-31/functions/echo/invocations", headers=headers)
    assert answer.status_code == 401
