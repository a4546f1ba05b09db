"""A worker whose function is Java: the official client in the host's own virtual machine."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import requests

from artifactctl.commands import Commands
from esb_e2e_plugin.lifecycle.java_functions import JavaFunctions
from tests.services.service_process import PATIENCE, Service, free_port, running

pytestmark = pytest.mark.jdk

HOOKS = Path(__file__).parents[2] / "e2e/artifacts/e2e-local/template.e2e/runtime-base/runtime-hooks/java"
TRACE = "1-5759e988-bd862e3fe1be46a994272793"
SECONDS = 300
CODE = """
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;

public final class Streams implements RequestStreamHandler {
    @Override
    public void handleRequest(InputStream input, OutputStream output, Context context) throws IOException {
        String asked = new String(input.readAllBytes(), StandardCharsets.UTF_8);
        if (asked.contains("exit")) {
            System.exit(99);
        }
        if (asked.contains("fill")) {
            System.out.println(new byte[1 << 30].length);
        }
        if (asked.contains("throw")) {
            System.out.print("without an end");
            throw new IllegalStateException("out of it");
        }
        String text = asked.contains("text") ? "not JSON" : "{\\"zone\\":\\"" + System.getenv("TZ") + "\\"}";
        output.write(text.getBytes(StandardCharsets.UTF_8));
    }
}
"""


class Worker:
    """A running worker and its invoke address."""

    def __init__(self, service: Service, port: int) -> None:
        self.service = service
        self.port = port

    def post(self, asked: str) -> requests.Response:
        """Invoke the worker."""
        url = f"http://127.0.0.1:{self.port}/2015-03-31/functions/function/invocations"
        headers = {"x-amzn-trace-id": f"Root={TRACE}", "x-amzn-requestid": "request-1"}
        return requests.post(url, json={"asked": asked}, headers=headers, timeout=PATIENCE)


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """A function with a stream handler, compiled by the hooks of the committed artifacts."""
    module = tmp_path_factory.mktemp("function")
    (module / "src/main/java").mkdir(parents=True)
    (module / "src/main/java/Streams.java").write_text(CODE)
    return JavaFunctions(Commands(os.environ, None, SECONDS)).entry(HOOKS, module)


@pytest.fixture
def worker(function: Mapping[str, str], tmp_path: Path) -> Iterator[Worker]:
    """A healthy worker."""
    port = free_port()
    variables = {
        "ESB_RUNTIME_ADDRESS": f"127.0.0.1:{port}",
        "ESB_RUNTIME_JAVA": function["java"],
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_REGION": "eu-1",
        "_HANDLER": "Streams",
    }
    folder = Path(function["source"])
    with running("esb_services.function_runtime", variables, tmp_path / "out.log", folder) as started:
        started.wait_healthy(port)
        yield Worker(started, port)
        started.terminate()


def _errors(worker: Worker) -> list[dict[str, object]]:
    return [record for record in worker.service.records() if record["level"] == "ERROR"]


def test_a_java_function_answers(worker: Worker) -> None:
    """What a stream handler writes is the answer; its time zone is the one that its log is in."""
    answer = worker.post("anything")
    assert (answer.status_code, answer.headers.get("x-amz-function-error")) == (200, None)
    assert answer.json() == {"zone": "UTC"}


def test_text_that_is_no_json_is_a_marshal_error(worker: Worker) -> None:
    """A stream handler may write anything; its caller still gets JSON, and the log a record."""
    answer = worker.post("text")
    assert answer.headers["x-amz-function-error"] == "Unhandled"
    assert answer.json()["errorType"] == "Runtime.MarshalError"
    assert [record["errorType"] for record in _errors(worker)] == ["Runtime.MarshalError"]
    assert worker.post("anything").json() == {"zone": "UTC"}


def test_an_exception_is_one_record_when_its_answer_comes(worker: Worker) -> None:
    """The client's text becomes fields, with the ids of the invocation, before the caller knows."""
    answer = worker.post("throw")
    (record,) = _errors(worker)
    assert answer.json() == {
        "errorMessage": "out of it",
        "errorType": "java.lang.IllegalStateException",
        "requestId": "request-1",
        "stackTrace": record["stackTrace"],
    }
    assert record["message"] == "java.lang.IllegalStateException: out of it"
    assert (record["trace_id"], record["request_id"]) == (TRACE, "request-1")
    assert "without an end" in worker.service.messages()


def test_a_full_heap_ends_the_worker_with_a_status_of_its_own(worker: Worker) -> None:
    """Whoever runs the worker learns that memory was the cause."""
    with pytest.raises(requests.ConnectionError):
        worker.post("fill")
    assert worker.service.wait() == 99
    assert "was killed by SIGKILL during an invocation" in worker.service.messages()


def test_a_function_that_exits_with_that_status_is_not_taken_for_it(worker: Worker) -> None:
    """The log tells the function's own status; the worker's is another one."""
    with pytest.raises(requests.ConnectionError):
        worker.post("exit")
    assert worker.service.wait() == 1
    assert "exited with status 99 during an invocation" in worker.service.messages()


def test_a_worker_without_java_says_so(function: Mapping[str, str], tmp_path: Path) -> None:
    """One line names the program that is missing."""
    variables = {"ESB_RUNTIME_JAVA": function["java"], "_HANDLER": "Streams", "PATH": str(tmp_path)}
    address = {"ESB_RUNTIME_ADDRESS": f"127.0.0.1:{free_port()}"}
    with running("esb_services.function_runtime", {**variables, **address}, tmp_path / "out.log") as service:
        assert service.wait() == 1
        (record,) = service.records()
    assert "java: No such file or directory" in str(record["message"])


def test_a_host_without_java_or_maven_is_told_what_is_missing(tmp_path: Path) -> None:
    """The image index carries the reason; with the jars cached, Maven is not missed."""
    own = {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    entry = JavaFunctions(Commands(own, None, SECONDS)).entry(HOOKS, tmp_path)
    assert entry.keys() == {"missing"}
    assert "no JDK (`java`, `javac`) on PATH" in entry["missing"]
    for name in ("java", "javac"):
        (tmp_path / name).touch(mode=0o755)
    entry = JavaFunctions(Commands(own, None, SECONDS)).entry(HOOKS, tmp_path)
    assert "no Maven (`mvn`) on PATH, and the jars are not cached" in entry["missing"]
