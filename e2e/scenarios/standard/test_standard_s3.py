"""The life of an object and of a bucket, seen by a function and by a client."""

import uuid
from typing import TYPE_CHECKING, Any

import pytest
import requests

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "e2e-test-bucket"


@pytest.fixture
def prefix() -> str:
    """Where this test's objects are, and no other's."""
    return f"s3/{uuid.uuid4()}"


def _call(gateway: requests.Session, **request: Any) -> Any:
    answer = gateway.post("/api/s3", json=request)
    assert answer.status_code == 200, answer.text
    assert answer.json()["success"] is True
    return answer.json()


def test_object_lives_from_put_to_delete(esb_gateway: requests.Session, prefix: str) -> None:
    """An object is listed and read after put, and gone after delete."""
    place = {"bucket": BUCKET, "key": f"{prefix}/one.txt"}
    _call(esb_gateway, action="put", **place, body="ünïcode")
    assert _call(esb_gateway, action="get", **place)["content"] == "ünïcode"
    _call(esb_gateway, action="put", bucket=BUCKET, key=f"{prefix}/two.txt", body="")
    listed = _call(esb_gateway, action="list", bucket=BUCKET, prefix=prefix)["objects"]
    assert listed == [f"{prefix}/one.txt", f"{prefix}/two.txt"]
    _call(esb_gateway, action="delete", **place)
    assert _call(esb_gateway, action="list", bucket=BUCKET, prefix=prefix)["objects"] == [f"{prefix}/two.txt"]


def test_absent_object_is_an_error(esb_gateway: requests.Session, prefix: str) -> None:
    """Reading what is not there is a 500 that says so."""
    answer = esb_gateway.post("/api/s3", json={"action": "get", "bucket": BUCKET, "key": prefix})
    assert answer.status_code == 500
    assert answer.json()["success"] is False
    assert "NoSuchKey" in answer.json()["error"]


def test_round_trip_is_the_default(esb_gateway: requests.Session) -> None:
    """Without an action an object is put, read and deleted in one go."""
    assert _call(esb_gateway)["content"] == "s3 test"


def test_client_reads_what_a_function_wrote(
    esb_gateway: requests.Session, esb_s3: "S3Client", prefix: str
) -> None:
    """Functions and tests see the same bucket."""
    _call(esb_gateway, action="put", bucket=BUCKET, key=prefix, body="shared")
    assert esb_s3.get_object(Bucket=BUCKET, Key=prefix)["Body"].read() == b"shared"


def test_function_reads_what_a_client_wrote(
    esb_gateway: requests.Session, esb_s3: "S3Client", prefix: str
) -> None:
    """The same, the other way round."""
    esb_s3.put_object(Bucket=BUCKET, Key=prefix, Body=b"from outside")
    assert _call(esb_gateway, action="get", bucket=BUCKET, key=prefix)["content"] == "from outside"


def test_function_creates_a_bucket(esb_gateway: requests.Session, esb_s3: "S3Client") -> None:
    """A bucket that a function makes is one like any other."""
    bucket = f"made-{uuid.uuid4()}"
    _call(esb_gateway, action="create_bucket", bucket=bucket)
    assert bucket in {entry["Name"] for entry in esb_s3.list_buckets()["Buckets"]}
    esb_s3.delete_bucket(Bucket=bucket)


def test_bucket_forgets_after_a_week(esb_s3: "S3Client") -> None:
    """The bucket has the life-cycle rule of the template: seven days."""
    rules = esb_s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert [(rule["Status"], rule["Expiration"]["Days"]) for rule in rules] == [("Enabled", 7)]
