"""Running programs: argument lists, an own session, a deadline, and an end for all of them at once."""

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Final, TypeVar

from artifactctl.errors import ArtifactError, one_line

KEPT_LINES: Final = 20

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_DEAF_SECONDS = 2.0
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class CommandError(ArtifactError):
    """A program failed.

    Attributes:
        output: its last lines.
    """

    output: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Completed:
    """A program that ran to its end.

    Attributes:
        code: its exit code.
        stdout: what it wrote there; its lines went to the log too unless it was asked quietly.
        tail: the last lines of all that it wrote; quietly asked, what it said beside its answer.
    """

    code: int
    stdout: str
    tail: tuple[str, ...]

    def reason(self) -> str:
        """Return the line that says best why it failed."""
        errors = [line for line in self.tail if "error" in line.lower()]
        return (errors or list(self.tail) or [f"exit code {self.code}"])[-1]


class Commands:
    """Starts programs for several threads.

    Args:
        environ: the programs' environment.
        log: takes each command line and each line of output; may be called by several threads.
        timeout: seconds that all of the commands together have from now on.
    """

    def __init__(self, environ: Mapping[str, str], log: Callable[[str], None] | None, timeout: float) -> None:
        self._environ = dict(environ)
        self._log = log
        self._deadline = time.monotonic() + timeout
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    @property
    def environ(self) -> Mapping[str, str]:
        """The programs' environment."""
        return self._environ

    @property
    def stopped(self) -> bool:
        """Whether everything was stopped."""
        return self._stopped

    def say(self, line: str) -> None:
        """Write a line to the log."""
        if self._log is not None:
            self._log(line)

    def remaining(self) -> float:
        """Return the seconds that are left, never less than 0."""
        return max(0.0, self._deadline - time.monotonic())

    def stop(self) -> None:
        """End what runs, and let nothing start any more; may be called by any thread."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                _kill(process)

    def run(
        self,
        argv: Sequence[str],
        *,
        quiet: bool = False,
        extra: Mapping[str, str] | None = None,
        limit: float | None = None,
        label: str | None = None,
    ) -> Completed:
        """Run a program to its end, whatever its exit code.

        Args:
            argv: the program and its arguments.
            quiet: its output is an answer to be read, not to be shown.
            label: tells its lines from those of programs that run beside it.
            extra: more variables for its environment.
            limit: seconds it has, if less than what is left for all.

        Raises:
            CommandError: it cannot be started, took too long, or everything was stopped.
        """
        prefix = f"[{label}] " if label is not None else ""
        if not quiet:
            self.say(f"{prefix}$ {' '.join(argv)}")
        seconds = min(self.remaining(), limit) if limit is not None else self.remaining()
        process = self._start(argv, {**self._environ, **(extra or {})})
        late = threading.Timer(seconds, _kill, [process])
        late.daemon = True
        late.start()
        try:
            stdout, tail = self._collect(process, None if quiet else prefix)
        finally:
            in_time = late.is_alive()
            late.cancel()
            late.join()
            # Killed before it is reaped, and reaped under the lock: its number cannot be somebody else's.
            with self._lock:
                _kill(process)
                process.wait()
                self._running.discard(process)
        if self._stopped:
            raise CommandError("was stopped", value=argv[0])
        if process.returncode < 0 and not in_time:
            raise _with_output(
                CommandError(f"`{_shown(argv)}` did not end within {seconds:.0f} s", remedy="run it again"),
                tail,
            )
        return Completed(process.returncode, stdout, tail)

    def at_once(self, do: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
        """Do it for all `items`, several at a time, and return the results in their order.

        Raises:
            ArtifactError: it failed for one of them: all that was running is then stopped.
        """
        todo = list(items)
        if len(todo) < 2:
            return [do(item) for item in todo]
        from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

        with ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 1)) as pool:
            futures = [pool.submit(do, item) for item in todo]
            try:
                done = wait(futures, return_when=FIRST_EXCEPTION).done
                failed = [future for future in futures if future in done and future.exception() is not None]
                return [future.result() for future in failed or futures]
            except BaseException:
                for future in futures:
                    future.cancel()
                self.stop()
                raise

    def _start(self, argv: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen[str]:
        with self._lock:
            if self._stopped:
                raise CommandError("was stopped", value=argv[0])
            try:
                # An own session: Ctrl-C must reach us first, and a kill reach all of its children.
                process = subprocess.Popen(
                    list(argv),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=environ,
                    text=True,
                    encoding="utf-8",
                    errors="replace",
                    start_new_session=True,
                )
            except FileNotFoundError:
                raise CommandError(f"the program {argv[0]} is not installed") from None
            except OSError as error:
                raise CommandError(f"the program {argv[0]} cannot be run: {error.strerror}") from None
            self._running.add(process)
        return process

    def _collect(self, process: subprocess.Popen[str], prefix: str | None) -> tuple[str, tuple[str, ...]]:
        answers: list[str] = []
        tail: list[str] = []

        def take(line: str) -> None:
            shown = one_line(_CONTROL.sub("", line).rstrip())
            if shown:
                tail.append(shown)
                del tail[:-KEPT_LINES]
                if prefix is not None:
                    self.say(f"{prefix}{shown}")

        def drain(stream: IO[str], *, keep: bool) -> None:
            with stream:
                for line in stream:
                    if keep:
                        answers.append(line)
                    # A long answer must not push the reason of a failure out of the last lines.
                    if prefix is not None or not keep:
                        take(line)

        streams = ((process.stdout, True), (process.stderr, False))
        readers = [
            threading.Thread(target=drain, args=(stream,), kwargs={"keep": keep}, daemon=True)
            for stream, keep in streams
            if stream is not None
        ]
        for reader in readers:
            reader.start()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        # What it left behind may keep the pipes open: end it rather than wait for it.
        _kill(process)
        for reader in readers:
            reader.join(_DEAF_SECONDS)
        return "".join(answers), tuple(tail)


def checked(done: Completed, what: str, remedy: str | None = None) -> Completed:
    """Return `done`, a command that succeeded.

    Raises:
        CommandError: it failed; `what` says what could not be done.
    """
    if done.code != 0:
        raise _with_output(CommandError(f"{what}: {done.reason()}", remedy=remedy), done.tail)
    return done


def _with_output(error: CommandError, tail: tuple[str, ...]) -> CommandError:
    error.output = tail
    return error


def _shown(argv: Sequence[str]) -> str:
    return " ".join(argv[:3])


def _kill(process: subprocess.Popen[str]) -> None:
    # The group outlives its leader, and keeps its number, as long as one of its processes lives.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
