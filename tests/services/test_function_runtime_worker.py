"""A function worker by itself: the official runtime client behind its invoke address."""

import base64
import contextlib
import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.services.service_process import PATIENCE, Service, free_port, running
from tests.waiting import eventually

CODE = """
import json, logging, os, signal, sys, time

def handler(event, context):
    action = event.get("action")
    if action == "log":
        print("first")
        logging.getLogger().info("second")
        logging.getLogger().debug("third", extra={"order": 7})
        print('{"level": "WARNING", "message": "fourth"}')
        sys.stderr.write("fifth\\n")
        print("without an end", end="")
    if action == "log-then-text":
        print("before ", end="")
        logging.getLogger().warning("after")
    if action == "print-bytes":
        os.write(1, b"\\xff\\xfe\\n" + b"x" * event["size"] + b"\\n")
    if action == "logged-exception":
        try:
            1 / 0
        except ZeroDivisionError:
            logging.getLogger().exception("caught")
    if action == "raise":
        raise ValueError("boom")
    if action == "exit":
        sys.exit(event["status"])
    if action == "kill":
        print("last words")
        os.kill(os.getpid(), signal.SIGSEGV)
    if action == "wait":
        open(event["file"] + ".waiting", "w").close()
        while not os.path.exists(event["file"]):
            time.sleep(0.01)
    if action == "not-json":
        return object()
    return {
        "event": event,
        "trace": os.environ.get("_X_AMZN_TRACE_ID"),
        "request_id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "remaining": context.get_remaining_time_in_millis(),
        "client": context.client_context and context.client_context.custom,
        "group": context.log_group_name,
        "stream": context.log_stream_name,
        "environ": sorted(os.environ),
    }
"""


class Worker:
    """A running worker and its invoke address."""

    def __init__(self, service: Service, port: int) -> None:
        self.service = service
        self.url = f"http://127.0.0.1:{port}"

    def post(self, event: Any, **headers: str) -> requests.Response:
        """Invoke the worker; underscores in the names of headers become dashes."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        data = event if isinstance(event, bytes) else json.dumps(event).encode()
        path = "/2015-03-31/functions/function/invocations"
        return requests.post(self.url + path, data=data, headers=given, timeout=PATIENCE)


@contextlib.contextmanager
def worker_of(folder: Path, code: str = CODE, **environment: str) -> Iterator[Worker]:
    """Start a worker of `code` and wait until it is healthy."""
    with starting(folder, code, **environment) as worker:
        worker.service.wait_healthy(int(worker.url.rpartition(":")[2]))
        yield worker


@contextlib.contextmanager
def starting(folder: Path, code: str = CODE, **environment: str) -> Iterator[Worker]:
    """Start a worker of `code` without waiting."""
    (folder / "app.py").write_text(code)
    port = free_port()
    variables = {
        "ESB_RUNTIME_ADDRESS": f"127.0.0.1:{port}",
        "ESB_WORKER_NAME": "worker-1",
        "AWS_LAMBDA_FUNCTION_NAME": "echo",
        "AWS_LAMBDA_LOG_LEVEL": "DEBUG",
        "AWS_REGION": "eu-1",
        "_HANDLER": "app.handler",
        **environment,
    }
    with running("esb_services.function_runtime", variables, folder / "out.log", folder) as service:
        yield Worker(service, port)
        service.terminate()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    """A healthy worker."""
    with worker_of(tmp_path) as worker:
        yield worker


def test_the_handler_gets_event_and_context(worker: Worker) -> None:
    """Headers of an invocation become the function's context, as Lambda gives it."""
    context = base64.b64encode(b'{"custom": {"k": "v"}}').decode()
    deadline = str(int((time.time() + 60) * 1000))
    answer = worker.post(
        {"a": "ü"},
        x_amzn_trace_id="Root=1-abc-def;Parent=1;Sampled=1",
        x_amzn_requestid="request-1",
        x_esb_deadline_ms=deadline,
        x_esb_function_arn="arn:aws:lambda:eu-1:123456789012:function:echo:1",
        x_amz_client_context=context,
    )
    result = answer.json()
    assert (answer.status_code, answer.headers.get("x-amz-function-error")) == (200, None)
    assert result["event"] == {"a": "ü"}
    assert result["trace"] == "Root=1-abc-def;Parent=1;Sampled=1"
    assert result["request_id"] == "request-1"
    assert result["arn"].endswith(":function:echo:1")
    assert 3_000 < result["remaining"] <= 60_000
    assert result["client"] == {"k": "v"}


