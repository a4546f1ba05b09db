"""The compose driver: an environment's services as containers of a Docker-compatible engine."""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from ipaddress import IPv4Network
from typing import Any

from artifactctl import image_plan, images
from artifactctl.commands import Commands
from esb_e2e_plugin import secret_values
from esb_e2e_plugin.context import RunContext
from esb_e2e_plugin.diagnosis import Observed
from esb_e2e_plugin.environment import Environment, Paths
from esb_e2e_plugin.events import Journal
from esb_e2e_plugin.failure import Kind, StepError
from esb_e2e_plugin.lifecycle import (
    by_hand,
    compose_mistakes,
    compose_reading,
    compose_variables,
    service_images,
    start_order,
)
from esb_e2e_plugin.lifecycle.compose import DEPLOY_PROFILE, Compose
from esb_e2e_plugin.lifecycle.container_watch import ContainerWatch
from esb_e2e_plugin.lifecycle.containers import Containers, files_below
from esb_e2e_plugin.lifecycle.deadline import Deadline
from esb_e2e_plugin.lifecycle.docker_variables import for_commands
from esb_e2e_plugin.lifecycle.driver import FunctionImages
from esb_e2e_plugin.lifecycle.engine import Engine
from esb_e2e_plugin.lifecycle.fixture_images import fixture_images
from esb_e2e_plugin.lifecycle.function_host import FunctionHost
from esb_e2e_plugin.lifecycle.health import HealthCheck, probe
from esb_e2e_plugin.lifecycle.image_commands import image_commands
from esb_e2e_plugin.lifecycle.override import FILE as OVERRIDE_FILE
from esb_e2e_plugin.lifecycle.override import FrontDoor, override
from esb_e2e_plugin.lifecycle.recorded import record
from esb_e2e_plugin.lifecycle.refusals import port_taken, refused_to_create
from esb_e2e_plugin.lifecycle.run import Run
from esb_e2e_plugin.lifecycle.supervisor import Supervisor
from esb_e2e_plugin.networks import SubnetLedger, SubnetPair
from esb_e2e_plugin.planner import Scenario
from esb_e2e_plugin.processes import described, end_marked, marked
from esb_e2e_plugin.service_state import ServiceState
from esb_e2e_plugin.store import write_atomically

