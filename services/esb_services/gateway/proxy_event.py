"""API Gateway v1 proxy integration: a request as an event, and a function's answer as a response."""

import base64
import binascii
import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from esb_services.gateway.invocation import ACCOUNT_ID
from esb_services.gateway.routing import Match

STAGE = "prod"

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_CONNECTION_HEADERS = frozenset(
    {"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"}
)
_WITHOUT_BODY = (204, 304)


class MalformedResponseError(Exception):
    """A function's answer is no proxy response; the message says which part."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request to a routed path; header names are lower case, `path` is decoded."""

    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes
    source_ip: str
    request_id: str
    user: str


@dataclass(frozen=True, slots=True)
class Response:
    """A response for the client."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def build_event(request: Request, match: Match) -> dict[str, Any]:
    """Return the proxy event for `request`, which goes to the route of `match`."""
    headers = _multi(request.headers)
    query = _multi(parse_qsl(request.query, keep_blank_values=True))
    body, encoded = _event_body(request.body)
    return {
        "resource": match.route.path,
        "path": request.path,
        "httpMethod": request.method,
        "headers": _last(headers),
        "multiValueHeaders": headers,
        "queryStringParameters": _last(query) or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": match.parameters or None,
        "stageVariables": None,
        "requestContext": _context(request, match, headers),
        "body": body,
        "isBase64Encoded": encoded,
    }


def build_response(payload: bytes) -> Response:
    """Return the response that a function's JSON answer describes.

    A dict without `statusCode`, and any other JSON value, is a 200 with that value.

    Raises:
        MalformedResponseError: the answer is no JSON, or a part of it is not what API Gateway accepts.
    """
    try:
        answer = json.loads(payload or b"null")
    except ValueError as error:
        raise MalformedResponseError(f"the function's answer is no JSON: {error}") from error
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return Response(200, [("content-type", "application/json")], payload or b"null")
    body = _response_body(answer.get("body"), answer.get("isBase64Encoded", False))
    headers = list(_response_headers(answer))
    if not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", "application/json"))
    status = _status(answer["statusCode"])
    return Response(status, headers, b"" if status in _WITHOUT_BODY else body)


def _context(request: Request, match: Match, headers: dict[str, list[str]]) -> dict[str, Any]:
    now = time.time()
    return {
        "accountId": ACCOUNT_ID,
        "resourcePath": match.route.path,
        "path": request.path,
        "httpMethod": request.method,
        "stage": STAGE,
        "protocol": "HTTP/1.1",
        "requestId": request.request_id,
        "requestTimeEpoch": int(now * 1000),
        "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
        "identity": {
            "sourceIp": request.source_ip,
            "userAgent": headers.get("user-agent", [None])[-1],
        },
        "authorizer": {
            "cognito:username": request.user,
            "claims": {"cognito:username": request.user, "sub": request.user},
        },
    }


def _event_body(body: bytes) -> tuple[str | None, bool]:
    if not body:
        return None, False
    try:
        return body.decode(), False
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), True


def _multi(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


def _last(values: dict[str, list[str]]) -> dict[str, str]:
    return {name: several[-1] for name, several in values.items()}


def _status(value: object) -> int:
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 200 <= value <= 599:
        raise MalformedResponseError(f"statusCode: expected a number from 200 to 599, found {value!r}")
    return value


def _response_body(body: object, encoded: object) -> bytes:
    if body is None:
        return b""
    if not isinstance(body, str):
        raise MalformedResponseError(f"body: expected text or null, found {type(body).__name__}")
    if encoded is not True:
        return body.encode(errors="replace")
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise MalformedResponseError(f"body: isBase64Encoded is true, but {error}") from error


def _response_headers(answer: dict[str, Any]) -> Iterable[tuple[str, str]]:
    multi = {name.lower(): values for name, values in _object(answer, "multiValueHeaders").items()}
    for name, values in multi.items():
        if not isinstance(values, list):
            raise MalformedResponseError(f"multiValueHeaders.{name}: expected a list")
        for value in values:
            yield from _header(name, value)
    for name, value in _object(answer, "headers").items():
        if name.lower() not in multi:
            yield from _header(name.lower(), value)


def _object(answer: dict[str, Any], key: str) -> dict[str, Any]:
    value = answer.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MalformedResponseError(f"{key}: expected an object, found {type(value).__name__}")
    return value


def _header(name: str, value: object) -> Iterable[tuple[str, str]]:
    if not isinstance(value, (str, int, float)):
        raise MalformedResponseError(f"header {name}: expected text, found {type(value).__name__}")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(text):
        raise MalformedResponseError(f"header {name!r}: a name or value that HTTP does not allow")
    if name not in _CONNECTION_HEADERS:
        yield name, text.strip()
