"""The gateway's own endpoints and routed requests, seen by a client of the real process."""

import base64
import json
import re
import time
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest

from tests.services.fake_agent import PROJECT, Call, Refusal, Reply, function_error
from tests.services.gateway_support import API_KEY, JWT_KEY, PASSWORD, RUN_ID, USER, Stack, answers, stack


def credentials(user: str = USER, password: str = PASSWORD) -> dict[str, Any]:
    return {"AuthParameters": {"USERNAME": user, "PASSWORD": password}}


def token(**claims: Any) -> dict[str, str]:
    """Return the header of a token that is valid but for `claims`."""
    given = {"cognito:username": USER, "exp": time.time() + 60} | claims
    return {"authorization": f"Bearer {jwt.encode(given, JWT_KEY, algorithm='HS256')}"}


def test_health_without_a_config_is_healthy(tmp_path: Path) -> None:
    """Before the first apply, and without an agent, the gateway is healthy and says that it has no config."""
    with stack(tmp_path) as esb:
        esb.agent.stop()
        esb.gateway.start()
        config = {"digest": None, "loaded_at": None}
        assert esb.gateway.health() == {"status": "healthy", "run_id": RUN_ID, "config": config}


def test_health_names_the_served_config_on_both_listeners(esb: Stack) -> None:
    """Both listeners tell the digest of the config and when it was loaded."""
    plain = esb.gateway.session.get(f"{esb.gateway.http_url}/health", timeout=10)
    assert plain.json() == esb.gateway.health()
    assert plain.json()["config"]["digest"] == "generation-1"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", plain.json()["config"]["loaded_at"])


def test_right_credentials_give_a_token_for_fifty_minutes(esb: Stack) -> None:
    """The token is signed with HS256 and names the user."""
    answer = esb.gateway.post("/user/auth/v1", json=credentials(), headers={"x-api-key": API_KEY})
    assert answer.status_code == 200
    claims = jwt.decode(answer.json()["AuthenticationResult"]["IdToken"], JWT_KEY, algorithms=["HS256"])
    assert claims["cognito:username"] == USER
    assert claims["exp"] - claims["iat"] == 50 * 60


@pytest.mark.parametrize("path", ["/health", "/metrics", "/metrics/pools", "/metrics/containers"])
def test_any_other_method_on_a_path_of_the_gateway_is_one_of_routing(esb: Stack, path: str) -> None:
    """HEAD, too: without a token 401, with one 404 where routing.yml has no such route."""
    assert esb.gateway.request("HEAD", path, headers={"authorization": ""}).status_code == 401
    assert esb.gateway.request("HEAD", path).status_code == 404
    assert esb.gateway.request("GET", path).status_code == 200


@pytest.mark.parametrize(
    ("key", "body", "status"),
    [
        ("wrong", json.dumps(credentials()), 401),
        ("wrong", "{", 401),
        (None, json.dumps(credentials()), 401),
        (API_KEY, json.dumps(credentials(password="wrong")), 401),
        (API_KEY, json.dumps(credentials(user="wrong")), 401),
        (API_KEY, json.dumps(credentials(password="\ud800")), 401),
        (API_KEY, "{", 422),
        (API_KEY, "", 422),
        (API_KEY, "[]", 422),
        (API_KEY, "[" * 100_000, 422),
        (API_KEY, '{"AuthParameters": []}', 422),
        (API_KEY, '{"AuthParameters": {"USERNAME": "x"}}', 422),
        (API_KEY, '{"AuthParameters": {"USERNAME": "x", "PASSWORD": 1}}', 422),
    ],
)
def test_wrong_credentials_are_401_and_malformed_ones_422(
    esb: Stack, key: str | None, body: str, status: int
) -> None:
    """Each refusal is JSON with a message and shows no secret."""
    headers = {"x-api-key": key} if key else {}
    answer = esb.gateway.post("/user/auth/v1", data=body, headers=headers)
    assert answer.status_code == status
    assert answer.json()["message"]
    assert PASSWORD not in answer.text


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer garbled",
        "Basic dGVzdDp0ZXN0",
        token(exp=1)["authorization"],
        "Bearer " + jwt.encode({"cognito:username": USER, "exp": 2**40}, "x" * 32, algorithm="HS256"),
        "Bearer " + jwt.encode({"exp": 2**40}, JWT_KEY, algorithm="HS256"),
        "Bearer " + jwt.encode({"cognito:username": USER}, JWT_KEY, algorithm="HS256"),
    ],
    ids=["none", "empty", "garbled", "basic", "expired", "other-key", "no-user", "no-expiry"],
)
@pytest.mark.parametrize("path", ["/echo", "/nowhere", "/metrics/pools", "/metrics/containers"])
def test_without_a_valid_token_every_path_is_401(esb: Stack, authorization: str, path: str) -> None:
    """Whether a path exists is not told to a stranger."""
    answer = esb.gateway.get(path, headers={"authorization": authorization})
    assert answer.status_code == 401
    assert answer.json()["message"]
    assert not esb.agent.calls


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/nowhere"), ("DELETE", "/echo"), ("POST", "/health"), ("GET", "/files"), ("GET", "/")],
)
def test_with_a_token_an_unknown_route_is_404(esb: Stack, method: str, path: str) -> None:
    """A path, or a method on a path, that routing.yml lacks is not found."""
    answer = esb.gateway.request(method, path)
    assert answer.status_code == 404
    assert path in answer.json()["message"]


