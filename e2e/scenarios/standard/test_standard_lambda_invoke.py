"""The Lambda Invoke API as an unchanged AWS SDK uses it."""

import base64
import json
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient

BodyOf = Callable[..., Any]


@pytest.mark.parametrize(
    "name",
    [
        "lambda-echo",
        "lambda-echo:$LATEST",
        "123456789012:function:lambda-echo",
        "arn:aws:lambda:us-east-1:123456789012:function:lambda-echo",
        "arn:aws:lambda:us-east-1:123456789012:function:lambda-echo:$LATEST",
    ],
    ids=["name", "name-qualifier", "partial-arn", "arn", "arn-qualifier"],
)
def test_function_is_found_by_every_form_of_its_name(
    esb_lambda: "LambdaClient", body_of: BodyOf, name: str
) -> None:
    """Name, qualified name, partial and full ARN all mean the same function."""
    answer = esb_lambda.invoke(FunctionName=name, Payload=json.dumps({"message": "sdk"}))
    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "$LATEST"
    assert "FunctionError" not in answer
    assert body_of(answer)["message"] == "Echo: sdk"


def test_qualifier_may_be_a_parameter(esb_lambda: "LambdaClient", body_of: BodyOf) -> None:
    """The SDK's own parameter for a version works as well."""
    answer = esb_lambda.invoke(FunctionName="lambda-echo", Qualifier="$LATEST", Payload=b"{}")
    assert body_of(answer)["message"] == "Echo: Hello"


def test_invocation_without_a_payload_gets_an_empty_event(
    esb_lambda: "LambdaClient", body_of: BodyOf
) -> None:
    """Who sends nothing sends an empty event."""
    assert body_of(esb_lambda.invoke(FunctionName="lambda-echo"))["message"] == "Echo: Hello"


def test_event_returns_at_once_and_runs_later(
    esb_lambda: "LambdaClient", esb_dynamodb: "DynamoDBClient", eventually: Callable[..., Any]
) -> None:
    """An asynchronous invocation is accepted with 202 and takes effect."""
    item_id = f"event-{uuid.uuid4()}"
    payload = json.dumps({"action": "put", "id": item_id, "value": "later"})
    answer = esb_lambda.invoke(FunctionName="lambda-dynamo", InvocationType="Event", Payload=payload)
    assert answer["StatusCode"] == 202
    assert answer["Payload"].read() == b""

    def written() -> None:
        found = esb_dynamodb.get_item(TableName="e2e-test-table", Key={"id": {"S": item_id}})
        assert found.get("Item", {}).get("value") == {"S": "later"}

    eventually(written, timeout=20)


def test_dry_run_runs_nothing(esb_lambda: "LambdaClient", body_of: BodyOf) -> None:
    """A dry run says that the function is there, and does not run it."""
    item_id = f"dry-{uuid.uuid4()}"
    payload = json.dumps({"action": "put", "id": item_id})
    answer = esb_lambda.invoke(FunctionName="lambda-dynamo", InvocationType="DryRun", Payload=payload)
    assert answer["StatusCode"] == 204
    look = esb_lambda.invoke(
        FunctionName="lambda-dynamo", Payload=json.dumps({"action": "get", "id": item_id})
    )
    assert body_of(look) == {"success": True, "found": False, "item": None}


@pytest.mark.parametrize("kind", ["RequestResponse", "Event", "DryRun"])
def test_unknown_function_is_not_found(
    esb_lambda: "LambdaClient", kind: Literal["RequestResponse", "Event", "DryRun"]
) -> None:
    """An unknown function raises the SDK's own exception, whatever the kind of invocation."""
    with pytest.raises(esb_lambda.exceptions.ResourceNotFoundException) as caught:
        esb_lambda.invoke(FunctionName="no-such-function", InvocationType=kind, Payload=b"{}")
    assert "no-such-function" in str(caught.value)


def test_payload_that_is_not_json_is_refused(esb_lambda: "LambdaClient") -> None:
    """A payload that no function could read is the caller's mistake."""
    with pytest.raises(ClientError) as caught:
        esb_lambda.invoke(FunctionName="lambda-echo", Payload=b"{not json")
    assert caught.value.response["Error"]["Code"] == "InvalidRequestContentException"


def test_client_context_reaches_the_function(esb_lambda: "LambdaClient", body_of: BodyOf) -> None:
    """What a client says about itself is in the function's context."""
    context = base64.b64encode(json.dumps({"custom": {"screen": "7 inch"}}).encode()).decode()
    payload = json.dumps({"action": "context"})
    answer = esb_lambda.invoke(FunctionName="lambda-probe", ClientContext=context, Payload=payload)
    assert body_of(answer)["client_context"] == {"screen": "7 inch"}


def test_large_payload_passes_both_ways(esb_lambda: "LambdaClient") -> None:
    """Two million characters go in and come out unchanged."""
    text = "esb-" * 500_000
    answer = esb_lambda.invoke(
        FunctionName="lambda-proxy", Payload=json.dumps({"body": json.dumps({"respond": text})})
    )
    assert json.loads(answer["Payload"].read()) == text
