"""Locks and state: one owner at a time, whatever happens to it, and a state that is whole or absent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from esb_e2e_plugin import locks
from esb_e2e_plugin.errors import EsbError
from esb_e2e_plugin.failure import CancelledError
from esb_e2e_plugin.locks import EnvironmentLock, lock_key
from esb_e2e_plugin.process_identity import ProcessIdentity
from esb_e2e_plugin.store import (
    EnvironmentState,
    StateFile,
    check_owner,
    host_path,
    make_host_folder,
    user_name,
    write_atomically,
)

HOLDER = """
import sys
from pathlib import Path
from esb_e2e_plugin.locks import EnvironmentLock
lock = EnvironmentLock(Path(sys.argv[1]), "env")
def waiting(who):
    print("waits for", who, flush=True)
lock.acquire(run_id="holder-run", timeout=20, waiting=waiting, check=lambda: None)
print("holds", flush=True)
sys.stdin.readline()
lock.release()
print("released", flush=True)
"""


class Holder:
    """A process that takes the lock and holds it until told otherwise."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def says(self) -> str:
        """Return its next line."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def release(self) -> None:
        """Let it give the lock back."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@pytest.fixture
def host(tmp_path: Path) -> Path:
    folder = tmp_path / "host"
    make_host_folder(folder)
    return folder


@pytest.fixture
def start(host: Path) -> Iterator[Callable[[], Holder]]:
    with ExitStack() as stack:

        def start() -> Holder:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", HOLDER, str(host)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.kill)
            return Holder(process)

        yield start


def acquire(lock: EnvironmentLock, timeout: float = 20.0, waited: list[str] | None = None) -> list[str]:
    """Take a lock and return whom it waited for, which is also added to `waited`."""
    waited = [] if waited is None else waited
    lock.acquire(run_id="own", timeout=timeout, waiting=waited.append, check=lambda: None)
    return waited


def test_a_second_process_waits_and_names_the_holder(start: Callable[[], Holder], host: Path) -> None:
    """It says pid, folder and run of the first, and goes on as soon as that one gives the lock back."""
    first, second = start(), None
    assert first.says() == "holds"
    second = start()
    told = second.says()
    assert told.startswith(f"waits for pid {first.process.pid} in {Path.cwd()}, run holder-run, since ")
    holder = EnvironmentLock(host, "env").holder()
    assert holder is not None
    assert holder.pid == first.process.pid
    first.release()
    assert first.says() == "released"
    assert second.says() == "holds"


