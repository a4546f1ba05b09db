"""Runs the agent: `python -m esb_services.agent`, told everything by its environment."""

import asyncio
import os
import sys

from esb_services import logs
from esb_services.agent.runtime import EngineError
from esb_services.agent.settings import Settings
from esb_services.listening import ADDRESS_IN_USE, AddressInUseError
from esb_services.variables import SettingError


def main() -> int:
    """Serve until SIGTERM and return the exit status."""
    try:
        settings = Settings.from_environment(os.environ)
    except SettingError as error:
        logs.configure("agent").error(str(error))
        return 2
    log = logs.configure("agent", settings.log_level)
    from esb_services.agent.server import serve  # gRPC loads only for an agent that can run

    try:
        asyncio.run(serve(settings))
    except AddressInUseError as error:
        log.error("the agent cannot start: %s", error.strerror)  # noqa: TRY400 - a traceback says no more
        return ADDRESS_IN_USE
    except SettingError as error:
        log.error("%s", error)  # noqa: TRY400 - a traceback says no more
        return 2
    except EngineError as error:
        log.error("the agent cannot start: %s", error)  # noqa: TRY400 - a traceback says no more
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
