"""What sleeps beside a run until its owner ends, and becomes its reaper where the owner has not cleaned up.

Run by its path in an interpreter without site-packages, so that a run pays next to nothing for it.
"""

import os
import select
import signal
import sys

_IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


def is_orphaned(pipe: int, owner: int) -> bool:
    """Wait for the owner's end, and tell whether it came without a last word.

    Args:
        pipe: where the owner says that everything is done.
        owner: pidfd of the owner.
    """
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    poll.register(owner, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if pipe in ready:
            if os.read(pipe, 1):
                return False
            poll.unregister(pipe)  # closed, as by a process that turns into a daemon: only its end counts
        if owner in ready:
            return True


def main(owner: int, job: int, module: str) -> None:
    """Watch, and turn into `module` with the descriptor of its `job` when that has to be done."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    if is_orphaned(sys.stdin.fileno(), owner):
        os.execv(sys.executable, [sys.executable, "-P", "-m", module, str(job)])  # noqa: S606


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
