"""Who owns an environment: one lock for each, which dies with its holder.

Its file lies in the host folder, which all runs of a user share, is written by the holder only, and is never
deleted.
"""

import fcntl
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from filelock import lock_descriptor

from esb_e2e_plugin.errors import EsbError
from esb_e2e_plugin.store import user_name

_POLL_SECONDS = 0.1
_TELL_AGAIN_SECONDS = 30.0


def lock_key(engine: str, project: str) -> str:
    """Return the name under which an environment is locked and leases its ports.

    Args:
        engine: what its names must be unique on: an engine's id, or the real path of its state folder.
        project: its compose project, such as `esb-e2e-local`.
    """
    digest = sha256("\n".join((engine, project)).encode()).hexdigest()
    return f"{project}-{digest[:12]}"


@dataclass(frozen=True)
class Holder:
    """Whoever holds a lock, as it introduced itself; only the lock says whether it still does.

    One that was killed stays written down, until a later holder takes its place: so its reaper knows what is
    still this run's to remove.
    """

    pid: int
    user: str
    run_id: str
    command: str
    folder: str
    since: float

    @classmethod
    def current(cls, run_id: str, command: str | None = None) -> "Holder":
        """Return this process.

        Args:
            run_id: the run that it holds the lock for.
            command: what it is; by default its command line.
        """
        program, *arguments = sys.argv or [""]
        # python -m pytest: the file's own name says nothing.
        name = Path(program).parent.name if program.endswith("__main__.py") else Path(program).name
        command = command or " ".join([name, *arguments])
        return cls(os.getpid(), user_name(os.getuid()), run_id, command, os.getcwd(), time.time())  # noqa: PTH109

    def describe(self) -> str:
        """Return one phrase that lets a person find the holder."""
        seconds = max(0, round(time.time() - self.since))
        clock = time.strftime("%H:%M:%S", time.localtime(self.since))
        return (
            f"pid {self.pid} in {self.folder}, run {self.run_id}, since {clock} ({seconds} s), "
            f"{self.user}: {self.command}"
        )


class HeldError(EsbError):
    """Somebody else has the right to change an environment.

    Attributes:
        holder: who it is, in one phrase.
    """

    def __init__(self, holder: str, timeout: float) -> None:
        super().__init__(
            f"the environment is held by {holder}, and was not free within {timeout:g} s",
            remedy="wait for that run, end it, or raise --esb-lock-timeout",
            component="lock",
        )
        self.holder = holder


class EnvironmentLock:
    """The right to change one environment, from `reset` to the end of clean-up; it dies with its holder."""

    def __init__(self, host: Path, key: str) -> None:
        """Name the lock.

        Args:
            host: see `host_path`.
            key: see `lock_key`.
        """
        self.path = host / "locks" / f"{key}.lock"
        self._descriptor: int | None = None

    def acquire(
        self,
        *,
        run_id: str,
        timeout: float,
        waiting: Callable[[str], None],
        check: Callable[[], None],
    ) -> None:
        """Take the lock, and wait for it where somebody holds it.

        Args:
            run_id: the run that takes it, for the next one's message.
            timeout: seconds until giving up.
            waiting: called with the holder's description when the lock is not free, and every now and then.
            check: called while waiting; what it raises ends the wait.

        Raises:
            HeldError: the lock was not free in time; names the holder.
        """
        descriptor = _open(self.path, os.O_CREAT)
        try:
            self._wait(descriptor, timeout, waiting, check)
            _introduce(descriptor, Holder.current(run_id))
        except BaseException:
            _close(descriptor)
            raise
        self._descriptor = descriptor

    def inherit(self, run_id: str, command: str, timeout: float) -> bool:
        """Take the lock in place of a holder that has ended without giving it back.

        Args:
            run_id: the run of that holder.
            command: what takes the lock, for the message of whoever waits for it.
            timeout: seconds until giving up.

        Returns:
            Whether the lock was taken: not where the run gave it back, or where another one has it.
        """
        try:
            descriptor = _open(self.path)
        except FileNotFoundError:
            return False
        try:
            deadline = time.monotonic() + timeout
            while self._is_of(run_id):
                # Whoever comes first writes itself down under the lock: look again when it is ours.
                if lock_descriptor(descriptor, blocking=False):
                    if not self._is_of(run_id):
                        break
                    _introduce(descriptor, Holder.current(run_id, command))
                    self._descriptor = descriptor
                    return True
                if time.monotonic() >= deadline:
                    break
                time.sleep(_POLL_SECONDS)
        except BaseException:
            _close(descriptor)
            raise
        _close(descriptor)
        return False

    def release(self) -> None:
        """Give the lock back; does nothing when it is not held."""
        if self._descriptor in _descriptors:  # not in a forked child: it is the parent's
            os.ftruncate(self._descriptor, 0)
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            _close(self._descriptor)
        self._descriptor = None

    def is_held(self) -> bool:
        """Tell whether somebody holds the lock now."""
        try:
            descriptor = _open(self.path)
        except OSError:
            return False
        try:
            return not lock_descriptor(descriptor, blocking=False)
        finally:
            _close(descriptor)

    def holder(self) -> Holder | None:
        """Return who wrote itself down as the holder, or None."""
        try:
            return Holder(**json.loads(self.path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def _is_of(self, run_id: str) -> bool:
        holder = self.holder()
        return holder is not None and holder.run_id == run_id

    def _wait(
        self, descriptor: int, timeout: float, waiting: Callable[[str], None], check: Callable[[], None]
    ) -> None:
        deadline = time.monotonic() + timeout
        tell_at = time.monotonic()
        while not lock_descriptor(descriptor, blocking=False):
            check()
            holder = self.holder()
            who = holder.describe() if holder else f"another run ({self.path})"
            if time.monotonic() >= deadline:
                raise HeldError(who, timeout)
            if time.monotonic() >= tell_at:
                waiting(who)
                tell_at = time.monotonic() + _TELL_AGAIN_SECONDS
            time.sleep(_POLL_SECONDS)


_descriptors: set[int] = set()
_forking = threading.RLock()


def _open(path: Path, flags: int = 0) -> int:
    with _forking:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600)
        _descriptors.add(descriptor)
    return descriptor


def _close(descriptor: int) -> None:
    with _forking:
        _descriptors.discard(descriptor)
        os.close(descriptor)


def _forget_all() -> None:
    """Close in a forked child what would keep a lock when this process is killed."""
    while _descriptors:
        os.close(_descriptors.pop())
    _forking.release()


os.register_at_fork(before=_forking.acquire, after_in_parent=_forking.release, after_in_child=_forget_all)


def _introduce(descriptor: int, holder: Holder) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(vars(holder)).encode(), 0)
