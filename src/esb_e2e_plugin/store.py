"""In which state an environment is: one file in its state folder, written by its owner only."""

import json
import os
import pwd
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from esb_e2e_plugin.errors import EsbError
from esb_e2e_plugin.process_identity import ProcessIdentity

Status = Literal["starting", "ready", "failed", "kept", "removing"]

_VERSION = 2
_FIXED_TEMPORARY_FOLDER = Path("/tmp")  # noqa: S108  TMPDIR differs between shells; owner and mode are checked


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
            f"{folder} cannot be made: {error.strerror}", "name another folder in ESB_HOST_DIR", str(folder)
        ) from error
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        found = f"belongs to {user_name(facts.st_uid)}" if stat.S_ISDIR(facts.st_mode) else "is no folder"
        raise EsbError(
            f"{folder} is not a folder of this user: it {found}",
            "remove it, or name another folder in ESB_HOST_DIR",
            str(folder),
        )
    if facts.st_mode & 0o022:
        raise EsbError(f"{folder} can be written by other users", f"chmod 700 {folder}", str(folder))
    (folder / "locks").mkdir(mode=0o700, exist_ok=True)


def check_owner(state: Path, environment: str) -> None:
    """Refuse an environment whose state folder belongs to another user of this machine.

    Args:
        state: the environment's state folder, which may not be there yet.
        environment: the instance's name.

    Raises:
        EsbError: names the user.
    """
    with suppress(FileNotFoundError):
        if (uid := state.stat().st_uid) != os.getuid():
            raise EsbError(
                f"environment {environment} belongs to {user_name(uid)}: {state} is not of "
                f"{user_name(os.getuid())}",
                f"let {user_name(uid)} remove it, or run an instance of your own with --esb-suffix",
                str(state),
            )


def user_name(uid: int) -> str:
    """Return what a user of this machine is called."""
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"uid {uid}"


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
        phase: the phase that it was in.
        profile: the entry of the matrix that it is made from.
        broken: whether it failed itself, and not only a test in it.
        fingerprint: what it was made of when it was deployed last, `Fingerprint.to_data()`; None where
            nobody looked.
    """

    status: Status
    run_id: str
    owner: ProcessIdentity
    environment: dict[str, Any] | None = None
    services: Mapping[str, Any] | None = None
    config_digest: str | None = None
    cause: str | None = None
    phase: str = "reset"
    profile: str | None = None
    broken: bool = False
    fingerprint: dict[str, Any] | None = None


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
            "v": _VERSION,
            "owner": vars(state.owner),
            "environment": environment,
        }
        write_atomically(self.path, json.dumps(data, indent=1) + "\n")

    def write_credentials(self, credentials: Mapping[str, str]) -> None:
        """Replace the credentials, which the state does not hold."""
        write_atomically(self.credentials_path, json.dumps(dict(credentials)) + "\n")

    def profile(self) -> str | None:
        """Return the entry of the matrix that the environment is made from; None where nothing tells."""
        try:
            return str(json.loads(self.path.read_text(encoding="utf-8"))["profile"])
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def read(self) -> EnvironmentState | None:
        """Return the state, with the credentials in `environment`; None where none can be read."""
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            if data.pop("v") != _VERSION:
                return None
            data["owner"] = ProcessIdentity(**data["owner"])
            if data["environment"]:
                data["environment"]["credentials"] = json.loads(
                    self.credentials_path.read_text(encoding="utf-8")
                )
            return EnvironmentState(**data)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
