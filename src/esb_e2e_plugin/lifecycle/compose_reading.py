"""Compose files as Compose reads them, filled in with what is the same for every run.

What comes out depends on nothing but what the user wrote: no credentials, no leases, no id of a run.
"""

import json
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from ipaddress import IPv4Network
from pathlib import Path
from typing import IO, Any

from esb_e2e_plugin.context import build_context
from esb_e2e_plugin.credentials import JWT_KEY_CHARACTERS, Credentials
from esb_e2e_plugin.env_file import read_env_file
from esb_e2e_plugin.failure import Kind, StepError
from esb_e2e_plugin.lifecycle import node_image, registry
from esb_e2e_plugin.lifecycle.compose import config_command, is_missing
from esb_e2e_plugin.lifecycle.docker_variables import for_no_engine
from esb_e2e_plugin.lifecycle.refusals import engine_error
from esb_e2e_plugin.lifecycle.run import ComposeAnswer, Run
from esb_e2e_plugin.lifecycle.service_images import IMAGE, IMAGE_VARIABLE, builds
from esb_e2e_plugin.networks import SubnetPair
from esb_e2e_plugin.planner import Scenario
from esb_e2e_plugin.ports import PortBlock

_RUN_ID = "preflight"
_LAST_LINES = 20


@dataclass(frozen=True)
class Question:
    """What Compose is asked about the files of one environment.

    Attributes:
        command: writes the answer, one JSON document.
        variables: what the files' variables stand for.
    """

    command: tuple[str, ...]
    variables: Mapping[str, str]

    def begin(self, output: IO[bytes] | int, errors: IO[bytes] | int) -> "subprocess.Popen[bytes]":
        """Start to ask.

        Args:
            output: where the answer goes, as `subprocess` takes it.
            errors: where it says what is wrong.

        Raises:
            FileNotFoundError: there is no docker command.
        """
        return subprocess.Popen(
            self.command,
            env=for_no_engine(self.variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        )

    def answer(self, timeout: float) -> ComposeAnswer:
        """Ask, and return the answer.

        Args:
            timeout: seconds until giving up.

        Raises:
            StepError: Compose does not accept the files, or is not installed.
        """
        asked = time.time_ns()
        try:
            process = self.begin(subprocess.PIPE, subprocess.PIPE)
        except FileNotFoundError:
            raise engine_error("there is no docker command", "make engine installs it") from None
        with process:
            try:
                text, errors = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                raise engine_error("docker compose config did not answer in time") from None
            finally:
                process.kill()
        if process.returncode != 0:
            said = errors.decode(errors="replace").strip()
            if is_missing(process.returncode, said):
                raise engine_error("docker has no Compose (docker compose)", "make engine installs it")
            lines = said.splitlines()
            raise StepError(
                f"the compose file is wrong: {lines[-1] if lines else 'no reason given'}",
                service="compose",
                lines=tuple(lines[-_LAST_LINES:]),
                kind=Kind.USER_INPUT,
                component="compose file",
            )
        return ComposeAnswer(text, asked)


def read(scenario: Scenario, run: Run, timeout: float) -> dict[str, Any]:
    """Return an environment's compose files as one document.

    Args:
        scenario: the environment.
        run: its run, which may have read them as it began.
        timeout: seconds until giving up.

    Raises:
        StepError: Compose does not accept them, or is not installed.
    """
    answer, entry = run.models.get(scenario.profile), scenario.entry
    files = (*entry.compose_files, *([entry.env_file] if entry.env_file is not None else []))
    # It may have waited long for its environment since.
    if answer is None or _written_since(answer.asked, files):
        asked = question(scenario, run.root, run.port_base, run.subnet_pool, run.environ)
        answer = asked.answer(timeout)
    found: dict[str, Any] = json.loads(answer.text)
    return found


def ports(port_base: int, bind_address: str) -> PortBlock:
    """Return the ports that files are filled in with.

    Args:
        port_base: first host port that environments may use.
        bind_address: the address that they are bound on.
    """
    return PortBlock(port_base, bind_address)


def question(
    scenario: Scenario, root: Path, port_base: int, subnet_pool: IPv4Network, environ: Mapping[str, str]
) -> Question:
    """Return what to ask about an environment's compose files.

    Args:
        scenario: the environment.
        root: the project root.
        port_base: first host port that environments may use.
        subnet_pool: the network that environments' networks are taken from.
        environ: the caller's environment variables.

    Raises:
        UserError: a variable that the user set cannot be used.
    """
    entry = scenario.entry
    context = build_context(
        scenario,
        root=root,
        run_id=_RUN_ID,
        ports=ports(port_base, entry.bind_address),
        host_env=environ,
        env_file_values=read_env_file(entry.env_file) if entry.env_file is not None else {},
        credentials=_nobodys(),
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
    return Question(tuple(config_command(context.project, entry.compose_files)), variables)


def _written_since(moment: int, files: Iterable[Path]) -> bool:
    try:
        return any(path.stat().st_mtime_ns >= moment for path in files)
    except OSError:  # Compose tells of it
        return True


def _nobodys() -> Credentials:
    return Credentials(
        **{field.name: field.name.ljust(JWT_KEY_CHARACTERS, "-") for field in fields(Credentials)}
    )


def _of_functions(subnets: SubnetPair) -> dict[str, str]:
    return {
        node_image.IMAGE_VARIABLE: node_image.IMAGE,
        "ESB_SUBNET_FUNCTIONS": str(subnets.external.supernet()),
        "HOST_REGISTRY_ADDR": f"127.0.0.1:{registry.PORT}",
    }
