"""A Java function that comes as an image and answers plain maps."""

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import requests

from esb_e2e_plugin.fixtures.logs import EnvironmentLogs

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.usefixtures("java")


def _image(gateway: requests.Session, **request: Any) -> Any:
    answer = gateway.post("/api/image-java", json=request)
    assert answer.status_code == 200, answer.text
    assert answer.json()["success"] is True
    return answer.json()


def test_java_image_function_answers(esb_gateway: requests.Session) -> None:
    """An image function serves a route like any other, and its map is the response."""
    assert _image(esb_gateway, action="echo", message="image")["message"] == "Echo: image"


def test_java_image_function_invokes_another(esb_gateway: requests.Session) -> None:
    """An image function's SDK reaches the other functions."""
    chain = _image(esb_gateway, action="chain_invoke", target="lambda-echo")["chain"]
    assert (chain["target"], chain["invocation_type"]) == ("lambda-echo", "RequestResponse")
    assert chain["status_code"] == 200
    assert json.loads(chain["child"]["body"])["message"] == "Echo: from-chain"


def test_java_image_function_starts_another_and_goes_on(
    esb_gateway: requests.Session, trace_id: str, esb_logs: EnvironmentLogs
) -> None:
    """An asynchronous call from an image function is accepted and runs in the same trace."""
    request = {"target": "lambda-echo", "invocation_type": "Event", "message": "from an image"}
    chain = _image(esb_gateway, action="chain_invoke", **request)["chain"]
    assert (chain["status_code"], chain.get("child")) == (202, None)
    esb_logs.wait_for(
        trace_id=trace_id, service="function", function="lambda-echo", contains="from an image", timeout=20
    )


def test_java_image_function_keeps_an_object(esb_gateway: requests.Session, esb_s3: "S3Client") -> None:
    """An image function reads back what it wrote, and so does a client."""
    place = {"bucket": "e2e-test-bucket", "key": f"image/{uuid.uuid4()}"}
    stored = _image(esb_gateway, action="s3_roundtrip", **place, content="ünïcode")["s3"]
    assert stored == {**place, "content": "ünïcode"}
    kept = esb_s3.get_object(Bucket=place["bucket"], Key=place["key"])
    assert kept["Body"].read().decode() == "ünïcode"


def test_java_image_function_puts_log_events(
    esb_gateway: requests.Session, esb_logs: EnvironmentLogs
) -> None:
    """CloudWatch Logs calls of an image function reach the environment."""
    group = _image(esb_gateway, action="test_cloudwatch")["cloudwatch"]["log_group"]
    assert [event["message"] for event in esb_logs.cloudwatch(group)] == ["an event of the image function"]


def test_java_image_function_fails_like_any_other(esb_gateway: requests.Session) -> None:
    """A failure inside is a 500 that names action and reason."""
    answer = esb_gateway.post("/api/image-java", json={"action": "fly"})
    assert answer.status_code == 500
    assert (answer.json()["success"], answer.json()["action"]) == (False, "fly")
    assert "fly" in answer.json()["error"]
