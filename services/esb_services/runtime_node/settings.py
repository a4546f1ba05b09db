"""What runtime-node is told by its environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from esb_services.cni import NetworkSettings
from esb_services.variables import Variables

DEFAULT_PORT = 9092


@dataclass(frozen=True)
class Settings:
    """The workers' network, and where runtime-node tells its health."""

    network: NetworkSettings
    port: int
    log_level: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings.

        Raises:
            SettingError: a variable is missing or wrong.
        """
        variables = Variables(environ)
        return cls(
            NetworkSettings.from_variables(variables),
            variables.port("RUNTIME_NODE_PORT", DEFAULT_PORT),
            variables.log_level(),
        )
