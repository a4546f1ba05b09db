"""`esb` with environments of containers: two shells at once, logs, a deploy by hand, leftovers."""

import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cli.esb_shell import Shell
from tests.engine.e2e_docker_project import DockerProject, docker, labelled, making_projects
from tests.engine.platform_project import Platform, making_platform
from tests.waiting import eventually

pytestmark = pytest.mark.engine

MANIFEST = "e2e/artifacts/e2e-docker/artifact.yml"
SECONDS = 300


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The platform with two environments, `test1` and `test2`, brought up at once by two shells."""
    with making_platform(tmp_path_factory.mktemp("esb"), Platform) as project:
        shell = shell_in(project)
        ups = [shell.start("up", "--env", name) for name in ("test1", "test2")]
        for up in ups:
            _, said = up.communicate(timeout=SECONDS)
            assert up.returncode == 0, said
        yield project


@pytest.fixture
def shell(platform: Platform) -> Shell:
    return shell_in(platform)


def shell_in(project: DockerProject) -> Shell:
    return Shell(project.root, {**project.variables(), "ESB_PROFILE": "e2e-docker"})


def get(shell: Shell, name: str, trusted: str) -> int:
    """Ask the gateway of an environment for its health, and verify it by the authority of another one."""
    url = shell.esb("url", "--env", name).stdout.strip()
    authority = shell.json("env", "--env", trusted)["variables"]["ESB_CA_CERTIFICATE"]
    trust = ssl.create_default_context(cafile=authority)
    with urllib.request.urlopen(f"{url}/health", context=trust, timeout=30) as answer:  # noqa: S310
        return int(answer.status)


def test_two_environments_lie_beside_each_other(platform: Platform, shell: Shell) -> None:
    """Names, ports, certificates: nothing is shared."""
    names = docker("ps", "--format", "{{.Names}}").split()
    for service in ("agent", "database", "gateway", "s3-storage"):
        for name in ("test1", "test2"):
            assert f"{platform.name}-{name}-{service}-1" in names
    rows = {row["name"]: row for row in shell.json("ps")["environments"]}
    assert {name: row["status"] for name, row in rows.items()} == {"test1": "up", "test2": "up"}
    assert rows["test1"]["url"] != rows["test2"]["url"]
    assert get(shell, "test1", "test1") == get(shell, "test2", "test2") == 200
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        get(shell, "test1", trusted="test2")


def test_logs_show_one_environment_only(shell: Shell) -> None:
    """Both are called; who follows `test2` sees the call of `test2`, from gateway and function worker."""
    process = shell.start("logs", "--env", "test2", "-f", "--json")
    assert process.stdout is not None
    other = shell.json("invoke", "--env", "test1", "lambda-echo", '{"message": "one"}')["trace_id"]
    own = shell.json("invoke", "--env", "test2", "lambda-echo", '{"message": "two"}')["trace_id"]
    seen: list[dict[str, object]] = []
    while {"gateway", "function"} - {line.get("service") for line in seen if line.get("trace_id") == own}:
        seen.append(json.loads(next(process.stdout)))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    assert other not in {line.get("trace_id") for line in seen}
    read = shell.esb("logs", "--env", "test2", "--trace", own, "--json").stdout.splitlines()
    assert {json.loads(line)["trace_id"] for line in read} == {own}
    assert "echo answers: two" in {json.loads(line)["message"] for line in read}
    of_function = shell.esb("logs", "--env", "test2", "--function", "lambda-echo").stdout
    assert "echo answers: two" in of_function
    assert "echo answers: one" not in of_function


def test_exec_runs_in_the_container_of_a_service(shell: Shell) -> None:
    """With what it has there; a service that does not exist is named with those that do."""
    done = shell.esb("exec", "--env", "test2", "--service", "database", "sh", "-c", "echo $ESB_ENV")
    assert done.stdout == "test2\n"
    wrong = shell.esb("exec", "--env", "test2", "-s", "databse", "true", code=2)
    assert "did you mean 'database'?" in wrong.stderr


def test_artifacts_are_deployed_by_hand(platform: Platform, shell: Shell, tmp_path: Path) -> None:
    """prepare-images, apply, and the provisioner by Compose: without pytest, what is new is there."""
    variables = shell.json("env", "--env", "test2")["variables"]
    artifacts = tmp_path / "artifacts"
    shutil.copytree(platform.root / Path(MANIFEST).parent, artifacts)
    config = artifacts / "template.e2e" / "config"
    routing = yaml.safe_load((config / "routing.yml").read_text())
    routing["routes"].append({"path": "/api/by-hand", "method": "POST", "function": "lambda-echo"})
    (config / "routing.yml").write_text(yaml.safe_dump(routing))
    resources = yaml.safe_load((config / "resources.yml").read_text())
    resources["resources"]["s3"].append({"BucketName": "by-hand"})
    (config / "resources.yml").write_text(yaml.safe_dump(resources))
    manifest, environment = str(artifacts / "artifact.yml"), {**shell.variables, **variables}
    _run("artifactctl", "prepare-images", "--artifact", manifest, environment=environment)
    out = variables["CONFIG_DIR"]
    _run("artifactctl", "apply", "--artifact", manifest, "--out", out, environment=environment)
    shell.esb("env", "--env", "test2", "-o", str(tmp_path / "test2.env"))
    compose = ["docker", "compose", "--env-file", str(tmp_path / "test2.env"), "--profile", "deploy"]
    said = _run(*compose, "run", "--rm", "--no-deps", "provisioner", environment=shell.variables)
    assert "bucket by-hand: created" in said
    served = os.readlink(Path(out, ".current")).rpartition("/")[2]  # noqa: PTH115

    def is_served() -> bool:
        code = "import urllib.request as u; print(u.urlopen('http://localhost:8080/health').read().decode())"
        return served in shell.esb("exec", "--env", "test2", "python3", "-c", code).stdout

    eventually(is_served, f"the gateway to serve {served}")
    assert shell.json("invoke", "--env", "test2", "lambda-echo")["status"] == 200


def _run(*command: str, environment: dict[str, str]) -> str:
    program = str(Path(sys.executable).parent / command[0]) if command[0] == "artifactctl" else command[0]
    done = subprocess.run(
        [program, *command[1:]], env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_prune_removes_what_dead_runs_left_and_nothing_else(platform: Platform) -> None:
    """Killed with its reaper: its containers go; a live run beside it and kept environments stay.

    Also where nothing but labels tells of it: its project is gone from this machine.
    """
    with making_projects(platform.folder) as make:
        dead, gone = make("dead", host=platform.host), make("gone", host=platform.host)
        live = make("live", host=platform.host)
        for project in (dead, gone, live):
            project.hold.touch()
        runs = {project.name: project.start("-n0") for project in (dead, gone, live)}
        for run in runs.values():
            run.reach("test")
        for project in (dead, gone):
            os.kill(runs[project.name].reaper(), signal.SIGKILL)
            os.kill(runs[project.name].pid, signal.SIGKILL)
            runs[project.name].wait()
        shutil.rmtree(gone.root / ".esb")
        before = {project.name: project.there() for project in (live, platform)}
        assert dead.there()["container"]
        assert gone.there()["container"]
        in_dead = shell_in(dead)
        left = in_dead.json("doctor")["findings"][-1]
        assert (left["topic"], left["level"]) == ("leftovers", "warning")
        assert len(in_dead.json("prune", "--dry-run")["removed"]) == 2
        assert in_dead.json("ps")["environments"][0]["status"] == "left"
        removed = in_dead.json("prune")["removed"]
        assert {thing["where"] for thing in removed} == {
            str(dead.state),
            f"project {gone.name}-e2e-docker on the engine",
        }
        nothing: dict[str, list[str]] = {"container": [], "network": [], "volume": []}
        assert (dead.there(), gone.there()) == (nothing, nothing)
        assert (dead.processes(), [path.name for path in dead.state.iterdir()]) == ([], ["events.jsonl"])
        assert {project.name: project.there() for project in (live, platform)} == before
        assert in_dead.json("prune")["removed"] == []
        live.hold.unlink()
        assert runs[live.name].wait().code == 0


def test_down_leaves_the_other_environment_and_its_workers_alone(platform: Platform, shell: Shell) -> None:
    """Containers of the one are gone, those of the other are the same as before, and answer."""
    shell.esb("invoke", "--env", "test1", "lambda-echo")
    shell.esb("invoke", "--env", "test2", "lambda-echo")
    label = f"com.esb.project={platform.name}-test2"
    before = sorted(docker("ps", "--quiet", "--filter", f"label={label}").split())
    workers = [name for name in labelled(label, "container") if "lambda-echo" in name]
    assert workers
    shell.esb("down", "--env", "test1")
    assert labelled(f"com.esb.project={platform.name}-test1", "container") == []
    assert sorted(docker("ps", "--quiet", "--filter", f"label={label}").split()) == before
    assert set(workers) <= set(labelled(label, "container"))
    assert shell.json("invoke", "--env", "test2", "lambda-echo")["status"] == 200
    assert [row["name"] for row in shell.json("ps")["environments"]] == ["test2"]
    shell.esb("down", "--env", "test2")
    assert platform.there() == {"container": [], "network": [], "volume": []}
