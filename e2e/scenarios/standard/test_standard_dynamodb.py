"""The life of an item, seen by a function and by a client."""

import uuid
from typing import TYPE_CHECKING, Any

import pytest
import requests

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE = "e2e-test-table"


def _call(gateway: requests.Session, **request: Any) -> Any:
    answer = gateway.post("/api/dynamo", json=request)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_item_lives_from_put_to_delete(esb_gateway: requests.Session) -> None:
    """An item is there after put, changed after update, and gone after delete."""
    item_id = str(uuid.uuid4())
    key = {"S": item_id}
    put = _call(esb_gateway, action="put", id=item_id, value="first")
    assert put == {"success": True, "item_id": item_id}
    got = _call(esb_gateway, action="get", id=item_id)
    assert got == {"success": True, "found": True, "item": {"id": key, "value": {"S": "first"}}}
    updated = _call(esb_gateway, action="update", id=item_id, value="second")
    assert updated == {"success": True, "item_id": item_id}
    assert _call(esb_gateway, action="get", id=item_id)["item"] == {"id": key, "value": {"S": "second"}}
    deleted = _call(esb_gateway, action="delete", id=item_id)
    assert deleted == {"success": True, "item_id": item_id, "deleted": True}
    assert _call(esb_gateway, action="get", id=item_id) == {"success": True, "found": False, "item": None}


def test_put_get_is_the_default(esb_gateway: requests.Session) -> None:
    """Without an action an item is put and read in one go."""
    body = _call(esb_gateway, value="round trip")
    assert body["retrieved_item"] == {"id": {"S": body["item_id"]}, "value": {"S": "round trip"}}


def test_client_reads_what_a_function_wrote(
    esb_gateway: requests.Session, esb_dynamodb: "DynamoDBClient"
) -> None:
    """Functions and tests see the same table."""
    item_id = _call(esb_gateway, action="put", value="shared")["item_id"]
    found = esb_dynamodb.get_item(TableName=TABLE, Key={"id": {"S": item_id}})
    assert found["Item"]["value"] == {"S": "shared"}


def test_function_reads_what_a_client_wrote(
    esb_gateway: requests.Session, esb_dynamodb: "DynamoDBClient"
) -> None:
    """The same, the other way round."""
    item_id = str(uuid.uuid4())
    esb_dynamodb.put_item(TableName=TABLE, Item={"id": {"S": item_id}, "value": {"S": "from outside"}})
    assert _call(esb_gateway, action="get", id=item_id)["item"]["value"] == {"S": "from outside"}


@pytest.mark.parametrize(
    "body",
    [{"action": "get"}, {"action": "update"}, {"action": "delete"}, {"action": "fly", "id": "x"}],
    ids=["get-no-id", "update-no-id", "delete-no-id", "unknown-action"],
)
def test_bad_request_is_400(esb_gateway: requests.Session, body: dict[str, str]) -> None:
    """A function's own status for a caller's mistake reaches the caller."""
    answer = esb_gateway.post("/api/dynamo", json=body)
    assert answer.status_code == 400
    assert (answer.json()["success"], answer.json()["action"]) == (False, body["action"])
    assert answer.json()["error"]


def test_table_is_what_the_template_says(esb_dynamodb: "DynamoDBClient") -> None:
    """Key, type and billing of the table are those of the template."""
    table = esb_dynamodb.describe_table(TableName=TABLE)["Table"]
    assert table["TableStatus"] == "ACTIVE"
    assert table["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}]
    assert table["AttributeDefinitions"] == [{"AttributeName": "id", "AttributeType": "S"}]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
