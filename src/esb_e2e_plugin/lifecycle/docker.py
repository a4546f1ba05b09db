"""The compose driver: an environment's services as containers of a Docker-compatible engine."""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from docker.errors import APIError

from artifactctl import images
from artifactctl.commands import Commands
from artifactctl.errors import ArtifactError
from esb_e2e_plugin.context import RunContext
from esb_e2e_plugin.environment import Environment, Paths
from esb_e2e_plugin.events import Journal, tail
from esb_e2e_plugin.failure import CancelledError, PortTakenError, StepError
from esb_e2e_plugin.lifecycle import service_images
from esb_e2e_plugin.lifecycle.compose import Compose
from esb_e2e_plugin.lifecycle.containers import Container, Containers, files_below
from esb_e2e_plugin.lifecycle.deadline import Deadline
from esb_e2e_plugin.lifecycle.endpoint import for_commands
from esb_e2e_plugin.lifecycle.engine import ContainerEvent, Engine, EventStream
from esb_e2e_plugin.lifecycle.health import HealthCheck, probe
from esb_e2e_plugin.lifecycle.override import FrontDoor, override
from esb_e2e_plugin.lifecycle.run import Run
from esb_e2e_plugin.lifecycle.supervisor import GUILTY_LINES, POLL_SECONDS, Supervisor
from esb_e2e_plugin.networks import SubnetLedger
from esb_e2e_plugin.planner import Scenario
from esb_e2e_plugin.processes import MARK, end_marked, marked
from esb_e2e_plugin.store import write_atomically

_CERTIFICATES_VOLUME = "certificates"
_CONFIG_VOLUME = "config"
_PROVISIONER = "provisioner"
_PORT_TAKEN = ("port is already allocated", "address already in use", "failed to bind host port")
_SETTLE_SECONDS = 1.0
_UNSEEN = "bind source path does not exist:"
_SUBNET_TAKEN = ("Pool overlaps", "conflicts with network")


