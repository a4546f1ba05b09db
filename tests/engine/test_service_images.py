"""The image of the services: built without network, only when something changed, and fit to run."""

import json
import os
import shutil
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from artifactctl.commands import Commands
from esb_e2e_plugin.failure import StepError
from esb_e2e_plugin.lifecycle import service_images
from esb_e2e_plugin.processes import MARK, end_marked, marked
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
SECONDS = 300

pytestmark = pytest.mark.engine

Lines = list[str]


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _environment(**more: str) -> dict[str, str]:
    handed_on = ("PATH", "HOME", "SSL_CERT_FILE", "XDG_CACHE_HOME")
    taken = {
        name: value for name, value in os.environ.items() if name in handed_on or name.startswith("DOCKER_")
    }
    return {**taken, **more}


def _builds(lines: Lines) -> Lines:
    return [line.partition(":")[0] for line in lines if line.startswith("building ")]


class Project:
    """A project with services of its own, tiny enough to be built in a second; its images end with it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = f"test-{uuid.uuid4().hex[:12]}"
        self.write("services/images/requirements.txt", f"# {self.name}\n")
        self.write(
            "services/images/packages.Dockerfile",
            "ARG PYTHON_BASE_IMAGE=esb-python-base:latest\n"
            "FROM ${PYTHON_BASE_IMAGE}\nCOPY site-packages/ /packages/\n",
        )
        self.write_dockerfile("")
        self.write("services/esb_services/__init__.py", "")

    def write(self, name: str, text: str) -> None:
        """Write a file of the project."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def write_dockerfile(self, step: str) -> None:
        """Write the Dockerfile of the services, with one more step."""
        text = f"ARG PACKAGES_IMAGE\nFROM ${{PACKAGES_IMAGE}}\nCOPY esb_services/ /services/\n{step}\n"
        self.write("services/images/Dockerfile", text)

    def ensure(
        self, lines: Lines | None = None, more: Mapping[str, str] | None = None, *, no_cache: bool = False
    ) -> dict[str, str]:
        """Build what is missing; `lines` takes what was said, `more` are variables."""
        say = (lines if lines is not None else []).append
        own = {"ESB_PROJECT": f"{self.name}-e", "ESB_ENV": "e", "XDG_CACHE_HOME": str(self.root / "cache")}
        environment = {**_environment(), **own, **(more or {})}
        return service_images.ensure(self.root, Commands(environment, say, SECONDS), no_cache=no_cache)

    def remove(self) -> None:
        """Remove its images."""
        found = _docker("image", "ls", "--quiet", "--filter", f"label=com.esb.project={self.name}").split()
        if found:
            _docker("image", "rm", "--force", *set(found))


@pytest.fixture(scope="module")
def image() -> str:
    """The image of this project's own services."""
    return service_images.ensure(ROOT, Commands(_environment(), None, SECONDS))["ESB_SERVICES_IMAGE"]


@pytest.fixture
def project(image: str, tmp_path: Path) -> Iterator[Project]:
    """A project of the test's own; `esb-services:latest` is given back afterwards."""
    project = Project(tmp_path)
    yield project
    project.remove()
    assert service_images.ensure(ROOT, Commands(_environment(), None, SECONDS)) == {
        "ESB_SERVICES_IMAGE": image
    }


def test_image_runs_as_a_numeric_user_that_is_not_root(image: str) -> None:
    """Whoever refuses root can tell from the image alone that it is not root's."""
    config = json.loads(_docker("image", "inspect", "--format", "{{json .Config}}", image))
    assert config["User"] == "10001:10001"
    assert _docker("run", "--rm", "--network", "none", image, "id", "-u") == "10001"


