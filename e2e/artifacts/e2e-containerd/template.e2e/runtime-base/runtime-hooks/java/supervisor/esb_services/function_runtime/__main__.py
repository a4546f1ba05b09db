"""Runs one worker where its code lies: `_HANDLER=app.handler python -m esb_services.function_runtime`."""

import os
import sys

from esb_services.function_runtime import child, lifeline
from esb_services.function_runtime.settings import Settings
from esb_services.listening import ADDRESS_IN_USE, AddressInUseError, listen
from esb_services.variables import SettingError


def fail(message: str, status: int) -> int:
    """Write `message` as a JSON line and return `status`."""
    from esb_services import logs  # not needed to start a function

    logs.configure("function").error(message)
    return status


def main() -> int:
    """Serve until the function's process ends, and return its exit status."""
    try:
        settings = Settings.from_environment(os.environ)
    except SettingError as error:
        return fail(str(error), 2)
    if settings.lifeline_fd is not None:
        lifeline.tie(settings.lifeline_fd)
    try:
        invoke_socket = listen(settings.host, settings.port)
    except AddressInUseError as error:
        return fail(f"the worker cannot start: {error.strerror}", ADDRESS_IN_USE)
    runtime_socket = listen("127.0.0.1", 0)
    output_read, output_write = os.pipe()
    try:
        pid = child.start(settings, f"127.0.0.1:{runtime_socket.getsockname()[1]}", output_write)
    except OSError as error:
        return fail(f"the worker cannot start: {error.filename}: {error.strerror}", 1)
    os.close(output_write)

    import asyncio  # loads while the function's process starts

    from esb_services.function_runtime.supervisor import Supervisor

    async def supervise() -> int:
        return await Supervisor(settings, pid, output_read).run(invoke_socket, runtime_socket)

    return asyncio.run(supervise())


if __name__ == "__main__":
    sys.exit(main())
