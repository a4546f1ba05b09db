"""One environment on its way from nothing to ready: `reset → compose → deploy`, and while tests use it."""

from collections.abc import Sequence

from esb_e2e_plugin.context import RunContext
from esb_e2e_plugin.diagnosis import Observed, diagnose
from esb_e2e_plugin.environment import Environment
from esb_e2e_plugin.errors import EsbError, UserError
from esb_e2e_plugin.failure import Failure, Kind, StepError
from esb_e2e_plugin.fingerprint import Decision
from esb_e2e_plugin.lifecycle import hook_call, reusing
from esb_e2e_plugin.lifecycle.cleanup import remove_files
from esb_e2e_plugin.lifecycle.composing import compose, context_of
from esb_e2e_plugin.lifecycle.deadline import Deadline
from esb_e2e_plugin.lifecycle.deploy import Artifacts, deploy
from esb_e2e_plugin.lifecycle.driver import FunctionImages
from esb_e2e_plugin.lifecycle.health import probe
from esb_e2e_plugin.lifecycle.holding import Holding
from esb_e2e_plugin.service_state import ServiceState

_DEPLOY_HOOK = "pytest_esb_deploy"
_READY_HOOK = "pytest_esb_environment_ready"
_FAILED_HOOK = "pytest_esb_environment_failed"


