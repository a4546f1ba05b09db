"""Who owns an environment, and in which state it is: one lock and one state file per environment.

The lock lies in the host folder, which all runs of a user share, and is never deleted; the state file lies
in the environment's state folder, which `reset` wipes. Both are written by the owner only.
"""

import json
import os
import stat
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from filelock import lock_descriptor

from esb_e2e_plugin.errors import EsbError
from esb_e2e_plugin.process_identity import ProcessIdentity

Status = Literal["starting", "ready", "failed", "kept", "removing"]

_FIXED_TEMPORARY_FOLDER = Path("/tmp")  # noqa: S108  TMPDIR differs between shells; owner and mode are checked
_POLL_SECONDS = 0.1


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace the file `path` by one that holds `text`; a reader sees the old or the new content whole.

    Args:
        path: the file; its folder exists.
        text: the content, written as UTF-8.
        mode: permissions of the new file.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def host_path(environ: Mapping[str, str]) -> Path:
    """Return the folder that all runs of this user on this host share.

    Args:
        environ: the caller's variables; `ESB_HOST_DIR` names another folder.
    """
    named = environ.get("ESB_HOST_DIR", "").strip()
    return Path(named).absolute() if named else _FIXED_TEMPORARY_FOLDER / f"esb-e2e-{os.getuid()}"


def make_host_folder(folder: Path) -> None:
    """Make the host folder where it is missing, and check that it is this user's alone.

    Raises:
        EsbError: it belongs to somebody else, or others can write to it.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # what it is instead, the check below tells
            folder.mkdir(mode=0o700)
        facts = os.lstat(folder)
    except OSError as error:
        raise EsbError(
            f"{folder} cannot be made: {error.strerror}", "name another folder in ESB_HOST_DIR"
        ) from error
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        raise EsbError(
            f"{folder} is not a folder of this user (uid {os.getuid()}), but of uid {facts.st_uid}",
            "remove it, or name another folder in ESB_HOST_DIR",
        )
    if facts.st_mode & 0o022:
        raise EsbError(f"{folder} can be written by other users", f"chmod 700 {folder}")
    (folder / "locks").mkdir(mode=0o700, exist_ok=True)


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
    """Whoever holds a lock, as it introduced itself: for messages only, the lock itself decides."""

    pid: int
    run_id: str
    folder: str
    since: float

    def describe(self) -> str:
        """Return one phrase that lets a person find the holder."""
        seconds = max(0, round(time.time() - self.since))
        return f"pid {self.pid} in {self.folder}, run {self.run_id}, for {seconds} s"


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
            waiting: called once with the holder's description when the lock is not free at once.
            check: called while waiting; what it raises ends the wait.

        Raises:
            EsbError: the lock was not free in time; names the holder.
        """
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            self._wait(descriptor, timeout, waiting, check)
            holder = {"pid": os.getpid(), "run_id": run_id, "folder": os.getcwd(), "since": time.time()}  # noqa: PTH109
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; does nothing when it is not held."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def holder(self) -> Holder | None:
        """Return who wrote itself down as the holder, or None."""
        try:
            return Holder(**json.loads(self.path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def _wait(
        self, descriptor: int, timeout: float, waiting: Callable[[str], None], check: Callable[[], None]
    ) -> None:
        deadline = time.monotonic() + timeout
        told = False
        while not lock_descriptor(descriptor, blocking=False):
            check()
            holder = self.holder()
            who = holder.describe() if holder else f"another run ({self.path})"
            if time.monotonic() >= deadline:
                raise EsbError(
                    f"the environment is held by {who}, and was not free within {timeout:g} s",
                    remedy="wait for that run, end it, or raise --esb-lock-timeout",
                )
            if not told:
                waiting(who)
                told = True
            time.sleep(_POLL_SECONDS)


@dataclass(frozen=True)
class EnvironmentState:
    """What the state file says of an environment.

    Attributes:
        status: where it is in its life; `kept` is up and without an owner.
        run_id: the run that wrote the state.
        owner: the process that wrote it.
        environment: `Environment.to_data()` without credentials, once it is known.
        services: running services by name, as their driver knows them again.
        config_digest: digest of the applied configuration.
        cause: why it failed, in one line.
    """

    status: Status
    run_id: str
    owner: ProcessIdentity
    environment: dict[str, Any] | None = None
    services: Mapping[str, Any] | None = None
    config_digest: str | None = None
    cause: str | None = None


class StateFile:
    """The state of one environment, replaced whole at each change and readable by its user only."""

    def __init__(self, folder: Path) -> None:
        """Name the file.

        Args:
            folder: the environment's state folder.
        """
        self.path = folder / "state.json"
        self.credentials_path = folder / "credentials.json"

    def write(self, state: EnvironmentState) -> None:
        """Replace the state."""
        environment = state.environment and {k: v for k, v in state.environment.items() if k != "credentials"}
        data = {
            **vars(state),
            "v": 1,
            "owner": vars(state.owner),
            "environment": environment,
        }
        write_atomically(self.path, json.dumps(data, indent=1) + "\n")

    def write_credentials(self, credentials: Mapping[str, str]) -> None:
        """Replace the credentials, which the state does not hold."""
        write_atomically(self.credentials_path, json.dumps(dict(credentials)) + "\n")

    def read(self) -> EnvironmentState | None:
        """Return the state, with the credentials in `environment`; None where none can be read."""
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            if data.pop("v") != 1:
                return None
            data["owner"] = ProcessIdentity(**data["owner"])
            if data["environment"]:
                data["environment"]["credentials"] = json.loads(
                    self.credentials_path.read_text(encoding="utf-8")
                )
            return EnvironmentState(**data)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
