"""A function that nobody calls but the clock."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def test_schedule_runs_its_function(esb_dynamodb: "DynamoDBClient", eventually: Callable[..., Any]) -> None:
    """A minute after the deployment the scheduled function has left its note, with the schedule's input."""

    def note() -> dict[str, Any]:
        key = {"id": {"S": "scheduled-run"}}
        item = esb_dynamodb.get_item(TableName="e2e-test-table", Key=key).get("Item")
        assert item is not None, "the scheduled function has not run yet"
        return dict(item)

    item = eventually(note, timeout=80)
    assert json.loads(item["event"]["S"]) == {"scheduled": True}
    assert datetime.fromisoformat(item["last_run"]["S"]).tzinfo is not None
