"""Why an environment failed: its class, what is guilty, the cause, and what to do. Pure."""

from esb_e2e_plugin.diagnosis.diagnose import LAST_LINES, Diagnosis, diagnose
from esb_e2e_plugin.diagnosis.failed_test import diagnose_test
from esb_e2e_plugin.diagnosis.first_cause import furthest_up
from esb_e2e_plugin.diagnosis.observed import Deviation, Observed, Way

__all__ = [
    "LAST_LINES",
    "Deviation",
    "Diagnosis",
    "Observed",
    "Way",
    "diagnose",
    "diagnose_test",
    "furthest_up",
]
