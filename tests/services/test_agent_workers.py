"""The process runtime, seen through the agent's gRPC API: real workers, real kills."""

import asyncio
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from esb_services.agent import process_runtime
from esb_services.agent.connection import WorkerConnections
from esb_services.agent.images import ImageIndex
from esb_services.agent.process_runtime import ProcessRuntime
from esb_services.agent.runtime import WorkerAnswer, WorkerDiedError, WorkerSpec
from esb_services.agent.v1 import agent_pb2 as pb

from tests.services.agent_support import (
    FUNCTION,
    IMAGE,
    INVOKE_PATH,
    OWNER,
    Agent,
    AgentSetup,
    worker_request,
)
from tests.services.service_process import PATIENCE
from tests.waiting import eventually

MIB = 1024 * 1024


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[AgentSetup]:
    """A folder for agents; the test fails if a process of a worker is left at its end."""
    setup = AgentSetup(tmp_path)
    yield setup
    eventually(lambda: not setup.processes(), "all processes of workers are gone")


@pytest.fixture
def agent(setup: AgentSetup) -> Iterator[Agent]:
    """A running agent."""
    with setup.agent() as agent:
        yield agent
        agent.service.terminate()


def failure(error: pytest.ExceptionInfo[grpc.RpcError]) -> tuple[grpc.StatusCode, str]:
    """Return status code and message of a failed call."""
    assert isinstance(error.value, grpc.Call)
    return error.value.code(), error.value.details() or ""


def test_a_started_worker_answers_with_its_handlers_result(agent: Agent) -> None:
    """A worker is named after project and function, listens on loopback, and runs the handler."""
    worker = agent.start("My_Function")
    assert re.fullmatch(r"esb-test-my-function-[0-9a-f]{8}", worker.name)
    assert (worker.ip_address, worker.port > 0) == ("127.0.0.1", True)
    first, second = agent.result(worker, {"a": 1}), agent.result(worker, {"a": 12})
    assert (first["length"], second["length"]) == (8, 9)
    assert first["pid"] == second["pid"]


def test_a_long_function_name_still_gives_a_dns_label(agent: Agent) -> None:
    """The name of a worker never exceeds 63 characters."""
    assert len(agent.start("f" * 64).name) == 63


def test_a_function_error_comes_back_as_lambda_reports_it(agent: Agent) -> None:
    """An exception in the handler is an answer with type, message and stack, and the worker lives on."""
    worker = agent.start()
    answer = agent.invoke(worker, {"action": "raise"})
    body = json.loads(answer.body)
    assert (answer.status_code, answer.headers["x-amz-function-error"]) == (200, "Unhandled")
    assert (body["errorType"], body["errorMessage"]) == ("ValueError", "boom")
    assert "app.py" in body["stackTrace"][0]
    assert agent.listed() == {worker.id: "RUNNING"}


def test_a_function_sees_its_own_variables_and_none_of_the_agent(setup: AgentSetup) -> None:
    """Only the request's variables, PATH, LANG, own folders and the process mark reach a function."""
    setup.environment = {"AGENT_SECRET": "hidden", "ESB_PROCESS_MARK": "run-1", "LANG": "C.UTF-8"}
    with setup.agent() as agent:
        seen = agent.result(agent.start(TABLE_NAME="t", AWS_REGION="eu-1"), {"action": "environ"})
        agent.service.terminate()
    lambdas = {name for name in seen if name.startswith(("AWS_", "LAMBDA_"))}
    assert seen.keys() - lambdas <= {
        "PATH", "LANG", "HOME", "TMPDIR", "TABLE_NAME", "ESB_PROCESS_MARK", "ESB_WORKER_MARK", "_HANDLER",
        "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "LC_CTYPE",
    }  # fmt: skip
    assert (seen["TABLE_NAME"], seen["AWS_REGION"], seen["ESB_PROCESS_MARK"]) == ("t", "eu-1", "run-1")
    assert seen["HOME"] == seen["TMPDIR"]
    assert seen["HOME"].startswith(str(setup.logs))


def test_an_image_brings_its_folders_to_import_from(agent: Agent, tmp_path: Path) -> None:
    """The index entry's `python_path` is searched, and the request's `_HANDLER` wins over the entry's."""
    (tmp_path / "layer").mkdir()
    (tmp_path / "layer" / "layered.py").write_text("VALUE = 'from the layer'\n")
    code = FUNCTION + "\ndef other(event, context):\n    return 'other'\n"
    agent.setup.add_image("layered:1", code, python_path=[str(tmp_path / "layer")])
    worker = agent.start(image="layered:1")
    assert agent.result(worker, {"action": "import", "module": "layered"}) == "from the layer"
    assert agent.result(agent.start(image="layered:1", _HANDLER="app.other"), {}) == "other"


