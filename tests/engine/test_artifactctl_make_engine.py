"""`make engine` where an engine answers, and where it can do nothing."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.engine.artifact_project import docker

pytestmark = pytest.mark.engine
_SCRIPT = Path(__file__).parents[2] / "scripts/engine.sh"


def _run(*before: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*before, "bash", str(_SCRIPT)],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_it_does_nothing_where_an_engine_answers() -> None:
    """The engine stays the same, and nothing is said."""
    before = docker("info", "--format", "{{.ID}}")
    done = _run()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert docker("info", "--format", "{{.ID}}") == before


def test_it_starts_none_in_place_of_another_one(tmp_path: Path) -> None:
    """Who names an engine that does not answer wants that one."""
    done = _run(DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    assert line.startswith("engine: the engine at DOCKER_HOST=")
    assert line.endswith("does not answer; start it, or unset DOCKER_HOST")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_only_root_can_install_one() -> None:
    """Anybody else is told how, at once."""
    readable = _SCRIPT.read_text()
    done = subprocess.run(
        ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "bash", "-s"],
        input=readable,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert line.startswith("engine: no engine answers, and only root can install and start one")