class EnvironmentRunner:
    """Brings an environment up that this process holds, and watches it; used by one thread at a time."""

    def __init__(self, holding: Holding) -> None:
        """Run what `holding` holds."""
        self._holding = holding
        self._run = holding.run
        self._driver = holding.driver
        self._journal = holding.journal

    def bring_up(self) -> Environment:
        """Run `reset`, `compose` and `deploy`, and return the environment, ready for tests.

        Raises:
            EsbError: a phase failed; `fail` makes a failure of it.
            ArtifactError: an artifact is wrong.
            CancelledError: the run ended meanwhile.
        """
        made_of = reusing.look(self._holding) if self._run.settings.leaves_running else None
        return self._bring_up(made_of)

    def reuse(self) -> Environment:
        """Take the environment as an earlier run left it, redo what has changed since, and return it.

        Raises:
            EsbError: as `bring_up`.
            ArtifactError: as `bring_up`.
            CancelledError: as `bring_up`.
        """
        holding = self._holding
        made_of = reusing.look(holding)
        verdict = reusing.judge(holding, made_of)
        self._journal.event("env.reuse", decision=verdict.decision.value, why=verdict.why)
        self._journal.say(str(verdict))
        if verdict.decision is Decision.ANEW:
            return self._bring_up(made_of)
        context = context_of(holding, self._environment)
        if verdict.decision is Decision.REDEPLOY:
            holding.phase, holding.fingerprint = "deploy", None
            holding.write("starting")  # what is half deployed is not to be trusted after a kill
        seconds = self._run.settings.timeout_compose
        self._driver.rejoin(context, Deadline(seconds, self._run.cancelled, "--esb-timeout-compose"))
        if verdict.decision is Decision.REDEPLOY:
            self._deploy_phase(context, made_of)
        holding.begin("test")
        holding.write("ready")
        return self._environment

    def _bring_up(self, made_of: reusing.Inputs | None) -> Environment:
        settings, holding = self._run.settings, self._holding
        holding.in_phase("reset", settings.timeout_reset, self._reset)
        context = holding.in_phase(
            "compose", settings.timeout_compose, lambda deadline: compose(holding, deadline)
        )
        self._deploy_phase(context, made_of)
        holding.begin("test")
        return self._environment

    def _deploy_phase(self, context: RunContext, made_of: reusing.Inputs | None) -> None:
        settings, holding, environment = self._run.settings, self._holding, self._environment
        images = holding.in_phase(
            "deploy", settings.timeout_deploy, lambda deadline: self._deploy(context, environment, deadline)
        )
        self.look()
        reusing.record(holding, made_of, images)
        holding.write("ready")
        hook_call.call(_READY_HOOK, lambda: self._run.hooks.ready(environment), self._hook_deadline())

    def attach(self) -> Environment:
        """Use the environment as an earlier run left it, and return it.

        Raises:
            UserError: it is not there, or not well; says how to start it.
        """
        holding = self._holding
        holding.attached = True
        holding.phase = "test"
        name, start = holding.scenario.name, f"start it with: {holding.command} --esb-build-only"
        state = holding.state.read()
        if state is None or state.status != "kept" or not state.environment:
            raise UserError(f"environment {name} is not running", start)
        if state.cause is not None and state.phase != "test":
            raise UserError(
                f"environment {name} was left as it failed in {state.phase}: {state.cause}", start
            )
        environment = Environment.from_data(state.environment)
        self._journal.redact.add(vars(environment.credentials).values())
        gone = self._driver.attach(state.services or {})
        if gone is not None:
            raise UserError(f"environment {name} was left running, but its {gone} has ended", start)
        health = probe(self._driver.gateway_health(environment))
        if not health.ok:
            raise UserError(f"environment {name}: its gateway answers {health.detail}", start)
        holding.environment = environment
        holding.begin("test")
        return environment

    def watch(self, timeout: float) -> None:
        """Wait up to `timeout` seconds; raise `StepError` when a service has ended meanwhile."""
        error = self._driver.watch(timeout)
        if error is not None:
            raise error

    def look(self) -> None:
        """Raise `StepError` when a service has ended, even so lately that nobody has told it yet."""
        error = self._driver.fault()
        if error is not None:
            raise error

    def endure(self, timeout: float) -> None:
        """Wait up to `timeout` seconds while a test may end and restart services."""
        self._driver.endure(timeout)

    def inspect(self) -> Sequence[ServiceState]:
        """Copy everything that was written until now into the log, and return how all services are."""
        try:
            return self._driver.inspect(self._environment)
        except Exception as error:  # noqa: BLE001  a look at what went wrong must not be what goes wrong
            self._journal.line("esb", f"the services cannot be looked at: {error}")
            return ()

    def settle(self, test: str) -> None:
        """Wait until every service is well again after a test that may have disturbed them.

        Args:
            test: its node id.

        Raises:
            StepError: one is not; names the test.
        """
        seconds = self._run.settings.timeout_compose
        try:
            deadline = Deadline(seconds, self._run.cancelled, "--esb-timeout-compose")
            self._driver.settle(self._environment, deadline)
        except StepError as error:
            error.message = f"after the esb_exclusive test {test}: {error.message}"
            raise

    def finish(self, failure: Failure | None) -> None:
        """Record that tests are over, and the first that failed."""
        self._holding.finish_phase(failure)

    def cut_short(self, reason: str) -> None:
        """Record that the run ended early."""
        self._holding.cut_short(reason)

    def fail(self, error: BaseException) -> Failure:
        """Record that the environment failed because of `error`, tell the project, and return the failure."""
        holding = self._holding
        holding.broken = True
        diagnosis = diagnose(error, holding.phase, self._observed())
        failure = diagnosis.failure(holding.scenario.name, holding.phase).redacted(self._journal.redact)
        self._driver.diagnose()
        holding.finish_phase(failure)
        self._journal.say(f"{holding.phase}: FAILED: {failure.cause}")
        if not holding.attached:
            holding.write("failed", cause=failure.cause)
        self._tell(failure)
        return failure

    def _tell(self, failure: Failure) -> None:
        """Call the project's hook for a failure, which must not hide the cause."""
        try:
            hooks, name = self._run.hooks, failure.environment
            hook_call.call(_FAILED_HOOK, lambda: hooks.failed(name, failure), self._hook_deadline())
        except EsbError as error:
            self._journal.say(error.message)

    def _hook_deadline(self) -> Deadline:
        seconds = self._run.settings.timeout_deploy
        return Deadline(seconds, self._run.cancelled, "--esb-timeout-deploy")

    def record_failed_test(self, failure: Failure) -> None:
        """Write into the state that a test has failed: by that a reaper knows a failed environment."""
        if not self._holding.attached:
            self._holding.write("ready", cause=failure.cause)

    def _observed(self) -> Observed | None:
        try:
            return self._driver.observed()
        except StepError:  # the engine has gone away: it is the cause already
            return None

    @property
    def _environment(self) -> Environment:
        environment = self._holding.environment
        assert environment is not None  # noqa: S101  its services are up
        return environment

    def _reset(self, deadline: Deadline) -> None:
        self._holding.write("removing")  # what was kept is so no more: a reaper must not leave half of it
        self._driver.reset(deadline)
        left = remove_files(self._holding.paths)
        if left:
            raise StepError(
                f"an earlier run left {', '.join(left)}",
                remedy="remove it by hand",
                kind=Kind.USER_INPUT,
                component=left[0].partition(": ")[0],
            )
        self._holding.make_folders()
        self._holding.write("starting")

    def _deploy(self, context: RunContext, environment: Environment, deadline: Deadline) -> FunctionImages:
        entry, images = self._holding.scenario.entry, FunctionImages()
        if entry.artifact_manifest is not None and context.paths.config is not None:
            artifacts = Artifacts(
                entry.artifact_manifest,
                context.paths.config,
                entry.secret_env_file,
                entry.strict,
                self._run.applier,
            )
            supervisor = self._holding.supervisor
            images = deploy(artifacts, context, self._driver, supervisor, self._journal, deadline)
        self._journal.event("phase.progress", phase="deploy", step="hooks")

        def log(text: str) -> None:
            self._journal.line(_DEPLOY_HOOK, text)

        hook_call.call(_DEPLOY_HOOK, lambda: self._run.hooks.deploy(environment, log), deadline)
        return images
