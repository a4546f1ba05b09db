"""Where an environment's functions run: as containers of its engine, or as tasks of a containerd in it."""

from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Final, Protocol

from artifactctl import image_reference
from artifactctl.commands import Commands
from esb_e2e_plugin.context import REGISTRY, RunContext
from esb_e2e_plugin.events import Journal
from esb_e2e_plugin.failure import Kind, StepError
from esb_e2e_plugin.lifecycle import node_image
from esb_e2e_plugin.lifecycle.engine import Engine
from esb_e2e_plugin.lifecycle.health import Health, HealthCheck, probe
from esb_e2e_plugin.lifecycle.registry import Registry
from esb_e2e_plugin.lifecycle.run import Run
from esb_e2e_plugin.networks import SubnetLedger
from esb_e2e_plugin.planner import Scenario
from esb_e2e_plugin.service_state import ServiceState

NODE: Final = "runtime-node"

_ASKED_AGAIN = 4


class FunctionHost(Protocol):
    """What differs between the ways to run functions."""

    def build(self, commands: Commands) -> dict[str, str]:
        """Make sure that the engine has the images that only this way needs.

        Returns:
            Variables for the compose file.
        """

    def prepare(self, context: RunContext, commands: Commands) -> dict[str, str]:
        """Make sure that there is what functions need beside the environment's own containers.

        May be called again: what is there is left alone.

        Returns:
            Variables for the compose file, and for the preparation of the functions' images.
        """

    def connect(self, commands: Commands) -> None:
        """Make it reachable from the environment, whose networks are there now."""

    def fetch(self, references: Sequence[str], commands: Commands) -> None:
        """Have images that others start from brought to where functions run, so that no first start waits.

        Args:
            references: their names.
            commands: run `docker`.

        Raises:
            StepError: one cannot be had there; names it.
        """

    def check(self, context: RunContext) -> None:
        """Raise `StepError` unless the agent, which is well, starts functions where it should."""

    def states(self, project: str) -> list[ServiceState]:
        """Return how those workers are that are no containers of the environment's engine."""

    def release(self) -> None:
        """Give back what was leased."""

    def keep(self) -> None:
        """Let what was leased outlive this process."""


class EngineFunctions:
    """Functions as containers of the environment's own engine."""

    def __init__(self, scenario: Scenario, engine: Engine) -> None:
        """Know the engine."""
        self._scenario = scenario
        self._engine = engine

    def build(self, commands: Commands) -> dict[str, str]:  # noqa: ARG002
        """Do nothing: functions need no service more."""
        return {}

    def prepare(self, context: RunContext, commands: Commands) -> dict[str, str]:  # noqa: ARG002
        """Name the engine's socket."""
        return {"ESB_ENGINE_SOCKET": self._scenario.entry.engine_socket}

    def connect(self, commands: Commands) -> None:
        """Do nothing: functions are in the environment's networks themselves."""

    def fetch(self, references: Sequence[str], commands: Commands) -> None:
        """Do nothing: they were built there."""

    def check(self, context: RunContext) -> None:
        """Raise unless the agent is at the environment's own engine."""
        answer = _ask_agent(context)
        if not answer.ok:
            raise StepError(
                "the agent does not say which engine it uses: "
                f"{context.urls.agent_metrics}/health: {answer.detail}",
                service="agent",
                kind=Kind.HEALTH,
            )
        told = _engine_of(answer)
        if told != self._engine.id:
            raise StepError(
                f"the agent starts workers on engine {told}, the environment runs on {self._engine.id}",
                remedy="set engine_socket in the matrix to the engine's socket on its own host",
                service="agent",
                kind=Kind.USER_INPUT,
            )

    def states(self, project: str) -> list[ServiceState]:  # noqa: ARG002
        """Return none: all are containers of the engine."""
        return []

    def release(self) -> None:
        """Do nothing: nothing was leased."""

    def keep(self) -> None:
        """Do nothing: nothing was leased."""