_CERTIFICATES_VOLUME = "certificates"
_CONFIG_VOLUME = "config"
_PROVISIONER = "provisioner"
_SETTLE_SECONDS = 1.0
_CATCH_UP_SECONDS = 1.0


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
        functions: FunctionHost,
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
            functions: where the environment's functions run.
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
        self._functions = functions
        self._override = paths.run / OVERRIDE_FILE
        self._creating = False
        self._containers = Containers(engine, project)
        self._watch = ContainerWatch(
            engine,
            project,
            self._containers,
            front_door=scenario.entry.gateway.service,
            logs=paths.logs,
            journal=journal,
        )

    def reset(self, deadline: Deadline) -> None:
        """End the commands and remove the containers, networks and volumes of an earlier run."""
        settle = _SETTLE_SECONDS if next(marked(self._mark), None) is not None else 0.0
        left = described(end_marked(self._mark, deadline.remaining()))
        left += self._engine.remove_all(self._project, settle)
        if left:
            raise StepError(
                f"still there from an earlier run: {', '.join(left)}",
                remedy="remove it by hand",
                component=left[0].partition(" (")[0],
            )

    def up(self, context: RunContext, certified: Callable[[], None], deadline: Deadline) -> None:
        """Build what is missing, create everything, fill the volumes, start, and wait until all is well."""
        self._step("leases")
        pair = self._lease_subnets(context)
        self._step("images")
        compose = self._compose(context, pair, deadline)
        model = compose_reading.read(self._scenario, self._run, deadline.remaining())
        self._journal.redact.add(secret_values.of_compose(model, self._variables(context)))
        self._watch.needs = start_order.needs(model["services"])
        warnings = self._fit(model, context, pair)
        built = [name for name, service in model["services"].items() if service.get("build")]
        if built:
            self._step("build")
            compose.build(built, deadline, no_cache=self._run.settings.no_cache)
        self._creating = True
        self._step("create")
        try:
            compose.create(deadline)
        except StepError as error:
            raise refused_to_create(error, (pair.external, pair.runtime)) from error
        self._creating = False
        with self._commands(self._variables(context), deadline) as commands:
            self._functions.connect(commands)
        self._step("start")
        services = model["services"]
        self._containers.find(lambda name: DEPLOY_PROFILE in (services.get(name, {}).get("profiles") or ()))
        certified()
        self._containers.fill_volume(_CERTIFICATES_VOLUME, files_below(self._paths.certificates))
        self._watch.begin()
        self._start(model, compose, deadline)
        # Said once: until now the environment could have moved to other ports.
        for text in warnings:
            self._journal.say(f"compose: warning: {text}")
        self._watch.wait_until_well(
            self.gateway_health(context), context.run_id, deadline, lambda: self._supervisor.poll(0)
        )
        if self._containers.get("agent") is not None and self._scenario.entry.artifact_manifest is not None:
            self._functions.check(context)

    def attach(self, services: Mapping[str, Any]) -> str | None:
        """Watch the containers of an environment that is already up."""
        there = {container["Id"] for container in self._engine.containers(self._project)}
        gone = next((name for name, container in services.items() if container not in there), None)
        if gone is None:
            self._containers.find(lambda name: name not in services)
            self._watch.begin()
            gone = self._watch.gone()
        if gone is None:
            self._supervisor.skip_old_lines()
            self._watch.follow(services)
            self._watch.follow_workers()
        return gone

    def rejoin(self, context: RunContext, deadline: Deadline) -> None:
        """Have what the environment shares with others, which may have been made anew meanwhile."""
        with self._commands(self._variables(context), deadline) as commands:
            self._functions.prepare(context, commands)
            self._functions.connect(commands)

    def prepare_images(self, context: RunContext, deadline: Deadline) -> FunctionImages:
        """Build the images of the functions into the engine, and push them where functions are elsewhere."""
        entry = self._scenario.entry
        if entry.artifact_manifest is None:
            return FunctionImages()
        environment = self._variables(context)
        with self._commands(environment, deadline) as commands:
            environment |= self._functions.prepare(context, commands)
        with self._commands(environment, deadline) as commands:
            prepared = images.prepare(
                entry.artifact_manifest,
                no_cache=self._run.settings.no_cache,
                fixtures=fixture_images(self._scenario, self._run.root, environment),
                commands=commands,
            )
            bases = [image.reference for image in prepared.images if image.kind == image_plan.BASE]
            self._functions.fetch(bases, commands)
        return FunctionImages(prepared.function_ids(), {**prepared.starts, **prepared.function_ids()})

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
        follower = self._engine.follow(container.id, self._watch.log_of(_PROVISIONER), self._journal.redact)
        self._engine.start_all({container.id: _PROVISIONER})
        while (code := self._engine.wait(container.id, timeout=1.0)) is None:
            if (error := self.watch(0)) is not None:
                raise error
            deadline.check("the provisioner")
        follower.join(deadline.remaining())
        self._supervisor.follow()
        if code != 0:
            what = f"{_PROVISIONER} exited with status {code}"
            raise self._watch.failed(_PROVISIONER, what, kind=Kind.DEPLOY_STEP)

    def gateway_health(self, environment: RunContext | Environment) -> HealthCheck:
        """Return how to ask the front door."""
        gateway = self._scenario.entry.gateway
        verified = gateway.scheme == "https"
        url = f"{environment.urls.gateway}{gateway.health_path}"
        return HealthCheck(url, environment.paths.ca_certificate if verified else None)

    def watch(self, timeout: float) -> StepError | None:
        """Wait up to `timeout` seconds for a service to end or to turn unhealthy."""
        self._supervisor.poll(0)
        return self._watch.next(timeout)

    def endure(self, timeout: float) -> None:
        """Wait up to `timeout` seconds while a test may end and restart services."""
        self._supervisor.poll(0)
        self._watch.endure(timeout)

    def settle(self, environment: Environment, deadline: Deadline) -> None:
        """Wait until every service is well again."""
        self._watch.settle(self.gateway_health(environment), deadline, lambda: self._supervisor.poll(0))

    def fault(self) -> StepError | None:
        """Look at every container."""
        return self._watch.ended_already()

    def unwell(self, environment: Environment) -> str | None:
        """Look at every container, and ask the front door."""
        try:
            guilty = self._watch.not_well()
        except StepError as error:
            return error.message
        if guilty is not None:
            return f"{guilty} is not healthy"
        health = probe(self.gateway_health(environment))
        front_door = self._scenario.entry.gateway.service
        if not health.ok:
            return f"{front_door} answers {health.detail}"
        if (health.body or {}).get("run_id", environment.run_id) != environment.run_id:
            return f"{front_door} is another run's"
        return None

    def place(self) -> Mapping[str, str]:
        """Return the engine."""
        return {"engine": f"{self._engine.id} {self._engine.version}"}

    def service_images(self) -> Mapping[str, str]:
        """Return the ids of the images of all containers but those of functions."""
        return self._containers.images()

    def image_ids(self, names: Iterable[str]) -> Mapping[str, str]:
        """Return the ids of those of the named images that the engine has."""
        return self._engine.image_ids(names)

    def services(self) -> Mapping[str, Any]:
        """Return the id of each service's container."""
        return {container.service: container.id for container in self._containers.long_running()}

    def last_lines(self, service: str, count: int) -> tuple[str, ...]:
        """Return the last lines that a service's container wrote."""
        return self._watch.last_lines(service, count)

    def inspect(self, environment: Environment) -> list[ServiceState]:  # noqa: ARG002  its engine knows
        """Follow the logs to what the engine has, and look at every container and task."""
        self._watch.catch_up(_CATCH_UP_SECONDS)
        self._supervisor.follow()
        states = self._watch.states()
        try:
            return states + self._functions.states(self._project)
        except StepError as error:  # the containers say why
            self._journal.line("esb", f"the functions' workers cannot be looked at: {error.message}")
            return states

    def observed(self) -> Observed:
        """Return how the containers are."""
        return self._watch.observed()

    def diagnose(self) -> None:
        """Write state, health output and last lines of every container into the log."""
        self._watch.diagnose()
        self._supervisor.follow(to_the_end=True)

    def left(self) -> list[str]:
        """Return commands that run, containers, networks and volumes."""
        return described(marked(self._mark)) + self._engine.left(self._project)

    def down(self, timeout: float) -> list[str]:
        """Kill and remove everything of the environment."""
        self._watch.end()
        left = described(end_marked(self._mark, timeout))
        left += self._engine.remove_all(self._project, _SETTLE_SECONDS if self._creating else 0.0)
        self._creating = False
        self._containers.forget()
        self._supervisor.end_all(timeout)
        self._subnets.release(self._key)
        self._functions.release()
        return left

    def let_go(self) -> None:
        """Leave everything running."""
        self._watch.end()
        self._subnets.keep(self._key)
        self._functions.keep()
        self._supervisor.let_go()

    def close(self) -> None:
        """Close the connections to the engine."""
        self._engine.close()

    def _step(self, name: str) -> None:
        self._journal.event("phase.progress", phase="compose", step=name)

    def _variables(self, context: RunContext) -> dict[str, str]:
        return for_commands(context.environment, self._scenario.entry.docker_context)

    def _commands(
        self, environment: Mapping[str, str], deadline: Deadline
    ) -> AbstractContextManager[Commands]:
        return image_commands(
            environment,
            mark=self._mark,
            cancelled=self._run.cancelled,
            journal=self._journal,
            deadline=deadline,
        )

    def _lease_subnets(self, context: RunContext) -> SubnetPair:
        return self._subnets.lease(
            self._key,
            environment=context.name,
            pool=self._run.subnet_pool,
            used=self._engine.subnets(),
            on_move=lambda base, _, reason: self._journal.line(
                "esb", f"subnet {IPv4Network((base, 23))} {reason}"
            ),
        )

    def _compose(self, context: RunContext, pair: SubnetPair, deadline: Deadline) -> Compose:
        entry = self._scenario.entry
        computed = pair.to_env()
        environment = {**self._variables(context), **computed}
        with self._commands(environment, deadline) as commands:
            ways: list[Callable[[], dict[str, str]]] = [
                lambda: service_images.ensure(self._run.root, commands, no_cache=self._run.settings.no_cache),
                lambda: self._functions.build(commands),
                lambda: self._functions.prepare(context, commands),
            ]
            for more in commands.at_once(lambda way: way(), ways):
                computed |= more
        environment |= computed
        record(self._paths.run, {"ESB_IMAGE_TAG": context.image_tag, **computed})
        return Compose(self._supervisor, self._project, entry.compose_files, self._override, environment)

    def _fit(self, model: Mapping[str, Any], context: RunContext, pair: SubnetPair) -> list[str]:
        """Write what makes the compose files fit for this environment, and return the warnings about them."""
        entry = self._scenario.entry
        if (mistake := compose_mistakes.mistake(model, entry, remote=self._engine.remote)) is not None:
            raise mistake
        warnings = compose_variables.unused(entry, model)
        document = override(
            model,
            project=self._project,
            labels=context.labels,
            ports=context.ports,
            filled_in=compose_reading.ports(self._run.port_base, entry.bind_address),
            subnets=(pair.external, pair.runtime),
            front_door=FrontDoor(entry.gateway.service, entry.gateway.port),
            warn=warnings.append,
            engine_socket=entry.engine_socket if self._engine.remote else None,
        )
        write_atomically(self._override, document)
        if context.paths.config is not None and _PROVISIONER in model["services"]:
            text = by_hand.document(_PROVISIONER, context.paths.config)
            write_atomically(self._paths.run / by_hand.FILE, text)
        return warnings

    def _start(self, model: Mapping[str, Any], compose: Compose, deadline: Deadline) -> None:
        long_running = self._containers.long_running()
        services = model["services"]
        try:
            if start_order.needs_compose(services):
                compose.start_in_order(deadline)
            else:
                for wave in start_order.waves(services):
                    self._engine.start_all({c.id: c.service for c in long_running if c.service in wave})
        except StepError as error:
            if (taken := port_taken(error)) is not None:
                raise taken from error
            raise self._watch.reason(error) from error
        self._watch.follow(self.services())