def test_a_wait_tells_user_and_command_of_the_holder_again_and_again(
    start: Callable[[], Holder], host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person who comes back to the terminal sees who it is, and that the run still waits."""
    monkeypatch.setattr(locks, "_TELL_AGAIN_SECONDS", 0.0)
    waited: list[str] = []
    first = start()
    assert first.says() == "holds"

    def check() -> None:
        if len(waited) > 1:
            raise EsbError("told twice")

    lock = EnvironmentLock(host, "env")
    with pytest.raises(EsbError, match="told twice"):
        lock.acquire(run_id="own", timeout=20, waiting=waited.append, check=check)
    first.release()
    assert all(f", {user_name(os.getuid())}: -c " in told for told in waited)


def test_a_lock_is_inherited_from_a_killed_holder_of_the_run_only(
    start: Callable[[], Holder], host: Path
) -> None:
    """A reaper gets what its run has left, and nothing that was given back, is held, or is another run's."""
    lock = EnvironmentLock(host, "env")
    assert not lock.inherit("holder-run", "the reaper", 0.1)  # there is no such lock
    first = start()
    assert first.says() == "holds"
    assert not lock.inherit("another-run", "the reaper", 20)
    assert not lock.inherit("holder-run", "the reaper", 0.1)  # its holder lives
    first.process.kill()
    first.process.wait()
    assert not lock.inherit("another-run", "the reaper", 20)
    assert lock.inherit("holder-run", "the reaper", 20)
    assert (found := lock.holder()) is not None
    assert found.describe().endswith(": the reaper")
    lock.release()
    assert not lock.inherit("holder-run", "the reaper", 20)


def test_a_lock_that_is_given_back_is_free_whatever_children_were_forked(host: Path) -> None:
    """A child that still has the descriptor holds nothing up."""
    lock = EnvironmentLock(host, "env")
    acquire(lock)
    assert lock._descriptor is not None
    copy = os.dup(lock._descriptor)
    lock.release()
    again = EnvironmentLock(host, "env")
    assert acquire(again, timeout=0.1) == []
    again.release()
    os.close(copy)


FORKS = """
import os, sys, time
from pathlib import Path
from esb_e2e_plugin.locks import EnvironmentLock
lock = EnvironmentLock(Path(sys.argv[1]), "env")
lock.acquire(run_id="forking", timeout=20, waiting=print, check=lambda: None)
for releases in (True, False):
    if os.fork() == 0:
        if releases:  # no business of a child, whatever ends it
            lock.release()
        os.write(1, b"%d\\n" % os.getpid())
        time.sleep(600)
sys.stdin.readline()
"""


def test_a_killed_holders_children_hold_no_lock(host: Path) -> None:
    """What a test has forked, such as a pool of processes, may live on: the environment is free."""
    with subprocess.Popen(
        [sys.executable, "-c", FORKS, str(host)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as holder:
        try:
            assert holder.stdout is not None
            children = [int(holder.stdout.readline()) for _ in range(2)]
            with pytest.raises(EsbError, match="run forking"):
                acquire(EnvironmentLock(host, "env"), timeout=0)
            holder.kill()
            holder.wait()
            for child in children:
                os.kill(child, 0)
            lock = EnvironmentLock(host, "env")
            assert acquire(lock, timeout=0) == []
            lock.release()
        finally:
            os.killpg(holder.pid, signal.SIGKILL)


def test_an_environment_of_another_user_is_refused_with_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody takes over what somebody else has left in a folder of both; what is not there is nobody's."""
    check_owner(tmp_path / "missing", "env")
    check_owner(tmp_path, "env")
    owner = user_name(tmp_path.stat().st_uid)
    stranger = tmp_path.stat().st_uid + 1
    monkeypatch.setattr(os, "getuid", lambda: stranger)
    with pytest.raises(EsbError, match=f"environment env belongs to {owner}") as raised:
        check_owner(tmp_path, "env")
    assert "--esb-suffix" in str(raised.value)


def test_a_wait_that_takes_too_long_is_an_error_that_names_the_holder(
    start: Callable[[], Holder], host: Path
) -> None:
    """The error says who holds it, for how long was waited, and which option waits longer."""
    first = start()
    assert first.says() == "holds"
    with pytest.raises(EsbError, match=rf"held by pid {first.process.pid} in .*, run holder-run") as raised:
        acquire(EnvironmentLock(host, "env"), timeout=0.2)
    assert "not free within 0.2 s" in str(raised.value)
    assert "--esb-lock-timeout" in str(raised.value)
    first.release()
    assert first.says() == "released"


def test_a_lock_dies_with_its_holder(start: Callable[[], Holder], host: Path) -> None:
    """After SIGKILL the next one gets the lock at once."""
    first = start()
    assert first.says() == "holds"
    first.process.kill()
    first.process.wait()
    lock = EnvironmentLock(host, "env")
    assert acquire(lock) == []
    lock.release()


def test_a_wait_ends_when_the_run_does(start: Callable[[], Holder], host: Path) -> None:
    """What `check` raises while waiting is raised, and the lock is not taken."""
    assert start().says() == "holds"

    def check() -> None:
        raise CancelledError("the run was interrupted")

    lock = EnvironmentLock(host, "env")
    with pytest.raises(CancelledError):
        lock.acquire(run_id="own", timeout=20, waiting=lambda _: None, check=check)
    lock.release()


def test_locks_of_two_environments_do_not_meet_and_files_stay(host: Path) -> None:
    """Another key is another lock; a released lock's file is still there, without a holder."""
    one, two = EnvironmentLock(host, "one"), EnvironmentLock(host, "two")
    assert acquire(one, timeout=0.1) == acquire(two, timeout=0.1) == []
    one.release()
    one.release()
    two.release()
    assert one.path.exists()
    assert one.holder() is None
    assert acquire(one, timeout=0.1) == []
    one.release()


def test_keys_differ_by_engine_and_project() -> None:
    """The same project on another engine, or another project, is another environment."""
    keys = {lock_key(engine, project) for engine in ("a", "b") for project in ("esb-x", "esb-y")}
    assert len(keys) == 4
    assert all(key.startswith(("esb-x-", "esb-y-")) for key in keys)


def test_the_host_folder_is_fixed_or_named() -> None:
    """Neither HOME nor TMPDIR moves it; only `ESB_HOST_DIR` does."""
    usual = host_path({})
    assert host_path({"HOME": "/h", "TMPDIR": "/t", "ESB_HOST_DIR": " "}) == usual
    assert host_path({"ESB_HOST_DIR": "/named"}) == Path("/named")


@pytest.mark.parametrize(
    ("name", "problem"), [("taken", "is not a folder of this user"), ("taken/below", "cannot be made: ")]
)
def test_a_host_folder_that_cannot_be_one_is_told(tmp_path: Path, name: str, problem: str) -> None:
    """A file in its place, or above it, is a mistake in ESB_HOST_DIR, and the message says so."""
    (tmp_path / "taken").touch()
    with pytest.raises(EsbError, match=problem) as raised:
        make_host_folder(tmp_path / name)
    assert "ESB_HOST_DIR" in str(raised.value)


def test_a_host_folder_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    """Somebody else could hold locks for this user; the remedy is in the message."""
    folder = tmp_path / "host"
    make_host_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(EsbError, match="can be written by other users") as raised:
        make_host_folder(folder)
    assert f"chmod 700 {folder}" in str(raised.value)
    linked = tmp_path / "linked"
    folder.chmod(0o700)
    linked.symlink_to(folder)
    with pytest.raises(EsbError, match="not a folder of this user"):
        make_host_folder(linked)


@pytest.fixture
def state() -> EnvironmentState:
    who = ProcessIdentity.current()
    return EnvironmentState(
        status="kept",
        run_id="run-1",
        owner=who,
        environment={"name": "one", "credentials": {"auth_pass": "canary"}},
        services={"gateway": vars(who)},
        config_digest="abc",
    )


def test_a_state_is_read_as_it_was_written_and_holds_no_credentials(
    tmp_path: Path, state: EnvironmentState
) -> None:
    """Credentials lie in a file of their own; both are for the user only, and nothing else is left."""
    file = StateFile(tmp_path)
    assert file.read() is None
    file.write_credentials({"auth_pass": "canary"})
    file.write(state)
    assert file.read() == state
    assert "canary" not in file.path.read_text()
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["credentials.json", "state.json"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda _: "",
        lambda _: "[]",
        lambda _: "null",
        lambda text: text.replace('"v": 2', '"v": 1'),
        lambda text: json.dumps({**json.loads(text), "surprise": 1}),
        lambda text: json.dumps({**json.loads(text), "owner": None}),
    ],
    ids=["torn", "empty", "list", "null", "version", "unknown key", "no owner"],
)
def test_a_state_that_makes_no_sense_is_no_state(
    tmp_path: Path, state: EnvironmentState, damage: Callable[[str], str]
) -> None:
    """Whatever is in the file, reading it raises nothing."""
    file = StateFile(tmp_path)
    file.write_credentials({"auth_pass": "canary"})
    file.write(state)
    file.path.write_text(damage(file.path.read_text()))
    assert file.read() is None


def test_a_state_without_its_credentials_is_no_state(tmp_path: Path, state: EnvironmentState) -> None:
    """An environment whose secrets are lost cannot be used."""
    file = StateFile(tmp_path)
    file.write(state)
    assert file.read() is None


def test_a_file_that_cannot_be_replaced_stays_as_it_was(tmp_path: Path) -> None:
    """A failed write leaves the old content and no temporary file."""
    path = tmp_path / "file"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    folder = tmp_path / "folder"
    (folder / "full").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        write_atomically(folder, "text")
    assert sorted(tmp_path.iterdir()) == [path, folder]
