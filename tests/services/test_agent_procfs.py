"""What the agent reads about processes, and that its kills hit marked processes only."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from subprocess import PIPE

import pytest
from esb_services.agent import procfs

from tests.services.service_process import PATIENCE
from tests.waiting import eventually

HOLD = "import sys; sys.stdin.read()"
WAIT = "import sys; print('up', flush=True); sys.stdin.read()"


def test_only_processes_with_the_mark_are_killed(tmp_path: Path) -> None:
    """A process with another mark, or with the mark elsewhere in its environment, lives on."""
    environments = [
        {procfs.MARK: f"{tmp_path}/a/"},
        {procfs.MARK: f"{tmp_path}/ab/"},
        {"OTHER": f"{procfs.MARK}={tmp_path}/a/"},
    ]
    processes = [
        subprocess.Popen([sys.executable, "-c", HOLD], env=env, stdin=subprocess.PIPE) for env in environments
    ]
    try:
        eventually(lambda: procfs.mark_of(processes[0].pid), "the first process has its mark")
        eventually(lambda: procfs.mark_of(processes[1].pid), "the second process has its mark")
        assert procfs.kill_marked(f"{tmp_path}/a/", PATIENCE) == 1
        assert processes[0].wait(PATIENCE) == -signal.SIGKILL
        assert [process.poll() for process in processes[1:]] == [None, None]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_a_process_is_found_in_the_middle_of_its_exec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It shows no environment then; one that does nothing but exec is found at every look."""
    monkeypatch.setattr(procfs, "_EXEC_SECONDS", PATIENCE)
    script = tmp_path / "again"
    script.write_text('#!/bin/sh\nexec "$0"\n')
    script.chmod(0o700)
    with subprocess.Popen([script], env={procfs.MARK: f"{tmp_path}/"}) as process:
        marks = [procfs.mark_of(process.pid) for _ in range(1000)]
        assert procfs.kill_marked(f"{tmp_path}/", PATIENCE) == 1
    assert marks == [f"{tmp_path}/"] * 1000


def test_an_empty_environment_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was started with none is not in the middle of an exec."""
    with subprocess.Popen([sys.executable, "-c", WAIT], env={}, stdin=PIPE, stdout=PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        monkeypatch.setattr(time, "sleep", lambda _seconds: pytest.fail("waited"))
        assert procfs.mark_of(process.pid) is None
        process.communicate()


def test_a_tree_holds_grandchildren_and_their_memory() -> None:
    """Descendants of a process are found and measured with it."""
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD!r}])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as parent:
        eventually(lambda: len(procfs.tree(parent.pid)) == 2, "the child runs")
        tree = procfs.tree(parent.pid)
        alone, both = procfs.memory([parent.pid]), procfs.memory(tree)
        assert 0 < alone.current < both.current
        assert both.peak >= alone.peak > 0
        before = procfs.cpu_ns([parent.pid])
        assert procfs.cpu_ns(tree) >= before >= 0
        parent.communicate()


def test_a_process_that_is_gone_counts_nothing() -> None:
    """Measuring never fails because a process has just ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait(PATIENCE)
    assert procfs.memory([process.pid]) == procfs.Memory(0, 0)
    assert procfs.cpu_ns([process.pid]) == 0
    assert procfs.mark_of(process.pid) is None
    assert procfs.tree(process.pid) == [process.pid]
    assert procfs.mark_of(os.getpid()) is None
