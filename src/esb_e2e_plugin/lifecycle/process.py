"""The `process` driver: every service a child process, nothing but Python needed."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from esb_e2e_plugin.context import RunContext
from esb_e2e_plugin.diagnosis import Deviation, Observed, Way, furthest_up
from esb_e2e_plugin.environment import Environment
from esb_e2e_plugin.events import Journal
from esb_e2e_plugin.failure import Kind, PortTakenError, StepError
from esb_e2e_plugin.lifecycle import image_index, process_states, stack
from esb_e2e_plugin.lifecycle.deadline import Deadline
from esb_e2e_plugin.lifecycle.driver import FunctionImages
from esb_e2e_plugin.lifecycle.fixture_images import fixture_images
from esb_e2e_plugin.lifecycle.health import Health, HealthCheck, probe
from esb_e2e_plugin.lifecycle.image_commands import image_commands
from esb_e2e_plugin.lifecycle.java_functions import JavaFunctions
from esb_e2e_plugin.lifecycle.recorded import record
from esb_e2e_plugin.lifecycle.run import Run
from esb_e2e_plugin.lifecycle.supervisor import GUILTY_LINES, POLL_SECONDS, Exit, Supervisor
from esb_e2e_plugin.planner import Scenario
from esb_e2e_plugin.process_identity import ProcessIdentity
from esb_e2e_plugin.processes import described, end_marked, marked
from esb_e2e_plugin.service_state import ServiceState
from esb_e2e_plugin.store import write_atomically

_ADDRESS_IN_USE = 98  # services/README.md: exit status of a service whose address is taken


class ProcessDriver:
    """Runs the platform's services as processes of this machine."""

    def __init__(
        self,
        supervisor: Supervisor,
        mark: str,
        journal: Journal,
        scenario: Scenario,
        run: Run,
    ) -> None:
        """Prepare to run one environment.

        Args:
            supervisor: starts, watches and ends its processes.
            mark: what each of them carries, see `processes.MARK`.
            journal: the environment's log and events.
            scenario: what to run.
            run: what all environments of the run share.
        """
        self._supervisor = supervisor
        self._gone: list[Exit] = []
        self._mark = mark
        self._journal = journal
        self._scenario = scenario
        self._run = run

    def reset(self, deadline: Deadline) -> None:
        """End every process that an earlier run left of this environment."""
        left = end_marked(self._mark, deadline.remaining())
        if left:
            pids = " ".join(map(str, left))
            raise StepError(
                f"processes of an earlier run do not end: {pids}",
                remedy=f"kill -9 {pids}",
                component=described(left)[0].partition(" (")[0],
            )

    def up(self, context: RunContext, certified: Callable[[], None], deadline: Deadline) -> None:
        """Start all services at once and wait until each of them answers."""
        services = stack.services(context)
        stack.function_logs(context).mkdir(parents=True, exist_ok=True)
        record(context.paths.run, {"ESB_IMAGE_TAG": context.image_tag})
        certified()
        for service in services:
            self._supervisor.start(service.command)
        pending = {service.name: service for service in services}
        self._journal.event("phase.progress", phase="compose", step="health", waiting=list(pending))
        answers: dict[str, Health] = {}
        while pending:
            for ended in self._supervisor.poll(POLL_SECONDS):
                deadline.mind_signal(ended.status)
                raise self._ended(ended, next(s for s in services if s.name == ended.name).ports)
            for service in list(pending.values()):
                answers[service.name] = health = probe(service.health)
                if health.ok and (health.body or {}).get("run_id") == context.run_id:
                    del pending[service.name]
                    self._journal.event("service.state", service=service.name, state="healthy")
            try:
                deadline.check(f"{', '.join(pending)} to become healthy" if pending else "")
            except StepError as error:
                raise self._unhealthy(error, furthest_up(pending, stack.NEEDS), answers) from None

    def attach(self, services: Mapping[str, Any]) -> str | None:
        """Watch the services of an environment that is already up."""
        self._supervisor.skip_old_lines()
        try:
            identities = {name: ProcessIdentity(**identity) for name, identity in services.items()}
        except TypeError:  # written by another version, or by hand
            return "state file"
        return next((name for name, who in identities.items() if not self._supervisor.adopt(name, who)), None)

    def prepare_images(self, context: RunContext, deadline: Deadline) -> FunctionImages:
        """Write the index by which the agent finds a function's sources: the image store of this mode."""
        deadline.check("the image index")
        manifest = self._scenario.entry.artifact_manifest
        if manifest is None:
            return FunctionImages()
        fixtures = fixture_images(self._scenario, self._run.root, context.environment)
        with image_commands(
            context.environment,
            mark=self._mark,
            cancelled=self._run.cancelled,
            journal=self._journal,
            deadline=deadline,
        ) as commands:
            images = image_index.build(manifest, fixtures, context.environment, JavaFunctions(commands).entry)
        write_atomically(context.paths.run / stack.IMAGE_INDEX, json.dumps(images, indent=1) + "\n")
        return FunctionImages(image_index.digests(images))

    def publish_config(self, context: RunContext, deadline: Deadline) -> None:
        """Do nothing: the services read the folder itself."""

    def provision(self, context: RunContext, deadline: Deadline) -> None:
        """Run the provisioner and wait for its end."""
        try:
            self._supervisor.run(stack.provisioner(context), deadline)
        except StepError as error:
            if error.service == stack.PROVISIONER:
                error.kind = Kind.DEPLOY_STEP
            raise

    def gateway_health(self, environment: RunContext | Environment) -> HealthCheck:
        """Return how to ask the gateway over TLS."""
        return stack.gateway_health(environment)

    def watch(self, timeout: float) -> StepError | None:
        """Wait up to `timeout` seconds for a service to end."""
        self.endure(timeout)
        return self._supervisor.ended(self._gone[0]) if self._gone else None

    def endure(self, timeout: float) -> None:
        """Wait up to `timeout` seconds, and remember what ends: nothing starts it again."""
        self._gone += self._supervisor.poll(timeout)

    def settle(self, environment: Environment, deadline: Deadline) -> None:
        """Wait until the gateway answers; a service that has ended stays away."""
        while True:
            if (error := self.watch(POLL_SECONDS)) is not None:
                raise error
            if probe(self.gateway_health(environment)).ok:
                return
            try:
                deadline.check("the gateway to answer again")
            except StepError as late:
                late.kind, late.component = Kind.HEALTH, "gateway"
                raise

    def fault(self) -> StepError | None:
        """Look at every process."""
        return self.watch(0)

    def rejoin(self, context: RunContext, deadline: Deadline) -> None:
        """Do nothing: processes share nothing with other environments."""

    def unwell(self, environment: Environment) -> str | None:
        """Ask every service."""
        for name, check in stack.health_checks(environment).items():
            health = probe(check)
            if not health.ok:
                return f"{name} answers {health.detail}"
            if (health.body or {}).get("run_id") != environment.run_id:
                return f"{name} is another run's"
        return None

    def place(self) -> Mapping[str, str]:
        """Return nothing: what is on this machine that matters, `inputs` knows."""
        return {}

    def service_images(self) -> Mapping[str, str]:
        """Return nothing: services run from no images."""
        return {}

    def image_ids(self, names: Iterable[str]) -> Mapping[str, str]:  # noqa: ARG002
        """Return nothing: there are no images but by sources."""
        return {}

    def services(self) -> Mapping[str, Any]:
        """Return which process is which service."""
        return {name: vars(identity) for name, identity in self._supervisor.identities().items()}

    def inspect(self, environment: Environment) -> list[ServiceState]:
        """Follow the logs to their ends, and look at every process."""
        self._gone += self._supervisor.poll(0)
        checks = stack.health_checks(environment)
        services = process_states.services(self._supervisor.identities(), self._gone, checks)
        return services + process_states.workers(self._mark)

    def diagnose(self) -> None:
        """Write nothing: a process leaves no more than its output, which is in the log."""

    def observed(self) -> Observed:
        """Return which services have ended, in the order in which that was noticed."""
        deviations = [
            Deviation(
                ended.name,
                Way.ENDED,
                at,
                f"{ended.name} {ended.describe()}",
                self.last_lines(ended.name, GUILTY_LINES),
            )
            for ended, at in self._supervisor.exits()
            if ended.name in stack.LONG_RUNNING
        ]
        return Observed(tuple(deviations), stack.NEEDS)

    def last_lines(self, service: str, count: int) -> tuple[str, ...]:
        """Return the last lines that a service wrote."""
        return self._supervisor.last_lines(service, count)

    def left(self) -> list[str]:
        """Return the processes that carry the environment's mark."""
        return described(marked(self._mark))

    def down(self, timeout: float) -> list[str]:
        """Kill everything that carries the environment's mark; return what is left."""
        return described(self._supervisor.end_all(timeout))

    def let_go(self) -> None:
        """Leave everything running."""
        self._supervisor.let_go()

    def close(self) -> None:
        """Do nothing: processes are all that there was."""

    def _ended(self, ended: Exit, ports: tuple[int, ...]) -> StepError:
        if ended.status == _ADDRESS_IN_USE:
            listed = " or ".join(map(str, ports))
            return PortTakenError(
                f"port {listed} was taken before {ended.name} could listen", service=ended.name
            )
        return self._supervisor.ended(ended)

    def _unhealthy(self, error: StepError, name: str, answers: Mapping[str, Health]) -> StepError:
        return StepError(
            f"{error.message}; {name} last answered: {answers[name].detail}",
            remedy=error.remedy or "",
            service=name,
            lines=self._supervisor.last_lines(name, GUILTY_LINES),
            kind=Kind.HEALTH,
        )
