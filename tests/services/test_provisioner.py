"""The provisioner against real stores."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import yaml

from tests.services.service_process import Service, free_port, running

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

TABLE: dict[str, Any] = {
    "TableName": "orders",
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


def bucket(name: str, days: int | None = None) -> dict[str, Any]:
    """Return a bucket of resources.yml, whose objects expire after `days`."""
    if days is None:
        return {"BucketName": name}
    rule = {"ID": "expire", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": days}}
    return {"BucketName": name, "LifecycleConfiguration": {"Rules": [rule]}}


@dataclass
class Provisioning:
    """A config folder and the addresses of the stores."""

    folder: Path
    s3_url: str = "http://127.0.0.1:1"
    dynamodb_url: str = "http://127.0.0.1:1"
    region: str = "us-east-1"

    @property
    def config(self) -> Path:
        """The folder that is handed over as `CONFIG_DIR`."""
        config = self.folder / "config"
        config.mkdir(exist_ok=True)
        return config

    def apply(self, text: str | None) -> None:
        """Make a config current that holds `resources.yml` with this text, or none."""
        generation = self.config / ".generations" / f"g{len(list(self.config.glob('.generations/*')))}"
        generation.mkdir(parents=True)
        if text is not None:
            (generation / "resources.yml").write_text(text)
        fresh = self.config / ".fresh"
        fresh.symlink_to(generation.relative_to(self.config))
        fresh.replace(self.config / ".current")

    def apply_resources(self, **kinds: list[Any]) -> None:
        """Make a config current that holds these resources."""
        self.apply(yaml.safe_dump({"resources": kinds}))

    @contextlib.contextmanager
    def started(self, **changes: str) -> Iterator[Service]:
        """Start the provisioner."""
        variables = {
            "CONFIG_DIR": str(self.config),
            "AWS_ENDPOINT_URL_S3": self.s3_url,
            "AWS_ENDPOINT_URL_DYNAMODB": self.dynamodb_url,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "hidden-secret",
            "AWS_REGION": self.region,
            **changes,
        }
        output = self.folder / "provisioner.log"
        output.unlink(missing_ok=True)
        with running("esb_services.provisioner", variables, output) as service:
            yield service
            service.wait()
            assert "hidden-secret" not in output.read_text()

    def run(self, **changes: str) -> tuple[int, list[tuple[str, str]]]:
        """Run the provisioner and return its exit status and its lines as level and message."""
        with self.started(**changes) as service:
            status = service.wait()
            return status, [(record["level"], record["message"]) for record in service.records()]

    def client(self, service: Any, url: str) -> Any:
        """Return a boto3 client of a store."""
        return boto3.client(
            service,
            endpoint_url=url,
            region_name=self.region,
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )


@pytest.fixture
def alone(tmp_path: Path) -> Provisioning:
    """A config folder without any store."""
    return Provisioning(tmp_path)


@pytest.fixture
def esb(tmp_path: Path) -> Iterator[Provisioning]:
    """A config folder and both stores."""
    with contextlib.ExitStack() as stack:
        urls = {}
        for name in ("s3-storage", "database"):
            port = free_port()
            variables = {"STORE_NAME": name, "STORE_PORT": str(port), "BIND_ADDRESS": "127.0.0.1"}
            store = stack.enter_context(running("esb_services.stores", variables, tmp_path / f"{name}.log"))
            store.wait_healthy(port)
            urls[name] = f"http://127.0.0.1:{port}"
        yield Provisioning(tmp_path, urls["s3-storage"], urls["database"])


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
def test_tables_and_buckets_are_created_and_again_is_no_change(esb: Provisioning, region: str) -> None:
    """What resources.yml names exists after a run, and a second run leaves it, with its content."""
    esb.region = region
    esb.apply_resources(dynamodb=[TABLE], s3=[bucket("plain"), bucket("expiring", 7)], layers=[{"Name": "l"}])
    assert esb.run()[0] == 0
    database: DynamoDBClient = esb.client("dynamodb", esb.dynamodb_url)
    s3: S3Client = esb.client("s3", esb.s3_url)
    assert database.describe_table(TableName="orders")["Table"]["TableStatus"] == "ACTIVE"
    assert sorted(entry["Name"] for entry in s3.list_buckets()["Buckets"]) == ["expiring", "plain"]
    database.put_item(TableName="orders", Item={"id": {"S": "1"}})
    s3.put_object(Bucket="plain", Key="k", Body=b"v")

    status, lines = esb.run()
    assert status == 0
    assert ("INFO", "table orders: unchanged") in lines
    assert database.scan(TableName="orders")["Count"] == 1
    assert s3.list_objects_v2(Bucket="plain")["KeyCount"] == 1
    database.close()
    s3.close()


def test_a_proxy_is_not_asked_for_the_stores(esb: Provisioning) -> None:
    """The caller's proxy leads out of the environment, and may be anything."""
    esb.apply_resources(dynamodb=[TABLE], s3=[bucket("plain")])
    nowhere = "http://127.0.0.1:1"
    assert esb.run(HTTP_PROXY=nowhere, http_proxy=nowhere)[0] == 0


