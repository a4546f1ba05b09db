"""How a service, or a worker of a function, is at one moment: data that travels to every worker."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class ServiceState:
    """A service or a function's worker at the moment when it was looked at.

    Attributes:
        name: name of the service, or of the worker.
        state: `running`, `exited`, `paused`, … as its engine says.
        function: whether it is a worker of a function.
        health: what its health check says; None where it has none.
        exit_code: of one that has ended; a negated number is a signal's.
        oom_killed: whether it was killed for its use of memory; None where nobody knows.
        restarts: how often it was started again; None where nobody counts.
    """

    name: str
    state: str
    function: bool = False
    health: str | None = None
    exit_code: int | None = None
    oom_killed: bool | None = None
    restarts: int | None = None

    def to_data(self) -> dict[str, Any]:
        """Return the record as plain data for a channel."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Return the record that `to_data` gave `data` for."""
        return cls(**data)
