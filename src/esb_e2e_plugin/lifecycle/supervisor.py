"""The child processes of one environment: started in sessions of their own, watched, logged, ended."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from esb_e2e_plugin.diagnosis import LAST_LINES
from esb_e2e_plugin.events import Journal, tail
from esb_e2e_plugin.failure import StepError
from esb_e2e_plugin.lifecycle.deadline import Deadline
from esb_e2e_plugin.log_files import log_files
from esb_e2e_plugin.process_identity import ProcessIdentity, boot_id, start_time
from esb_e2e_plugin.processes import MARK, descriptors_ended, end_marked
from esb_e2e_plugin.redaction import mask_file

POLL_SECONDS = 0.02
"""How long to wait for a process to end before looking at everything else again."""
_TOGETHER_SECONDS = 0.1

GUILTY_LINES = 20
"""How many of its last lines a guilty process contributes to a failure."""


@dataclass(frozen=True)
class Command:
    """A program to run for an environment.

    Attributes:
        name: what it is called in the log, such as `gateway`.
        argv: program and arguments.
        environment: all its variables; the mark is added.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Exit:
    """The end of a process.

    Attributes:
        name: what it was called.
        status: exit status, or the negated number of the signal that ended it; None where it was not a child.
    """

    name: str
    status: int | None

    def describe(self) -> str:
        """Return the end in words: `exited with status 3`, `was killed by signal 9`."""
        if self.status is None:
            return "is gone"
        if self.status < 0:
            return f"was killed by signal {-self.status}"
        return f"exited with status {self.status}"


@dataclass(frozen=True)
class _Child:
    identity: ProcessIdentity
    descriptor: int
    process: subprocess.Popen[bytes] | None  # None where another run started it


