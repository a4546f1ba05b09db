"""Keys under which the parts of one pytest session find each other."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from esb_e2e_plugin.bringup import Bringup
    from esb_e2e_plugin.recorder import Recorder
    from esb_e2e_plugin.redaction import Redactor
    from esb_e2e_plugin.reporting.screen import Screen
    from esb_e2e_plugin.selection import Selection

BRINGUP: "pytest.StashKey[Bringup]" = pytest.StashKey()
AUTO_WORKERS: "pytest.StashKey[int]" = pytest.StashKey()
FINISH_ENVIRONMENT: "pytest.StashKey[Callable[[], None]]" = pytest.StashKey()
RECORDER: "pytest.StashKey[Recorder]" = pytest.StashKey()
REDACTOR: "pytest.StashKey[Redactor]" = pytest.StashKey()
SELECTION: "pytest.StashKey[Selection]" = pytest.StashKey()
TERMINAL: "pytest.StashKey[Screen]" = pytest.StashKey()

RESULTS = pytest.StashKey[dict[str, bool]]()
"""Key of `config.stash`: for each environment that the run used, whether everything in it went well."""

WORKERINPUT = "esb_e2e"
"""Key of what the controller hands to a worker in xdist's `workerinput`."""

LATE = "esb_e2e_late"
"""Key there of what a late worker is told: xdist's module, and whether it begins only to end."""
