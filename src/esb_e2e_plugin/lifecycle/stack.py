"""The platform's services as processes of this machine: which, with which variables, reachable where.

Pure: a `RunContext` in, data out. What each variable means is fixed by the services (`services/README.md`).
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from esb_e2e_plugin.context import RunContext
from esb_e2e_plugin.environment import Environment
from esb_e2e_plugin.lifecycle.health import HealthCheck
from esb_e2e_plugin.lifecycle.supervisor import Command

REGION = "us-east-1"

PROVISIONER = "provisioner"
IMAGE_INDEX = "images.json"


@dataclass(frozen=True)
class Service:
    """A long-running service: how to start it, where it says that it is well, and the ports it listens on."""

    command: Command
    health: HealthCheck
    ports: tuple[int, ...]

    @property
    def name(self) -> str:
        """The service's name."""
        return self.command.name


def services(context: RunContext) -> tuple[Service, ...]:
    """Return the services of an environment in `process` mode; they may start in any order."""
    return (
        _store(context, "database", context.ports.database),
        _store(context, "s3-storage", context.ports.s3),
        _agent(context),
        _gateway(context),
    )


LONG_RUNNING = ("database", "s3-storage", "agent", "gateway")
"""The services' names, in the order in which they are started."""

NEEDS: Mapping[str, frozenset[str]] = {
    "gateway": frozenset({"agent", "database", "s3-storage"}),
    PROVISIONER: frozenset({"database", "s3-storage"}),
}
"""What each service needs to do its part."""


def provisioner(context: RunContext) -> Command:
    """Return the one-shot command that creates tables and buckets."""
    variables = {"CONFIG_DIR": str(config_folder(context)), **_aws(context)}
    return _command(context, PROVISIONER, "provisioner", variables)


def computed_names(context: RunContext) -> frozenset[str]:
    """Return the variables that are made for the services themselves; a user's value would be lost."""
    bare = replace(context, environment={})
    commands = [*(service.command for service in services(bare)), provisioner(bare)]
    return frozenset(name for command in commands for name in command.environment)


def gateway_health(environment: RunContext | Environment) -> HealthCheck:
    """Return how to ask the gateway over TLS."""
    return HealthCheck(f"{environment.urls.gateway}/health", environment.paths.ca_certificate)


def health_checks(environment: RunContext | Environment) -> Mapping[str, HealthCheck]:
    """Return how to ask each service, by its name."""
    urls = environment.urls
    return {
        "database": HealthCheck(f"{urls.database}/health"),
        "s3-storage": HealthCheck(f"{urls.s3}/health"),
        "agent": HealthCheck(f"{urls.agent_metrics}/health"),
        "gateway": gateway_health(environment),
    }


def _store(context: RunContext, name: str, port: int) -> Service:
    command = _command(context, name, "stores", {"STORE_NAME": name, "STORE_PORT": str(port)})
    return Service(command, health_checks(context)[name], (port,))


def _agent(context: RunContext) -> Service:
    ports, paths = context.ports, context.paths
    variables = {
        "AGENT_GRPC_PORT": str(ports.agent_grpc),
        "AGENT_METRICS_PORT": str(ports.agent_metrics),
        "AGENT_RUNTIME": "process",
        "AGENT_CERT_FILE": str(paths.certificates / "agent.crt"),
        "AGENT_KEY_FILE": str(paths.certificates / "agent.key"),
        "AGENT_CA_FILE": str(paths.ca_certificate),
        "AGENT_IMAGE_INDEX": str(paths.run / IMAGE_INDEX),
        "AGENT_LOG_DIR": str(function_logs(context)),
    }
    return Service(
        _command(context, "agent", "agent", variables),
        health_checks(context)["agent"],
        (ports.agent_grpc, ports.agent_metrics),
    )


def _gateway(context: RunContext) -> Service:
    ports, paths = context.ports, context.paths
    host = urlsplit(context.urls.agent_metrics).netloc.rpartition(":")[0]  # an IPv6 one with its brackets
    variables = {
        "GATEWAY_HTTPS_PORT": str(ports.gateway_https),
        "GATEWAY_HTTP_PORT": str(ports.gateway_http),
        "TLS_CERT_FILE": str(paths.certificates / "gateway.crt"),
        "TLS_KEY_FILE": str(paths.certificates / "gateway.key"),
        "CONFIG_DIR": str(config_folder(context)),
        "AGENT_ADDRESS": f"{host}:{ports.agent_grpc}",
        "AGENT_CA_FILE": str(paths.ca_certificate),
        "AGENT_CLIENT_CERT_FILE": str(paths.certificates / "agent-client.crt"),
        "AGENT_CLIENT_KEY_FILE": str(paths.certificates / "agent-client.key"),
        **_aws(context),
    }
    return Service(
        _command(context, "gateway", "gateway", variables),
        gateway_health(context),
        (ports.gateway_https, ports.gateway_http),
    )


def config_folder(context: RunContext) -> Path:
    """Return the folder that the services read; without artifacts nothing is ever applied to it."""
    return context.paths.config or context.paths.run / "config"


def function_logs(context: RunContext) -> Path:
    """Return the folder in which every function worker has a log of its own."""
    return context.paths.logs / "functions"


def _aws(context: RunContext) -> Mapping[str, str]:
    credentials = context.credentials
    return {
        "AWS_ENDPOINT_URL_S3": context.urls.s3,
        "AWS_ENDPOINT_URL_DYNAMODB": context.urls.database,
        "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": context.urls.database,
        "AWS_ENDPOINT_URL_LAMBDA": context.urls.gateway_http,
        "AWS_ACCESS_KEY_ID": credentials.s3_access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.s3_secret_key,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _command(context: RunContext, name: str, module: str, variables: Mapping[str, str]) -> Command:
    # -P keeps the working folder out of sys.path: a stray file there must not shadow a module.
    argv = (sys.executable, "-P", "-m", f"esb_services.{module}")
    common = {"BIND_ADDRESS": context.ports.bind_address, "PYTHONUNBUFFERED": "1"}
    return Command(name, argv, {**context.environment, **common, **variables})
