"""Waiting in tests: for what is to come, and for the end of a process."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from esb_e2e_plugin.processes import descriptors_ended

_Value = TypeVar("_Value")


def eventually(probe: Callable[[], _Value], what: str, timeout: float = 120.0) -> _Value:
    """Return the first true value of `probe`, or fail and say `what` did not happen."""
    deadline = time.monotonic() + timeout
    while not (value := probe()):
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}"
        time.sleep(0.003)
    return value


@contextlib.contextmanager
def until_it_ends(pid: int) -> Iterator[None]:
    """Wait, at the end of the block, for a process to end; a look at /proc misses it during its exec."""
    descriptor = os.pidfd_open(pid)
    try:
        yield
        eventually(lambda: descriptors_ended([descriptor], 0), f"process {pid} ends")
    finally:
        os.close(descriptor)
