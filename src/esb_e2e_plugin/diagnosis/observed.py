"""What was seen of an environment's components when it failed. Pure data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto


class Way(Enum):
    """How a component is not as it should be."""

    ENDED = auto()
    ENDED_WELL = auto()
    OUT_OF_MEMORY = auto()
    UNHEALTHY = auto()
    PAUSED = auto()
    REMOVED = auto()


@dataclass(frozen=True)
class Deviation:
    """A component that is not as it should be.

    Attributes:
        component: a service or a one-shot command.
        way: how; one that has `ENDED_WELL` deviates only for who needs it to run.
        at: since when, in seconds since the epoch.
        what: what happened, as `gateway exited with status 3`.
        lines: the last lines that it wrote.
    """

    component: str
    way: Way
    at: float
    what: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Observed:
    """The components of an environment when it failed.

    Attributes:
        deviations: those that are not as they should be.
        needs: what each component needs directly; unknown ones need nothing.
    """

    deviations: tuple[Deviation, ...] = ()
    needs: Mapping[str, frozenset[str]] = field(default_factory=dict)
