"""Why an environment failed: its class, what is guilty, the cause, and what to do. Pure."""

from esb_e2e_plugin.diagnosis.diagnose import Diagnosis, diagnose

__all__ = ["Diagnosis", "diagnose"]
