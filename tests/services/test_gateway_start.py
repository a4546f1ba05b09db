"""How the gateway starts, and how it refuses to."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.gateway_support import AUTH_VARIABLES, Stack, stack


@pytest.fixture
def esb(tmp_path: Path) -> Iterator[Stack]:
    """A gateway, not started yet, beside its fake agent."""
    with stack(tmp_path) as esb:
        yield esb


@pytest.mark.parametrize(
    "variable",
    [
        "ESB_PROJECT",
        "TLS_CERT_FILE",
        "TLS_KEY_FILE",
        "CONFIG_DIR",
        "AGENT_ADDRESS",
        "AGENT_CA_FILE",
        "AGENT_CLIENT_CERT_FILE",
        "AGENT_CLIENT_KEY_FILE",
        *AUTH_VARIABLES,
    ],
)
def test_a_missing_variable_is_named(esb: Stack, variable: str) -> None:
    """One JSON line at ERROR, exit status 2, no traceback."""
    del esb.gateway.environ[variable]
    ended = esb.gateway.run()
    (line,) = ended.stdout.splitlines()
    record = json.loads(line)
    assert (ended.returncode, ended.stderr) == (2, "")
    assert (record["level"], record["variable"]) == ("ERROR", variable)
    assert record["message"].startswith(f"environment variable {variable} is not set; expected ")


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("GATEWAY_HTTPS_PORT", "https", "a whole number from 1 to 65535"),
        ("GATEWAY_HTTP_PORT", "70000", "a whole number from 1 to 65535"),
        ("DEFAULT_MIN_CAPACITY", "-1", "a whole number from 0 to 2147483647"),
        ("DEFAULT_MIN_CAPACITY", "9", "at most DEFAULT_MAX_CAPACITY, 4"),
        ("DEFAULT_MAX_CAPACITY", "0", "a whole number from 1 to 2147483647"),
        ("POOL_ACQUIRE_TIMEOUT", "soon", "a number of seconds, 0 or more"),
        ("GATEWAY_IDLE_TIMEOUT_SECONDS", "-1", "a number of seconds, 0 or more"),
        ("ORPHAN_GRACE_PERIOD_SECONDS", "nan", "a number of seconds, 0 or more"),
        ("CIRCUIT_BREAKER_THRESHOLD", "0", "a whole number from 1 to 2147483647"),
        ("CIRCUIT_BREAKER_RECOVERY_TIMEOUT", "inf", "a number of seconds, 0 or more"),
        ("AGENT_ADDRESS", "agent", "host:port, such as agent:50051"),
        ("AUTH_ENDPOINT_PATH", "auth", "a path that starts with /"),
        ("JWT_SECRET_KEY", "much-too-short", "a secret of at least 32 characters"),
        ("LOG_LEVEL", "LOUD", "one of DEBUG, INFO, WARNING, ERROR"),
        ("TLS_CERT_FILE", "/nowhere/cert.pem", "the path of a file that exists"),
    ],
)
def test_a_wrong_variable_is_named_with_what_is_expected(
    esb: Stack, variable: str, value: str, expected: str
) -> None:
    """One JSON line at ERROR, exit status 2, no traceback, and no secret."""
    esb.gateway.environ[variable] = value
    ended = esb.gateway.run()
    (line,) = ended.stdout.splitlines()
    record = json.loads(line)
    assert (ended.returncode, ended.stderr) == (2, "")
    assert (record["level"], record["variable"]) == ("ERROR", variable)
    assert record["message"].endswith(f"; expected {expected}")
    assert "much-too-short" not in line


def test_a_file_that_is_no_certificate_is_named(esb: Stack) -> None:
    """TLS cannot be served with it: exit status 2 and one line."""
    esb.gateway.certificates.certificate.write_text("no certificate")
    ended = esb.gateway.run()
    (line,) = ended.stdout.splitlines()
    assert (ended.returncode, ended.stderr) == (2, "")
    assert "TLS_CERT_FILE and TLS_KEY_FILE" in json.loads(line)["message"]


@pytest.mark.parametrize("variable", ["GATEWAY_HTTPS_PORT", "GATEWAY_HTTP_PORT"])
def test_a_taken_port_has_an_exit_status_of_its_own(esb: Stack, variable: str) -> None:
    """Whoever started it can tell that another port would do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        esb.gateway.environ[variable] = str(port)
        ended = esb.gateway.run()
    (line,) = ended.stdout.splitlines()
    assert (ended.returncode, ended.stderr) == (98, "")
    assert json.loads(line)["message"].endswith(f"127.0.0.1:{port} is already in use")


def test_an_address_of_another_machine_is_refused(esb: Stack) -> None:
    """The message names the variable."""
    esb.gateway.environ["BIND_ADDRESS"] = "203.0.113.1"
    ended = esb.gateway.run()
    (line,) = ended.stdout.splitlines()
    assert (ended.returncode, ended.stderr) == (2, "")
    assert "BIND_ADDRESS 203.0.113.1" in json.loads(line)["message"]


def test_the_authentication_path_is_configurable(esb: Stack) -> None:
    """Tokens come from the configured path, the default one is an ordinary path then."""
    esb.gateway.environ["AUTH_ENDPOINT_PATH"] = "/login"
    esb.gateway.start()
    assert esb.gateway.post("/login", data="{}", headers={"x-api-key": "key-1"}).status_code == 422
    assert esb.gateway.post("/user/auth/v1", data="{}", headers={"x-api-key": "key-1"}).status_code == 401


def test_every_line_of_output_is_a_json_object(esb: Stack) -> None:
    """From the first to the last, with time, level and service."""
    esb.agent.handlers["f"] = lambda _call: "fine"
    esb.serve(f={})
    esb.gateway.post("/f")
    esb.gateway.end()
    records = esb.gateway.log()
    assert records
    assert all({"timestamp", "level", "message"} <= record.keys() for record in records)
    assert {record["service"] for record in records} == {"gateway"}


def test_secrets_are_not_logged(esb: Stack) -> None:
    """No credential and no token appears in the most talkative log."""
    esb.agent.handlers["f"] = lambda _call: "fine"
    esb.serve(f={"environment": {"SECRET": "hidden-value"}})
    esb.gateway.post("/f")
    esb.gateway.get("/f", headers={"authorization": f"Bearer {time.time()}-garbled-token"})
    esb.gateway.end()
    text = esb.gateway.log_file.read_text()
    token = str(esb.gateway.session.headers["authorization"]).removeprefix("Bearer ")
    secrets = [esb.gateway.environ[name] for name in AUTH_VARIABLES if name != "AUTH_USER"]
    assert [secret for secret in (*secrets, token, "hidden-value", "garbled-token") if secret in text] == []
