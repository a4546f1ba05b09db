"""One environment from nothing to ready and back to nothing: `reset → compose → deploy`, then clean-up."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Self, TypeVar

from artifactctl import secrets
from artifactctl.errors import ArtifactError
from esb_e2e_plugin.context import RunContext, build_context, environment_paths
from esb_e2e_plugin.credentials import Credentials
from esb_e2e_plugin.env_file import read_env_file
from esb_e2e_plugin.environment import Environment, Paths, Ports
from esb_e2e_plugin.errors import EsbError, UserError
from esb_e2e_plugin.events import Journal
from esb_e2e_plugin.failure import CancelledError, Failure, PortTakenError, StepError
from esb_e2e_plugin.lifecycle.backend import Backend, backend_of, mark_of, project_of
from esb_e2e_plugin.lifecycle.certificates import write_certificates
from esb_e2e_plugin.lifecycle.cleanup import remove_files
from esb_e2e_plugin.lifecycle.deadline import Deadline
from esb_e2e_plugin.lifecycle.deploy import Artifacts, applied_digest, deploy
from esb_e2e_plugin.lifecycle.health import probe
from esb_e2e_plugin.lifecycle.run import Run
from esb_e2e_plugin.lifecycle.supervisor import Supervisor
from esb_e2e_plugin.locks import EnvironmentLock, lock_key
from esb_e2e_plugin.planner import Scenario
from esb_e2e_plugin.ports import PortBlock, PortLedger
from esb_e2e_plugin.process_identity import ProcessIdentity
from esb_e2e_plugin.settings import Settings
from esb_e2e_plugin.store import EnvironmentState, StateFile, Status, check_owner, make_host_folder

_CLEANUP_SECONDS = 30.0
_TAKE_OVER_SECONDS = 30.0
_MOST_MOVES = 20

_T = TypeVar("_T")


class EnvironmentRunner:
    """Brings one owned environment up, watches it, and removes it; used by one thread at a time.

    Attributes:
        phase: what is going on.
        journal: the environment's log and events.
    """

    def __init__(
        self,
        scenario: Scenario,
        run: Run,
        lock: EnvironmentLock,
        key: str,
        backend: Backend,
        *,
        anew: bool = True,
    ) -> None:
        """Hold an environment; `own` and `take_over` are the ways to one."""
        paths = environment_paths(scenario, run.root)
        self.phase = "reset"
        self._scenario = scenario
        self._run = run
        self._lock = lock
        self._key = key
        self._engine_host = backend.host
        self._paths = paths
        self._ledger = PortLedger(run.host)
        self._state = StateFile(paths.state)
        self._environment: Environment | None = None
        self._attached = False
        self._failure: str | None = None
        _make_folders(paths)
        self.journal = Journal(scenario.name, run.run_id, paths.log, paths.events, run.listener, anew=anew)
        if scenario.entry.secret_env_file is not None:
            self.journal.redact.add(secrets.read(scenario.entry.secret_env_file).values())
        if anew:
            self.journal.event("run.started", profile=scenario.profile)
            self.journal.event("env.queued")
        self._supervisor = Supervisor(mark_of(paths), paths.run, paths.logs, self.journal)
        self._driver = backend.driver(scenario, run, paths, key, self._supervisor, self.journal)

    @classmethod
    def own(cls, scenario: Scenario, run: Run) -> Self:
        """Wait for the right to change an environment, and take it.

        Raises:
            EsbError: another run holds it for too long; names the holder.
            CancelledError: the run ended meanwhile.
        """

        def check() -> None:
            if run.cancelled.is_set():
                raise CancelledError("the run was interrupted")

        make_host_folder(run.host)
        check_owner(environment_paths(scenario, run.root).state, scenario.name)
        backend = backend_of(scenario, run)
        key = lock_key(backend.identity, project_of(scenario))
        lock = EnvironmentLock(run.host, key)
        lock.acquire(
            run_id=run.run_id,
            timeout=run.settings.lock_timeout,
            waiting=lambda who: run.listener(scenario.name, f"waiting: held by {who}"),
            check=check,
        )
        try:
            return cls(scenario, run, lock, key, backend)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def take_over(cls, scenario: Scenario, run: Run) -> Self | None:
        """Hold an environment in place of the run's owner, which has ended; None where nothing is left of it.

        Raises:
            EsbError: the environment's engine does not answer.
        """
        backend = backend_of(scenario, run)
        key = lock_key(backend.identity, project_of(scenario))
        lock = EnvironmentLock(run.host, key)
        if not lock.inherit(run.run_id, f"the reaper of run {run.run_id}", _TAKE_OVER_SECONDS):
            return None
        try:
            return cls(scenario, run, lock, key, backend, anew=False)
        except BaseException:
            lock.release()
            raise

    def bring_up(self) -> Environment:
        """Run `reset`, `compose` and `deploy`, and return the environment, ready for tests.

        Raises:
            EsbError: a phase failed; `fail` makes a failure of it.
            ArtifactError: an artifact is wrong.
            CancelledError: the run ended meanwhile.
        """
        settings = self._run.settings
        self._in_phase("reset", settings.timeout_reset, self._reset)
        context = self._in_phase("compose", settings.timeout_compose, self._compose)
        environment = _environment(context)
        self._in_phase(
            "deploy", settings.timeout_deploy, lambda deadline: self._deploy(context, environment, deadline)
        )
        self.look()
        self._write("ready")
        self._run.hooks.ready(environment)
        self._begin("test")
        return environment

    def attach(self) -> Environment:
        """Use the environment as an earlier run left it, and return it.

        Raises:
            UserError: it is not there, or not well; says how to start it.
        """
        self._attached = True
        self.phase = "test"
        start = f"start it with: {self._command} --esb-build-only"
        state = self._state.read()
        if state is None or state.status != "kept" or not state.environment:
            raise UserError(f"environment {self._scenario.name} is not running", start)
        if state.cause is not None and state.phase != "test":
            raise UserError(
                f"environment {self._scenario.name} was left as it failed in {state.phase}: {state.cause}",
                start,
            )
        environment = Environment.from_data(state.environment)
        self.journal.redact.add(vars(environment.credentials).values())
        gone = self._driver.attach(state.services or {})
        if gone is not None:
            raise UserError(
                f"environment {environment.name} was left running, but its {gone} has ended", start
            )
        health = probe(self._driver.gateway_health(environment))
        if not health.ok:
            raise UserError(f"environment {environment.name}: its gateway answers {health.detail}", start)
        self._environment = environment
        self._begin("test")
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

    def settle(self, test: str) -> None:
        """Wait until every service is well again after a test that may have disturbed them.

        Args:
            test: its node id.

        Raises:
            StepError: one is not; names the test.
        """
        assert self._environment is not None  # noqa: S101  a test has run in it
        seconds = self._run.settings.timeout_compose
        try:
            deadline = Deadline(seconds, self._run.cancelled, "--esb-timeout-compose")
            self._driver.settle(self._environment, deadline)
        except StepError as error:
            error.message = f"after the esb_exclusive test {test}: {error.message}"
            raise

    def finish_phase(self, cause: str | None) -> None:
        """Record the end of the current phase, and the cause where it failed."""
        self._failure = self._failure or cause
        failed = {"cause": cause} if cause is not None else {}
        self.journal.event("phase.finished", phase=self.phase, ok=cause is None, **failed)

    def fail(self, error: Exception) -> Failure:
        """Record that the environment failed because of `error`, tell the project, and return the failure."""
        service, lines = (error.service, error.lines) if isinstance(error, StepError) else (None, ())
        if isinstance(error, EsbError):
            cause, remedy = error.message, error.remedy or ""
        elif isinstance(error, ArtifactError):
            cause, remedy = str(error), ""
        else:
            cause, remedy = (
                f"{type(error).__name__}: {error}",
                "this looks like a fault of the plugin: report it",
            )
        redact = self.journal.redact
        cause = " ".join(redact(cause).split())
        failure = Failure(self._scenario.name, self.phase, cause, redact(remedy), service, lines)
        self._driver.diagnose()
        self.finish_phase(cause)
        self.journal.say(f"{self.phase}: FAILED: {cause}")
        if not self._attached:
            self._write("failed", cause=cause)
        try:
            self._run.hooks.failed(failure.environment, failure)
        except Exception as hook_error:  # noqa: BLE001  a hook must not hide the cause
            self.journal.say(f"a pytest_esb_environment_failed hook failed: {hook_error!r}")
        return failure

    def clean_up(self) -> Failure | None:
        """Remove everything of the environment and give it back; return a failure if something is left.

        An environment that was only attached to stays.
        """
        if self._attached:
            self.leave()
            return None
        self.phase = "cleanup"
        self.journal.event("phase.started", phase="cleanup")
        started = time.monotonic()
        try:
            self._write("removing")
            left = self._driver.down(_CLEANUP_SECONDS) + remove_files(self._paths)
            self._ledger.release(self._key)
            self.finish_phase(f"still there: {', '.join(left)}" if left else None)
            if left:
                self.journal.event("cleanup.left", things=left)
                self.journal.say(f"cleanup: FAILED: still there: {', '.join(left)}")
                return Failure(
                    self._scenario.name,
                    "cleanup",
                    f"still there: {', '.join(left)}",
                    "run the commands given",
                )
            self.journal.say(f"removed in {time.monotonic() - started:.1f} s")
            return None
        finally:
            self._give_back()

    def end_for_owner(self) -> None:
        """End the environment as its owner, which is gone, would have: leave it, or remove it."""
        self._supervisor.skip_old_lines()
        state = self._state.read()
        if state is not None and state.environment:
            self.journal.redact.add(state.environment["credentials"].values())
            if state.status == "kept" or is_kept(self._run.settings, state):
                try:
                    self._state.write(replace(state, status="kept"))
                    self._ledger.keep(self._key)
                    self._driver.let_go()
                    self.journal.say("its owner is gone: left running, as it is to be kept")
                finally:
                    self._give_back()
                return
        self.journal.say("its owner is gone: the reaper removes it")
        with suppress(StepError):  # what it could not remove, the clean-up names
            self._driver.reset(Deadline(_CLEANUP_SECONDS, self._run.cancelled, "--esb-timeout-reset"))
        self.clean_up()

    def leave(self) -> None:
        """Leave the environment running for a later run, and give it back."""
        try:
            if self._environment is not None:
                if not self._attached:
                    self._write("kept", cause=self._failure)
                    self._ledger.keep(self._key)
                self.journal.say(f"left running: {self._environment.urls.gateway}")
                if not self._attached:
                    self._say_how_to_go_on()
            self._driver.let_go()
        finally:
            self._give_back()

    def record_failed_test(self, cause: str) -> None:
        """Write into the state that a test has failed: by that a reaper knows a failed environment."""
        if not self._attached:
            self._write("ready", cause=cause)

    def left(self) -> list[str]:
        """Return what there is of the environment now, each with the command that removes it."""
        folders = [path for path in (self._paths.state, self._paths.config) if path is not None]
        return [*self._driver.left(), *(f"{path} (rm -rf {path})" for path in folders if path.exists())]

    @property
    def is_there(self) -> bool:
        """Whether there is anything of it that a user could look at."""
        return self._environment is not None

    @property
    def _command(self) -> str:
        scenario = self._scenario
        instance = "" if scenario.name == scenario.profile.lower() else f" --esb-env {scenario.name}"
        return f"pytest --esb-profile {scenario.profile}{instance}"

    def _say_how_to_go_on(self) -> None:
        if self.phase == "test":
            self.journal.say(f"enter it: {self._command} --esb-test-only")
        else:
            self.journal.say(f"left as it failed in {self.phase}: what it wrote is in {self._paths.logs}")
        self.journal.say(f"remove it: {self._command} (the next run starts anew and removes it at its end)")

    def _in_phase(self, phase: str, seconds: float, run: Callable[[Deadline], _T]) -> _T:
        self._begin(phase)
        started = time.monotonic()
        result = run(Deadline(seconds, self._run.cancelled, f"--esb-timeout-{phase}"))
        elapsed = time.monotonic() - started
        self.journal.event("phase.finished", phase=phase, ok=True, seconds=round(elapsed, 3))
        self.journal.say(f"{phase}: done in {elapsed:.1f} s")
        return result

    def _begin(self, phase: str) -> None:
        self.phase = phase
        self.journal.event("phase.started", phase=phase)

    def _reset(self, deadline: Deadline) -> None:
        self._driver.reset(deadline)
        left = remove_files(self._paths)
        if left:
            raise StepError(f"an earlier run left {', '.join(left)}", remedy="remove it by hand")
        _make_folders(self._paths)
        self._write("starting")

    def _compose(self, deadline: Deadline) -> RunContext:
        credentials = Credentials.random()
        taken: set[int] = set()
        for _ in range(_MOST_MOVES):
            context = self._context(self._lease(taken), credentials)
            self._environment = _environment(context)
            self.journal.redact.add(vars(context.credentials).values())
            self._state.write_credentials(vars(context.credentials))
            hosts = ("localhost", "127.0.0.1", "::1", context.ports.bind_address, *self._other_host())
            write_certificates(self._paths.certificates, context.project, hosts)
            try:
                self._driver.up(context, deadline)
            except PortTakenError as error:
                left = self._driver.down(deadline.remaining())
                if left:
                    raise StepError(f"{error.message}, and its services stay: {', '.join(left)}") from error
                taken.add(context.ports.base)
                self._moved(context.ports.base, error.message)
                continue
            return context
        raise StepError(f"{_MOST_MOVES} blocks of ports in a row were taken between lease and start")

    def _context(self, ports: PortBlock, credentials: Credentials) -> RunContext:
        entry = self._scenario.entry
        return build_context(
            self._scenario,
            root=self._run.root,
            run_id=self._run.run_id,
            ports=ports,
            host_env=self._run.environ,
            env_file_values=read_env_file(entry.env_file) if entry.env_file is not None else {},
            credentials=credentials,
            git_sha=self._run.commit,
            ci=self._run.ci,
            engine_host=self._engine_host,
        )

    def _other_host(self) -> tuple[str, ...]:
        return () if self._engine_host is None else (self._engine_host,)

    def _lease(self, taken: set[int]) -> PortBlock:
        return self._ledger.lease(
            self._key,
            environment=self._scenario.name,
            port_base=self._run.port_base,
            bind_address=self._scenario.entry.bind_address,
            here=self._engine_host is None,
            avoid=taken,
            on_move=lambda base, port, reason: (
                None if base in taken else self._moved(base, f"port {port} {reason}")
            ),
        )

    def _moved(self, base: int, reason: str) -> None:
        self.journal.event("lease.moved", base=base, reason=reason)
        self.journal.say(f"compose: {reason}: the block of ports at {base} is passed over")

    def _deploy(self, context: RunContext, environment: Environment, deadline: Deadline) -> None:
        entry = self._scenario.entry
        if entry.artifact_manifest is not None and context.paths.config is not None:
            artifacts = Artifacts(
                entry.artifact_manifest,
                context.paths.config,
                entry.secret_env_file,
                entry.strict,
                self._run.applier,
            )
            deploy(artifacts, context, self._driver, self._supervisor, self.journal, deadline)
        try:
            self._run.hooks.deploy(environment, lambda text: self.journal.line("pytest_esb_deploy", text))
        except Exception as error:
            raise StepError(f"a pytest_esb_deploy hook failed: {type(error).__name__}: {error}") from error

    def _write(self, status: Status, *, cause: str | None = None) -> None:
        config = self._paths.config
        # State helps the next run and a person; losing it must not hide the cause of a failure.
        with suppress(OSError):
            self._state.write(
                EnvironmentState(
                    status=status,
                    run_id=self._run.run_id,
                    owner=ProcessIdentity.current(),
                    environment=self._environment.to_data() if self._environment is not None else None,
                    services=self._driver.services(),
                    config_digest=applied_digest(config) if config is not None else None,
                    cause=cause,
                    phase=self.phase,
                )
            )

    def _give_back(self) -> None:
        self.journal.event("env.finished", ok=self._failure is None)
        self.journal.event("run.finished")
        self.journal.close()
        try:
            self._driver.close()
        finally:
            self._lock.release()


def is_kept(settings: Settings, state: EnvironmentState) -> bool:
    """Tell whether an environment is left running at the end.

    Args:
        settings: options.
        state: how it was last.
    """
    if state.status == "ready" and (settings.keep or settings.build_only):
        return True
    return settings.keep_failed and state.status in ("ready", "failed") and state.cause is not None


def _make_folders(paths: Paths) -> None:
    for folder in (paths.state, paths.run, paths.logs, paths.certificates):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _environment(context: RunContext) -> Environment:
    return Environment(
        name=context.name,
        profile=context.profile,
        mode=context.mode,
        project=context.project,
        run_id=context.run_id,
        ports=Ports(**context.ports.as_mapping()),
        urls=context.urls,
        paths=context.paths,
        credentials=context.credentials,
    )
