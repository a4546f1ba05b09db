"""The processes of one environment, ended whatever they do: with real ones."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from esb_e2e_plugin.events import Journal
from esb_e2e_plugin.failure import StepError
from esb_e2e_plugin.lifecycle.deadline import Deadline
from esb_e2e_plugin.lifecycle.supervisor import Command, Supervisor
from esb_e2e_plugin.processes import marked

# As `env -i` in a script does: from then on the process carries no mark.
BARE = "import os, sys; os.execve(sys.executable, [sys.executable, '-c', sys.argv[1]], {})"
WAIT = "import time; print('up', flush=True); time.sleep(300)"


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    journal = Journal("tiny", "run", tmp_path / "log", tmp_path / "events", lambda *_: None)
    logs = tmp_path / "logs"
    logs.mkdir()
    found = Supervisor(str(tmp_path), tmp_path, logs, journal)
    yield found
    found.end_all(10)
    journal.close()


def test_a_program_that_clears_its_variables_is_ended_too(supervisor: Supervisor, tmp_path: Path) -> None:
    """It carries no mark any more, and must neither stay nor keep the clean-up waiting for ever."""
    supervisor.start(Command("applier", (sys.executable, "-c", BARE, WAIT), {}))
    identity = supervisor.identities()["applier"]
    while supervisor.last_lines("applier", 1) != ("up",):
        assert supervisor.poll(0.02) == []
    assert list(marked(str(tmp_path))) == []
    assert supervisor.end_all(30) == []
    assert not identity.alive


def test_a_command_that_fails_again_is_told_by_its_own_words(supervisor: Supervisor) -> None:
    """The reason of an earlier attempt, such as a port that was taken, is not taken for the new one."""

    def run(words: str) -> tuple[str, ...]:
        command = Command("compose", ("/bin/sh", "-c", f"echo {words} >&2; exit 1"), {})
        with pytest.raises(StepError) as raised:
            supervisor.run(command, Deadline(60, threading.Event(), "--esb-timeout-compose"))
        return raised.value.lines

    assert run("port is already allocated") == ("port is already allocated",)
    assert run("no such image") == ("no such image",)