def test_what_a_caller_leaves_out_has_a_default(worker: Worker) -> None:
    """Without headers there is a request id, an ARN, the function's timeout as deadline, and no trace."""
    result = worker.post({}).json()
    assert len(result["request_id"]) == 36
    assert result["arn"] == "arn:aws:lambda:eu-1:123456789012:function:echo"
    assert 0 < result["remaining"] <= 3_000
    assert result["trace"] is None
    assert (result["group"], result["stream"]) == ("/aws/lambda/echo", "worker-1")
    assert not [name for name in result["environ"] if name.startswith(("ESB_RUNTIME", "ESB_WORKER_NAME"))]


def test_log_lines_name_function_worker_and_invocation(worker: Worker) -> None:
    """A function's output is JSON records with the ids of its invocation, there before the answer."""
    worker.post({"action": "log"}, x_amzn_trace_id="Root=1-abc-def;Sampled=1", x_amzn_requestid="request-1")
    records = worker.service.records()
    assert [(record["level"], record["message"]) for record in records] == [
        ("INFO", "first"),
        ("INFO", "second"),
        ("DEBUG", "third"),
        ("WARNING", "fourth"),
        ("INFO", "fifth"),
        ("INFO", "without an end"),
    ]
    for record in records:
        assert (record["service"], record["function"], record["worker"]) == ("function", "echo", "worker-1")
        assert (record["trace_id"], record["request_id"]) == ("1-abc-def", "request-1")
        assert record["timestamp"].endswith("Z")
    assert records[2]["order"] == 7


def test_a_record_after_text_without_a_line_end_is_its_own_record(worker: Worker) -> None:
    """Text that a function prints without a line end does not swallow the next log record."""
    worker.post({"action": "log-then-text"})
    records = worker.service.records()
    assert [record["message"].strip() for record in records] == ["before", "after"]
    assert records[1]["level"] == "WARNING"


def test_strange_and_long_output_still_gives_json_lines(worker: Worker) -> None:
    """Bytes that are no text, and a line longer than any buffer, do not break the log."""
    worker.post({"action": "print-bytes", "size": 600_000})
    first, *rest = worker.service.records()
    assert first["message"] == "\N{REPLACEMENT CHARACTER}" * 2
    assert "".join(record["message"] for record in rest) == "x" * 600_000


def test_a_logged_exception_is_one_record(worker: Worker) -> None:
    """A traceback that the function logs stays together."""
    worker.post({"action": "logged-exception"})
    (record,) = worker.service.records()
    assert (record["level"], record["message"], record["errorType"]) == (
        "ERROR",
        "caught",
        "ZeroDivisionError",
    )
    assert "1 / 0" in "".join(record["stackTrace"])


def test_a_traceback_in_text_format_is_one_readable_record(tmp_path: Path) -> None:
    """With `AWS_LAMBDA_LOG_FORMAT=Text` an unhandled error is one record of several lines."""
    with worker_of(tmp_path, AWS_LAMBDA_LOG_FORMAT="Text") as worker:
        worker.post({"action": "raise"})
        (record,) = worker.service.records()
    lines = record["message"].splitlines()
    assert lines[:2] == ["[ERROR] ValueError: boom", "Traceback (most recent call last):"]
    assert lines[-1].strip() == 'raise ValueError("boom")'


@pytest.mark.parametrize(("action", "kind"), [("raise", "ValueError"), ("not-json", "Runtime.MarshalError")])
def test_a_function_error_is_marked_and_described(worker: Worker, action: str, kind: str) -> None:
    """A handler's error is 200 with `X-Amz-Function-Error`, its body tells type, message and stack."""
    answer = worker.post({"action": action}, x_amzn_requestid="request-1")
    assert (answer.status_code, answer.headers["x-amz-function-error"]) == (200, "Unhandled")
    body = answer.json()
    assert body["errorType"] == kind
    assert body["errorMessage"]
    assert isinstance(body["stackTrace"], list)
    assert worker.service.records()[-1]["level"] == "ERROR"
    assert worker.post({}).json()["event"] == {}


def test_a_worker_takes_one_invocation_at_a_time(worker: Worker, tmp_path: Path) -> None:
    """A second invocation meanwhile is told that the worker is busy; later ones are served."""
    answers: list[requests.Response] = []
    waiting = {"action": "wait", "file": str(tmp_path / "go")}
    first = threading.Thread(target=lambda: answers.append(worker.post(waiting)))
    first.start()
    eventually((tmp_path / "go.waiting").exists, "the function has its event")
    refused = worker.post({})
    assert (refused.status_code, refused.json()) == (429, {"message": "worker worker-1 is busy"})
    (tmp_path / "go").touch()
    first.join(PATIENCE)
    assert answers[0].json()["event"] == waiting
    assert worker.post({}).status_code == 200


