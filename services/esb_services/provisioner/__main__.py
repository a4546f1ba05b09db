"""Runs the provisioner once: `CONFIG_DIR=… python -m esb_services.provisioner`."""

import gc
import os
import sys

from esb_services import logs
from esb_services.provisioner.resources import ResourcesError, load
from esb_services.provisioner.settings import Settings
from esb_services.variables import SettingError


def main() -> int:
    """Create what the applied config asks for, and return the exit status."""
    try:
        settings = Settings.from_environment(os.environ)
    except SettingError as error:
        logs.configure("provisioner").error(str(error))
        return 2
    log = logs.configure("provisioner", settings.log_level)
    try:
        resources = load(settings.config_dir)
    except ResourcesError as error:
        log.error(str(error))  # noqa: TRY400 - a traceback says no more
        return 1
    if not resources:
        log.info("no tables and no buckets to create")
        return 0
    # A process this short frees nothing in time, and to look for garbage takes a fifth of the load.
    gc.disable()
    from esb_services.provisioner.stores import Stores  # boto3 loads only where there is something to create

    failures = Stores(settings).provision(resources)
    for failure in failures:
        log.error(failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