class DockerDriver:
    """Runs a compose project on an engine."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        project: str,
        key: str,
        mark: str,
        run: Run,
        paths: Paths,
        supervisor: Supervisor,
        journal: Journal,
        engine: Engine,
        fixture_images: Mapping[str, Path],
    ) -> None:
        """Prepare to run one environment.

        Args:
            scenario: what to run.
            project: the compose project.
            key: name of the environment's leases.
            mark: what each of its processes carries, see `processes.MARK`.
            run: what all environments of the run share.
            paths: the environment's files and folders.
            supervisor: runs commands.
            journal: the environment's log and events.
            engine: where the containers live.
            fixture_images: source folder of each image that is built from fixtures, by its reference.
        """
        self._scenario = scenario
        self._project = project
        self._key = key
        self._mark = mark
        self._run = run
        self._subnets = SubnetLedger(run.host)
        self._paths = paths
        self._supervisor = supervisor
        self._journal = journal
        self._engine = engine
        self._fixture_images = fixture_images
        self._events: EventStream | None = None
        self._creating = False
        self._containers = Containers(engine, project)

    def reset(self, deadline: Deadline) -> None:
        """End the commands and remove the containers, networks and volumes of an earlier run."""
        settle = _SETTLE_SECONDS if next(marked(self._mark), None) is not None else 0.0
        left = [f"process {pid} (kill -9 {pid})" for pid in end_marked(self._mark, deadline.remaining())]
        left += self._engine.remove_all(self._project, settle)
        if left:
            raise StepError(f"still there from an earlier run: {', '.join(left)}", remedy="remove it by hand")

    def up(self, context: RunContext, deadline: Deadline) -> None:
        """Build what is missing, create everything, fill the volumes, start, and wait until all is well."""
        pair = self._subnets.lease(
            self._key,
            environment=context.name,
            pool=self._run.subnet_pool,
            used=self._engine.subnets(),
            on_move=lambda base, _, reason: self._journal.line(
                "esb", f"subnet {IPv4Network((base, 23))} {reason}"
            ),
        )
        environment = {
            **self._variables(context),
            **pair.to_env(),
            "ESB_ENGINE_SOCKET": self._scenario.entry.engine_socket,
        }
        with self._commands(environment, deadline) as commands:
            environment |= service_images.ensure(
                self._run.root, commands, no_cache=self._run.settings.no_cache
            )
        path = self._paths.run / "compose.override.yaml"
        compose = Compose(
            self._supervisor, self._project, self._scenario.entry.compose_files, path, environment
        )
        model = compose.model(deadline)
        gateway = self._scenario.entry.gateway
        document = override(
            model,
            project=self._project,
            labels=context.labels,
            ports=context.ports,
            subnets=(pair.external, pair.runtime),
            front_door=FrontDoor(gateway.service, gateway.port),
            warn=lambda text: self._journal.say(f"compose: warning: {text}"),
            engine_socket=self._scenario.entry.engine_socket if self._engine.remote else None,
        )
        write_atomically(path, document)
        built = [name for name, service in model["services"].items() if service.get("build")]
        if built:
            compose.build(built, deadline, no_cache=self._run.settings.no_cache)
        self._creating = True
        try:
            compose.create(deadline)
        except StepError as error:
            if any(sign in line for line in error.lines for sign in _SUBNET_TAKEN):
                raise PortTakenError(
                    f"subnet {pair.external} or {pair.runtime} was taken meanwhile"
                ) from error
            unseen = next((line for line in error.lines if _UNSEEN in line), None)
            if unseen is not None:
                mounted = unseen.partition(_UNSEEN)[2].strip()
                raise StepError(
                    f"a service mounts {mounted}, which the engine's host does not have",
                    remedy="put the files into a named volume, or run on an engine of this machine",
                    service=error.service,
                    lines=error.lines,
                ) from error
            raise
        self._creating = False
        self._containers.find(model)
        self._containers.fill_volume(_CERTIFICATES_VOLUME, files_below(self._paths.certificates))
        self._events = self._engine.listen(self._project)
        self._start(model, compose, deadline)
        self._wait_until_well(context, deadline)
        self._check_agents_engine(context)

    def attach(self, services: Mapping[str, Any]) -> str | None:
        """Watch the containers of an environment that is already up."""
        running = {c["Id"] for c in self._engine.containers(self._project) if c["State"] == "running"}
        gone = next((name for name, container in services.items() if container not in running), None)
        if gone is None:
            self._events = self._engine.listen(self._project)
            for name, container in services.items():
                self._engine.follow(container, self._log_of(name))
        return gone

    def prepare_images(self, context: RunContext, deadline: Deadline) -> None:
        """Build the images of the functions into the engine."""
        entry = self._scenario.entry
        if entry.artifact_manifest is not None:
            with self._commands(self._variables(context), deadline) as commands:
                images.prepare(
                    entry.artifact_manifest,
                    no_cache=self._run.settings.no_cache,
                    fixtures=self._fixture_images,
                    commands=commands,
                )

    def publish_config(self, context: RunContext, deadline: Deadline) -> None:
        """Copy the applied configuration into its volume; what makes it current goes last."""
        config = context.paths.config
        if config is None:
            return
        deadline.check("the configuration's volume")
        current = os.readlink(config / ".current")  # noqa: PTH115  the text of the link, not where it leads
        files = files_below(config / current, f"{current}/")
        links = {path.name: os.readlink(path) for path in config.iterdir() if path.is_symlink()}  # noqa: PTH115
        links.pop(".current", None)
        self._containers.fill_volume(_CONFIG_VOLUME, {**files, **links}, mode=0o444)
        self._containers.fill_volume(_CONFIG_VOLUME, {".current": current})

    def provision(self, _context: RunContext, deadline: Deadline) -> None:
        """Run the provisioner's container to its end."""
        container = self._containers.get(_PROVISIONER)
        if container is None:
            return
        follower = self._engine.follow(container.id, self._log_of(_PROVISIONER))
        self._engine.start_all([container.id])
        while (code := self._engine.wait(container.id, timeout=1.0)) is None:
            deadline.check("the provisioner")
        follower.join(deadline.remaining())
        self._supervisor.follow()
        if code != 0:
            raise self._failed(_PROVISIONER, f"{_PROVISIONER} exited with status {code}")

    def gateway_health(self, environment: RunContext | Environment) -> HealthCheck:
        """Return how to ask the front door."""
        gateway = self._scenario.entry.gateway
        verified = gateway.scheme == "https"
        url = f"{environment.urls.gateway}{gateway.health_path}"
        return HealthCheck(url, environment.paths.ca_certificate if verified else None)

    def watch(self, timeout: float) -> StepError | None:
        """Wait up to `timeout` seconds for a service to end or to turn unhealthy."""
        self._supervisor.poll(0)
        for event in self._listening().next(timeout):
            error = self._unexpected(event)
            if error is not None:
                return error
        return None

    def services(self) -> Mapping[str, Any]:
        """Return the id of each service's container."""
        return {container.service: container.id for container in self._containers.long_running()}

    def last_lines(self, service: str, count: int) -> tuple[str, ...]:
        """Return the last lines that a service's container wrote."""
        container = self._containers.get(service)
        lines = self._engine.tail(container.id, count) if container else tail(self._log_of(service), count)
        return tuple(self._journal.redact(line) for line in lines)

    def diagnose(self) -> None:
        """Write state, health output and last lines of every container into the log."""
        # An engine that has gone away is the cause already; it must not be hidden by another error.
        with suppress(StepError):
            for container in self._engine.containers(self._project):
                name = container["Names"][0].lstrip("/")
                self._journal.line("ps", f"{name}: {container['State']}: {container['Status']}")
                health = (self._engine.inspect(container["Id"])["State"].get("Health") or {}).get("Log") or ()
                for check in health[-3:]:
                    output = " ".join(str(check.get("Output", "")).split())
                    self._journal.line("health", f"{name}: exit {check.get('ExitCode')}: {output}")
        self._supervisor.follow(to_the_end=True)

    def down(self, timeout: float) -> list[str]:
        """Kill and remove everything of the environment."""
        if self._events is not None:
            self._events.close()
            self._events = None
        left = [f"process {pid} (kill -9 {pid})" for pid in end_marked(self._mark, timeout)]
        left += self._engine.remove_all(self._project, _SETTLE_SECONDS if self._creating else 0.0)
        self._creating = False
        self._containers.forget()
        self._supervisor.end_all(timeout)
        self._subnets.release(self._key)
        return left

    def let_go(self) -> None:
        """Leave everything running."""
        if self._events is not None:
            self._events.close()
            self._events = None
        self._subnets.keep(self._key)
        self._supervisor.let_go()

    def _variables(self, context: RunContext) -> dict[str, str]:
        return for_commands(context.environment, self._scenario.entry.docker_context)

    def close(self) -> None:
        """Close the connections to the engine."""
        self._engine.close()

    def _start(self, model: Mapping[str, Any], compose: Compose, deadline: Deadline) -> None:
        long_running = self._containers.long_running()
        ordered = any(
            condition.get("condition") not in (None, "service_started")
            for service in model["services"].values()
            for condition in (service.get("depends_on") or {}).values()
        )
        try:
            if ordered:
                compose.start_in_order(deadline)
            else:
                self._engine.start_all(c.id for c in long_running)
        except APIError as error:
            message = str(error.explanation or error)
            if any(sign in message for sign in _PORT_TAKEN):
                raise PortTakenError(
                    f"a port was taken before the engine could publish it: {message}"
                ) from error
            raise StepError(f"a container does not start: {message}") from error
        except StepError as error:
            if any(sign in line for line in error.lines for sign in _PORT_TAKEN):
                raise PortTakenError("a port was taken before the engine could publish it") from error
            raise (self._ended_already() or error) from error
        for container in long_running:
            self._engine.follow(container.id, self._log_of(container.service))

    def _wait_until_well(self, context: RunContext, deadline: Deadline) -> None:
        pending = {c.service for c in self._containers.long_running() if c.has_health}
        check = self.gateway_health(context)
        answer = None
        while True:
            for event in self._listening().next(POLL_SECONDS):
                error = self._unexpected(event)
                if error is not None:
                    raise error
                if event.action == "health_status: healthy" and event.service in pending:
                    pending.discard(event.service)
                    self._journal.event("service.state", service=event.service, state="healthy")
            self._supervisor.poll(0)
            if not pending:
                answer = probe(check)
                if answer.ok and (answer.body or {}).get("run_id", context.run_id) == context.run_id:
                    # Its event may not be here yet.
                    if (error := self._ended_already()) is not None:
                        raise error
                    return
            guilty = min(pending, default=self._scenario.entry.gateway.service)
            try:
                deadline.check(f"{', '.join(sorted(pending)) or guilty} to become healthy")
            except CancelledError:
                raise
            except StepError as error:
                detail = f"; {check.url} answers {answer.detail}" if answer is not None else ""
                raise self._failed(guilty, f"{error.message}{detail}", remedy=error.remedy) from None

    def _check_agents_engine(self, context: RunContext) -> None:
        if self._containers.get("agent") is None or self._scenario.entry.artifact_manifest is None:
            return
        told = (probe(HealthCheck(f"{context.urls.agent_metrics}/health")).body or {}).get("engine")
        if told != self._engine.id:
            raise StepError(
                f"the agent starts workers on engine {told}, the environment runs on {self._engine.id}",
                remedy="set engine_socket in the matrix to the engine's socket on its own host",
                service="agent",
            )

    def _unexpected(self, event: ContainerEvent) -> StepError | None:
        if event.worker:
            if event.action == "start":
                path = self._paths.logs / "functions" / f"{event.service}.log"
                path.parent.mkdir(exist_ok=True)
                self._engine.follow(event.container, path)
            return None
        container = self._containers.get(event.service)
        if container is None or container.deploy_only:
            return None
        if event.action == "health_status: unhealthy":
            return self._failed(event.service, f"{event.service} turned unhealthy")
        if event.action == "die":
            state = self._engine.inspect(event.container)["State"]
            return self._ended(container, {**state, "ExitCode": event.exit_code})
        return None

    def _ended_already(self) -> StepError | None:
        """Return the first service that is not running any more, or unhealthy, as an error."""
        for container in self._containers.long_running():
            state = self._engine.inspect(container.id)["State"]
            if state["Status"] in ("exited", "dead"):
                if (error := self._ended(container, state)) is not None:
                    return error
            elif (state.get("Health") or {}).get("Status") == "unhealthy":
                return self._failed(container.service, f"{container.service} turned unhealthy")
        return None

    def _ended(self, container: Container, state: Mapping[str, Any]) -> StepError | None:
        service, code = container.service, state["ExitCode"]
        if code == 0 and not container.has_health and service != self._scenario.entry.gateway.service:
            return None  # a one-shot service that has done its work
        if state.get("OOMKilled"):
            return self._failed(service, f"{service} was killed for exceeding its memory limit")
        return self._failed(service, f"{service} exited with status {code}")

    def _failed(self, service: str, message: str, remedy: str | None = None) -> StepError:
        self._journal.event("service.state", service=service, state="failed", what=message)
        return StepError(
            message,
            remedy=remedy or "its last lines say why",
            service=service,
            lines=self.last_lines(service, GUILTY_LINES),
        )

    def _listening(self) -> EventStream:
        if self._events is None:
            self._events = self._engine.listen(self._project)
        return self._events

    @contextmanager
    def _commands(self, environment: Mapping[str, str], deadline: Deadline) -> Iterator[Commands]:
        """Give out a runner of image commands that ends them with the run, or with the phase."""
        commands = Commands({**environment, MARK: self._mark}, self._log_images, deadline.remaining())
        done = threading.Event()

        def stop_with_the_run() -> None:
            while not done.wait(POLL_SECONDS):
                if self._run.cancelled.is_set():
                    commands.stop()
                    return

        threading.Thread(target=stop_with_the_run, name="esb-images", daemon=True).start()
        try:
            yield commands
        except (ArtifactError, StepError):
            deadline.check("images to be built")  # what was stopped says so, and not that a build failed
            raise
        finally:
            done.set()
            commands.stop()

    def _log_images(self, line: str) -> None:
        self._journal.line("images", line)

    def _log_of(self, service: str) -> Path:
        return self._paths.logs / f"{service}.log"
