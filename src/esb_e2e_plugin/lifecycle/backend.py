"""What runs an environment's services, by the mode of its entry: this machine, or a container engine."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Protocol

from esb_e2e_plugin.context import environment_paths
from esb_e2e_plugin.env_file import read_env_file
from esb_e2e_plugin.environment import Paths
from esb_e2e_plugin.events import Journal
from esb_e2e_plugin.lifecycle.driver import Driver
from esb_e2e_plugin.lifecycle.process import ProcessDriver
from esb_e2e_plugin.lifecycle.run import Run
from esb_e2e_plugin.lifecycle.supervisor import Supervisor
from esb_e2e_plugin.planner import Scenario
from esb_e2e_plugin.processes import described, marked

if TYPE_CHECKING:
    from esb_e2e_plugin.lifecycle.engine import Engine


class Backend(Protocol):
    """A place where services can run.

    Attributes:
        identity: what the names of an environment must be unique on: an engine, or a state folder.
        host: the other machine that it is on; None for this one.
    """

    identity: str
    host: str | None

    def driver(
        self,
        scenario: Scenario,
        run: Run,
        paths: Paths,
        key: str,
        supervisor: Supervisor,
        journal: Journal,
    ) -> Driver:
        """Return what drives one environment there."""

    def left(self, project: str, mark: str) -> list[str]:
        """Return what there is of an environment, each thing with the command that removes it."""

    def close(self) -> None:
        """Close what it has opened, where no driver was asked for: that closes it itself."""


def backend_of(scenario: Scenario, run: Run) -> Backend:
    """Return where an environment runs.

    Raises:
        StepError: its engine does not answer.
        MatrixError: nothing on its engine's host could be reached.
    """
    if scenario.entry.mode == "process":
        return _Machine(mark_of(environment_paths(scenario, run.root)))
    entry, engine = scenario.entry, engine_of(scenario, run.environ)
    if engine.host is not None and ip_address(entry.bind_address).is_loopback:
        engine.close()
        raise entry.error(
            "bind_address",
            f"{entry.bind_address} of {engine.host}, where the engine is, cannot be reached from here",
            expected=f"0.0.0.0, or another address of {engine.host}",
        )
    return _Containers(engine)


def engine_of(scenario: Scenario, environ: Mapping[str, str]) -> "Engine":
    """Return the engine of an environment that has containers.

    Args:
        scenario: what runs.
        environ: the caller's variables.

    Raises:
        StepError: it does not answer.
    """
    from esb_e2e_plugin.lifecycle.engine import Engine

    return Engine(engine_variables(scenario, environ), scenario.entry.docker_context)


def engine_variables(scenario: Scenario, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that may name the engine of an environment."""
    entry = scenario.entry
    from_file = read_env_file(entry.env_file) if entry.env_file is not None else {}
    return {**environ, **from_file, **entry.env_vars}


def mark_of(paths: Paths) -> str:
    """Return what every process of an environment carries, see `processes.MARK`."""
    return str(paths.state.resolve())


def project_of(scenario: Scenario) -> str:
    """Return the prefix of everything that belongs to an environment."""
    return f"{scenario.entry.project}-{scenario.name}".lower()


class _Machine:
    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.host: str | None = None

    def driver(
        self,
        scenario: Scenario,
        run: Run,
        paths: Paths,
        key: str,  # noqa: ARG002  a process leases no more than ports
        supervisor: Supervisor,
        journal: Journal,
    ) -> Driver:
        return ProcessDriver(supervisor, mark_of(paths), journal, scenario, run)

    def left(self, project: str, mark: str) -> list[str]:  # noqa: ARG002  a process has no project
        return described(marked(mark))

    def close(self) -> None:
        pass


class _Containers:
    def __init__(self, engine: "Engine") -> None:
        self.identity = engine.id
        self.host = engine.host
        self._engine = engine

    def left(self, project: str, mark: str) -> list[str]:
        return described(marked(mark)) + self._engine.left(project)

    def close(self) -> None:
        self._engine.close()

    def driver(
        self,
        scenario: Scenario,
        run: Run,
        paths: Paths,
        key: str,
        supervisor: Supervisor,
        journal: Journal,
    ) -> Driver:
        from esb_e2e_plugin.lifecycle.docker import DockerDriver
        from esb_e2e_plugin.lifecycle.function_host import ContainerdFunctions, EngineFunctions, FunctionHost

        functions: FunctionHost = EngineFunctions(scenario, self._engine)
        if scenario.entry.mode == "containerd":
            functions = ContainerdFunctions(scenario, self._engine, run, key, journal)

        return DockerDriver(
            scenario,
            project=project_of(scenario),
            key=key,
            mark=mark_of(paths),
            run=run,
            paths=paths,
            supervisor=supervisor,
            journal=journal,
            engine=self._engine,
            functions=functions,
        )