def test_starting_writes_nothing_into_the_image_source(agent: Agent) -> None:
    """The folder of the code stays as it was: no byte code caches."""
    source = Path(agent.setup.images[IMAGE]["source"])
    agent.result(agent.start(), {})
    assert [path.name for path in source.iterdir()] == ["app.py"]


def test_an_unknown_image_is_named_with_its_index_until_deploy_adds_it(agent: Agent) -> None:
    """The error names image and index; the index is read again when it changes."""
    with pytest.raises(grpc.RpcError) as error:
        agent.start(image="late:1")
    code, message = failure(error)
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "'late:1'" in message
    assert str(agent.setup.index) in message
    agent.setup.add_image("late:1", FUNCTION)
    assert agent.result(agent.start(image="late:1"), {})["length"] == 2


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{", "is not JSON"),
        ('{"version": 2, "images": {}}', "has not the form"),
        ('{"version": 1, "images": {"i": 1}}', "is not an object"),
        ('{"version": 1, "images": {"i": {"runtime": "node20", "source": "/"}}}', "python and java run"),
        (
            '{"version": 1, "images": {"i": {"runtime": "java", "missing": "there is no JDK"}}}',
            "cannot run here: there is no JDK",
        ),
        (
            '{"version": 1, "images": {"i": {"runtime": "java", "source": "/", "handler": "x.Y"}}}',
            "has java None",
        ),
        ('{"version": 1, "images": {"i": {"runtime": "python", "source": "/nowhere"}}}', "is not a folder"),
        (
            '{"version": 1, "images": {"i": {"runtime": "python", "source": "/", "handler": 1}}}',
            "has handler 1",
        ),
        (
            '{"version": 1, "images": {"i": {"runtime": "python", "source": "/", "python_path": 1}}}',
            "python_path",
        ),
        ('{"version": 1, "images": {"i": {"runtime": "python", "source": "/"}}}', "names a handler"),
    ],
)
def test_a_wrong_image_index_is_an_error_that_says_where(agent: Agent, content: str, expected: str) -> None:
    """Each mistake in the index is a failed start with one clear message."""
    agent.setup.index.write_text(content)
    with pytest.raises(grpc.RpcError) as error:
        agent.start(image="i")
    code, message = failure(error)
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert expected in message


def test_a_function_that_cannot_import_fails_to_start_with_its_own_lines(agent: Agent) -> None:
    """The start fails as soon as the worker exits, and the message carries the import error."""
    agent.setup.add_image("broken:1", "import does_not_exist\n")
    with pytest.raises(grpc.RpcError) as error:
        agent.start(image="broken:1")
    code, message = failure(error)
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "exited with status 1 before it was ready" in message.splitlines()[0]
    assert "No module named 'does_not_exist'" in message.splitlines()[0]
    assert agent.listed() == {}


def test_a_bad_memory_size_is_an_error_of_the_start(agent: Agent) -> None:
    """A memory size that is no number is refused with its value."""
    with pytest.raises(grpc.RpcError) as error:
        agent.start(AWS_LAMBDA_FUNCTION_MEMORY_SIZE="much")
    assert "AWS_LAMBDA_FUNCTION_MEMORY_SIZE is 'much'" in failure(error)[1]


def test_a_crash_during_an_invocation_is_unavailable_with_its_cause(agent: Agent) -> None:
    """The caller learns the exit status at once, later calls too, and the worker is listed as exited."""
    worker = agent.start()
    for event in ({"action": "exit"}, {}):
        with pytest.raises(grpc.RpcError) as error:
            agent.invoke(worker, event)
        assert failure(error) == (grpc.StatusCode.UNAVAILABLE, f"worker {worker.name} exited with status 3")
    assert agent.listed() == {worker.id: "EXITED"}
    assert "exited with status 3 during an invocation" in agent.log_of(worker)[-1]["message"]


@pytest.mark.parametrize("victim", ["supervisor", "function"])
def test_a_killed_worker_is_noticed_while_it_is_invoked(agent: Agent, victim: str) -> None:
    """SIGKILL of either process of a worker ends the call with the signal's name, and both are gone."""
    worker = agent.start()
    function = agent.result(worker, {})["pid"]
    supervisor = int(Path(f"/proc/{function}/stat").read_text().rpartition(")")[2].split()[1])
    call = agent.begin_sleep(worker)
    os.kill(supervisor if victim == "supervisor" else function, signal.SIGKILL)
    assert call.code() is grpc.StatusCode.UNAVAILABLE
    assert "SIGKILL" in call.details()
    eventually(lambda: not agent.setup.processes(), "no process of the worker is left")


