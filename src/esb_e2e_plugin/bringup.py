"""What a process that runs tests asks of whoever owns the environments."""

from typing import Protocol

from esb_e2e_plugin.environment import Environment
from esb_e2e_plugin.failure import Failure


class Bringup(Protocol):
    """The way to an environment: the owner itself, or in an xdist worker a channel to it."""

    def wait(self, name: str) -> Environment:
        """Ask for an environment and return it when tests may use it.

        Raises:
            EnvironmentFailedError: it failed.
        """

    def failure(self, name: str) -> Failure | None:
        """Return why the environment failed, or None; never waits."""
