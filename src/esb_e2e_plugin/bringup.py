"""What a process that runs tests asks of whoever owns the environments."""

from collections.abc import Callable, Sequence
from typing import Protocol

from esb_e2e_plugin.environment import Environment
from esb_e2e_plugin.failure import Failure
from esb_e2e_plugin.service_state import ServiceState


class Bringup(Protocol):
    """The way to an environment: the owner itself, or in an xdist worker a channel to it."""

    def wait(self, name: str, meanwhile: Callable[[], None] | None = None) -> Environment:
        """Ask for an environment and return it when tests may use it.

        Args:
            name: the environment.
            meanwhile: called once at most, where there is time to spare.

        Raises:
            EnvironmentFailedError: it failed.
        """

    def failure(self, name: str) -> Failure | None:
        """Return why the environment failed, or None; never waits."""

    def inspect(self, name: str, timeout: float) -> Sequence[ServiceState]:
        """Have the environment's log hold everything that was written until now; return how its services are.

        Args:
            name: the environment.
            timeout: seconds until giving up: nothing is returned then.
        """
