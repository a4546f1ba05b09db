"""The project's own hooks, as the lifecycle calls them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from esb_e2e_plugin.environment import Environment
from esb_e2e_plugin.failure import Failure


class ProjectHooks:
    """Calls the hooks of a pytest configuration."""

    def __init__(self, config: pytest.Config) -> None:
        """Call the hooks of `config`."""
        self._hook = config.hook

    def deploy(self, environment: Environment, log: Callable[[str], None]) -> None:
        """Call `pytest_esb_deploy`."""
        self._hook.pytest_esb_deploy(environment=environment, log=log)

    def ready(self, environment: Environment) -> None:
        """Call `pytest_esb_environment_ready`."""
        self._hook.pytest_esb_environment_ready(environment=environment)

    def failed(self, environment: str, failure: Failure) -> None:
        """Call `pytest_esb_environment_failed`."""
        self._hook.pytest_esb_environment_failed(environment=environment, failure=failure)


def deploy_hook_files(config: pytest.Config) -> tuple[Path, ...]:
    """Return the files in which `pytest_esb_deploy` is implemented, each one once."""
    found = (hook.function.__code__ for hook in config.hook.pytest_esb_deploy.get_hookimpls())
    return tuple(dict.fromkeys(Path(code.co_filename).absolute() for code in found))
