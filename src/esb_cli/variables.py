"""The variables of an environment, for a shell, a `.env` file or a command."""

import re
import shlex
from collections.abc import Mapping
from typing import Final

from esb_cli.project import Target
from esb_cli.running import env_file_values, found
from esb_e2e_plugin.context import REGISTRY, RunContext, build_context
from esb_e2e_plugin.environment import Environment
from esb_e2e_plugin.lifecycle import by_hand, override
from esb_e2e_plugin.lifecycle.recorded import recorded
from esb_e2e_plugin.ports import PortBlock

REGION: Final = "us-east-1"

_PLAIN = re.compile(r"[\w@%+:,./=-]*", re.ASCII)


def context_of(target: Target, environment: Environment) -> RunContext:
    """Return an environment as its phases knew it, with none of the caller's variables."""
    entry = target.scenario.entry
    return build_context(
        target.scenario,
        root=target.project.root,
        run_id=environment.run_id,
        ports=PortBlock(environment.ports.gateway_https, entry.bind_address),
        host_env={},
        env_file_values=env_file_values(target),
        credentials=environment.credentials,
        git_sha=None,
        ci=False,
    )


def variables_of(target: Target, *, aws: bool = False) -> dict[str, str]:
    """Return the variables of an environment.

    Args:
        target: the environment.
        aws: whether to add those by which AWS tools find its services.

    Raises:
        EsbError: it is not running.
    """
    environment, _ = found(target)
    entry = target.scenario.entry
    found_variables = {**context_of(target, environment).environment, **recorded(environment.paths.run)}
    urls, paths = environment.urls, environment.paths
    found_variables |= {
        "ESB_GATEWAY_URL": urls.gateway,
        "ESB_CA_CERTIFICATE": str(paths.ca_certificate),
        **({"CONFIG_DIR": str(paths.config)} if paths.config is not None else {}),
    }
    if entry.mode == "containerd":
        found_variables["CONTAINER_REGISTRY"] = REGISTRY
    if entry.compose_files:
        files = [*entry.compose_files, paths.run / override.FILE, paths.run / by_hand.FILE]
        found_variables |= {
            "COMPOSE_PROJECT_NAME": environment.project,
            "COMPOSE_FILE": ":".join(str(path) for path in files if path.exists()),
            "COMPOSE_PATH_SEPARATOR": ":",
        }
    if aws:
        found_variables |= aws_variables(environment)
    return dict(sorted(found_variables.items()))


def aws_variables(environment: Environment) -> dict[str, str]:
    """Return the variables by which AWS tools find the services of an environment."""
    urls, credentials = environment.urls, environment.credentials
    return {
        "AWS_ENDPOINT_URL_LAMBDA": urls.gateway,
        "AWS_ENDPOINT_URL_S3": urls.s3,
        "AWS_ENDPOINT_URL_DYNAMODB": urls.database,
        "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": urls.database,
        "AWS_ACCESS_KEY_ID": credentials.s3_access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.s3_secret_key,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CA_BUNDLE": str(environment.paths.ca_certificate),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def for_shell(variables: Mapping[str, str]) -> str:
    """Return lines that a POSIX shell exports the variables by."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())


def for_env_file(variables: Mapping[str, str]) -> str:
    """Return lines of a `.env` file, as Compose and most others read it."""
    return "\n".join(f"{name}={_quoted(value)}" for name, value in variables.items())


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    if "'" not in value and "\n" not in value:
        return f"'{value}'"
    escaped = re.sub(r'([\\"$])', r"\\\1", value).replace("\n", "\\n")
    return f'"{escaped}"'