def test_an_idle_worker_that_dies_is_listed_as_exited(agent: Agent) -> None:
    """The agent notices a death without being asked to use the worker."""
    worker = agent.start()
    os.kill(agent.result(worker, {})["pid"], signal.SIGKILL)
    eventually(lambda: agent.listed() == {worker.id: "EXITED"}, "the worker is listed as exited")


def test_an_answer_of_a_worker_that_is_killed_for_its_memory_is_none(
    setup: AgentSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may come just when the watch over memory has begun to kill: the caller is told."""
    invoke = WorkerConnections.invoke
    monkeypatch.setattr(process_runtime, "SAMPLE_SECONDS", 600)

    async def run() -> None:
        runtime = ProcessRuntime("esb-test", ImageIndex(setup.index), setup.logs)
        await runtime.open()
        worker = await runtime.start(
            WorkerSpec("f", IMAGE, OWNER, {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128"})
        )
        process = runtime._worker(worker.worker_id)

        async def invoke_while_watched(*arguments: Any) -> WorkerAnswer:
            answer = await invoke(*arguments)
            watch = asyncio.create_task(process.kill_if_too_large())
            await asyncio.sleep(0)  # its first step, which sends the signal
            assert not watch.done()  # it waits for the end
            return answer

        monkeypatch.setattr(WorkerConnections, "invoke", invoke_while_watched)
        event = json.dumps({"action": "allocate", "mib": 300}).encode()
        try:
            with pytest.raises(WorkerDiedError, match="exceeded its memory limit of 128 MiB"):
                await runtime.invoke(worker.worker_id, INVOKE_PATH, event, {}, PATIENCE)
            assert runtime.state(worker.worker_id).status == "EXITED"
        finally:
            await runtime.close()

    asyncio.run(run())
    log = next(setup.logs.glob("*.log")).read_text()
    assert log.count("exceeded its memory limit") == 1


def test_an_invocation_that_takes_too_long_exceeds_its_deadline(agent: Agent) -> None:
    """The call ends with DEADLINE_EXCEEDED; the worker stays busy until it is destroyed."""
    worker = agent.start()
    with pytest.raises(grpc.RpcError) as error:
        agent.invoke(worker, {"action": "sleep", "seconds": 600}, timeout_ms=1500)
    assert failure(error) == (
        grpc.StatusCode.DEADLINE_EXCEEDED,
        f"worker {worker.name} did not answer within 1.5 s",
    )
    assert agent.invoke(worker, {}).status_code == 429
    agent.stub.DestroyContainer(worker_request(worker), timeout=PATIENCE)
    assert agent.setup.processes() == {}


@pytest.mark.parametrize("seconds", [0, 600], ids=["returns at once", "keeps the memory"])
def test_a_worker_beyond_its_memory_limit_is_killed(agent: Agent, seconds: int) -> None:
    """Memory beyond `memory_size` kills the worker, also when it was given back before anybody looked."""
    worker = agent.start(AWS_LAMBDA_FUNCTION_MEMORY_SIZE="128")
    with pytest.raises(grpc.RpcError) as error:
        agent.invoke(worker, {"action": "allocate", "mib": 300, "seconds": seconds})
    code, message = failure(error)
    assert code is grpc.StatusCode.UNAVAILABLE
    assert f"worker {worker.name} exceeded its memory limit of 128 MiB" in message
    assert agent.listed() == {worker.id: "EXITED"}
    assert "exceeded its memory limit of 128 MiB" in agent.log_of(worker)[-1]["message"]


def test_metrics_tell_what_a_worker_uses(agent: Agent) -> None:
    """Memory, its limit, processor time and state of a worker are measured."""
    worker = agent.start(AWS_LAMBDA_FUNCTION_MEMORY_SIZE="256")
    agent.result(worker, {})
    metrics = agent.stub.GetContainerMetrics(worker_request(worker), timeout=PATIENCE)
    assert (metrics.function_name, metrics.container_name, metrics.state) == ("echo", worker.name, "RUNNING")
    assert 1 * MIB < metrics.memory_current < metrics.memory_max == 256 * MIB
    assert metrics.cpu_usage_ns > 0


def test_pause_stops_every_process_and_resume_lets_them_go_on(agent: Agent) -> None:
    """A paused worker's processes are stopped, also one that left its group; it is not invoked meanwhile."""
    worker = agent.start()
    daemon = agent.result(worker, {"action": "daemon"})
    eventually(lambda: daemon in agent.setup.processes(), "the daemon runs")
    agent.stub.PauseContainer(worker_request(worker), timeout=PATIENCE)
    assert agent.listed() == {worker.id: "PAUSED"}
    eventually(lambda: set(agent.setup.processes().values()) == {"T"}, "all processes are stopped")
    assert daemon in agent.setup.processes()
    with pytest.raises(grpc.RpcError) as error:
        agent.invoke(worker, {})
    assert failure(error) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        f"worker {worker.name} is paused; resume it first",
    )
    agent.stub.ResumeContainer(worker_request(worker), timeout=PATIENCE)
    assert agent.listed() == {worker.id: "RUNNING"}
    assert agent.result(worker, {"a": 1})["length"] == 8


