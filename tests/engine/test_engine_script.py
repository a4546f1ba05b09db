"""`make engine` on its own paths: it starts what does not run, whatever a killed engine has left behind."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.second_engine import SCRIPT, SecondEngine, second_engine
from tests.ports import own_ports

pytestmark = pytest.mark.engine


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecondEngine]:
    """A running engine, started by the script in a folder of its own."""
    with own_ports() as base, second_engine(tmp_path_factory.mktemp("e"), (base - 20000) // 200) as engine:
        yield engine


def test_a_killed_engine_is_started_again_with_what_it_had(engine: SecondEngine) -> None:
    """Its stale pid files may even name a process that lives: whoever got that pid since."""
    engine.docker("volume", "create", "kept")
    first = engine.pid()
    engine.start()
    assert engine.pid() == first, "an engine that answers is left alone"
    engine.kill()
    files = [engine.pid_file, engine.folder / "exec" / "containerd" / "containerd.pid"]
    for stale in files:
        assert stale.exists()
        stale.write_text(str(os.getpid()))
    engine.start()
    assert engine.pid() not in (first, os.getpid())
    assert engine.docker("volume", "ls", "--quiet") == "kept"


def test_an_engine_elsewhere_that_does_not_answer_is_not_replaced(tmp_path: Path) -> None:
    """With `DOCKER_HOST` set, an engine of this machine would not be the one that is used."""
    host = f"unix://{tmp_path}/nobody.sock"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DOCKER_HOST": host}
    done = subprocess.run(["bash", str(SCRIPT)], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert (
        done.stderr
        == f"engine: the engine at DOCKER_HOST={host} does not answer; start it, or unset DOCKER_HOST\n"
    )
