"""The registry that environments share, with an engine that is played."""

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from artifactctl.commands import Commands
from esb_e2e_plugin.failure import StepError
from esb_e2e_plugin.lifecycle.registry import Registry
from esb_e2e_plugin.store import make_host_folder

ENGINE = """#!{python}
import json, pathlib, sys
path = pathlib.Path({state!r})
state = json.loads(path.read_text())
words = sys.argv[1:]
state["calls"].append(words)
code, out, err = 0, "", ""
container = state["container"]
if words[:2] == ["container", "inspect"]:
    if container is None:
        code, err = 1, "Error response from daemon: No such container: esb-registry"
    else:
        ports = {{"5010/tcp": [{{"HostPort": str(container["port"])}}]}}
        facts = {{"State": {{"Running": container["running"]}}, "HostConfig": {{"PortBindings": ports}}}}
        facts["NetworkSettings"] = {{"Networks": dict.fromkeys(container.get("networks", ["bridge"]))}}
        out = json.dumps([{{**facts, "Config": {{"Labels": container["labels"]}}}}])
elif words[:2] in (["container", "run"], ["container", "start"]):
    port = int(words[words.index("--publish") + 1].split(":")[1]) if words[1] == "run" else container["port"]
    state["container"] = {{"running": False, "labels": {{"com.esb.infra": "registry"}}, "port": port}}
    if port in state["taken"]:
        code, err = 125, "Bind for 127.0.0.1:%d failed: port is already allocated" % port
    else:
        state["container"]["running"] = not state["broken"]
elif words[:2] == ["container", "rm"]:
    state["container"] = None
elif words[:2] == ["container", "exec"]:
    code = 0 if container and container["running"] else 1
elif words[:2] == ["container", "logs"]:
    out = "the reason is here"
elif words[:2] == ["image", "import"]:
    state["image"] = True
elif words[:2] == ["image", "inspect"] and not state["image"]:
    code, err = 1, "Error response from daemon: No such image: esb-registry:latest"
elif words[:2] == ["image", "inspect"]:
    out = '"sha256:1" ["esb-registry:latest"] [] {{}}'
path.write_text(json.dumps(state))
print(out)
print(err, file=sys.stderr)
sys.exit(code)
"""


class Engine:
    """What the played engine knows."""

    def __init__(self, folder: Path) -> None:
        """Write a `docker` into a folder."""
        self._state = folder / "state.json"
        program = folder / "docker"
        program.write_text(ENGINE.format(python=sys.executable, state=str(self._state)))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def set(
        self,
        container: dict[str, Any] | None = None,
        taken: tuple[int, ...] = (),
        *,
        broken: bool = False,
        image: bool = True,
    ) -> None:
        """Begin with a container, ports of others, registries that end at once, and the image."""
        state: dict[str, Any] = {
            "container": container,
            "taken": taken,
            "broken": broken,
            "image": image,
            "calls": [],
        }
        self._state.write_text(json.dumps(state))

    @property
    def container(self) -> Any:
        """The container that is there now."""
        return json.loads(self._state.read_text())["container"]

    def calls(self, *words: str) -> list[list[str]]:
        """Return the calls of a command."""
        made: list[list[str]] = json.loads(self._state.read_text())["calls"]
        return [call for call in made if call[: len(words)] == list(words)]

    def did(self, *words: str) -> int:
        """Return how often a command was called."""
        return len(self.calls(*words))


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """A played engine, in which nothing is."""
    engine = Engine(tmp_path)
    engine.set()
    return engine


@pytest.fixture
def registry(engine: Engine, tmp_path: Path) -> Registry:
    """The registry of the played engine."""
    assert engine.container is None
    host = tmp_path / "host"
    make_host_folder(host)
    environ = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}
    return Registry(host, "an engine", Commands(environ, None, 60))


def ours(*, running: bool, port: int = 5010) -> dict[str, Any]:
    """Return a container that an earlier run has made."""
    return {"running": running, "labels": {"com.esb.infra": "registry"}, "port": port}


def test_it_has_no_label_of_an_environment(engine: Engine, registry: Registry, tmp_path: Path) -> None:
    """Neither of its own nor from its image: it would look like a leftover of a run."""
    engine.set(image=False)
    program = tmp_path / "mmdebstrap"
    program.write_text("#!/bin/sh\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    registry.ensure()
    (made,) = engine.calls("image", "import")
    assert [word for word in made if word.startswith("LABEL ")] == ["LABEL com.esb.infra=registry"]
    (run,) = engine.calls("container", "run")
    assert [run[i + 1] for i, word in enumerate(run) if word == "--label"] == ["com.esb.infra=registry"]


def test_it_is_made_once_on_the_first_port(engine: Engine, registry: Registry) -> None:
    """The second time it is only looked after."""
    assert [registry.ensure() for _ in range(2)] == ["127.0.0.1:5010"] * 2
    assert engine.did("container", "run") == 1


def test_a_port_of_somebody_else_is_passed_over(engine: Engine, registry: Registry) -> None:
    """What the engine refuses to publish moves it to the next port."""
    engine.set(taken=(5010, 5011))
    assert registry.ensure() == "127.0.0.1:5012"


def test_one_that_was_stopped_is_started_again_as_it_is(engine: Engine, registry: Registry) -> None:
    """It keeps its port, and nothing is made."""
    engine.set(ours(running=False, port=5013))
    assert registry.ensure() == "127.0.0.1:5013"
    assert engine.did("container", "run") == 0


def test_one_whose_port_was_taken_while_it_was_stopped_is_made_anew(
    engine: Engine, registry: Registry
) -> None:
    """Its images lie in a volume; only the container goes."""
    engine.set(ours(running=False), taken=(5010,))
    assert registry.ensure() == "127.0.0.1:5011"
    assert engine.container["running"]


def test_one_that_ends_at_once_is_told_with_its_last_lines(engine: Engine, registry: Registry) -> None:
    """Nobody waits for an answer of what is not running."""
    engine.set(broken=True)
    with pytest.raises(StepError, match=r"shared registry \(esb-registry\): it ends as soon as") as error:
        registry.ensure()
    assert error.value.lines == ("the reason is here",)


def test_a_container_of_that_name_that_no_run_has_made_is_left_alone(
    engine: Engine, registry: Registry
) -> None:
    """The error says how to make room for ours."""
    engine.set({"running": True, "labels": {}, "port": 80})
    with pytest.raises(StepError, match="docker rename esb-registry another-name"):
        registry.ensure()
    assert engine.did("container", "rm") == engine.did("container", "start") == 0


def test_it_is_removed_with_its_images_where_no_environment_leads_to_it(
    engine: Engine, registry: Registry
) -> None:
    """The container and its volume; where there is none, nothing is done."""
    assert not registry.remove_unused()
    engine.set(ours(running=True))
    assert registry.is_unused()
    assert registry.remove_unused()
    assert engine.container is None
    assert engine.did("volume", "rm", "esb-registry") == 1


def test_one_that_is_attached_to_an_environment_is_not_removed(engine: Engine, registry: Registry) -> None:
    """The network of an environment leads to it."""
    engine.set({**ours(running=True), "networks": ["bridge", "esb-e2e-containerd-external"]})
    assert not registry.is_unused()
    assert not registry.remove_unused()
    assert engine.did("container", "rm") == 0
