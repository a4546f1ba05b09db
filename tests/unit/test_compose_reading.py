"""Compose files as Compose reads them."""

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from esb_e2e_plugin.failure import StepError
from esb_e2e_plugin.lifecycle import compose_reading
from esb_e2e_plugin.lifecycle.compose_reading import Question
from esb_e2e_plugin.lifecycle.run import ComposeAnswer


def test_a_docker_without_compose_is_told_as_that(tmp_path: Path) -> None:
    """Nothing is wrong with the compose file of a machine where only Compose is missing."""
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho 'unknown flag: --ansi' >&2\necho Usage >&2\nexit 125\n")
    docker.chmod(0o755)
    asked = Question((str(docker), "compose", "config"), {"PATH": "/usr/bin:/bin"})
    with pytest.raises(StepError, match="docker has no Compose") as raised:
        asked.answer(60)
    assert raised.value.remedy == "make engine installs it"


def test_a_compose_that_does_not_answer_is_ended(tmp_path: Path) -> None:
    """The error is the deadline's, and the command is gone."""
    started = tmp_path / "pid"
    for seconds in (1, 4, 16):  # on a busy machine it may be ended before it has written
        asked = Question(("sh", "-c", f"echo $$ > {started}; exec sleep 600"), {"PATH": os.environ["PATH"]})
        with pytest.raises(StepError, match="did not answer in time"):
            asked.answer(seconds)
        if started.exists() and started.read_text():
            break
    assert not Path("/proc", started.read_text().strip()).exists()


@pytest.mark.parametrize("name", ["docker-compose.yml", ".env"])
@pytest.mark.parametrize(("later", "read"), [(-1, "old"), (1, "new")])
def test_files_that_were_written_since_the_run_began_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, later: int, read: str
) -> None:
    """A run may wait long for its environment; what it makes then has to be what the files say then."""
    compose, env, asked = tmp_path / "docker-compose.yml", tmp_path / ".env", time.time_ns()
    for file in (compose, env):
        file.touch()
        moment = asked + (later if file.name == name else -1)
        os.utime(file, ns=(moment, moment))
    anew = Question(("echo", '{"name": "new"}'), {"PATH": os.environ["PATH"]})
    monkeypatch.setattr(compose_reading, "question", lambda *_: anew)
    scenario = SimpleNamespace(
        profile="e2e-docker", entry=SimpleNamespace(compose_files=[compose], env_file=env)
    )
    answers = {"e2e-docker": ComposeAnswer(b'{"name": "old"}', asked)}
    run = SimpleNamespace(models=answers, root=tmp_path, port_base=18000, subnet_pool=None, environ={})
    assert compose_reading.read(cast(Any, scenario), cast(Any, run), 60) == {"name": read}