def test_a_routed_request_reaches_the_function_as_a_proxy_event(esb: Stack) -> None:
    """The function gets the whole request in API Gateway's shape."""
    answer = esb.gateway.post(
        "/echo?a=1&a=2&empty=", data="hällo".encode(), headers={"X-Own": "me", "User-Agent": "test"}
    )
    assert answer.status_code == 200
    event = esb.agent.calls[0].event
    assert (event["httpMethod"], event["path"], event["resource"]) == ("POST", "/echo", "/echo")
    assert (event["body"], event["isBase64Encoded"]) == ("hällo", False)
    assert event["headers"]["x-own"] == "me"
    assert event["multiValueHeaders"]["x-own"] == ["me"]
    assert event["queryStringParameters"] == {"a": "2", "empty": ""}
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"], "empty": [""]}
    assert event["pathParameters"] is None
    context = event["requestContext"]
    assert context["identity"] == {"sourceIp": "127.0.0.1", "userAgent": "test"}
    assert context["authorizer"]["cognito:username"] == USER
    assert context["requestId"] == answer.headers["x-amzn-requestid"]
    assert context["stage"]


def test_a_binary_body_travels_as_base64_in_both_directions(esb: Stack) -> None:
    """Bytes that are no text reach the function, and come back, unharmed."""
    content = bytes(range(256))
    esb.agent.handlers["echo"] = lambda call: {
        "statusCode": 200,
        "headers": {"Content-Type": "application/octet-stream"},
        "body": call.event["body"],
        "isBase64Encoded": True,
    }
    answer = esb.gateway.post("/echo", data=content)
    assert (answer.content, answer.headers["content-type"]) == (content, "application/octet-stream")
    assert base64.b64decode(esb.agent.calls[0].event["body"]) == content


@pytest.mark.parametrize(
    ("method", "path", "resource", "parameters"),
    [
        ("GET", "/items/a%2Fb%20c", "/items/{id}", {"id": "a/b c"}),
        ("PUT", "/items/1/parts/2", "/items/{id}/parts/{part}", {"id": "1", "part": "2"}),
        ("DELETE", "/files/a/b.txt", "/files/{proxy+}", {"proxy": "a/b.txt"}),
    ],
)
def test_path_parameters_reach_the_function_decoded(
    esb: Stack, method: str, path: str, resource: str, parameters: dict[str, str]
) -> None:
    """Templates match by segment; a greedy one takes the rest of the path."""
    assert esb.gateway.request(method, path).status_code == 200
    event = esb.agent.calls[0].event
    assert (event["resource"], event["pathParameters"]) == (resource, parameters)


