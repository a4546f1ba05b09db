"""What happens to an environment's containers, as the engine tells it."""

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import requests
import urllib3
from docker.errors import DockerException, StreamParseError

from esb_e2e_plugin.diagnosis.signs import START_ENGINE
from esb_e2e_plugin.lifecycle.refusals import engine_error

SERVICE_LABEL = "com.docker.compose.service"
KIND_LABEL = "com.esb.kind"
FUNCTION = "function"

_STREAM_ERRORS = (
    OSError,
    DockerException,
    StreamParseError,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
)


@dataclass(frozen=True)
class ContainerEvent:
    """Something that happened to a container of the environment.

    Attributes:
        container: its id.
        service: its compose service, or the worker's name for a function worker.
        worker: whether it is a function worker.
        action: `start`, `die`, `oom`, `health_status: healthy`, …
        at: when, in seconds since the epoch, by the engine's clock.
        exit_code: of a container that died.
    """

    container: str
    service: str
    worker: bool
    action: str
    at: float
    exit_code: int | None = None


class EventStream:
    """The engine's events of one environment, read in a thread."""

    def __init__(self, stream: Any) -> None:
        """Read from docker-py's `stream`."""
        self._stream = stream
        self._queue: SimpleQueue[ContainerEvent | Exception] = SimpleQueue()
        self._closed = False
        threading.Thread(target=self._read, name="esb-events", daemon=True).start()

    def next(self, timeout: float) -> list[ContainerEvent]:
        """Wait up to `timeout` seconds for an event, and return all that have come.

        Raises:
            StepError: the engine has gone away.
        """
        events: list[ContainerEvent] = []
        deadline = time.monotonic() + timeout
        while True:
            try:
                event = self._queue.get(timeout=0.0 if events else max(0.0, deadline - time.monotonic()))
            except Empty:
                return events
            if isinstance(event, Exception):
                self._queue.put(event)  # whoever asks next hears the same
                if self._closed:
                    return events
                raise event
            events.append(event)

    def close(self) -> None:
        """Stop to listen."""
        self._closed = True
        # The engine may close its end meanwhile; docker-py then looks for a socket that is gone.
        with suppress(OSError, AttributeError):
            self._stream.close()

    def _read(self) -> None:
        try:
            for event in self._stream:
                self._queue.put(_event(event))
        except _STREAM_ERRORS:
            pass
        except Exception as error:  # noqa: BLE001  a fault of ours is raised where the events are read
            self._queue.put(error)
            return
        self._queue.put(engine_error("the container engine has gone away", START_ENGINE))


def _event(event: Mapping[str, Any]) -> ContainerEvent:
    attributes = event["Actor"]["Attributes"]
    name, code = attributes["name"], attributes.get("exitCode")
    worker = attributes.get(KIND_LABEL) == FUNCTION
    return ContainerEvent(
        container=event["Actor"]["ID"],
        service=name if worker else attributes.get(SERVICE_LABEL, name),
        worker=worker,
        action=event["Action"],
        at=event["timeNano"] / 1e9,
        exit_code=int(code) if code is not None else None,
    )