class Supervisor:
    """Starts, watches and ends the processes of one environment.

    Every process writes to a file of its own, so that it outlives this one where an environment is kept, and
    carries the environment's mark, by which `end_all` and a later run find it.
    """

    def __init__(self, mark: str, folder: Path, logs: Path, journal: Journal) -> None:
        """Watch nothing yet.

        Args:
            mark: the environment's mark, see `processes.MARK`.
            folder: working folder of every process.
            logs: folder of the log files; those that others write there are followed too.
            journal: where new lines go.
        """
        self._mark = mark
        self._folder = folder
        self._logs = logs
        self._journal = journal
        self._children: dict[str, _Child] = {}
        self._offsets: dict[Path, int] = {}
        self._exits: list[tuple[Exit, float]] = []

    def start(self, command: Command) -> None:
        """Start a process; its output goes to `<logs>/<name>.log`."""
        self._journal.event("command.started", command=list(command.argv), service=command.name)
        self._journal.line("esb", f"{command.name}: $ {' '.join(command.argv)}")
        output = os.open(
            self.log_of(command.name), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        try:
            process = subprocess.Popen(
                command.argv,
                env={**command.environment, MARK: self._mark},
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            program = command.argv[0]
            raise StepError(
                f"{command.name} cannot be started: {error.strerror or error}: {program}",
                remedy=f"make {program} a file that this machine can execute; a script begins with #! and a "
                "program that is there",
                service=command.name,
            ) from error
        finally:
            os.close(output)
        identity = ProcessIdentity(process.pid, start_time(process.pid) or 0, boot_id())
        self._children[command.name] = _Child(identity, os.pidfd_open(process.pid), process)

    def adopt(self, name: str, identity: ProcessIdentity) -> bool:
        """Watch a process that another run started; return whether it is still that process."""
        try:
            descriptor = os.pidfd_open(identity.pid)
        except ProcessLookupError:
            return False
        if not identity.alive:
            os.close(descriptor)
            return False
        self._children[name] = _Child(identity, descriptor, None)
        return True

    def log_of(self, name: str) -> Path:
        """Return the file that the process `name` writes to."""
        return self._logs / f"{name}.log"

    def last_lines(self, name: str, count: int) -> tuple[str, ...]:
        """Return the last `count` lines that the process `name` wrote, with secrets hidden."""
        return tuple(self._journal.redact(line) for line in tail(self.log_of(name), count))

    def identities(self) -> dict[str, ProcessIdentity]:
        """Return which process is which service."""
        return {name: child.identity for name, child in self._children.items()}

    def poll(self, timeout: float) -> list[Exit]:
        """Wait up to `timeout` seconds for a process to end, follow the logs, and return what has ended."""
        ended = set(descriptors_ended((child.descriptor for child in self._children.values()), timeout))
        self.follow()
        exits = []
        for name, child in list(self._children.items()):
            if child.descriptor in ended:
                exits.append(Exit(name, self._reap(name)))
        self._exits += [(one, time.time()) for one in exits]
        return exits

    def exits(self) -> list[tuple[Exit, float]]:
        """Return what has ended so far, with when that was noticed, in seconds since the epoch.

        Where something has, others are given a moment: what is killed together does not end in one instant.
        """
        self.poll(0)
        until = time.monotonic() + _TOGETHER_SECONDS
        while self._exits and (left := until - time.monotonic()) > 0:
            self.poll(left)
        return list(self._exits)

    def follow(self, *, to_the_end: bool = False) -> None:
        """Copy what was written since the last call into the journal, line by line.

        Args:
            to_the_end: also take a last line that has no newline yet.
        """
        for path in log_files(self._logs):
            offset = self._offsets.get(path, 0)
            with suppress(FileNotFoundError), path.open("rb") as file:
                file.seek(offset)
                chunk = file.read()
                whole = chunk if to_the_end else chunk[: chunk.rfind(b"\n") + 1]
                self._offsets[path] = offset + len(whole)
                self._mask(path, offset, whole)
                for line in whole.decode(errors="replace").splitlines():
                    self._journal.line(path.stem, line)

    def _mask(self, path: Path, offset: int, data: bytes) -> None:
        """Blacken secrets in the file itself: it stays where an environment is kept."""
        if data and self._journal.redact.spans(data):
            with suppress(OSError), path.open("r+b") as file:
                mask_file(file.fileno(), offset, data, self._journal.redact)

    def run(self, command: Command, deadline: Deadline) -> None:
        """Run a process to its end.

        Args:
            command: what to run.
            deadline: how long it may take.

        Raises:
            StepError: it failed, or a service ended meanwhile; names the one and carries its last lines.
        """
        log = self.log_of(command.name)
        log.unlink(missing_ok=True)  # what an earlier attempt said is no reason why this one fails
        self._offsets.pop(log, None)
        self.start(command)
        while True:
            for ended in self.poll(POLL_SECONDS):
                if ended.name == command.name and ended.status == 0:
                    return
                deadline.mind_signal(ended.status)
                raise self.ended(ended)
            deadline.check(f"{command.name} to finish")

    def ended(self, exit_: Exit) -> StepError:
        """Return the end of a process as an error that carries its last lines."""
        self._journal.event("service.state", service=exit_.name, state="exited", exit=exit_.status)
        return StepError(
            f"{exit_.name} {exit_.describe()}",
            remedy=LAST_LINES,
            service=exit_.name,
            lines=self.last_lines(exit_.name, GUILTY_LINES),
        )

    def skip_old_lines(self) -> None:
        """Take everything that is in the logs now as known; nobody hid secrets in it meanwhile."""
        for path in log_files(self._logs):
            with suppress(FileNotFoundError):
                data = path.read_bytes()
                self._mask(path, 0, data)
                self._offsets[path] = len(data)

    def end_all(self, timeout: float) -> list[int]:
        """Kill what was started, and everything that carries the environment's mark.

        Args:
            timeout: seconds until giving up.

        Returns:
            The pids that are still there.
        """
        deadline = time.monotonic() + timeout
        for child in self._children.values():  # one that cleared its variables has no mark any more
            with suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(child.descriptor, signal.SIGKILL)
        left = end_marked(self._mark, timeout)
        for name, child in list(self._children.items()):
            pid = child.identity.pid
            if descriptors_ended([child.descriptor], deadline - time.monotonic()):
                self._reap(name)
            elif pid not in left:
                left.append(pid)
        self.follow(to_the_end=True)
        return left

    def let_go(self) -> None:
        """Stop watching without ending anything: the processes live on."""
        self.follow(to_the_end=True)
        for name in list(self._children):
            child = self._children.pop(name)
            os.close(child.descriptor)
            if child.process is not None:
                child.process.returncode = 0  # it lives on: without this its Popen warns when it is dropped

    def _reap(self, name: str) -> int | None:
        child = self._children.pop(name)
        os.close(child.descriptor)
        status = None if child.process is None else child.process.wait()
        self._journal.event("command.finished", service=name, exit=status)
        return status
