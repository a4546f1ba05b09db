"""How much goes on at once: bring-ups, environments, xdist's workers."""

from __future__ import annotations

import os
from dataclasses import dataclass

_MEMORY_PER_BRING_UP = 1 << 30
_MOST_WORKERS = 8


@dataclass(frozen=True)
class Bounds:
    """How many environments there may be at once.

    Attributes:
        starting: how many may come up at once.
        alive: how many may be there at once; None for any number.
    """

    starting: int
    alive: int | None = None

    def admit(self, *, starting: int, alive: int, leaving: int, needed: bool) -> bool:
        """Tell whether one more environment may start to come up.

        Args:
            starting: how many are coming up.
            alive: how many are there, these included.
            leaving: how many of them are being removed.
            needed: whether a test waits for this one, and blocks whatever would let another one go.
        """
        if starting >= self.starting:
            return False
        return self.alive is None or alive < self.alive or (needed and not starting and not leaving)


def default_starting() -> int:
    """Return how many environments may come up at once on this machine."""
    return most_starting(cores(), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def most_starting(cores: int, memory: int) -> int:
    """Return how many environments a machine can bring up at once: bring-ups wait more than they compute.

    Args:
        cores: its processors.
        memory: its memory, in bytes.
    """
    return max(1, min(2 * cores, memory // _MEMORY_PER_BRING_UP))


def workers(cores: int, environments: int) -> int:
    """Return how many workers `-n auto` means: scenarios wait, they do not compute.

    Args:
        cores: processors of this machine.
        environments: how many environments are selected.
    """
    return min(_MOST_WORKERS, max(cores, 2 * environments))


def cores() -> int:
    """Return the processors that this process may use."""
    return len(os.sched_getaffinity(0))


def begun(cores: int, *, starting: bool, ready: int) -> int | None:
    """Return how many workers of `-n auto` may have begun, for bring-ups to have processors; None for all.

    Args:
        cores: processors of this machine.
        starting: whether an environment comes up.
        ready: how many environments tests may use.
    """
    return max(cores, ready) if starting else None
