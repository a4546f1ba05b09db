"""An error, and what was observed with it, as a diagnosis."""

from dataclasses import dataclass

from artifactctl.errors import ArtifactError
from esb_e2e_plugin.errors import EsbError, UserError
from esb_e2e_plugin.failure import Failure, Kind, StepError

_OF_PHASE = {
    "reset": Kind.ENGINE,
    "compose": Kind.SERVICE_START,
    "deploy": Kind.DEPLOY_STEP,
    "test": Kind.PLATFORM,
    "cleanup": Kind.ENGINE,
}
_FAULT_OF_OURS = "this looks like a fault of the plugin: report it"


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong, whoever it happened to.

    Attributes:
        kind: the class of the failure.
        component: what is guilty.
        cause: what happened, in one sentence.
        remedy: what to do about it.
        service: whose last lines tell more.
        lines: these.
    """

    kind: Kind
    component: str
    cause: str
    remedy: str = ""
    service: str | None = None
    lines: tuple[str, ...] = ()

    def failure(self, environment: str, phase: str) -> Failure:
        """Return it as the failure of an environment in a phase."""
        return Failure(
            environment, phase, self.kind, self.component, self.cause, self.remedy, self.service, self.lines
        )


def diagnose(error: BaseException, phase: str) -> Diagnosis:
    """Return why a phase failed.

    Args:
        error: what it failed with.
        phase: `reset`, `compose`, `deploy`, `test` or `cleanup`.
    """
    kind = _OF_PHASE[phase]
    if isinstance(error, StepError):
        component = error.component or error.service or phase
        return Diagnosis(
            error.kind or kind, component, error.message, error.remedy or "", error.service, error.lines
        )
    if isinstance(error, UserError):
        return Diagnosis(Kind.USER_INPUT, phase, error.message, error.remedy or "")
    if isinstance(error, EsbError):
        return Diagnosis(Kind.ENGINE, phase, error.message, error.remedy or "")
    if isinstance(error, ArtifactError):
        return Diagnosis(Kind.DEPLOY_STEP, phase, str(error))
    return Diagnosis(kind, phase, f"{type(error).__name__}: {error}", _FAULT_OF_OURS)
