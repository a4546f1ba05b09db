"""Why an environment failed, as data that travels to every worker and into the summary."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from esb_e2e_plugin.errors import EsbError


@dataclass(frozen=True)
class Failure:
    """The first cause of an environment's failure.

    Attributes:
        environment: the instance's name.
        phase: `reset`, `compose`, `deploy`, `test` or `cleanup`.
        cause: what happened, in one line.
        remedy: what to do about it, in one line, or empty.
        service: the guilty service or function worker, where one is known.
        service_lines: its own last lines.
        test: node id of the test that showed it, in phase `test`.
    """

    environment: str
    phase: str
    cause: str
    remedy: str = ""
    service: str | None = None
    service_lines: tuple[str, ...] = ()
    test: str | None = None

    def one_line(self) -> str:
        """Return the failure as one line for a test's report."""
        return f"[{self.environment}] failed in {self.phase}: {self.cause}"

    def to_data(self) -> dict[str, Any]:
        """Return the failure as plain data for a channel."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Failure":
        """Return the failure that `to_data` gave `data` for."""
        return cls(**{**data, "service_lines": tuple(data["service_lines"])})


class StepError(EsbError):
    """A step of a phase went wrong; the runner turns it into a `Failure`."""

    def __init__(
        self, message: str, *, remedy: str = "", service: str | None = None, lines: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, remedy or None)
        self.service = service
        self.lines = lines


class PortTakenError(StepError):
    """A service could not listen because its port belongs to somebody else."""


class EnvironmentFailedError(EsbError):
    """An environment that a test needs has failed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.one_line())
        self.failure = failure


class CancelledError(EsbError):
    """The run ends, so what was going on for an environment was given up."""
