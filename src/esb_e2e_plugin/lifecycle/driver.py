"""What every way to run an environment's services has in common."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from esb_e2e_plugin.context import RunContext
from esb_e2e_plugin.diagnosis import Observed
from esb_e2e_plugin.environment import Environment
from esb_e2e_plugin.failure import StepError
from esb_e2e_plugin.lifecycle.deadline import Deadline
from esb_e2e_plugin.lifecycle.health import HealthCheck
from esb_e2e_plugin.service_state import ServiceState


@dataclass(frozen=True)
class FunctionImages:
    """What functions run from, since it was prepared last.

    Attributes:
        code: what each name of an image stands for, which is something else after each change.
        in_engine: ids of images, by name, that are another one's business and may change there: those of
            the functions, and those that they were made from.
    """

    code: Mapping[str, str] = field(default_factory=dict)
    in_engine: Mapping[str, str] = field(default_factory=dict)


class Driver(Protocol):
    """Starts and ends the services of one environment; one implementation per kind of engine."""

    def reset(self, deadline: Deadline) -> None:
        """End everything an earlier run left of this environment; raise `StepError` if it stays."""

    def up(self, context: RunContext, certified: Callable[[], None], deadline: Deadline, /) -> None:
        """Start the services and return when all of them serve.

        Args:
            context: the environment.
            certified: returns when its certificates are written, which goes on beside.
            deadline: until when.

        Raises:
            PortTakenError: a leased port turned out to belong to somebody else.
            StepError: a service ended or did not serve in time.
        """

    def attach(self, services: Mapping[str, Any]) -> str | None:
        """Watch services that another run started; return the name of one that is gone, or None."""

    def prepare_images(self, context: RunContext, deadline: Deadline) -> FunctionImages:
        """Make the images of the environment's functions available to its agent, and say what they are."""

    def publish_config(self, context: RunContext, deadline: Deadline) -> None:
        """Hand what was applied to the services, where they cannot read it in its place."""

    def provision(self, context: RunContext, deadline: Deadline, /) -> None:
        """Run the provisioner to its end; raise `StepError` when it fails."""

    def gateway_health(self, environment: RunContext | Environment) -> HealthCheck:
        """Return how to ask the front door whether it serves."""

    def watch(self, timeout: float) -> StepError | None:
        """Wait up to `timeout` seconds for a service to end, and return that as an error.

        Copies new output to the log meanwhile.
        """

    def endure(self, timeout: float) -> None:
        """Wait up to `timeout` seconds while a test may end and restart services; follow the output."""

    def settle(self, environment: Environment, deadline: Deadline) -> None:
        """Wait until every service is well again; raise `StepError` when one is not."""

    def fault(self) -> StepError | None:
        """Return a service that has ended or turned unhealthy as an error, whether or not it was told yet."""

    def rejoin(self, context: RunContext, deadline: Deadline) -> None:
        """Make sure of what services, which were attached to, share with other environments."""

    def unwell(self, environment: Environment) -> str | None:
        """Return why the services, which were attached to, are not to be used; None where all are well."""

    def place(self) -> Mapping[str, str]:
        """Return what the services run on, by name."""

    def service_images(self) -> Mapping[str, str]:
        """Return the ids of the images that the services run from, by name."""

    def image_ids(self, names: Iterable[str]) -> Mapping[str, str]:
        """Return the ids of those of the named images that are there."""

    def services(self) -> Mapping[str, Any]:
        """Return the running services as plain data, for `attach` in a later run."""

    def inspect(self, environment: Environment, /) -> list[ServiceState]:
        """Copy everything that was written until now into the log; return how services and workers are."""

    def observed(self) -> Observed:
        """Return how the services are, for the diagnosis of a failure; raise `StepError` if nobody knows."""

    def diagnose(self) -> None:
        """Write into the log what the engine knows of each service, before anything is removed."""

    def last_lines(self, service: str, count: int) -> tuple[str, ...]:
        """Return the last lines that a service wrote."""

    def left(self) -> list[str]:
        """Return what there is of the environment now, each with the command that removes it."""

    def down(self, timeout: float) -> list[str]:
        """End everything of the environment; return what is left, each with the command that removes it."""

    def let_go(self) -> None:
        """Leave everything running and stop watching it."""

    def close(self) -> None:
        """Give back what the driver itself holds, such as connections; it is not used any more."""
