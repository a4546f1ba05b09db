"""An error, and what was observed with it, as a diagnosis. Pure."""

from dataclasses import dataclass, replace

from artifactctl.errors import ArtifactError
from esb_e2e_plugin.diagnosis.first_cause import first_cause
from esb_e2e_plugin.diagnosis.observed import Deviation, Observed, Way
from esb_e2e_plugin.diagnosis.signs import ENGINE, recognised
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
LAST_LINES = "its last lines say why"
_GENERAL_REMEDIES = (LAST_LINES, "look at its last lines")
_REMEDIES = {
    Way.OUT_OF_MEMORY: "allow it more memory (mem_limit in the compose file), or let it use less",
    Way.PAUSED: "somebody or something paused it: docker unpause; keep away from it while tests run",
    Way.REMOVED: "somebody or something removed it: keep away from the environment while it is up",
    Way.UNHEALTHY: "its last lines, and what its check says in the log, say why",
    Way.ENDED_WELL: (
        "let it run on, or let who waits for it name the condition service_completed_successfully"
    ),
}
_SETTLED = frozenset({Kind.USER_INPUT, Kind.ENGINE, Kind.IMAGE_BUILD, Kind.TEST})
"""Classes that say where to look whatever became of services meanwhile."""


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


def diagnose(error: BaseException, phase: str, observed: Observed | None = None) -> Diagnosis:
    """Return why a phase failed.

    The component that deviated first is guilty, where it explains the error; what is known to be wrong by the
    words that were used gets its own class and remedy.

    Args:
        error: what it failed with.
        phase: `reset`, `compose`, `deploy`, `test` or `cleanup`.
        observed: how the environment's components were then.
    """
    told = _told(error, phase)
    if isinstance(error, StepError) and error.kind not in _SETTLED and observed is not None:
        cause = first_cause(told.component, observed)
        if cause is not None:
            told = _blamed(cause, told, phase)
    return _recognised(told)


def _told(error: BaseException, phase: str) -> Diagnosis:
    """Return what the error itself says."""
    if isinstance(error, StepError):
        component = error.component or error.service or phase
        kind = error.kind or _OF_PHASE[phase]
        return Diagnosis(kind, component, error.message, error.remedy or "", error.service, error.lines)
    if isinstance(error, EsbError):
        kind = Kind.USER_INPUT if isinstance(error, UserError) else Kind.ENGINE
        return Diagnosis(kind, error.component or phase, error.message, error.remedy or "")
    if isinstance(error, ArtifactError):
        component = error.path.name if error.path is not None else phase
        return Diagnosis(Kind.DEPLOY_STEP, component, str(error), "correct the artifact, then run again")
    if isinstance(error, OSError) and error.filename is not None:
        cause = f"{error.filename}: {error.strerror or error}"
        return Diagnosis(Kind.ENGINE, str(error.filename), cause, "let this user read and write it")
    return Diagnosis(_OF_PHASE[phase], phase, f"{type(error).__name__}: {error}", _FAULT_OF_OURS)


def _blamed(cause: Deviation, told: Diagnosis, phase: str) -> Diagnosis:
    kind = Kind.HEALTH if cause.way is Way.UNHEALTHY else _kind_of_end(phase)
    remedy = _REMEDIES.get(cause.way, LAST_LINES)
    if cause.component == told.component:
        # What was said when it happened says more than what is seen of it afterwards.
        kept = told.remedy if told.remedy != LAST_LINES else ""
        return replace(told, kind=kind, remedy=kept or remedy)
    sentence = f"{cause.what}, then {told.cause}"
    return Diagnosis(kind, cause.component, sentence, remedy, cause.component, cause.lines)


def _kind_of_end(phase: str) -> Kind:
    return Kind.PLATFORM if phase == "test" else Kind.SERVICE_START


def _recognised(told: Diagnosis) -> Diagnosis:
    if told.kind in (Kind.USER_INPUT, Kind.TEST):
        return told
    # A service that ran well has logged much that has nothing to do with its end.
    lines = told.lines[-1:] if told.kind is Kind.PLATFORM else told.lines
    found = recognised((told.cause, *reversed(lines)))
    if found is None:
        return told
    sign, remedy = found
    if told.kind is Kind.ENGINE and told.component != ENGINE and sign.kind is not Kind.ENGINE:
        return told
    if sign.kind is not Kind.ENGINE and told.remedy and not told.remedy.startswith(_GENERAL_REMEDIES):
        remedy = told.remedy  # whoever failed knew better
    return replace(
        told, kind=sign.kind or told.kind, component=sign.component or told.component, remedy=remedy
    )
