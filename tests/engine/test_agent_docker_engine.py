"""The agent and its engine: which one it is, what happens where it is not there, or goes away for a while."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from esb_services.agent.v1 import agent_pb2 as pb

from tests.engine.agent_docker_support import DockerSetup, EngineProxy, build_worker_image, docker_setup
from tests.services.agent_support import worker_request
from tests.services.service_process import PATIENCE, free_port, running
from tests.waiting import eventually

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image of the workers."""
    return build_worker_image(tmp_path_factory.mktemp("worker-image"))


@pytest.fixture
def setup(tmp_path: Path, image: str) -> Iterator[DockerSetup]:
    """A project on the engine."""
    with docker_setup(tmp_path, image) as setup:
        yield setup


@pytest.fixture
def proxy(setup: DockerSetup) -> Iterator[EngineProxy]:
    """The agent's way to the engine, which can be cut."""
    # paths of sockets are short
    folder = Path(tempfile.mkdtemp(prefix="esb-"))
    proxy = EngineProxy(folder / "engine.sock")
    setup.environment["DOCKER_HOST"] = proxy.host
    yield proxy
    proxy.cut()
    shutil.rmtree(folder)


def test_the_agent_tells_which_engine_it_talks_to(setup: DockerSetup) -> None:
    """The id is that of `docker info`: a run can check that it is the environment's engine."""
    with setup.agent() as agent:
        engine = agent.stub.GetEngine(pb.Empty(), timeout=PATIENCE)
        agent.service.terminate()
    assert (engine.id, engine.runtime) == (setup.client.info()["ID"], "docker")


@pytest.mark.parametrize(
    ("variable", "value", "status", "expected"),
    [
        ("DOCKER_HOST", "unix:///nowhere.sock", 1, "unix:///nowhere.sock does not answer: No such file"),
        ("DOCKER_HOST", "nonsense://", 1, "nonsense"),
        ("AGENT_NETWORK", "esb-test-nowhere", 1, "has no network 'esb-test-nowhere'"),
        ("AGENT_NETWORK", "", 2, "AGENT_NETWORK is ''; expected the name of the workers' network"),
        ("ESB_RUN_ID", "", 2, "ESB_RUN_ID is ''; expected the id of the run"),
    ],
)
def test_an_agent_without_a_usable_engine_says_so_in_one_line(
    setup: DockerSetup, variable: str, value: str, status: int, expected: str
) -> None:
    """The agent ends with one line that names what is wrong, without a traceback."""
    setup.environment[variable] = value
    variables = setup.variables(free_port(), free_port())
    with running("esb_services.agent", variables, setup.folder / "agent.log") as service:
        assert service.wait() == status
        (record,) = service.records()
    assert record["level"] == "ERROR"
    assert expected in record["message"]
    assert "exception" not in record


def test_a_death_that_was_not_heard_is_seen_when_the_engine_is_back(
    setup: DockerSetup, proxy: EngineProxy
) -> None:
    """While the engine's events are cut off a worker dies; the agent finds out once they flow again."""
    with setup.agent() as agent:
        dead, alive = agent.start(), agent.start()
        proxy.cut()
        setup.container(dead.id).kill()
        assert agent.result(alive, {"a": 1})["length"] == 8
        proxy.join()
        eventually(lambda: agent.listed() == {dead.id: "EXITED", alive.id: "RUNNING"}, "the death is noticed")
        assert agent.service.terminate() == 0
        messages = agent.service.messages()
    assert "the stream of the engine's events broke" in messages
    assert "the engine's events are heard again" in messages
    eventually(lambda: not setup.containers(), "no container is left")


def test_what_an_absent_engine_leaves_undone_can_be_asked_for_again(
    setup: DockerSetup, proxy: EngineProxy
) -> None:
    """Without its engine the agent answers with the reason; afterwards the same calls succeed."""
    with setup.agent() as agent:
        worker = agent.start()
        proxy.cut()
        for call in (
            agent.stub.PauseContainer,
            agent.stub.GetContainerMetrics,
            agent.stub.DestroyContainer,
        ):
            with pytest.raises(grpc.RpcError) as error:
                call(worker_request(worker), timeout=PATIENCE)
            assert isinstance(error.value, grpc.Call)
            assert error.value.code() is grpc.StatusCode.INTERNAL
            assert "does not answer: No such file or directory" in (error.value.details() or "")
        assert agent.listed() == {worker.id: "EXITED"}
        with pytest.raises(grpc.RpcError) as error:
            agent.start()
        assert isinstance(error.value, grpc.Call)
        assert error.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "could not be started: the engine at" in (error.value.details() or "")
        proxy.join()
        agent.stub.DestroyContainer(worker_request(worker), timeout=PATIENCE)
        assert agent.listed() == {}
        assert setup.containers() == []
        assert agent.service.terminate() == 0


def test_an_agent_whose_engine_is_gone_stops_all_the_same(setup: DockerSetup, proxy: EngineProxy) -> None:
    """It ends with status 0 and names the worker that it had to leave; the next agent adopts it."""
    with setup.agent() as agent:
        worker = agent.start()
        proxy.cut()
        assert agent.service.terminate() == 0
        left = [record for record in agent.service.records() if "could not be removed" in record["message"]]
    assert [record["worker"] for record in left] == [worker.name]
    proxy.join()
    with setup.agent() as agent:
        assert agent.result(worker, {"a": 1})["length"] == 8
        assert agent.service.terminate() == 0
    eventually(lambda: not setup.containers(), "no container is left")