def test_a_proxy_response_becomes_the_http_response(esb: Stack) -> None:
    """Status, headers, repeated headers and body are the function's."""
    answers(
        esb,
        {
            "statusCode": 418,
            "headers": {"X-One": "1", "Content-Type": "text/plain", "Content-Length": "999"},
            "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]},
            "body": "tea",
        },
    )
    answer = esb.gateway.post("/echo")
    assert (answer.status_code, answer.text) == (418, "tea")
    assert (answer.headers["x-one"], answer.headers["content-type"]) == ("1", "text/plain")
    assert answer.raw.headers.getlist("set-cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize("value", [{"success": True}, {}, ["a"], "pong", None, 7])
def test_an_answer_without_status_code_is_a_200_with_that_answer(esb: Stack, value: object) -> None:
    """What is no proxy response is handed over as JSON."""
    answers(esb, value)
    answer = esb.gateway.post("/echo")
    assert (answer.status_code, answer.json()) == (200, value)
    assert answer.headers["content-type"] == "application/json"


def test_a_status_without_body_is_sent_without_one(esb: Stack) -> None:
    """A 204 carries no body, even if the function gives one, and the connection stays usable."""
    answers(esb, {"statusCode": 204, "body": "ignored"})
    assert [esb.gateway.post("/echo").content for _ in range(2)] == [b"", b""]


@pytest.mark.parametrize(
    "answer",
    [
        {"statusCode": "many"},
        {"statusCode": 99},
        {"statusCode": 200, "body": {"no": "text"}},
        {"statusCode": 200, "headers": {"X": "a\r\nb: c"}},
        {"statusCode": 200, "headers": ["no"]},
        {"statusCode": 200, "body": "%%%", "isBase64Encoded": True},
        Reply(b"no json"),
    ],
)
def test_a_malformed_response_is_502(esb: Stack, answer: object) -> None:
    """What API Gateway refuses is refused, with the reason."""
    answers(esb, answer)
    response = esb.gateway.post("/echo")
    assert response.status_code == 502
    assert "malformed response of echo" in response.json()["message"]


def test_a_function_error_on_a_route_is_502(esb: Stack) -> None:
    """An exception in the handler names its type and message, not its stack."""
    answers(esb, function_error("ValueError", "bad value"))
    answer = esb.gateway.post("/echo")
    assert answer.status_code == 502
    assert answer.json() == {"message": "echo failed: ValueError: bad value"}


def test_options_is_answered_for_any_path_without_a_token(esb: Stack) -> None:
    """A browser's preflight gets 204 and the CORS headers."""
    answer = esb.gateway.request("OPTIONS", "/any/where", headers={"authorization": ""})
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "authorization" in answer.headers["access-control-allow-headers"].lower()


def test_responses_allow_other_origins_unless_the_function_decides(esb: Stack) -> None:
    """Each response carries a CORS origin, exactly one."""
    assert esb.gateway.post("/echo").headers["access-control-allow-origin"] == "*"
    answers(esb, {"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "https://own.test"}})
    assert esb.gateway.post("/echo").headers["access-control-allow-origin"] == "https://own.test"


def test_a_request_beyond_the_payload_limit_is_413(esb: Stack) -> None:
    """An event of more than 6 MiB is refused before any worker sees it; 5 MiB pass."""
    assert esb.gateway.post("/echo", data=b"x" * (5 << 20)).status_code == 200
    esb.agent.calls.clear()
    answer = esb.gateway.post("/echo", data=b"x" * (6 << 20))
    assert answer.status_code == 413
    assert answer.json()["message"]
    assert not esb.agent.calls


def test_a_response_beyond_the_agents_limit_is_502(esb: Stack) -> None:
    """10 MiB reach the client; more is a function error."""
    big = "x" * (9 << 20)
    answers(esb, {"statusCode": 200, "body": big})
    assert esb.gateway.post("/echo").text == big

    def refuse(_call: Call) -> None:
        raise Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "response of 11 MiB")

    esb.agent.handlers["echo"] = refuse
    answer = esb.gateway.post("/echo")
    assert answer.status_code == 502
    assert "ResponseSizeTooLarge" in answer.json()["message"]


def test_workers_get_the_environment_of_their_function(esb: Stack) -> None:
    """Region and endpoints are handed through, the function's identity is added, credentials are not."""
    esb.gateway.post("/echo")
    env = esb.agent.calls[0].worker.env
    assert env["AWS_ENDPOINT_URL_S3"] == "http://store.test:9000"
    assert env["AWS_REGION"] == "eu-test-1"
    assert env["AWS_LAMBDA_FUNCTION_NAME"] == "echo"
    assert env["AWS_LAMBDA_FUNCTION_TIMEOUT"] == "20"
    assert env["AWS_LAMBDA_FUNCTION_VERSION"] == "$LATEST"
    assert not {"JWT_SECRET_KEY", "AUTH_PASS", "X_API_KEY", "PATH"} & env.keys()
    assert esb.agent.owners == {PROJECT}


def test_an_invocation_carries_its_deadline_and_the_functions_arn(esb: Stack) -> None:
    """The runtime can tell a handler how much time is left and who it is."""
    before = time.time()
    esb.gateway.post("/echo")
    call = esb.agent.calls[0]
    assert call.timeout_ms == 20_000
    assert before + 20 <= int(call.headers["x-esb-deadline-ms"]) / 1000 + 0.001 <= time.time() + 20.001
    assert call.headers["x-esb-function-arn"] == "arn:aws:lambda:eu-test-1:123456789012:function:echo"
