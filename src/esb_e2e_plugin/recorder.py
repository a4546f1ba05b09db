"""What the test that runs in this process does with its environment: its trace, and its requests.

It costs a test next to nothing; only who looks into a failed one makes text of it.
"""

import hashlib
import os
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from esb_e2e_plugin.environment import Environment

BODY_BYTES = 4096
"""How much of a body is kept: more than is shown, so that no secret is cut in half before it is hidden."""

_REQUESTS = 100
"""How many of its last requests are kept of a test."""


@dataclass(frozen=True)
class Request:
    """One request that a test made.

    Attributes:
        started: seconds since the epoch.
        seconds: how long it took until the answer, or until there was none.
        method: HTTP method, or service and operation of an AWS client.
        target: path and query, or the whole URL where that is not the gateway's.
        outcome: HTTP status, or what went wrong.
        gateway: whether it went to the gateway.
        request_id: what the service calls it, where it said so.
        sent: the beginning of the body that was sent.
        received: the beginning of the body that came back.
    """

    started: float
    seconds: float
    method: str
    target: str
    outcome: str
    gateway: bool = False
    request_id: str | None = None
    sent: bytes = b""
    received: bytes = b""


@dataclass
class TestRecord:
    """One test, from its setup to its teardown.

    Attributes:
        trace_id: what its requests carry.
        environment: where it runs; None until that is up.
        entered: when the test could use it, in seconds since the epoch.
        log_position: size of the environment's log when the test could use it, in bytes.
        requests: what it asked for, the last ones.
        dropped: how many requests before those are not kept.
    """

    __test__ = False

    trace_id: str
    environment: Environment | None = None
    entered: float = 0.0
    log_position: int = 0
    requests: deque[Request] = field(default_factory=lambda: deque(maxlen=_REQUESTS))
    dropped: int = 0

    def enter(self, environment: Environment) -> None:
        """Learn that the environment may be used from now on."""
        self.environment = environment
        self.entered = time.time()
        self.log_position = size_of(environment.paths.log)

    def add(self, request: Request) -> None:
        """Keep a request."""
        if len(self.requests) == _REQUESTS:
            self.dropped += 1
        self.requests.append(request)


class Recorder:
    """Keeps the record of the test that runs, and which environments are up.

    Attributes:
        test: the record; None before the first test.
    """

    def __init__(self) -> None:
        self.test: TestRecord | None = None
        self._environments: dict[str, Environment] = {}

    def begin(self, nodeid: str, profile: str | None) -> None:
        """Start the record of a test.

        Args:
            nodeid: its node id.
            profile: the environment that it runs in; None for none.
        """
        self.test = TestRecord(new_trace_id(nodeid))
        if profile is not None and (environment := self._environments.get(profile)) is not None:
            self.test.enter(environment)

    def enter(self, environment: Environment) -> None:
        """Learn that an environment is up, which the test has waited for."""
        self._environments[environment.profile] = environment
        if self.test is not None:
            self.test.enter(environment)

    @property
    def trace_id(self) -> str:
        """The trace id of the test; a new one where none runs."""
        return self.test.trace_id if self.test is not None else new_trace_id()

    def add(self, request: Request) -> None:
        """Keep a request of the test."""
        if self.test is not None:
            self.test.add(request)


def new_trace_id(nodeid: str | None = None) -> str:
    """Return a trace id in X-Ray's form: version, time in hexadecimal, 96 bits.

    Args:
        nodeid: the test that it is for, see `trace_suffix`; None for random bits.
    """
    return f"1-{int(time.time()):08x}-{trace_suffix(nodeid) if nodeid is not None else os.urandom(12).hex()}"


def trace_suffix(nodeid: str) -> str:
    """Return the last part of a test's trace id: by it others find the trace when its process is gone."""
    return hashlib.blake2b(nodeid.encode(errors="surrogatepass"), digest_size=12).hexdigest()


def trace_header(trace_id: str) -> str:
    """Return the value of `X-Amzn-Trace-Id` for a trace id."""
    return f"Root={trace_id};Sampled=1"


def size_of(path: Path) -> int:
    """Return the size of a file in bytes; 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
