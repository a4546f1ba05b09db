"""The shape of `test_matrix.yaml`: which keys there are, and what each may hold."""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import IPv4Network, ip_address
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo
from pydantic_core import PydanticCustomError

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,24}$"
VARIABLE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"

_PLACEHOLDER = re.compile(r"\$\{([^}]*)\}?")
_PLACEHOLDERS = ("ESB_PROJECT", "ESB_ENV")


def mistake(
    problem: str, expected: str, given: str | None = None, known: Collection[str] = ()
) -> PydanticCustomError:
    """Build an error whose parts `matrix` puts into one line.

    Args:
        problem: What is wrong.
        expected: What would be right.
        given: The name that was not understood, compared with `known`.
        known: The valid names in this place.
    """
    context = {"problem": problem, "expected": expected, "given": given, "known": tuple(known)}
    return PydanticCustomError("mistake", "{problem}; expected {expected}", context)


def _name(value: str) -> str:
    if re.fullmatch(NAME_PATTERN[1:-1], value) is None:
        raise mistake(
            f"{value!r} is no name", "a letter or digit, then at most 24 letters, digits, '_' or '-'"
        )
    if value.casefold() == "all":
        raise mistake(f"{value!r} is no name", "another name: 'all' stands for every enabled entry")
    return value


def _text(value: str) -> str:
    if not value.strip() or "\0" in value:
        raise mistake(f"{value!r} is blank", "a text")
    return value


def _path(value: str) -> str:
    if not value.strip() or "\0" in value or value != value.strip():
        raise mistake(f"{value!r} is no path", "a path without blanks around it")
    if value.startswith("~"):
        raise mistake(f"{value!r} is not expanded", "a path that is absolute or relative, without '~'")
    return value


def _target(value: str) -> str:
    if "::" in value:
        raise mistake(f"{value!r} is a node id", "a file or a folder")
    return _path(value)


def _config_dir(value: str) -> str:
    for match in _PLACEHOLDER.finditer(value):
        if match[0] != f"${{{match[1]}}}" or match[1] not in _PLACEHOLDERS:
            raise mistake(
                f"{match[0]!r} is no placeholder", "${ESB_PROJECT} or ${ESB_ENV}", match[1], _PLACEHOLDERS
            )
    return _path(value)


def _suite_name(value: str, info: ValidationInfo) -> str:
    known: Collection[str] = info.context or ()
    if value not in known:
        raise mistake(f"unknown suite {value!r}", f"one of {', '.join(known)}", value, known)
    return value


def _variables(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if re.fullmatch(VARIABLE_PATTERN[1:-1], name) is None:
            raise mistake(f"{name!r} is no name of a variable", "letters, digits and '_'")
        if "\0" in text:
            raise mistake(f"the value of {name} contains a NUL character", "a text without it")
    return value


def _address(value: str) -> str:
    try:
        ip_address(value)
    except ValueError:
        raise mistake(f"{value!r} is no IP address", "an address such as 127.0.0.1") from None
    return value


def _absolute(value: str) -> str:
    if not value.startswith("/"):
        raise mistake(f"{value!r} is not absolute", "a path that starts with '/'")
    return value


def _network(value: str) -> str:
    try:
        network = IPv4Network(value)
    except ValueError:
        raise mistake(f"{value!r} is no network", "an IPv4 network such as 10.231.0.0/16") from None
    if network.prefixlen > 23:
        raise mistake(f"{value!r} is too small", "room for the two /24 networks of an environment")
    return value


Name = Annotated[str, Field(json_schema_extra={"pattern": NAME_PATTERN}), AfterValidator(_name)]
Text = Annotated[str, AfterValidator(_text)]
FilePath = Annotated[str, AfterValidator(_path)]
Target = Annotated[str, AfterValidator(_target)]
Absolute = Annotated[str, AfterValidator(_absolute), AfterValidator(_path)]


class _Shape(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class SuiteShape(_Shape):
    """A named set of scenario files."""

    description: str = Field("", description="What it is for.")
    targets: list[Target] = Field(
        min_length=1, description="Files or folders with its tests, relative to the folder of this file."
    )
    exclude: list[Target] = Field([], description="Files or folders among them that do not belong to it.")


class GatewayShape(_Shape):
    """Where an environment's front door is."""

    service: Text = Field("gateway", description="Its name among the services.")
    port: int = Field(8443, ge=1, le=65535, description="The port that it listens on inside.")
    scheme: Literal["https", "http"] = Field("https", description="How it is spoken to.")
    health_path: Absolute = Field("/health", description="The path that answers 200 once it can serve.")


class EntryShape(_Shape):
    """One environment; a repeated one carries only `esb_env` and `suites`, and adds suites."""

    esb_env: Name = Field(description="Its name, compared without case.")
    suites: list[Annotated[str, AfterValidator(_suite_name)]] = Field(
        min_length=1, description="Names of the suites that run on it."
    )
    artifact_manifest: FilePath | None = Field(
        None, description="The artifact.yml that is applied, relative to the project root."
    )
    config_dir: Annotated[str, AfterValidator(_config_dir)] | None = Field(
        None, description="Where it is applied to, inside the project root; ${ESB_PROJECT} and ${ESB_ENV}."
    )
    esb_project: Name = Field("esb", description="First part of the names of its resources.")
    env_dir: FilePath | None = Field(
        None, description="Folder with its compose file, relative to the folder of this file."
    )
    env_file: FilePath | None = Field(None, description="Variables for its services; <env_dir>/.env.")
    env_vars: Annotated[dict[str, str], AfterValidator(_variables)] = Field(
        {}, description="Variables for its services; they win over env_file."
    )
    image_uri_overrides: dict[str, Text] = Field({}, description="Images of image functions, by function.")
    image_runtime_overrides: dict[str, Literal["python", "java21", "java17"]] = Field(
        {}, description="Runtimes of image functions, by function."
    )
    secret_env_file: FilePath | None = Field(
        None, description="Secrets that the artifacts require, relative to the project root."
    )
    strict: bool = Field(True, description="Whether every finding about runtime metadata is an error.")
    enabled: bool = Field(True, description="false: listed, and runs only when it is named.")
    mode: Literal["docker", "containerd", "process"] | None = Field(
        None, description="What drives its services; without it, told by words in env_dir and env_file."
    )
    compose_files: list[FilePath] | None = Field(
        None, min_length=1, description="Compose files, relative to the folder of this file."
    )
    gateway: GatewayShape = Field(GatewayShape(), description="Where its front door is.")
    docker_context: Text | None = Field(None, description="Another engine to run on.")
    bind_address: Annotated[str, AfterValidator(_address)] = Field(
        "127.0.0.1", description="The host's address that its ports are published on."
    )
    engine_socket: Absolute = Field(
        "/var/run/docker.sock", description="The engine's socket on the engine's own host."
    )
    weight: float = Field(1.0, gt=0, description="First guess of its cost, relative to the others.")
    deploy_driver: Literal["artifact"] = Field("artifact", description="The only value there is.")
    artifact_generate: Literal["none"] = Field("none", description="The only value there is.")


class MatrixShape(_Shape):
    """The environments that end-to-end tests run on."""

    suites: dict[str, SuiteShape] = Field(min_length=1, description="Suites by name.")
    matrix: list[EntryShape] = Field(min_length=1, description="Environments.")
    subnet_pool: Annotated[str, AfterValidator(_network)] = Field(
        "10.231.0.0/16", description="The network that environments' networks are taken from."
    )
    port_base: int = Field(
        18000, ge=1024, le=65516, description="The first host port that environments may use."
    )
