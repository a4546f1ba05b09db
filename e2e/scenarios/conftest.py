"""What the scenarios share: polling, taking turns, and looks at pools and workers."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import requests
from filelock import FileLock

from esb_e2e_plugin.environment import Environment

if TYPE_CHECKING:
    import docker


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let the schedule's minute overlap with everything else.

    It goes first where others run beside it, and last where the run is one after the other anyway.
    """
    distributed = hasattr(config, "workerinput")
    items.sort(key=lambda item: (item.path.name == "test_standard_schedule.py") is not distributed)


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """`eventually(check, timeout=10)`: what `check` returns once it raises no AssertionError any more."""

    def poll(check: Callable[[], Any], timeout: float = 10) -> Any:
        deadline = time.monotonic() + timeout
        while True:
            try:
                return check()
            except AssertionError as error:
                if time.monotonic() >= deadline:
                    error.add_note(f"still so after {timeout} s")
                    raise
            time.sleep(0.05)

    return poll


@pytest.fixture
def anonymous(esb_environment: Environment) -> Iterator[requests.Session]:
    """A session that trusts the environment's authority but brings no token."""
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(esb_environment.paths.ca_certificate)
        yield session


@pytest.fixture
def trace_id(esb_gateway: Any) -> str:
    """The trace that this test's requests belong to, and its lines in the logs."""
    return str(esb_gateway.trace_id)


@pytest.fixture
def invoke(esb_gateway: requests.Session) -> Callable[..., requests.Response]:
    """`invoke(function, event, **headers)`: the Invoke API's plain answer, without an SDK's retries."""

    def call(function: str, event: dict[str, Any], **headers: str) -> requests.Response:
        path = f"/2015-03-31/functions/{function}/invocations"
        return esb_gateway.post(path, json=event, headers=headers)

    return call


@pytest.fixture
def java(esb_environment: Environment) -> None:
    """Skip the test where Java functions cannot run: as processes they need a JDK and Maven."""
    index = esb_environment.paths.run / "images.json"
    images = json.loads(index.read_text())["images"].values() if index.is_file() else ()
    if missing := {image["missing"] for image in images if "missing" in image}:
        pytest.skip(f"no Java functions: {', '.join(missing)}")


@pytest.fixture
def runtime(request: pytest.FixtureRequest) -> str:
    """The language of the function that a parametrized test asks for."""
    if request.param == "java":
        request.getfixturevalue("java")
    return str(request.param)


@pytest.fixture
def take_turn(
    esb_environment: Environment, invoke: Callable[..., requests.Response], eventually: Callable[..., Any]
) -> Iterator[Callable[[str], None]]:
    """`take_turn(function)`: have a function to oneself until the test ends, its circuit closed."""

    def closed(function: str) -> None:
        answer = invoke(function, {"ping": True})
        assert (answer.status_code, answer.json()) == (200, {"statusCode": 200, "body": "pong"})

    with ExitStack() as turns:

        def take(function: str) -> None:
            lock = esb_environment.paths.run / f"{function}.turn"
            turns.enter_context(FileLock(lock, timeout=120))
            eventually(lambda: closed(function), timeout=20)

        yield take


@pytest.fixture
def pool(esb_gateway: requests.Session) -> Callable[[str], dict[str, Any]]:
    """`pool(function)`: the figures of a function's pool right now."""

    def look(function: str) -> dict[str, Any]:
        pools = esb_gateway.get("/metrics/pools").json()["pools"]
        found = [entry for entry in pools if entry["function_name"] == function]
        assert len(found) == 1, f"{function} is not among {[entry['function_name'] for entry in pools]}"
        figures: dict[str, Any] = found[0]
        return figures

    return look


@pytest.fixture
def workers(esb_gateway: requests.Session) -> Callable[[str], set[str]]:
    """`workers(function)`: the ids of the workers that a function has right now."""

    def look(function: str) -> set[str]:
        containers = esb_gateway.get("/metrics/containers").json()["containers"]
        return {entry["container_id"] for entry in containers if entry["function_name"] == function}

    return look


@pytest.fixture
def engine(esb_environment: Environment) -> Iterator["docker.DockerClient"]:
    """The engine that the environment's services are containers of, wherever it is."""
    # Environments without an engine never need the client.
    from esb_e2e_plugin.lifecycle.endpoint import connect, find

    client = connect(find(os.environ, esb_environment.docker_context), timeout=60)
    yield client
    client.close()


@pytest.fixture
def body_of() -> Callable[[dict[str, Any]], Any]:
    """`body_of(answer)`: the decoded JSON body of a proxy response that an SDK call returned."""
    return lambda answer: json.loads(json.loads(answer["Payload"].read())["body"])
