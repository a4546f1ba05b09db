"""Ends a worker with its starter, by the kernel and not by code of ours."""

import fcntl
import os
import select
import signal


def tie(descriptor: int) -> None:
    """Have the kernel kill this whole process group when the pipe `descriptor` is closed at its other end.

    The pipe's signal also reaches a group that is stopped or busy, where a watching thread would not run.
    Processes that inherit the descriptor keep the tie after this process has ended.
    """
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_ASYNC)
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    # the other end may have closed before the tie was there
    if poller.poll(0):
        os.killpg(os.getpgrp(), signal.SIGKILL)
