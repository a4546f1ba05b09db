"""CONFIG_DIR as a source of configurations: which generation is current, and what it says."""

import logging
import time
from pathlib import Path
from typing import Any

import yaml

from esb_services import logs
from esb_services.gateway.config import ConfigError, ConfigReader, GatewayConfig

logger = logging.getLogger("esb.gateway.config")

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ConfigSource:
    """Reads the generation that `directory/.current` links to, each generation once.

    A generation that cannot be used is remembered in `rejected` until another one becomes current.
    """

    def __init__(self, directory: Path, reader: ConfigReader) -> None:
        self._directory = directory
        self._reader = reader
        self._seen: str | None = None
        self.rejected: dict[str, str] | None = None

    def changed(self) -> Path | None:
        """Return the current generation's folder if it is another one than at the last call, else None."""
        try:
            target = str((self._directory / ".current").readlink())
        except OSError:
            return None
        if target == self._seen:
            return None
        self._seen = target
        return self._directory / target

    def load(self, generation: Path) -> GatewayConfig | None:
        """Return the configuration in the folder `generation`; None, with the reason logged, if broken."""
        try:
            images = generation / "images.yml"
            ids = _parse(images) if images.exists() else None
            functions = self._reader.functions(_parse(generation / "functions.yml"), ids)
            routes = self._reader.routes(_parse(generation / "routing.yml"), functions)
        except ConfigError as error:
            self.rejected = {"digest": generation.name, "reason": str(error)}
            fields = {"config_digest": generation.name}
            logger.error("config rejected, the earlier one stays: %s", error, extra={"fields": fields})  # noqa: TRY400
            return None
        self.rejected = None
        return GatewayConfig(generation.name, logs.timestamp(time.time()), functions, routes)


def _parse(path: Path) -> object:
    try:
        with path.open("rb") as file:
            return yaml.load(file, Loader=_Loader)  # noqa: S506 both loaders are the safe one
    except FileNotFoundError:
        raise ConfigError(f"{path.name}: not in the generation {path.parent.name}") from None
    except (OSError, yaml.YAMLError, ValueError) as error:  # ValueError: as for 2026-13-45
        raise ConfigError(f"{path.name}: {' '.join(str(error).split())}") from error
