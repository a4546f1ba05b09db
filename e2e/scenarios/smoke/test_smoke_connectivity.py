"""The smoke contract: pass and fail mean the same for every runtime."""

import json
import uuid
from typing import TYPE_CHECKING

import pytest
import requests

from esb_e2e_plugin.fixtures.logs import EnvironmentLogs

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

RUNTIMES = ("python", "java")
ECHO_OF_THE_OTHER = {"python": "lambda-echo-java", "java": "lambda-echo"}

pytestmark = pytest.mark.parametrize("runtime", RUNTIMES, indirect=True)


def test_connectivity_echo(esb_gateway: requests.Session, runtime: str) -> None:
    """A request reaches a function and its answer comes back."""
    answer = esb_gateway.post(f"/api/connectivity/{runtime}", json={"action": "echo", "message": "smoke"})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"success": True, "action": "echo", "message": "Echo: smoke"}


def test_connectivity_dynamodb_put(
    esb_gateway: requests.Session, esb_dynamodb: "DynamoDBClient", runtime: str
) -> None:
    """What a function puts into the table is in the table."""
    key = f"smoke-{uuid.uuid4()}"
    request = {"action": "dynamodb_put", "key": key, "value": "kept"}
    answer = esb_gateway.post(f"/api/connectivity/{runtime}", json=request)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"success": True, "action": "dynamodb_put"}
    item = esb_dynamodb.get_item(TableName="e2e-test-table", Key={"id": {"S": key}})["Item"]
    assert item == {"id": {"S": key}, "value": {"S": "kept"}}


def test_connectivity_s3_put(esb_gateway: requests.Session, esb_s3: "S3Client", runtime: str) -> None:
    """What a function puts into the bucket is in the bucket."""
    place = {"bucket": "e2e-test-bucket", "key": f"smoke/{uuid.uuid4()}"}
    request = {"action": "s3_put", **place, "content": "kept"}
    answer = esb_gateway.post(f"/api/connectivity/{runtime}", json=request)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"success": True, "action": "s3_put"}
    stored = esb_s3.get_object(Bucket=place["bucket"], Key=place["key"])
    assert stored["Body"].read() == b"kept"


def test_connectivity_chain_invoke(esb_gateway: requests.Session, runtime: str) -> None:
    """A function invokes another one and gets its whole response."""
    request = {"action": "chain_invoke", "target": "lambda-echo"}
    answer = esb_gateway.post(f"/api/connectivity/{runtime}", json=request)
    assert answer.status_code == 200, answer.text
    assert answer.json().items() >= {"success": True, "action": "chain_invoke"}.items()
    child = answer.json()["child"]
    assert child["statusCode"] == 200
    assert json.loads(child["body"])["message"] == "Echo: from-chain"


@pytest.mark.usefixtures("java")
def test_connectivity_chain_crosses_languages(
    esb_gateway: requests.Session, trace_id: str, esb_logs: EnvironmentLogs, runtime: str
) -> None:
    """A function invokes one of the other language, in the same trace."""
    target = ECHO_OF_THE_OTHER[runtime]
    request = {"action": "chain_invoke", "target": target}
    answer = esb_gateway.post(f"/api/connectivity/{runtime}", json=request)
    assert answer.status_code == 200, answer.text
    assert json.loads(answer.json()["child"]["body"])["message"] == "Echo: from-chain"
    esb_logs.wait_for(trace_id=trace_id, service="function", function=target, contains="from-chain")


@pytest.mark.parametrize(
    ("request_body", "reason"),
    [
        ({"action": "fly"}, "fly"),
        ({"action": "s3_put", "bucket": "no-such-bucket", "key": "k", "content": "c"}, "NoSuchBucket"),
        ({"action": "chain_invoke", "target": "no-such-function"}, "ResourceNotFound"),
    ],
    ids=["unknown-action", "unknown-bucket", "unknown-target"],
)
def test_connectivity_failure(
    esb_gateway: requests.Session, runtime: str, request_body: dict[str, str], reason: str
) -> None:
    """A failure inside a function is a 500 that names the action and the reason."""
    answer = esb_gateway.post(f"/api/connectivity/{runtime}", json=request_body)
    assert answer.status_code == 500, answer.text
    body = answer.json()
    assert (body["success"], body["action"]) == (False, request_body["action"])
    assert reason in body["error"]
