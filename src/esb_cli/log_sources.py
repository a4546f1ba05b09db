"""Where the logs of an environment are read: in its engine, and in the files of processes."""

import re
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from esb_cli.log_lines import Line, Source, parse
from esb_cli.project import Target
from esb_e2e_plugin.failure import StepError
from esb_e2e_plugin.lifecycle.backend import engine_of, project_of
from esb_e2e_plugin.log_files import log_files

if TYPE_CHECKING:
    from esb_e2e_plugin.lifecycle.engine import Engine

_POLL_SECONDS = 0.1
_WORKER = re.compile(r"(?P<function>.+)-[0-9a-f]{8}")
_STAMPED = re.compile(r"(?P<when>\d{4}-\d\d-\d\dT[\d:.]+Z) ?(?P<text>.*)", re.DOTALL)


class LogSources(Protocol):
    """The logs of one environment."""

    def read(self) -> Iterable[Line]:
        """Return every line that was written so far, those of each source in their order."""

    def follow(self) -> Iterator[Line]:
        """Yield lines as they are written after `read`, until the environment is gone."""

    def close(self) -> None:
        """Close what was opened."""


def log_sources(target: Target) -> LogSources:
    """Return the logs of an environment.

    Raises:
        StepError: its engine does not answer.
    """
    logs, project = target.paths.logs, project_of(target.scenario)
    if target.scenario.entry.mode == "process":
        return LogFiles(logs, project)
    return ContainerLogs(engine_of(target.scenario, target.project.environ), logs, project)


class LogFiles:
    """The log files of processes: they write them themselves, whoever brought them up."""

    def __init__(self, folder: Path, project: str) -> None:
        """Read below `folder`."""
        self._folder = folder
        self._project = project
        self._offsets: dict[Path, int] = {}
        self._last: dict[Path, str] = {}

    def read(self) -> Iterable[Line]:
        """Return what is in the files and was not read before."""
        for path in log_files(self._folder):
            with suppress(FileNotFoundError), path.open("rb") as file:
                start = self._offsets.get(path, 0)
                file.seek(start)
                chunk = file.read()
                whole = chunk[: chunk.rfind(b"\n") + 1]
                self._offsets[path] = start + len(whole)
                source = source_of(path.stem, self._project, worker=path.parent != self._folder)
                for text in whole.decode(errors="replace").splitlines():
                    line = parse(source, text, self._last.get(path, ""))
                    self._last[path] = line.when
                    yield line

    def follow(self) -> Iterator[Line]:
        """Yield new lines until the folder is gone."""
        while self._folder.is_dir():
            yield from self.read()
            time.sleep(_POLL_SECONDS)

    def close(self) -> None:
        """Do nothing: no file stays open."""


class ContainerLogs:
    """What containers have written, as their engine has it; of workers that are gone, what was copied."""

    def __init__(self, engine: "Engine", folder: Path, project: str) -> None:
        """Read nothing yet.

        Args:
            engine: where they live.
            folder: where an owner has copied what they wrote.
            project: the compose project.
        """
        self._engine = engine
        self._folder = folder
        self._project = project
        self._since = 0.0
        self._seen: set[str] = set()
        self._queue: SimpleQueue[Line | None] = SimpleQueue()

    def read(self) -> Iterable[Line]:
        """Return what every container has written."""
        self._since = time.time()
        there = set()
        for container in self._engine.containers(self._project):
            source = self._source(container)
            there.add(source.name)
            yield from _lines(source, self._engine.output(container["Id"], until=self._since))
        workers = self._folder / "functions"
        for path in log_files(workers):
            source = source_of(path.stem, self._project, worker=True)
            if source.name not in there:
                before = ""
                for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
                    line = parse(source, text, before)
                    before = line.when
                    yield line

    def follow(self) -> Iterator[Line]:
        """Yield new lines, also of containers that are started meanwhile."""
        if not self._attach():
            return
        threading.Thread(target=self._look_for_new_ones, daemon=True).start()
        while (line := self._queue.get()) is not None:
            yield line

    def close(self) -> None:
        """Close the connections to the engine."""
        self._engine.close()

    def _look_for_new_ones(self) -> None:
        try:
            with _ending_with_it():  # an engine that has gone away ends the logs
                events = self._engine.listen(self._project)
                while self._attach():
                    events.next(1.0)
        finally:
            self._queue.put(None)

    def _attach(self) -> bool:
        """Follow what is not followed yet; return whether there is any container."""
        containers = self._engine.containers(self._project)
        for container in containers:
            if container["State"] == "running" and container["Id"] not in self._seen:
                self._seen.add(container["Id"])
                threading.Thread(target=self._copy, args=(container,), daemon=True).start()
        return bool(containers)

    def _copy(self, container: dict[str, Any]) -> None:
        try:
            with _ending_with_it():  # it ends with its container
                chunks = self._engine.output(container["Id"], since=self._since, follow=True)
                for line in _lines(self._source(container), chunks):
                    self._queue.put(line)
        finally:
            self._seen.discard(container["Id"])  # it may be started again

    def _source(self, container: dict[str, Any]) -> Source:
        service = container["Labels"].get("com.docker.compose.service")
        name = container["Names"][0].lstrip("/")
        return Source(service) if service else source_of(name, self._project, worker=True)


def source_of(name: str, project: str, *, worker: bool) -> Source:
    """Return who is behind a name: of a container, or of a log file.

    Args:
        name: such as `gateway`, or `<project>-<function>-<8 hex>` of a worker.
        project: prefix of what belongs to the environment.
        worker: whether it is a function worker.
    """
    own = name.removeprefix(f"{project}-")
    if not worker:
        return Source(own)
    found = _WORKER.fullmatch(own)
    return Source(own, own if found is None else found["function"])


@contextmanager
def _ending_with_it() -> Iterator[None]:
    """Let what reads from an engine end with what it reads, or with the engine."""
    from esb_e2e_plugin.lifecycle.engine_errors import CONNECTION_ERRORS

    with suppress(StepError, *CONNECTION_ERRORS):
        yield


def _lines(source: Source, chunks: Iterable[bytes]) -> Iterator[Line]:
    rest, before = b"", ""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for each in whole:
            text = each.decode(errors="replace").rstrip("\r")
            stamped = _STAMPED.fullmatch(text)
            line = parse(
                source, stamped["text"] if stamped else text, before, stamped["when"] if stamped else None
            )
            before = line.when
            yield line
