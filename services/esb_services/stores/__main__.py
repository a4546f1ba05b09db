"""Runs one store: `STORE_NAME=database STORE_PORT=8000 python -m esb_services.stores`."""

import gc
import os
import signal
import sys
from types import FrameType

from esb_services import logs
from esb_services.listening import ADDRESS_IN_USE, AddressInUseError, listen
from esb_services.stores.settings import SERVED, Settings
from esb_services.variables import SettingError


def stop(_signal: int, _frame: FrameType | None) -> None:
    """End the process; whatever a store holds is in memory and may go."""
    raise SystemExit(0)


def main() -> int:
    """Serve until SIGTERM and return the exit status."""
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        settings = Settings.from_environment(os.environ)
    except SettingError as error:
        logs.configure("stores").error(str(error))
        return 2
    log = logs.configure(settings.name, settings.log_level)
    try:
        listener = listen(settings.host, settings.port)
    except AddressInUseError as error:
        log.error("%s cannot start: %s", settings.name, error.strerror)  # noqa: TRY400 - a traceback says no more
        return ADDRESS_IN_USE
    except OSError as error:
        log.error("%s", SettingError("BIND_ADDRESS", settings.host, f"an address of this machine ({error})"))  # noqa: TRY400
        return 2
    # Nothing that moto loads is garbage: to look for some takes a sixth of the start.
    gc.disable()
    from esb_services.stores.server import make_store  # moto loads while clients may already connect

    with listener, make_store(listener, SERVED[settings.name]) as server:
        gc.freeze()
        gc.enable()
        log.info("%s listens on %s:%d", settings.name, settings.host, settings.port)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