class ContainerdFunctions:
    """Functions as tasks of a containerd inside the environment, which pulls their images from a registry."""

    def __init__(self, scenario: Scenario, engine: Engine, run: Run, key: str, journal: Journal) -> None:
        """Lease nothing yet.

        Args:
            scenario: what runs.
            engine: where the environment's containers live.
            run: what all environments of the run share.
            key: name of the environment's leases.
            journal: the environment's log.
        """
        self._scenario = scenario
        self._engine = engine
        self._run = run
        self._key = f"{key}-functions"
        self._subnets = SubnetLedger(run.host)
        self._journal = journal
        self._project = ""

    def build(self, commands: Commands) -> dict[str, str]:
        """Build the image of the service that has the containerd."""
        return node_image.ensure(self._run.root, commands, no_cache=self._run.settings.no_cache)

    def prepare(self, context: RunContext, commands: Commands) -> dict[str, str]:
        """Lease the functions' subnet, and start the registry where images are needed."""
        self._project = context.project
        variables = {"ESB_SUBNET_FUNCTIONS": str(self._lease(context.name))}
        if self._needs_registry:
            address = self._registry(commands).ensure()
            variables |= {"HOST_REGISTRY_ADDR": address, "ESB_PORT_REGISTRY": address.rpartition(":")[2]}
        return variables

    def connect(self, commands: Commands) -> None:
        """Attach the registry to the environment's network."""
        if self._needs_registry:
            self._registry(commands).attach(f"{self._project}-external")

    def fetch(self, references: Sequence[str], commands: Commands) -> None:
        """Have containerd pull them from the registry."""
        node = f"{self._project}-{NODE}-1"

        def pull(reference: str) -> None:
            own = image_reference.registry_of(reference)
            name = reference if own is not None else f"{REGISTRY}/{reference}"
            argv = ["docker", "exec", node, "ctr", "--namespace", self._project, "images", "pull"]
            done = commands.run([*argv, "--plain-http", name], quiet=True)
            if done.code != 0:
                raise StepError(
                    f"{NODE} cannot pull the image {name}: {done.reason()}",
                    remedy="look at the registry: docker logs esb-registry",
                    service=NODE,
                    lines=done.tail,
                    kind=Kind.IMAGE_BUILD,
                    component=name,
                )

        commands.at_once(pull, references)

    def check(self, context: RunContext) -> None:
        """Raise where the agent starts functions on the environment's engine, beside its services."""
        if _engine_of(_ask_agent(context)) == self._engine.id:
            raise StepError(
                "the agent starts workers on the engine, the environment is one of mode containerd",
                remedy="set AGENT_RUNTIME to containerd for the agent in the compose file",
                service="agent",
                kind=Kind.USER_INPUT,
            )

    def states(self, project: str) -> list[ServiceState]:
        """Return how containerd's tasks are."""
        argv = ["ctr", "--namespace", project, "tasks", "ls"]
        lines = self._engine.execute(f"{project}-{NODE}-1", argv).splitlines()[1:]
        tasks = sorted((line.split() for line in lines), key=lambda fields: fields[0])
        return [ServiceState(name=fields[0], state=fields[-1].lower(), function=True) for fields in tasks]

    def release(self) -> None:
        """Give the functions' subnet back."""
        self._subnets.release(self._key)

    def keep(self) -> None:
        """Let the lease of the functions' subnet outlive this process."""
        self._subnets.keep(self._key)

    @property
    def _needs_registry(self) -> bool:
        return self._scenario.entry.artifact_manifest is not None

    def _registry(self, commands: Commands) -> Registry:
        return Registry(self._run.host, self._engine.id, commands)

    def _lease(self, environment: str) -> IPv4Network:
        pair = self._subnets.lease(
            self._key,
            environment=environment,
            pool=self._run.subnet_pool,
            used=self._engine.subnets(),
            on_move=lambda base, _, reason: self._journal.line(
                "esb", f"subnet {IPv4Network((base, 23))} {reason}"
            ),
        )
        return pair.external.supernet()


def _ask_agent(context: RunContext) -> Health:
    check = HealthCheck(f"{context.urls.agent_metrics}/health")
    answer = probe(check)
    for _ in range(_ASKED_AGAIN):
        if answer.ok:
            break
        answer = probe(check)  # it is healthy; on a busy machine an answer may take too long
    return answer


def _engine_of(answer: Health) -> str | None:
    return (answer.body or {}).get("engine")
