"""The committed artifacts become images whose workers answer."""

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifactctl import images
from tests.engine.artifact_project import docker

pytestmark = pytest.mark.engine
ROOT = Path(__file__).parents[2]
_MANIFEST = ROOT / "e2e/artifacts/e2e-local/artifact.yml"
_FIXTURES = {
    f"esb-e2e-lambda-{language}:latest": ROOT / "e2e/fixtures/images/lambda" / language
    for language in ("python", "java")
}
_SECONDS = 60.0
_TRACE = "1-5759e988-bd862e3fe1be46a994272793"
# Runs inside the worker's container, which has no network but its own.
_INVOKE = f"""
import json, sys, time, urllib.error, urllib.request
base, deadline = "http://127.0.0.1:8080", time.monotonic() + {_SECONDS}
while True:
    try:
        urllib.request.urlopen(base + "/health")
        break
    except (urllib.error.URLError, ConnectionError):
        if time.monotonic() > deadline:
            raise
        time.sleep(0.05)
request = urllib.request.Request(
    base + "/2015-03-31/functions/function/invocations",
    data=sys.argv[1].encode(),
    headers={{"x-amzn-trace-id": "Root={_TRACE}"}},
)
print(urllib.request.urlopen(request).read().decode())
"""


@pytest.fixture(scope="module")
def prepared() -> images.PrepareResult:
    """The images of the committed artifacts; they stay, as those of a run do."""
    environ = {**os.environ, "XDG_CACHE_HOME": str(ROOT / ".cache"), "ESB_IMAGE_TAG": "latest"}
    return images.prepare(_MANIFEST, fixtures=_FIXTURES, environ=environ)


@pytest.fixture
def worker(request: pytest.FixtureRequest, prepared: images.PrepareResult) -> Iterator[str]:
    """A running worker of the image that the test names; removed with it."""
    assert request.param in {image.reference for image in prepared.images}
    name = f"esb-test-{uuid.uuid4().hex[:8]}"
    options = ("--network", "none", "--memory", "256m", "--env", "AWS_LAMBDA_LOG_LEVEL=DEBUG")
    docker("run", "--detach", *options, "--name", name, request.param)
    yield name
    docker("rm", "--force", name)


def _invoke(worker: str, event: object) -> dict[str, object]:
    answer: dict[str, object] = json.loads(
        docker("exec", worker, "python3", "-c", _INVOKE, json.dumps(event))
    )
    return answer


@pytest.mark.parametrize(
    "worker",
    [
        "esb-lambda-echo:latest",
        "esb-e2e-lambda-python:latest",
        "esb-lambda-echo-java:latest",
        "esb-e2e-lambda-java:latest",
    ],
    indirect=True,
)
def test_a_worker_answers_and_logs_with_the_trace_of_its_caller(worker: str) -> None:
    """Supervisor, runtime client, hooks and boto3 come with the image; the handler is the one of its CMD."""
    answer = _invoke(worker, {"body": json.dumps({"message": "from-image"})})
    assert "Echo: from-image" in json.dumps(answer)
    # One of the two functions logs what it does, the other only what fails.
    _invoke(worker, {"body": json.dumps({"action": "none"})})
    lines = [json.loads(line) for line in docker("logs", worker).splitlines()]
    assert {line["service"] for line in lines} == {"function"}
    assert _TRACE in {line["trace_id"] for line in lines}


@pytest.mark.parametrize("worker", ["esb-lambda-echo:latest", "esb-lambda-echo-java:latest"], indirect=True)
def test_a_worker_is_nobody_and_ends_at_once(worker: str) -> None:
    """It runs without privileges, and SIGTERM ends it with exit code 0."""
    _invoke(worker, {"ping": True})
    assert docker("exec", worker, "id", "-u").strip() == "65534"
    docker("kill", "--signal", "TERM", worker)
    assert docker("wait", worker).strip() == "0"


@pytest.mark.usefixtures("prepared")
def test_the_handler_that_the_runtime_asks_for_wins() -> None:
    """`_HANDLER` takes the place of the image's CMD; one that is not there ends the worker with its name."""
    options = ("--rm", "--network", "none", "--env", "_HANDLER=app.nothing")
    done = subprocess.run(
        ["docker", "run", *options, "esb-lambda-echo:latest"],
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    assert done.returncode != 0
    last = json.loads(done.stdout.splitlines()[-1])
    assert "could not be initialised" in last["message"]
    assert "app.nothing" in done.stdout or "Handler 'nothing' missing" in done.stdout


def test_a_second_run_finds_every_image(prepared: images.PrepareResult) -> None:
    """Bases, functions and fixture are there with the right content."""
    environ = {**os.environ, "XDG_CACHE_HOME": str(ROOT / ".cache"), "ESB_IMAGE_TAG": "latest"}
    again = images.prepare(_MANIFEST, fixtures=_FIXTURES, environ=environ)
    assert [image.reference for image in again.images] == [image.reference for image in prepared.images]
    assert again.count(images.PRESENT) == len(again.images)
