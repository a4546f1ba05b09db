"""The runtime config of one artifact: `functions.yml`, `routing.yml`, `resources.yml`, shapes checked."""

import json
import math
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from artifactctl import schedule, yaml_source
from artifactctl.errors import ArtifactError
from artifactctl.fields import Field

FUNCTIONS_FILE: Final = "functions.yml"
ROUTING_FILE: Final = "routing.yml"
RESOURCES_FILE: Final = "resources.yml"
IMAGES_FILE: Final = "images.yml"
METHODS: Final = ("ANY", "DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
RESOURCE_NAMES: Final = {"dynamodb": "TableName", "layers": "Name", "s3": "BucketName"}

_FUNCTION_NAME = re.compile("[A-Za-z0-9_-]{1,64}")
_SCALING_LEAST = {"min_capacity": 0, "max_capacity": 1}
_SCALING_SECONDS = ("idle_timeout", "acquire_timeout")


@dataclass(frozen=True, slots=True)
class RuntimeConfig:
    """What one artifact, or several merged ones, tell the services.

    Attributes:
        functions: by name.
        default_environment: `defaults.environment`.
        default_scaling: `defaults.scaling`.
        other_defaults: every other key of `defaults`.
        routes: by path and method.
        resources: by kind, then by the kind's name.
        other_resources: kinds that this version does not know, as they are.
        other_keys: by file, keys at the top that this version does not know, as they are.
        warnings: what was left out, one located line each.
    """

    functions: Mapping[str, Field] = field(default_factory=dict)
    default_environment: Mapping[str, Field] = field(default_factory=dict)
    default_scaling: Mapping[str, Field] = field(default_factory=dict)
    other_defaults: Mapping[str, Field] = field(default_factory=dict)
    routes: Mapping[tuple[str, str], Field] = field(default_factory=dict)
    resources: Mapping[str, Mapping[str, Field]] = field(default_factory=dict)
    other_resources: Mapping[str, Field] = field(default_factory=dict)
    other_keys: Mapping[str, Mapping[str, Field]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def read(directory: Path, root: Path) -> RuntimeConfig:
    """Read the runtime config in `directory`.

    Args:
        directory: holds `functions.yml`, `routing.yml` and perhaps `resources.yml`.
        root: the resolved folder that none of the files may leave.

    Raises:
        ArtifactError: a file is missing, broken, outside `root`, or has a wrong shape.
    """
    functions = Field(_load(directory / FUNCTIONS_FILE, root))
    routing = Field(_load(directory / ROUTING_FILE, root))
    resources_path = directory / RESOURCES_FILE
    resources = Field(_load(resources_path, root)) if os.path.lexists(resources_path) else None
    defaults = functions.optional("defaults")
    environment = defaults.optional("environment") if defaults is not None else None
    scaling = defaults.optional("scaling") if defaults is not None else None
    routes, warnings = _routes(routing)
    return RuntimeConfig(
        functions=_functions(functions),
        default_environment=_environment(environment) if environment is not None else {},
        default_scaling=_scaling(scaling) if scaling is not None else {},
        other_defaults=_other_defaults(defaults),
        routes=routes,
        resources=_resources(resources),
        other_resources=_others(_resource_kinds(resources), RESOURCE_NAMES),
        other_keys={
            FUNCTIONS_FILE: _others(functions, ("functions", "defaults")),
            ROUTING_FILE: _others(routing, ("routes",)),
            RESOURCES_FILE: _others(resources, ("resources",)),
        },
        warnings=warnings,
    )


def images(directory: Path) -> dict[str, str]:
    """Return what an applied config says of its images: ids by name; none where it says nothing.

    Args:
        directory: the config, as an apply has written it.
    """
    path = directory / IMAGES_FILE
    if not path.exists():
        return {}
    known = Field(_load(path, directory)).required("images")
    return {str(image.key): image.string() for image in known.entries()}


def _load(path: Path, root: Path) -> yaml_source.Document:
    resolved = Path(os.path.realpath(path))
    if not resolved.is_relative_to(root):
        raise ArtifactError("is a link that leaves its artifact root", path=path, remedy="copy the file")
    if not os.path.exists(resolved):  # noqa: PTH110 - Path.exists raises for a name that is too long
        raise ArtifactError("file not found", path=path, remedy="generate the artifact again")
    return yaml_source.load(path)


def _others(parent: Field | None, known: Collection[str]) -> dict[str, Field]:
    if parent is None:
        return {}
    return {str(value.key): value for value in parent.entries() if value.key not in known}


def _functions(root: Field) -> dict[str, Field]:
    functions = {str(entry.key): entry for entry in root.present("functions").entries()}
    for name, function in functions.items():
        if not _FUNCTION_NAME.fullmatch(name):
            raise function.error("a function's name has 1 to 64 letters, digits, - and _")
        _check_function(function)
    return functions


def _other_defaults(defaults: Field | None) -> dict[str, Field]:
    if defaults is None:
        return {}
    _check_function(defaults)
    others = _others(defaults, ("environment", "scaling"))
    return {key: value for key, value in others.items() if value.value is not None}


def _check_function(function: Field) -> None:
    for key in ("image", "handler", "runtime"):
        if (text := function.optional(key)) is not None:
            text.string()
    if (timeout := function.optional("timeout")) is not None:
        _check_number(timeout, 0.001, "seconds, more than 0")
    if (memory := function.optional("memory_size")) is not None:
        _check_whole(memory, 1)
    if (environment := function.optional("environment")) is not None:
        _environment(environment)
    if (scaling := function.optional("scaling")) is not None:
        _scaling(scaling)
    if (events := function.optional("events")) is not None:
        for event in events.items():
            _check_schedule(event.required("schedule"))


def _environment(environment: Field) -> dict[str, Field]:
    variables = {str(variable.key): variable for variable in environment.entries()}
    for name, variable in variables.items():
        if not name or "=" in name or "\0" in name:
            raise variable.error("a variable's name may not be empty or contain = or NUL")
        if isinstance(variable.value, dict | list) or "\0" in str(variable.value):
            raise variable.error("expected a scalar without NUL")
    return variables


def _scaling(scaling: Field) -> dict[str, Field]:
    values = {str(value.key): value for value in scaling.entries() if value.value is not None}
    for key, value in values.items():
        if key in _SCALING_LEAST:
            _check_whole(value, _SCALING_LEAST[key])
        elif key in _SCALING_SECONDS:
            _check_number(value, 0, "seconds, 0 or more")
    return values


def _check_whole(number: Field, least: int) -> None:
    if isinstance(number.value, bool) or not isinstance(number.value, int) or number.value < least:
        raise number.error(f"expected a whole number of at least {least}")


def _check_number(number: Field, least: float, expected: str) -> None:
    value = number.value
    valid = isinstance(value, int | float) and not isinstance(value, bool)
    if not valid or not least <= value < math.inf:
        raise number.error(f"expected {expected}")


def _check_schedule(event: Field) -> None:
    expression = event.optional("expression") or event.required("rate")
    if (rule := schedule.problem(expression.string())) is not None:
        raise expression.error(rule)
    payload = event.optional("input")
    if payload is not None and isinstance(payload.value, str):
        try:
            json.loads(payload.value)
        except (ValueError, RecursionError):
            raise payload.error("expected JSON, or a mapping") from None


def _routes(root: Field) -> tuple[dict[tuple[str, str], Field], tuple[str, ...]]:
    routes: dict[tuple[str, str], Field] = {}
    warnings = []
    for route in root.present("routes").items():
        path = route.optional("path")
        if path is None or path.value == "":
            warnings.append(route.told("has no path and is dropped"))
            continue
        if not path.string().startswith("/"):
            raise path.error("expected a path that starts with /")
        route.required("function").string()
        method = route.optional("method")
        routes[path.string(), _method(method) if method is not None else "GET"] = route
    return routes, tuple(warnings)


def _method(method: Field) -> str:
    upper = method.string().strip().upper()
    if upper not in METHODS:
        raise method.error(f"expected one of {', '.join(METHODS)}")
    return upper


def _resource_kinds(root: Field | None) -> Field | None:
    return root.present("resources") if root is not None else None


def _resources(root: Field | None) -> dict[str, dict[str, Field]]:
    kinds = _resource_kinds(root)
    found: dict[str, dict[str, Field]] = {}
    for kind, key in RESOURCE_NAMES.items():
        items = kinds.optional(kind) if kinds is not None else None
        if items is not None:
            found[kind] = _by_name(items, key)
    return found


def _by_name(items: Field, key: str) -> dict[str, Field]:
    named: dict[str, Field] = {}
    for item in items.items():
        name = item.required(key)
        if name.string() in named:
            raise name.error("the same name twice", "remove one of the two")
        named[name.string()] = item
    return named