@pytest.mark.parametrize(
    ("event", "status", "cause"),
    [
        ({"action": "exit", "status": 3}, 3, "exited with status 3"),
        ({"action": "exit", "status": 0}, 0, "exited with status 0"),
        ({"action": "kill"}, 128 + signal.SIGSEGV, "was killed by SIGSEGV"),
    ],
)
def test_a_worker_ends_with_its_function(
    tmp_path: Path, event: dict[str, object], status: int, cause: str
) -> None:
    """When the function's process ends, its last output is written, and the worker ends with its status."""
    with worker_of(tmp_path) as worker:
        with pytest.raises(requests.ConnectionError):
            worker.post(event, x_amzn_trace_id="Root=1-abc-def")
        assert worker.service.wait() == status
        record = worker.service.records()[-1]
    assert record["message"] == f"the function's process {cause} during an invocation"
    assert record["trace_id"] == "1-abc-def"
    if event["action"] == "kill":
        assert "last words" in worker.service.messages()


@pytest.mark.parametrize(
    ("code", "handler", "expected"),
    [
        (
            "import nothing_like_it\n",
            "app.handler",
            "Runtime.ImportModuleError: Unable to import module 'app'",
        ),
        ("def handler(:\n", "app.handler", "Runtime.UserCodeSyntaxError: Syntax error in module 'app'"),
        ("x = 1\n", "app.handler", "Runtime.HandlerNotFound: Handler 'handler' missing on module 'app'"),
        ("x = 1\n", "app", "Runtime.MalformedHandlerName: Bad handler 'app'"),
        ("raise RuntimeError('early')\n", "app.handler", "RuntimeError: early"),
        ("import os\nos._exit(0)\n", "app.handler", "its process exited with status 0"),
    ],
)
def test_a_function_that_cannot_start_ends_its_worker(
    tmp_path: Path, code: str, handler: str, expected: str
) -> None:
    """The worker exits with a failure, and the last line says why the function could not be initialised."""
    with starting(tmp_path, code, _HANDLER=handler) as worker:
        assert worker.service.wait() == 1
        record = worker.service.records()[-1]
    assert record["level"] == "ERROR"
    assert record["message"].startswith(f"the function could not be initialised: {expected}")


def test_health_waits_for_the_function(tmp_path: Path) -> None:
    """`/health` is 503 while the function is initialised, and an invocation sent early is answered later."""
    code = "import os, time\nwhile not os.path.exists('go'):\n    time.sleep(0.01)\n" + CODE
    with starting(tmp_path, code) as worker:

        def health() -> int:
            with contextlib.suppress(requests.ConnectionError):
                return requests.get(f"{worker.url}/health", timeout=PATIENCE).status_code
            return 0

        eventually(lambda: health() == 503, "health says that the function starts")
        answers: list[requests.Response] = []
        early = threading.Thread(target=lambda: answers.append(worker.post({"early": True})))
        early.start()
        (tmp_path / "go").touch()
        early.join(PATIENCE)
        assert answers[0].json()["event"] == {"early": True}
        assert health() == 200


def test_unknown_routes_and_broken_requests_are_refused(worker: Worker) -> None:
    """Other paths are 404, a client context that is no JSON 400, and the worker goes on."""
    assert requests.get(f"{worker.url}/other", timeout=PATIENCE).status_code == 404
    assert worker.post({}, x_amz_client_context="!").status_code == 400
    assert worker.post({}).status_code == 200


def test_a_large_event_in_chunks_arrives_whole(worker: Worker) -> None:
    """An event of 6 MiB sent without its length is one event."""
    event = json.dumps({"padding": "x" * 6 * 1024 * 1024}).encode()
    chunks = (event[start : start + 100_000] for start in range(0, len(event), 100_000))
    path = "/2015-03-31/functions/function/invocations"
    answer = requests.post(worker.url + path, data=chunks, timeout=PATIENCE)
    assert len(answer.json()["event"]["padding"]) == 6 * 1024 * 1024


def test_a_worker_stops_when_it_is_told(worker: Worker) -> None:
    """SIGTERM ends an idle worker with status 0."""
    worker.post({})
    assert worker.service.terminate() == 0


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("_HANDLER", "", "is ''; expected the function's handler, such as app.handler"),
        ("ESB_RUNTIME_ADDRESS", "8080", "is '8080'; expected <host>:<port>, such as 127.0.0.1:0"),
        ("AWS_LAMBDA_FUNCTION_TIMEOUT", "1.5", "is '1.5'; expected a whole number"),
    ],
)
def test_a_wrong_variable_is_one_line(tmp_path: Path, name: str, value: str, expected: str) -> None:
    """The worker ends with status 2 before it starts the function."""
    with starting(tmp_path, **{name: value}) as worker:
        assert worker.service.wait() == 2
        (record,) = worker.service.records()
    assert record["message"].startswith(f"environment variable {name} {expected}")
