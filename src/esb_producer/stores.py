"""Tables and buckets, from the words of CloudFormation to those of the stores' own APIs.

Source: the references of AWS::DynamoDB::Table and AWS::S3::Bucket, CreateTable, and
PutBucketLifecycleConfiguration.
"""

from collections.abc import Mapping
from typing import Any

from esb_producer import subset
from esb_producer.node import Node
from esb_producer.scope import Scope
from esb_producer.template import Resource

_WHOLE = ("ReadCapacityUnits", "WriteCapacityUnits")
_MANY = 2**31 - 1
_RULE_KEYS = (
    "AbortIncompleteMultipartUpload",
    "ExpirationDate",
    "ExpirationInDays",
    "ExpiredObjectDeleteMarker",
    "Id",
    "NoncurrentVersionExpiration",
    "NoncurrentVersionExpirationInDays",
    "ObjectSizeGreaterThan",
    "ObjectSizeLessThan",
    "Prefix",
    "Status",
    "TagFilters",
    "Transition",
    "Transitions",
)


def table(resource: Resource, scope: Scope) -> dict[str, Any]:
    """Return a table as CreateTable takes it.

    Raises:
        TemplateError: a property is wrong.
    """
    found: dict[str, Any] = {"TableName": scope.name_of(resource)}
    for key in ("KeySchema", "AttributeDefinitions"):
        resource.properties.required(key)
    for key, node in _used(resource, scope).items():
        if key == "StreamSpecification":
            found[key] = {"StreamEnabled": True, **_known(node, ("StreamViewType",))}
        elif key != "TableName":
            found[key] = _counted(node)
    return found


def bucket(resource: Resource, scope: Scope) -> dict[str, Any]:
    """Return a bucket with its lifecycle as PutBucketLifecycleConfiguration takes it.

    Raises:
        TemplateError: a property is wrong.
    """
    found: dict[str, Any] = {"BucketName": scope.name_of(resource)}
    lifecycle = _used(resource, scope).get("LifecycleConfiguration")
    if lifecycle is not None:
        _only(lifecycle, ("Rules",))
        rules = [_rule(rule) for rule in lifecycle.required("Rules").items()]
        found["LifecycleConfiguration"] = {"Rules": rules}
    return found


def _used(resource: Resource, scope: Scope) -> Mapping[str, Node]:
    used = subset.RESOURCES[resource.kind].used
    resolved = {
        key: scope.resolve(node) for key, node in resource.properties.mapping().items() if key in used
    }
    return {key: node for key, node in resolved.items() if node is not None}


def _counted(node: Node) -> Any:
    if isinstance(node.value, list):
        return [_counted(item) for item in node.value]
    if isinstance(node.value, dict):
        return {
            key: value.whole(1, _MANY, "units") if key in _WHOLE else _counted(value)
            for key, value in node.value.items()
        }
    return node.string()


def _rule(rule: Node) -> dict[str, Any]:
    _only(rule, _RULE_KEYS)
    found: dict[str, Any] = {"Status": rule.required("Status").one_of(("Enabled", "Disabled"))}
    if (name := rule.get("Id")) is not None:
        found["ID"] = name.string()
    found["Filter"] = _filter(rule)
    expiration: dict[str, Any] = {}
    if (days := rule.get("ExpirationInDays")) is not None:
        expiration["Days"] = days.whole(1, _MANY, "days")
    if (date := rule.get("ExpirationDate")) is not None:
        expiration["Date"] = date.string()
    if (marker := rule.get("ExpiredObjectDeleteMarker")) is not None:
        expiration["ExpiredObjectDeleteMarker"] = marker.boolean()
    if expiration:
        found["Expiration"] = expiration
    if (noncurrent := rule.get("NoncurrentVersionExpiration")) is not None:
        found["NoncurrentVersionExpiration"] = _numbers(
            noncurrent, ("NoncurrentDays", "NewerNoncurrentVersions")
        )
    if (days := rule.get("NoncurrentVersionExpirationInDays")) is not None:
        found["NoncurrentVersionExpiration"] = {"NoncurrentDays": days.whole(1, _MANY, "days")}
    if (abort := rule.get("AbortIncompleteMultipartUpload")) is not None:
        found["AbortIncompleteMultipartUpload"] = _numbers(abort, ("DaysAfterInitiation",))
    one, several = rule.get("Transition"), rule.get("Transitions")
    transitions = [*([one] if one is not None else []), *(several.items() if several is not None else [])]
    if transitions:
        found["Transitions"] = [_transition(item) for item in transitions]
    if found.keys() <= {"Status", "ID", "Filter"}:
        raise rule.error("does nothing", "give it an expiration or a transition", show=False)
    return found


def _filter(rule: Node) -> dict[str, Any]:
    """Return the filter: one condition alone, several together in `And`; none is the empty prefix."""
    parts: dict[str, Any] = {}
    if (prefix := rule.get("Prefix")) is not None:
        parts["Prefix"] = prefix.scalar()
    for key in ("ObjectSizeGreaterThan", "ObjectSizeLessThan"):
        if (size := rule.get(key)) is not None:
            parts[key] = size.whole(0, 2**63, "bytes")
    tags = []
    if (filters := rule.get("TagFilters")) is not None:
        for item in filters.items():
            _only(item, ("Key", "Value"))
            tags.append({"Key": item.required("Key").string(), "Value": item.required("Value").scalar()})
    if len(parts) + len(tags) > 1:
        return {"And": {**parts, **({"Tags": tags} if tags else {})}}
    if tags:
        return {"Tag": tags[0]}
    return parts or {"Prefix": ""}


def _transition(node: Node) -> dict[str, Any]:
    _only(node, ("StorageClass", "TransitionDate", "TransitionInDays"))
    found: dict[str, Any] = {"StorageClass": node.required("StorageClass").string()}
    if (days := node.get("TransitionInDays")) is not None:
        found["Days"] = days.whole(0, _MANY, "days")
    if (date := node.get("TransitionDate")) is not None:
        found["Date"] = date.string()
    return found


def _numbers(node: Node, keys: tuple[str, ...]) -> dict[str, int]:
    _only(node, keys)
    return {key: value.whole(1, _MANY) for key, value in node.mapping().items()}


def _known(node: Node, keys: tuple[str, ...]) -> dict[str, Any]:
    _only(node, keys)
    return {key: value.string() for key, value in node.mapping().items()}


def _only(node: Node, keys: tuple[str, ...]) -> None:
    for key, value in node.mapping().items():
        if key not in keys:
            raise value.error(f"is not supported; supported are {', '.join(keys)}", "remove it", show=False)
