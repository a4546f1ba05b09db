"""Starts the official runtime interface client as a child that talks to this worker's Runtime API."""

import os
import sys
from collections.abc import Mapping

from esb_services.function_runtime import java
from esb_services.function_runtime.settings import OWN_VARIABLES, Settings


def environment(
    settings: Settings, environ: Mapping[str, str], runtime_api: str, folder: str
) -> dict[str, str]:
    """Return the environment of a function: the worker's, less its own variables, and what Lambda adds.

    Args:
        settings: the worker's settings.
        environ: the worker's environment; its values win where Lambda only has a default.
        runtime_api: `host:port` of the Runtime API.
        folder: the absolute path of the function's code.
    """
    if settings.java is not None:
        # the client formats local time as if it were UTC
        own = {"AWS_EXECUTION_ENV": f"AWS_Lambda_java{java.version(settings.java)}", "TZ": "UTC"}
    else:
        own = {
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
            # a function's code is somebody's source tree: leave no caches there
            "PYTHONDONTWRITEBYTECODE": "1",
        }
    defaults = {
        **own,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{settings.function}",
        "AWS_LAMBDA_LOG_STREAM_NAME": settings.worker,
        "LAMBDA_TASK_ROOT": folder,
    }
    inherited = {name: value for name, value in environ.items() if name not in OWN_VARIABLES}
    return {**defaults, **inherited, "AWS_LAMBDA_RUNTIME_API": runtime_api}


def start(settings: Settings, runtime_api: str, output: int) -> int:
    """Start the function's process and return its pid; its output goes to the descriptor `output`.

    Raises:
        OSError: there is no such program, or it cannot be run.
    """
    environ = environment(settings, os.environ, runtime_api, os.getcwd())  # noqa: PTH109 - pathlib is slow to import
    command = [sys.executable, "-m", "awslambdaric", settings.handler]
    if settings.java is not None:
        command = java.command(settings.java, settings.handler, environ, os.getpid())
    actions: list[tuple[int, ...]] = [(os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, output, 2)]
    if settings.lifeline_fd is not None:
        os.set_inheritable(settings.lifeline_fd, True)
    if settings.ready_fd is not None:
        os.set_inheritable(settings.ready_fd, False)
    return os.posix_spawnp(command[0], command, environ, file_actions=actions)
