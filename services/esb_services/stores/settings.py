"""What a store process is told by its environment."""

from collections.abc import Mapping
from dataclasses import dataclass

from esb_services.variables import Variables

SERVED: dict[str, tuple[str, ...]] = {"s3-storage": ("s3",), "database": ("dynamodb", "logs")}
"""The AWS services behind each store's name."""


@dataclass(frozen=True)
class Settings:
    """One store: its name, and where it listens."""

    name: str
    host: str
    port: int
    log_level: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings of a store.

        Raises:
            SettingError: a variable is missing or wrong.
        """
        variables = Variables(environ)
        return cls(
            name=variables.choice("STORE_NAME", tuple(SERVED)),
            host=variables.text("BIND_ADDRESS", "an IP address to listen on", "0.0.0.0"),  # noqa: S104 - in a container
            port=variables.port("STORE_PORT"),
            log_level=variables.log_level(),
        )
