"""Why an environment failed, as data that travels to every worker and into the summary."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from esb_e2e_plugin.errors import EsbError


class Kind(StrEnum):
    """The class of a failure: where whoever reads it has to look."""

    USER_INPUT = "user input"
    ENGINE = "engine"
    IMAGE_BUILD = "image build"
    SERVICE_START = "service start"
    HEALTH = "health"
    DEPLOY_STEP = "deploy step"
    TEST = "test"
    PLATFORM = "platform under test"

    @property
    def meaning(self) -> str:
        """What failures of this class have in common."""
        return _MEANINGS[self]


_MEANINGS = {
    Kind.USER_INPUT: "a mistake in what the user wrote: matrix, compose file, variables, options",
    Kind.ENGINE: "what environments run on: the container engine, or this machine's ports, disk and locks",
    Kind.IMAGE_BUILD: "an image cannot be built or had",
    Kind.SERVICE_START: "a service ends while the environment comes up",
    Kind.HEALTH: "a service runs, but does not become or stay healthy",
    Kind.DEPLOY_STEP: "a step of the deploy phase: artifacts, resources, the project's hooks",
    Kind.TEST: "a test fails, and no service or function tells why",
    Kind.PLATFORM: "the platform fails under a test: a service ends, or answers 5xx and logs why",
}


@dataclass(frozen=True)
class Failure:
    """The first cause of an environment's failure.

    Attributes:
        environment: the instance's name.
        phase: `reset`, `compose`, `deploy`, `test` or `cleanup`.
        kind: its class.
        component: what is guilty: a service, a function worker, a step, a file, a test, the engine.
        cause: what happened, in one line.
        remedy: what to do about it, in one line, or empty.
        service: the service, function worker or command whose last lines tell more, where there is one.
        service_lines: its own last lines.
        test: node id of the test that showed it, in phase `test`.
    """

    environment: str
    phase: str
    kind: Kind
    component: str
    cause: str
    remedy: str = ""
    service: str | None = None
    service_lines: tuple[str, ...] = ()
    test: str | None = None

    def one_line(self) -> str:
        """Return the failure as one line for a test's report."""
        return f"[{self.environment}] failed in {self.phase}: {self.cause}"

    def redacted(self, redact: Callable[[str], str]) -> "Failure":
        """Return the failure with secrets hidden, and its cause and remedy as one line each."""
        return replace(
            self,
            component=redact(self.component),
            cause=" ".join(redact(self.cause).split()),
            remedy=" ".join(redact(self.remedy).split()),
            service_lines=tuple(map(redact, self.service_lines)),
        )

    def to_event(self) -> dict[str, str]:
        """Return what an event tells of it."""
        fields = {"cause": self.cause, "class": self.kind.value, "component": self.component}
        return {**fields, "remedy": self.remedy} if self.remedy else fields

    def to_data(self) -> dict[str, Any]:
        """Return the failure as plain data for a channel."""
        return {**asdict(self), "kind": self.kind.value}  # a channel takes plain types only

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Failure":
        """Return the failure that `to_data` gave `data` for."""
        known = {**data, "kind": Kind(data["kind"]), "service_lines": tuple(data["service_lines"])}
        return cls(**known)


class StepError(EsbError):
    """A step of a phase went wrong; the runner turns it into a `Failure`."""

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        service: str | None = None,
        lines: tuple[str, ...] = (),
        kind: Kind | None = None,
        component: str | None = None,
    ) -> None:
        """Say what went wrong.

        Args:
            message: what failed and why, in one line.
            remedy: what to do about it.
            service: whose last lines tell more.
            lines: these.
            kind: the class, where it is known here; else it follows from what is observed.
            component: what is guilty, where that is not `service`.
        """
        super().__init__(message, remedy or None, component)
        self.service = service
        self.lines = lines
        self.kind = kind

    @property
    def last_line(self) -> str:
        """The last of the lines, or an empty one."""
        return self.lines[-1] if self.lines else ""


class PortTakenError(StepError):
    """A service could not listen because its port belongs to somebody else."""


class EnvironmentFailedError(EsbError):
    """An environment that a test needs has failed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.one_line())
        self.failure = failure


class CancelledError(EsbError):
    """The run ends, so what was going on for an environment was given up."""
