"""The stores as boto3 sees them, in real processes."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import requests
from botocore.exceptions import ClientError

from tests.services.service_process import PATIENCE, Service, free_port, running

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Service, str]]:
    """A running store of the parametrized name, and its address."""
    port = free_port()
    variables = {"STORE_NAME": request.param, "STORE_PORT": str(port), "BIND_ADDRESS": "127.0.0.1"}
    with running("esb_services.stores", variables, tmp_path / "out.log") as service:
        service.wait_healthy(port)
        yield service, f"http://127.0.0.1:{port}"
        service.terminate()


def access(url: str) -> dict[str, Any]:
    """Return what a boto3 client of a local store needs."""
    return {
        "endpoint_url": url,
        "region_name": "us-east-1",
        "aws_access_key_id": "key",
        "aws_secret_access_key": "secret",
    }


@pytest.mark.parametrize("store", ["s3-storage"], indirect=True)
def test_objects_live_in_buckets(store: tuple[Service, str]) -> None:
    """Objects are put, listed, read and deleted by path-style addresses."""
    s3: S3Client = boto3.client("s3", **access(store[1]))
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="folder/kéy", Body=b"content" * 100_000, Metadata={"a_b": "c"})
    found = s3.get_object(Bucket="bucket", Key="folder/kéy")
    with found["Body"] as body:
        assert body.read() == b"content" * 100_000
    assert found["Metadata"] == {"a_b": "c"}
    listed = s3.list_objects_v2(Bucket="bucket", Prefix="folder/")["Contents"]
    assert [entry["Key"] for entry in listed] == ["folder/kéy"]
    s3.delete_object(Bucket="bucket", Key="folder/kéy")
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket="bucket", Key="folder/kéy")
    s3.close()


@pytest.mark.parametrize("store", ["database"], indirect=True)
def test_items_live_in_tables(store: tuple[Service, str]) -> None:
    """Items are put, read, updated and deleted."""
    database: DynamoDBClient = boto3.client("dynamodb", **access(store[1]))
    database.create_table(
        TableName="table",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    database.put_item(TableName="table", Item={"id": {"S": "1"}, "v": {"N": "1"}})
    database.update_item(
        TableName="table",
        Key={"id": {"S": "1"}},
        UpdateExpression="ADD v :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )
    item = database.get_item(TableName="table", Key={"id": {"S": "1"}})["Item"]
    assert item == {"id": {"S": "1"}, "v": {"N": "2"}}
    database.delete_item(TableName="table", Key={"id": {"S": "1"}})
    assert "Item" not in database.get_item(TableName="table", Key={"id": {"S": "1"}})
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        database.put_item(TableName="other", Item={"id": {"S": "1"}})
    database.close()


@pytest.mark.parametrize("store", ["database"], indirect=True)
def test_the_database_keeps_cloudwatch_logs_too(store: tuple[Service, str]) -> None:
    """Log events that a function puts are read back."""
    logs = boto3.client("logs", **access(store[1]))
    logs.create_log_group(logGroupName="/aws/lambda/f")
    logs.create_log_stream(logGroupName="/aws/lambda/f", logStreamName="s")
    event = {"timestamp": int(time.time() * 1000), "message": "hello"}
    logs.put_log_events(logGroupName="/aws/lambda/f", logStreamName="s", logEvents=[event])
    found = logs.get_log_events(logGroupName="/aws/lambda/f", logStreamName="s")["events"]
    assert [entry["message"] for entry in found] == ["hello"]
    logs.close()


@pytest.mark.parametrize("store", ["s3-storage", "database"], indirect=True)
def test_a_store_says_one_line_and_stops_when_told(store: tuple[Service, str]) -> None:
    """Requests leave no lines at the usual level, and SIGTERM ends a store with status 0."""
    service, url = store
    requests.get(f"{url}/health", timeout=PATIENCE)
    assert service.terminate() == 0
    (record,) = service.records()
    assert record["message"] == f"{record['service']} listens on {url.removeprefix('http://')}"


@pytest.mark.parametrize("store", ["s3-storage"], indirect=True)
def test_a_bucket_may_be_called_health(store: tuple[Service, str]) -> None:
    """Signed requests for `/health` mean a bucket, not the store's health."""
    s3: S3Client = boto3.client("s3", **access(store[1]))
    s3.create_bucket(Bucket="health")
    assert s3.list_objects_v2(Bucket="health")["KeyCount"] == 0
    s3.close()


def test_a_taken_port_has_its_own_status(tmp_path: Path) -> None:
    """A store whose port is taken exits 98 with one line."""
    with socket.create_server(("127.0.0.1", 0)) as blocker:
        port = blocker.getsockname()[1]
        variables = {"STORE_NAME": "database", "STORE_PORT": str(port), "BIND_ADDRESS": "127.0.0.1"}
        with running("esb_services.stores", variables, tmp_path / "out.log") as service:
            assert service.wait() == 98
    (record,) = service.records()
    assert f"127.0.0.1:{port} is already in use" in record["message"]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"STORE_PORT": "1234"}, "STORE_NAME is not set; expected one of s3-storage, database"),
        ({"STORE_NAME": "cache", "STORE_PORT": "1234"}, "STORE_NAME is 'cache'; expected one of s3-storage"),
        ({"STORE_NAME": "database"}, "STORE_PORT is not set; expected a whole number from 1 to 65535"),
        (
            {"STORE_NAME": "database", "STORE_PORT": "1234", "BIND_ADDRESS": "999.1.1.1"},
            "BIND_ADDRESS is '999.1.1.1'; expected an address of this machine",
        ),
    ],
)
def test_a_wrong_variable_is_one_line(tmp_path: Path, variables: dict[str, str], expected: str) -> None:
    """A store with a wrong setting exits 2 and names it."""
    with running("esb_services.stores", variables, tmp_path / "out.log") as service:
        assert service.wait() == 2
    (record,) = service.records()
    assert f"environment variable {expected}" in record["message"]
