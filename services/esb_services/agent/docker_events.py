"""The engine's stream of events: how the docker runtime learns at once that a container ended."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import requests
from docker.api.client import APIClient
from docker.errors import DockerException

RETRY_SECONDS = 0.2
SINCE_SECONDS = 2
"""Events so young are told again: the engine starts its answer a moment before it listens to itself."""
CLOSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Event:
    """What the engine says of a container; `exit_code` is that of `die`."""

    action: str
    container: str
    exit_code: int


class Listener(Protocol):
    """Hears what happens to containers; called in the event loop."""

    def heard(self, event: Event) -> None:
        """Take an event; it may come twice."""

    def stream_began(self) -> None:
        """Look around: what happened before was perhaps not heard."""

    def stream_broke(self, reason: str) -> None:
        """Know that nothing is heard until the stream begins again."""


class EventWatch:
    """Listens to the engine in a thread of its own, and again when the stream breaks.

    Args:
        client: a connected client.
        labels: those of the containers to listen for.
        listener: called in the event loop that runs now.
    """

    def __init__(self, client: APIClient, labels: Mapping[str, str], listener: Listener) -> None:
        self._client = client
        self._filters = {**label_filters(labels), "type": "container"}
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._stream: Any = None
        # a daemon: an engine that hangs must not keep the agent from ending
        self._thread = threading.Thread(target=self._run, name="engine-events", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Stop listening."""
        with self._lock:
            self._closed.set()
            if self._stream is not None:
                # a stream that breaks just now has no socket any more
                with contextlib.suppress(OSError, AttributeError):
                    self._stream.close()
        await asyncio.to_thread(self._thread.join, CLOSE_SECONDS)

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self._listen()
                reason = "the engine ended it"
            except (DockerException, requests.RequestException) as error:
                reason = root_cause(error)
            with self._lock:
                self._stream = None
            if not self._closed.is_set():
                self._tell(self._listener.stream_broke, reason)
                self._closed.wait(RETRY_SECONDS)

    def _listen(self) -> None:
        since = int(time.time()) - SINCE_SECONDS
        stream = self._client.events(since=since, filters=self._filters, decode=True)
        with self._lock:
            self._stream = stream
            if self._closed.is_set():
                stream.close()
                return
        self._tell(self._listener.stream_began)
        for entry in stream:
            attributes = entry["Actor"]["Attributes"]
            code = int(attributes.get("exitCode", 0))
            self._tell(self._listener.heard, Event(entry["Action"], attributes["name"], code))

    def _tell(self, call: Callable[..., None], *arguments: object) -> None:
        # the loop is closed where `close` has not waited for this thread any longer
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *arguments)


def label_filters(labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the engine's filter for things that carry all these labels."""
    return {"label": [f"{name}={value}" for name, value in labels.items()]}


def root_cause(error: BaseException) -> str:
    """Return what the system said below the layers of HTTP libraries."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error)