def test_image_carries_labels_and_no_build_tools(image: str) -> None:
    """The image can be found by its labels, and holds neither pip nor a compiler."""
    labels = json.loads(_docker("image", "inspect", "--format", "{{json .Config.Labels}}", image))
    assert (labels["com.esb.managed"], labels["com.esb.project"]) == ("true", "esb")
    assert image == f"esb-services:{labels['com.esb.digest'][:12]}"
    tools = "python3 -m pip --version; command -v pip gcc cc make"
    found = _docker("run", "--rm", "--network", "none", image, "sh", "-c", f"({tools}) 2>/dev/null || true")
    assert found == ""


@pytest.mark.parametrize("module", ["gateway", "agent", "provisioner", "stores"])
def test_every_service_is_in_the_image(image: str, module: str) -> None:
    """Without its variables each service says what it misses: all that it imports for that is there."""
    command = ["docker", "run", "--rm", "--network", "none", image, "python3", "-m", f"esb_services.{module}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    assert (done.returncode, done.stderr) == (2, "")
    assert "environment variable" in json.loads(done.stdout)["message"]


def test_everything_that_the_services_import_fits_the_interpreter(image: str) -> None:
    """Compiled packages are those of the image's Python, not of the host's."""
    code = "import grpc, cryptography.x509, starlette, yaml, uvicorn, moto.server, docker, boto3; print(1)"
    assert _docker("run", "--rm", "--network", "none", image, "python3", "-c", code) == "1"


def test_unchanged_sources_build_nothing(project: Project) -> None:
    """The second run finds the image of the first, starts no build and names the same image."""
    first, second = Lines(), Lines()
    named = project.ensure(first)
    assert _builds(first) == ["building esb-services-packages", "building esb-services"]
    assert project.ensure(second) == named
    assert second == []


def test_changed_source_builds_the_services_and_not_their_packages(project: Project) -> None:
    """A new line in a service costs no new packages, and gives the image a new name."""
    before = project.ensure()
    project.write("services/esb_services/new.py", "# new\n")
    lines = Lines()
    assert project.ensure(lines) != before
    assert _builds(lines) == ["building esb-services"]


def test_changed_pins_build_both(project: Project) -> None:
    """Other pins are other packages, and other services with them."""
    project.ensure()
    project.write("services/images/requirements.txt", f"# other pins of {project.name}\n")
    lines = Lines()
    project.ensure(lines)
    assert _builds(lines) == ["building esb-services-packages", "building esb-services"]


def test_no_cache_builds_what_is_there(project: Project) -> None:
    """Asked to, it builds everything again, under the same name."""
    named, lines = project.ensure(), Lines()
    assert project.ensure(lines, no_cache=True) == named
    assert _builds(lines) == ["building esb-services-packages", "building esb-services"]


def test_builds_have_no_network(project: Project) -> None:
    """A step of the build sees the loopback interface only."""
    project.write_dockerfile('RUN test "$(ls /sys/class/net)" = lo')
    assert project.ensure().keys() == {"ESB_SERVICES_IMAGE"}


def test_two_runs_at_once_build_once(project: Project) -> None:
    """Whoever comes second waits for the first and takes what it has built."""
    lines = Lines(), Lines()
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(project.ensure, lines)
    assert one == other
    assert sorted(_builds([*lines[0], *lines[1]])) == [
        "building esb-services",
        "building esb-services-packages",
    ]


def test_failed_build_shows_its_own_last_lines(project: Project) -> None:
    """A step that fails is named with what it wrote."""
    project.write_dockerfile("RUN echo the-reason-why >&2; exit 3")
    with pytest.raises(StepError) as failed:
        project.ensure()
    assert "the image of the services cannot be had" in failed.value.message
    assert any("the-reason-why" in line for line in failed.value.lines)


def test_base_that_cannot_be_had_is_told_with_the_reasons(project: Project) -> None:
    """A base image that is nowhere is named with every way that was tried."""
    with pytest.raises(StepError, match=r"nowhere:1.*not in the engine") as failed:
        project.ensure(more={"PYTHON_BASE_IMAGE": "localhost:9/nowhere:1"})
    assert failed.value.remedy


def test_engine_that_does_not_answer_is_told(tmp_path: Path) -> None:
    """Without an engine there is one error that says how to get one."""
    with pytest.raises(StepError, match="does not answer") as failed:
        Project(tmp_path).ensure(more={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    assert "make engine" in (failed.value.remedy or "")


def test_killed_build_ends_as_an_error(project: Project) -> None:
    """Everything it starts carries the environment's mark, by which a run ends it from outside."""
    project.write_dockerfile("RUN sleep 600")
    errors: list[StepError] = []

    def build() -> None:
        try:
            project.ensure(lines, {MARK: project.name})
        except StepError as error:
            errors.append(error)

    lines = Lines()
    thread = threading.Thread(target=build)
    thread.start()
    try:
        eventually(lambda: any("RUN sleep 600" in line for line in lines), "the build runs", SECONDS)
        assert list(marked(project.name))
    finally:
        left = end_marked(project.name, timeout=30)
        thread.join(SECONDS)
    assert (left, thread.is_alive(), len(errors)) == ([], False, 1)


@pytest.fixture
def stack(image: str) -> Iterator[Callable[..., str]]:
    """The stack, driven by hand: a function that runs `docker compose` on a project of the test's own."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    ports = ("GATEWAY_HTTPS", "AGENT_METRICS", "S3", "DATABASE")
    # Port 0: the engine chooses.
    environment = _environment(ESB_SERVICES_IMAGE=image, **{f"ESB_PORT_{port}": "0" for port in ports})

    def compose(*arguments: str) -> str:
        done = subprocess.run(
            ["docker", "compose", "-p", name, "--profile", "deploy", *arguments],
            cwd=ROOT / "e2e/environments/e2e-docker",
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    yield compose
    compose("down", "--volumes", "--timeout", "0")


def _containers(compose: Callable[..., str]) -> Mapping[str, Any]:
    lines = compose("ps", "--all", "--format", "json").splitlines()
    return {container["Service"]: container for container in map(json.loads, lines)}


def test_stack_starts_by_hand_and_ends_when_told(stack: Callable[..., str]) -> None:
    """With nothing prepared all services get healthy; SIGTERM ends each with status 0."""
    stack("up", "--detach", "gateway", "agent", "database", "s3-storage")
    eventually(
        lambda: all(container["Health"] == "healthy" for container in _containers(stack).values()),
        "all services are healthy",
        SECONDS,
    )
    answer = stack("exec", "-T", "gateway", "python3", "-m", "esb_services.health_probe", "8080")
    assert '"status":"healthy"' in answer

    stack("stop", "--timeout", "60")
    codes = {name: container["ExitCode"] for name, container in _containers(stack).items()}
    assert codes == {"gateway": 0, "agent": 0, "database": 0, "s3-storage": 0}


def test_compose_file_is_clean_and_names_no_container(stack: Callable[..., str]) -> None:
    """Every long-running service tells its health soon, and nothing is in another environment's way."""
    model = json.loads(stack("config", "--format", "json"))
    services = model["services"]
    assert services.keys() == {"gateway", "agent", "s3-storage", "database", "provisioner"}
    assert services["provisioner"].pop("profiles") == ["deploy"]
    for name, service in services.items():
        assert "container_name" not in service
        assert "depends_on" not in service
        assert service["stop_grace_period"] == "2s"
        if name != "provisioner":
            assert service["healthcheck"]["start_interval"] == "200ms"
    binds = [v["source"] for s in services.values() for v in s.get("volumes", ()) if v["type"] == "bind"]
    assert binds == ["/var/run/docker.sock"]


def test_copied_project_is_the_same_image(image: str, tmp_path: Path) -> None:
    """Another checkout of the same sources builds nothing: the image depends on content only."""
    for folder in ("images", "esb_services"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "services" / folder, tmp_path / "services" / folder, ignore=ignored)
    lines = Lines()
    again = service_images.ensure(tmp_path, Commands(_environment(), lines.append, SECONDS))
    assert again == {"ESB_SERVICES_IMAGE": image}
    assert _builds(lines) == []
