"""Creates tables and buckets in the stores, or brings those that exist up to date."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError  # noqa: A004

from esb_services.provisioner.resources import Resource
from esb_services.provisioner.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

CONNECT_SECONDS = 10.0
"""How long a store may take until it accepts connections."""
ACTIVE_SECONDS = 30.0
"""How long a table may take until it is active."""
POLL_SECONDS = 0.05
PARALLEL = 8

_log = logging.getLogger("esb.provisioner")
Result = TypeVar("Result")


class ProvisionError(Exception):
    """A store refused a resource, or did not finish it in time."""


class Stores:
    """The two stores of an environment.

    Args:
        settings: their addresses and credentials.
    """

    def __init__(self, settings: Settings) -> None:
        session = boto3.session.Session(
            aws_access_key_id=settings.access_key,
            aws_secret_access_key=settings.secret_key,
            region_name=settings.region,
        )
        config = Config(
            connect_timeout=2,
            read_timeout=10,
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
            max_pool_connections=PARALLEL,
            # the stores are the environment's own: no proxy leads to them
            proxies={},
        )
        self._region = settings.region
        self._dynamodb: DynamoDBClient = session.client(
            "dynamodb", endpoint_url=settings.dynamodb_url, config=config
        )
        self._s3: S3Client = session.client("s3", endpoint_url=settings.s3_url, config=config)

    def provision(self, resources: list[Resource]) -> list[str]:
        """Create or update all resources, several at a time, and return one line for each that failed."""
        with ThreadPoolExecutor(PARALLEL) as pool:
            return [failure for failure in pool.map(self._failure_of, resources) if failure]

    def _failure_of(self, resource: Resource) -> str | None:
        apply = self._apply_table if resource.kind == "dynamodb" else self._apply_bucket
        try:
            outcome = apply(resource)
        except (ProvisionError, BotoCoreError, ClientError) as error:
            return f"{resource}: {error}"
        _log.info("%s: %s", resource, outcome)
        return None

    def _apply_table(self, resource: Resource) -> str:
        name = resource.name
        try:
            created = _patiently(lambda: self._dynamodb.create_table(**resource.definition))
            table, outcome = created["TableDescription"], "created"
        except self._dynamodb.exceptions.ResourceInUseException:
            table, outcome = self._dynamodb.describe_table(TableName=name)["Table"], "unchanged"
        if table["KeySchema"] != resource.definition["KeySchema"]:
            raise ProvisionError(
                f"exists with another key schema: {table['KeySchema']}; remove the table first"
            )
        deadline = time.monotonic() + ACTIVE_SECONDS
        while table["TableStatus"] != "ACTIVE":
            if time.monotonic() > deadline:
                raise ProvisionError(f"is still {table['TableStatus']} after {ACTIVE_SECONDS:g} s")
            time.sleep(POLL_SECONDS)
            table = self._dynamodb.describe_table(TableName=name)["Table"]
        return outcome

    def _apply_bucket(self, resource: Resource) -> str:
        name = resource.name
        placement: dict[str, Any] = {}
        # the one region that is no valid constraint, by the S3 API
        if self._region != "us-east-1":
            placement = {"CreateBucketConfiguration": {"LocationConstraint": self._region}}
        outcome = "created"
        try:
            _patiently(lambda: self._s3.create_bucket(Bucket=name, **placement))
        except self._s3.exceptions.BucketAlreadyOwnedByYou:
            outcome = "existed"
        lifecycle = resource.definition.get("LifecycleConfiguration")
        if lifecycle:
            self._s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration=lifecycle)
            return f"{outcome}, lifecycle rules applied"
        self._s3.delete_bucket_lifecycle(Bucket=name)
        return outcome


def _patiently(call: Callable[[], Result]) -> Result:
    """Make the first call to a store, which may not accept connections yet."""
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            return call()
        except (ConnectionError, HTTPClientError) as error:
            if time.monotonic() > deadline:
                raise ProvisionError(
                    f"no connection to its store within {CONNECT_SECONDS:g} s: {error}"
                ) from error
        time.sleep(POLL_SECONDS)
