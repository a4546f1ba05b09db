"""From a request to the event that a function gets, and from its answer to a response."""

import base64
from typing import Any

import pytest
import requests
import urllib3

from esb_e2e_plugin.environment import Environment

BINARY = bytes(range(256))


@pytest.mark.parametrize(
    ("method", "path", "resource", "parameters"),
    [
        ("GET", "/api/proxy", "/api/proxy", {}),
        ("GET", "/api/proxy/7", "/api/proxy/{id}", {"id": "7"}),
        ("PUT", "/api/proxy/7", "/api/proxy/{id}", {"id": "7"}),
        ("PATCH", "/api/proxy/7", "/api/proxy/{id}", {"id": "7"}),
        ("DELETE", "/api/proxy/7", "/api/proxy/{id}", {"id": "7"}),
        ("GET", "/api/proxy/a%20b%C3%BC", "/api/proxy/{id}", {"id": "a bü"}),
        ("GET", "/api/proxy/fixed", "/api/proxy/fixed", {}),
        ("GET", "/api/proxy/7/parts/8", "/api/proxy/{id}/parts/{part}", {"id": "7", "part": "8"}),
        ("GET", "/api/proxy/files/a/b/c.txt", "/api/proxy/files/{proxy+}", {"proxy": "a/b/c.txt"}),
    ],
    ids=["plain", "get", "put", "patch", "delete", "encoded", "fixed-beats-parameter", "two", "greedy"],
)
def test_path_and_method_choose_the_route(
    esb_gateway: requests.Session, method: str, path: str, resource: str, parameters: dict[str, str]
) -> None:
    """The most specific template wins, and its parameters reach the function decoded."""
    answer = esb_gateway.request(method, path)
    assert answer.status_code == 200, answer.text
    event = answer.json()
    assert (event["httpMethod"], event["resource"]) == (method, resource)
    assert (event["pathParameters"] or {}) == parameters


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", "/api/proxy"), ("GET", "/api/echo"), ("GET", "/api")]
)
def test_path_without_a_route_for_the_method_is_not_found(
    esb_gateway: requests.Session, method: str, path: str
) -> None:
    """A path has the methods that routing.yml gives it and no others."""
    answer = esb_gateway.request(method, path)
    assert answer.status_code == 404
    assert answer.json()["message"]


def test_query_reaches_the_function(esb_gateway: requests.Session) -> None:
    """Query parameters arrive decoded; of several values all are in the multi-value map."""
    event = esb_gateway.get("/api/proxy?tag=a&tag=b%26c&name=%C3%BC+x&empty=").json()
    assert event["queryStringParameters"] == {"tag": "b&c", "name": "ü x", "empty": ""}
    expected = {"tag": ["a", "b&c"], "name": ["ü x"], "empty": [""]}
    assert event["multiValueQueryStringParameters"] == expected


def test_no_query_is_no_parameters(esb_gateway: requests.Session) -> None:
    """A request without a query has none in its event."""
    event = esb_gateway.get("/api/proxy").json()
    assert not event["queryStringParameters"]
    assert not event["multiValueQueryStringParameters"]


def test_headers_reach_the_function(
    esb_environment: Environment, esb_gateway_url: str, esb_token: str
) -> None:
    """Header names arrive in lower case; of several values all are in the multi-value map."""
    headers = urllib3.HTTPHeaderDict({"Authorization": f"Bearer {esb_token}", "X-Single": "One"})
    headers.add("X-Tag", "a")
    headers.add("X-Tag", "b")
    with urllib3.PoolManager(ca_certs=str(esb_environment.paths.ca_certificate)) as http:
        answer = http.request("GET", f"{esb_gateway_url}/api/proxy", headers=headers, timeout=30)
        event: dict[str, Any] = answer.json()
    assert event["headers"]["x-single"] == "One"
    assert event["multiValueHeaders"]["x-single"] == ["One"]
    assert event["multiValueHeaders"]["x-tag"] == ["a", "b"]
    assert all(name == name.lower() for name in event["headers"])


def test_text_body_reaches_the_function_as_text(esb_gateway: requests.Session) -> None:
    """Text arrives as it was sent."""
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    event = esb_gateway.post("/api/proxy", data="grüße".encode(), headers=headers).json()
    assert (event["body"], event["isBase64Encoded"]) == ("grüße", False)


def test_binary_body_reaches_the_function_in_base64(esb_gateway: requests.Session) -> None:
    """What is no text arrives in base64 and loses no byte."""
    headers = {"Content-Type": "application/octet-stream"}
    event = esb_gateway.post("/api/proxy", data=BINARY, headers=headers).json()
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == BINARY


def test_event_names_the_caller_and_the_request(
    esb_gateway: requests.Session, esb_environment: Environment
) -> None:
    """The request context says who calls, from where, and under which request id."""
    answer = esb_gateway.get("/api/proxy/7")
    context = answer.json()["requestContext"]
    assert context["authorizer"]["cognito:username"] == esb_environment.credentials.auth_user
    assert context["requestId"] == answer.headers["x-amzn-RequestId"]
    assert context["identity"]["sourceIp"]
    assert context["stage"]
    assert answer.json()["path"] == "/api/proxy/7"


def _respond(gateway: requests.Session, response: Any) -> requests.Response:
    return gateway.post("/api/proxy", json={"respond": response})


def test_function_chooses_status_and_headers(esb_gateway: requests.Session) -> None:
    """Status, headers and body of the function's answer become the response's."""
    response = {"statusCode": 418, "headers": {"X-Pot": "tea", "Content-Type": "text/plain"}, "body": "short"}
    answer = _respond(esb_gateway, response)
    assert (answer.status_code, answer.headers["X-Pot"], answer.text) == (418, "tea", "short")
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_function_sends_a_header_more_than_once(esb_gateway: requests.Session) -> None:
    """Each value of a multi-value header is a header line of its own."""
    answer = _respond(esb_gateway, {"statusCode": 200, "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]}})
    assert answer.raw.headers.getlist("Set-Cookie") == ["a=1", "b=2"]


def test_function_sends_bytes(esb_gateway: requests.Session) -> None:
    """A body in base64 is decoded on its way out."""
    response = {
        "statusCode": 200,
        "headers": {"Content-Type": "image/png"},
        "body": base64.b64encode(BINARY).decode(),
        "isBase64Encoded": True,
    }
    answer = _respond(esb_gateway, response)
    assert answer.content == BINARY
    assert answer.headers["Content-Type"] == "image/png"


def test_plain_dictionary_is_a_json_response(esb_gateway: requests.Session) -> None:
    """A dictionary without a status is a 200 with that dictionary."""
    answer = _respond(esb_gateway, {"plain": [1, {"two": None}]})
    assert answer.status_code == 200
    assert answer.json() == {"plain": [1, {"two": None}]}


@pytest.mark.parametrize("path", ["/api/echo", "/api/no-such-route"])
def test_preflight_needs_no_token(anonymous: requests.Session, esb_gateway_url: str, path: str) -> None:
    """A browser's question before a cross-origin request is answered for every path."""
    headers = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    answer = anonymous.options(f"{esb_gateway_url}{path}", headers=headers, timeout=10)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] in ("*", "https://shop.example")
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