def test_lifecycle_rules_follow_the_config(esb: Provisioning) -> None:
    """Rules of an existing bucket are replaced by those of the next config, and removed with them."""
    s3: S3Client = esb.client("s3", esb.s3_url)
    for days in (7, 30):
        esb.apply_resources(s3=[bucket("expiring", days)])
        assert esb.run()[0] == 0
        (rule,) = s3.get_bucket_lifecycle_configuration(Bucket="expiring")["Rules"]
        assert rule["Expiration"]["Days"] == days
    esb.apply_resources(s3=[bucket("expiring")])
    assert esb.run()[0] == 0
    with pytest.raises(s3.exceptions.ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket="expiring")
    s3.close()


def test_each_resource_that_fails_is_named_and_the_others_are_made(esb: Provisioning) -> None:
    """Exit status 1 with a line for each failure that carries the store's own words."""
    bad_rule = {"BucketName": "bad-rule", "LifecycleConfiguration": {"Rules": [{"Lifetime": 7}]}}
    esb.apply_resources(
        dynamodb=[TABLE, {**TABLE, "TableName": "typo", "KeySchemas": []}], s3=[bucket("No!"), bad_rule]
    )
    status, lines = esb.run()
    errors = [message for level, message in lines if level == "ERROR"]
    assert status == 1
    assert [message.partition(":")[0] for message in errors] == [
        "table typo",
        "bucket No!",
        "bucket bad-rule",
    ]
    assert 'Unknown parameter in input: "KeySchemas"' in errors[0]
    assert '"Lifetime"' in errors[2]
    assert ("INFO", "table orders: created") in lines


def test_a_table_with_another_key_is_an_error(esb: Provisioning) -> None:
    """A table is never silently left with a key that the config does not have."""
    esb.apply_resources(dynamodb=[TABLE])
    assert esb.run()[0] == 0
    other = {
        **TABLE,
        "KeySchema": [{"AttributeName": "key", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "key", "AttributeType": "S"}],
    }
    esb.apply_resources(dynamodb=[other])
    status, ((_, message),) = esb.run()
    assert status == 1
    assert message.startswith("table orders: exists with another key schema")


def test_a_store_that_starts_late_is_waited_for(alone: Provisioning) -> None:
    """A refused connection is tried again."""
    port = free_port()
    alone.s3_url = f"http://127.0.0.1:{port}"
    alone.apply_resources(s3=[bucket("late")])
    variables = {"STORE_NAME": "s3-storage", "STORE_PORT": str(port), "BIND_ADDRESS": "127.0.0.1"}
    refused = threading.Event()

    def refuse_one(listener: socket.socket) -> None:
        listener.accept()[0].close()
        refused.set()

    with socket.create_server(("127.0.0.1", port)) as listener:
        refusing = threading.Thread(target=refuse_one, args=(listener,))
        refusing.start()
        with alone.started() as service:
            assert refused.wait(20)
            refusing.join()
            listener.close()
            with running("esb_services.stores", variables, alone.folder / "store.log"):
                assert service.wait() == 0
    assert "bucket late: created" in service.messages()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("resources: {queues: []}", "unknown key resources.queues; expected one of dynamodb, s3, layers"),
        ("resources: {s3: {}}", "resources.s3 must be a list"),
        ("resources: {s3: [1]}", "resources.s3[0] must be a mapping, not int"),
        (
            "resources: {s3: [{BucketName: ''}]}",
            "resources.s3[0].BucketName is ''; expected the resource's name",
        ),
        ("resources: {dynamodb: [{}]}", "resources.dynamodb[0].TableName is None"),
        ("resources: {s3: [{BucketName: b, Life: 1}]}", "resources.s3[0] (b) has unknown key Life"),
        ("resources: [", "cannot be read"),
        ("since: 2026-13-45", "cannot be read: month must be in 1..12"),
        ("text", "the file must be a mapping, not str"),
    ],
)
def test_a_wrong_file_is_one_error(alone: Provisioning, text: str, expected: str) -> None:
    """A mistake in resources.yml is one line with the file and the field, and nothing is created."""
    alone.apply(text)
    status, ((level, message),) = alone.run()
    assert (status, level) == (1, "ERROR")
    assert "resources.yml" in message
    assert expected in message


@pytest.mark.parametrize("text", [None, "", "resources: {}", "resources: {s3: [], layers: [{Name: l}]}"])
def test_a_config_without_tables_and_buckets_is_fine(alone: Provisioning, text: str | None) -> None:
    """No resources.yml, an empty one, or one with layers only needs no store."""
    alone.apply(text)
    assert alone.run() == (0, [("INFO", "no tables and no buckets to create")])


def test_a_folder_without_a_config_says_what_to_do(alone: Provisioning) -> None:
    """Before the first apply there is nothing to provision, which is an error."""
    status, ((_, message),) = alone.run()
    assert status == 1
    assert "holds no applied config" in message


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("CONFIG_DIR", "/nowhere", "is '/nowhere'; expected the path of a folder that exists"),
        ("AWS_ENDPOINT_URL_S3", "127.0.0.1", "is '127.0.0.1'; expected an address such as http://"),
        ("AWS_REGION", "", "is ''; expected a region"),
    ],
)
def test_a_wrong_variable_is_one_line(alone: Provisioning, name: str, value: str, expected: str) -> None:
    """A wrong setting exits 2 and names the variable."""
    status, ((_, message),) = alone.run(**{name: value})
    assert status == 2
    assert message.startswith(f"environment variable {name} {expected}")