def test_destroy_ends_every_process_and_removes_the_scratch_folder(agent: Agent) -> None:
    """Nothing of a worker is left but its log, even of a process that left its group; again is no error."""
    worker = agent.start()
    agent.result(worker, {"action": "write"})
    daemon = agent.result(worker, {"action": "daemon"})
    eventually(lambda: daemon in agent.setup.processes(), "the daemon runs")
    agent.stub.DestroyContainer(worker_request(worker), timeout=PATIENCE)
    eventually(lambda: not agent.setup.processes(), "no process of the worker is left")
    assert [path.name for path in agent.setup.logs.rglob("*") if path.is_file()] == [f"{worker.name}.log"]
    assert agent.listed() == {}
    agent.stub.DestroyContainer(worker_request(worker), timeout=PATIENCE)


def test_a_paused_worker_can_be_destroyed(agent: Agent) -> None:
    """Killing does not wait for a stopped process to go on."""
    worker = agent.start()
    agent.stub.PauseContainer(worker_request(worker), timeout=PATIENCE)
    agent.stub.DestroyContainer(worker_request(worker), timeout=PATIENCE)
    assert agent.setup.processes() == {}


def test_a_start_that_its_caller_gives_up_leaves_no_worker(agent: Agent) -> None:
    """Cancelling EnsureContainer kills the worker that is being started."""
    agent.setup.add_image("slow:1", "import time\ntime.sleep(600)\n")
    request = pb.EnsureContainerRequest(function_name="slow", image="slow:1", owner_id=OWNER)
    call = agent.stub.EnsureContainer.future(request, timeout=PATIENCE)
    eventually(lambda: len(agent.setup.processes()) == 2, "the worker is starting")
    call.cancel()
    eventually(lambda: not agent.setup.processes(), "the worker that was starting is gone")
    assert agent.listed() == {}


def test_large_payloads_pass_and_larger_answers_are_refused(agent: Agent) -> None:
    """6 MiB in and 10 MiB out are fine; one byte more is RESOURCE_EXHAUSTED."""
    worker = agent.start()
    assert agent.result(worker, {"padding": "x" * 6 * MIB})["length"] > 6 * MIB
    assert len(agent.invoke(worker, {"action": "bytes", "size": 10 * MIB}).body) == 10 * MIB
    with pytest.raises(grpc.RpcError) as error:
        agent.invoke(worker, {"action": "bytes", "size": 10 * MIB + 1})
    assert failure(error)[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert agent.result(worker, {"a": 1})["length"] == 8


@pytest.mark.parametrize("paused", [False, True], ids=["running", "paused"])
def test_workers_end_with_an_agent_that_is_killed(setup: AgentSetup, paused: bool) -> None:
    """SIGKILL of the agent ends its workers, also stopped ones, by the kernel alone."""
    with setup.agent() as agent:
        worker = agent.start()
        if paused:
            agent.stub.PauseContainer(worker_request(worker), timeout=PATIENCE)
        assert len(setup.processes()) == 2
        agent.service.process.kill()
        eventually(lambda: not setup.processes(), "all processes of the worker are gone")


def test_an_agent_ends_what_a_killed_one_left(setup: AgentSetup) -> None:
    """A process that left its worker's group outlives a killed agent, but not the next agent's start."""
    with setup.agent() as agent:
        daemon = agent.result(agent.start(), {"action": "daemon"})
        agent.service.process.kill()
        eventually(lambda: list(setup.processes()) == [daemon], "only the daemon is left")
    with setup.agent() as agent:
        eventually(lambda: not setup.processes(), "the daemon is gone")
        agent.service.terminate()


def test_an_agent_that_is_told_to_stop_takes_its_workers_along(setup: AgentSetup) -> None:
    """SIGTERM ends an agent with status 0, its workers and calls in flight with it."""
    with setup.agent() as agent:
        call = agent.begin_sleep(agent.start())
        agent.start()
        assert agent.service.terminate() == 0
        assert call.code() is grpc.StatusCode.UNAVAILABLE
        assert setup.processes() == {}
    assert not (setup.logs / ".scratch").exists()
