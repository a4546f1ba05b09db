"""Compose files, read by Compose itself while the session begins, and what is wrong with them."""

import json
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import IO

from esb_e2e_plugin.context import build_context
from esb_e2e_plugin.credentials import Credentials
from esb_e2e_plugin.env_file import read_env_file
from esb_e2e_plugin.errors import MatrixError
from esb_e2e_plugin.lifecycle import compose_mistakes, node_image, registry
from esb_e2e_plugin.lifecycle.compose import config_command, is_missing
from esb_e2e_plugin.lifecycle.docker_variables import for_no_engine
from esb_e2e_plugin.lifecycle.service_images import IMAGE, IMAGE_VARIABLE, builds
from esb_e2e_plugin.networks import SubnetPair
from esb_e2e_plugin.planner import Plan, Scenario
from esb_e2e_plugin.ports import PortBlock

_SECONDS = 20.0


@dataclass(frozen=True)
class _Reading:
    scenario: Scenario
    variables: Mapping[str, str]
    process: "subprocess.Popen[bytes]"
    output: IO[bytes]
    errors: IO[bytes]


class ComposePreflight:
    """Has Compose read the files of every environment at once, beside what else a session begins with.

    Compose is the judge of its files; its answer is awaited before an environment can be asked for.
    """

    def __init__(self, plan: Plan, environ: Mapping[str, str]) -> None:
        """Start to read.

        Args:
            plan: the selected environments.
            environ: the caller's environment variables.

        Raises:
            UserError: a variable that the user set cannot be used.
        """
        self._environ = environ
        self._open = ExitStack()
        try:
            self._readings = [
                reading
                for scenario in plan.scenarios
                if scenario.entry.mode != "process"
                and (reading := self._begin(scenario, plan.root, plan.port_base, plan.subnet_pool))
                is not None
            ]
        except BaseException:
            self._open.close()
            raise

    def check(self) -> None:
        """Wait for the answers, and raise the first mistake.

        Raises:
            UserError: names file, line and key.
        """
        for reading in self._readings:
            mistake = self._mistake(reading)
            if mistake is not None:
                raise mistake

    def close(self) -> None:
        """End what still reads."""
        self._open.close()

    def _begin(
        self, scenario: Scenario, root: Path, port_base: int, subnet_pool: IPv4Network
    ) -> _Reading | None:
        entry = scenario.entry
        context = build_context(
            scenario,
            root=root,
            run_id="preflight",
            ports=PortBlock(port_base, entry.bind_address),
            host_env=self._environ,
            env_file_values=read_env_file(entry.env_file) if entry.env_file is not None else {},
            credentials=Credentials.random(),
            git_sha=None,
            ci=False,
        )
        subnets = SubnetPair.of(next(subnet_pool.subnets(new_prefix=23)))
        variables = {
            **context.environment,
            **subnets.to_env(),
            "ESB_ENGINE_SOCKET": entry.engine_socket,
            **({IMAGE_VARIABLE: IMAGE} if builds(root, context.environment) else {}),
            **(_of_functions(subnets) if entry.mode == "containerd" else {}),
        }
        # Files, not pipes: nobody reads while Compose writes.
        output, errors = (self._open.enter_context(tempfile.TemporaryFile()) for _ in range(2))  # noqa: SIM115
        try:
            process = subprocess.Popen(
                config_command(context.project, entry.compose_files),
                env=for_no_engine(variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
        except FileNotFoundError:
            return None  # no docker command: the environment fails by that
        self._open.callback(_end, process)
        return _Reading(scenario, variables, process, output, errors)

    def _mistake(self, reading: _Reading) -> MatrixError | None:
        entry = reading.scenario.entry
        try:
            status = reading.process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            return None  # the environment fails by it, and says so
        if status != 0:
            reading.errors.seek(0)
            said = reading.errors.read().decode(errors="replace")
            if is_missing(status, said):
                return None  # the environment fails by that
            return compose_mistakes.rejected(said, entry, reading.variables)
        reading.output.seek(0)
        model = json.load(reading.output)
        remote = compose_mistakes.has_bind_mounts(model, entry) and self._is_remote(reading)
        return compose_mistakes.mistake(model, entry, remote=remote)

    def _is_remote(self, reading: _Reading) -> bool:
        from docker.errors import DockerException

        from esb_e2e_plugin.failure import StepError
        from esb_e2e_plugin.lifecycle import endpoint

        try:
            return endpoint.find(reading.variables, reading.scenario.entry.docker_context).remote
        except (DockerException, StepError):
            return False  # the environment fails by that, and says how


def _of_functions(subnets: SubnetPair) -> dict[str, str]:
    return {
        node_image.IMAGE_VARIABLE: node_image.IMAGE,
        "ESB_SUBNET_FUNCTIONS": str(subnets.external.supernet()),
        "HOST_REGISTRY_ADDR": f"127.0.0.1:{registry.PORT}",
    }


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
