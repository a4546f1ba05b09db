"""Hooks that projects may implement in a plugin or an initial conftest; they may run in a thread."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from esb_e2e_plugin.environment import Environment
    from esb_e2e_plugin.failure import Failure


def pytest_esb_deploy(environment: "Environment", log: "Callable[[str], None]") -> None:
    """Run once per bring-up, at the end of the deploy phase: seed data, deploy what is not an artifact.

    An exception fails the deploy phase.

    Args:
        environment: the environment; its services run, and serve what was applied.
        log: writes a line to the environment's log.
    """


def pytest_esb_environment_ready(environment: "Environment") -> None:
    """Run once per bring-up, when tests may use the environment."""


def pytest_esb_environment_failed(environment: str, failure: "Failure") -> None:
    """Run once per environment that failed, before anything of it is removed.

    Args:
        environment: the instance's name.
        failure: phase, cause and remedy.
    """


def pytest_esb_results(results: Mapping[str, bool]) -> None:
    """Run once at the end of the run.

    Args:
        results: for each environment that was used, whether everything in it went well.
    """
