"""Ending what belongs to an environment, and nothing else: with real processes."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from esb_e2e_plugin import processes
from esb_e2e_plugin.process_identity import ProcessIdentity, boot_id, start_time
from esb_e2e_plugin.processes import MARK, end_marked, environment_of, marked

WAIT = "import sys; print('up', flush=True); sys.stdin.read()"

# A grandchild in a session of its own, which its parent has left behind.
ORPHAN = """
import subprocess, sys
child = subprocess.Popen(
    [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(300)"],
    start_new_session=True, stdout=subprocess.PIPE, text=True,
)
child.stdout.readline()
print(child.pid, flush=True)
"""

SELF = """
import os, sys
from esb_e2e_plugin.processes import end_marked
print(end_marked(sys.argv[1], 10), flush=True)
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[str]:
    """A mark that nobody else carries; whatever carries it at the end is ended."""
    yield str(tmp_path)
    end_marked(str(tmp_path), 10)


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as stack:

        def start(
            code: str, *args: str, mark: str | None = None, session: bool = False
        ) -> subprocess.Popen[str]:
            environment = {name: value for name, value in os.environ.items() if name != MARK}
            if mark is not None:
                environment[MARK] = mark
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", code, *args],
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    start_new_session=session,
                )
            )
            stack.callback(process.kill)
            return process

        yield start


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_everything_with_the_mark_is_ended_and_nothing_else(start: Start, mark: str) -> None:
    """Marked processes in any session are killed; unmarked ones, and other or longer marks, live on."""
    ours = [start(WAIT, mark=mark), start(WAIT, mark=mark, session=True)]
    others = [start(WAIT), start(WAIT, mark=f"{mark}-2"), start(WAIT, mark=mark[:-1])]
    for process in (*ours, *others):
        assert line(process) == "up"
    assert set(marked(mark)) == {process.pid for process in ours}
    assert end_marked(mark, 10) == []
    assert [process.wait(10) for process in ours] == [-9, -9]
    assert [process.poll() for process in others] == [None] * 3


def test_an_orphan_in_another_session_is_found_and_ended(start: Start, mark: str) -> None:
    """A grandchild whose parent is gone still carries the mark."""
    parent = start(ORPHAN, mark=mark)
    pid = int(line(parent))
    parent.wait(10)
    orphan = ProcessIdentity(pid, start_time(pid) or 0, boot_id())
    assert orphan.alive
    assert end_marked(mark, 10) == []
    assert not orphan.alive


def test_the_caller_and_its_ancestors_are_spared(start: Start, mark: str) -> None:
    """A run started from inside an environment does not end itself, but what runs beside it."""
    parent = start(
        "import subprocess, sys\n"
        "beside = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\n"
        f"inner = [sys.executable, '-c', {SELF!r}, sys.argv[1]]\n"
        "done = subprocess.run(inner, capture_output=True, text=True)\n"
        "print(done.stdout.strip(), beside.wait(10), flush=True)\n",
        mark,
        mark=mark,
    )
    assert line(parent) == "[] -9"
    assert parent.wait(10) == 0


def test_a_process_that_has_ended_but_was_not_waited_for_is_no_obstacle(start: Start, mark: str) -> None:
    """A zombie carries no mark any more: nothing is left, and nothing is waited for."""
    process = start("", mark=mark)
    descriptor = os.pidfd_open(process.pid)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    assert poll.poll(10_000)
    os.close(descriptor)
    assert list(marked(mark)) == []
    assert end_marked(mark, 10) == []
    assert not ProcessIdentity(process.pid, 0, boot_id()).alive


def test_a_process_is_found_in_the_middle_of_its_exec(
    start: Start, mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It shows no environment then; one that does nothing but exec is found at every look."""
    monkeypatch.setattr(processes, "_EXEC_SECONDS", 60.0)
    script = tmp_path / "again"
    script.write_text('#!/bin/sh\nexec "$0"\n')
    script.chmod(0o700)
    process = start(f"import os; print('up', flush=True); os.execv({str(script)!r}, ['again'])", mark=mark)
    assert line(process) == "up"
    found = [list(marked(mark)) for _ in range(200)]
    assert found == [[process.pid]] * 200
    assert end_marked(mark, 10) == []
    assert process.wait(10) == -9


def test_an_empty_environment_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was started with none is not in the middle of an exec."""
    with subprocess.Popen(
        [sys.executable, "-c", WAIT], env={}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert line(process) == "up"
        monkeypatch.setattr(time, "sleep", lambda _seconds: pytest.fail("waited"))
        assert environment_of(process.pid) == b""
        process.communicate()


def test_what_has_no_program_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernel threads and zombies have no environment: it is empty on older kernels."""
    monkeypatch.setattr(processes, "_PROC", tmp_path)
    monkeypatch.setattr(time, "sleep", lambda _seconds: pytest.fail("waited"))
    (tmp_path / "7").mkdir()
    (tmp_path / "7/environ").touch()
    assert environment_of(7) == b""


def test_what_cannot_be_ended_in_time_is_named(
    start: Start, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no time left the pids that are still there are returned."""
    process = start(WAIT, mark=mark)
    assert line(process) == "up"
    assert end_marked(mark, 0) == [process.pid]
    assert process.poll() is None
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda *_: None)
    assert end_marked(mark, 0.2) == [process.pid]


def test_a_process_that_ends_by_itself_before_it_is_killed_is_no_obstacle(
    start: Start, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As workers do that end with their agent, which is killed first."""
    process = start(WAIT, mark=mark)
    assert line(process) == "up"
    send = signal.pidfd_send_signal

    def send_too_late(descriptor: int, number: int) -> None:
        process.kill()
        process.wait(10)
        send(descriptor, number)

    monkeypatch.setattr(signal, "pidfd_send_signal", send_too_late)
    assert end_marked(mark, 10) == []
