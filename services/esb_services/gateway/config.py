"""The applied configuration: functions.yml and routing.yml as frozen records, with `${VAR}` filled in."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from esb_services.gateway.routing import Route, RouteError, RouteTable
from esb_services.gateway.schedule import Schedule, ScheduleError, parse_schedule

DEFAULT_TIMEOUT = 30
"""Seconds that an invocation may take when functions.yml does not say."""
DEFAULT_MEMORY_SIZE = 128
"""MiB that a worker may use when functions.yml does not say; AWS's own default."""

_METHODS = ("ANY", "DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class ConfigError(ValueError):
    """A configuration cannot be served; the message names file, field and remedy."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """How many workers a function's pool holds; times in seconds."""

    min_capacity: int
    max_capacity: int
    idle_timeout: float
    acquire_timeout: float


@dataclass(frozen=True, slots=True)
class ScheduledEvent:
    """One schedule of a function and the event that it sends, as JSON."""

    expression: str
    schedule: Schedule
    payload: bytes | None


@dataclass(frozen=True, slots=True)
class FunctionConfig:
    """One function: what runs in its workers (`image`, `env`, limits) and how its pool scales.

    `image_id` is what the image's name stood for when the configuration was deployed; None where nobody said.
    """

    name: str
    image: str
    env: Mapping[str, str]
    timeout: float
    memory_size: int
    scaling: Scaling
    schedules: tuple[ScheduledEvent, ...]
    image_id: str | None = None

    def runs_like(self, other: "FunctionConfig") -> bool:
        """Tell whether workers of `other` can serve this function."""
        return (self.image, self.image_id, self.env, self.timeout) == (
            other.image,
            other.image_id,
            other.env,
            other.timeout,
        )


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """One applied configuration as a whole; `digest` is None before the first apply."""

    digest: str | None = None
    loaded_at: str | None = None
    functions: Mapping[str, FunctionConfig] = field(default_factory=dict)
    routes: RouteTable = field(default_factory=RouteTable)


class ConfigReader:
    """Turns the parsed YAML of one configuration into records.

    Args:
        scaling: the values for what neither a function nor `defaults.scaling` sets.
        environ: the gateway's own environment: what `${VAR}` refers to, and the `AWS_*` that workers get.
    """

    def __init__(self, scaling: Scaling, environ: Mapping[str, str]) -> None:
        self._scaling = scaling
        self._environ = environ
        self._handed_through = {name: value for name, value in environ.items() if name.startswith("AWS_")}

    def functions(self, document: object, images: object = None) -> dict[str, FunctionConfig]:
        """Return the functions of a parsed functions.yml by name, and of an images.yml, if there is one.

        Raises:
            ConfigError: something in it is malformed.
        """
        root = _mapping("functions.yml", document)
        defaults = _mapping("functions.yml: defaults", root.get("defaults"))
        entries = _mapping("functions.yml: functions", root.get("functions"))
        known = _mapping("images.yml: images", _mapping("images.yml", images).get("images"))
        ids = {name: _text(f"images.yml: images.{name}", value) for name, value in known.items()}
        return {name: self._function(name, entry, defaults, ids) for name, entry in entries.items()}

    def routes(self, document: object, functions: Mapping[str, FunctionConfig]) -> RouteTable:
        """Return the table of a parsed routing.yml.

        Raises:
            ConfigError: a route is malformed or names a function that `functions` lacks.
        """
        root = _mapping("routing.yml", document)
        try:
            return RouteTable(_routes(_sequence("routing.yml: routes", root.get("routes")), functions))
        except RouteError as error:
            raise ConfigError(f"routing.yml: {error}") from error

    def _function(
        self, name: str, entry: object, defaults: Mapping[str, Any], ids: Mapping[str, str]
    ) -> FunctionConfig:
        where = f"functions.yml: functions.{name}"
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{where}: a name has 1 to 64 letters, digits, - and _")
        values = {"timeout": DEFAULT_TIMEOUT, "memory_size": DEFAULT_MEMORY_SIZE} | {
            **{key: value for key, value in defaults.items() if key not in ("environment", "scaling")},
            **_mapping(where, entry),
        }
        timeout = _number(f"{where}.timeout", values["timeout"], least=0.001)
        memory_size = int(_number(f"{where}.memory_size", values["memory_size"], least=1, whole=True))
        image = self._fill(f"{where}.image", _text(f"{where}.image", values.get("image")))
        return FunctionConfig(
            name=name,
            image=image,
            env=self._environment(where, name, values, defaults, timeout, memory_size),
            timeout=timeout,
            memory_size=memory_size,
            scaling=self._scaling_of(where, defaults.get("scaling"), values.get("scaling")),
            schedules=tuple(_schedules(where, values.get("events"))),
            image_id=ids.get(image),
        )

    def _environment(
        self,
        where: str,
        name: str,
        values: Mapping[str, Any],
        defaults: Mapping[str, Any],
        timeout: float,
        memory_size: int,
    ) -> dict[str, str]:
        env = self._handed_through | {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "DEBUG"}
        for path, mapping in (
            ("functions.yml: defaults.environment", defaults.get("environment")),
            (f"{where}.environment", values.get("environment")),
        ):
            for key, value in _mapping(path, mapping).items():
                env[key] = self._fill(f"{path}.{key}", _scalar(f"{path}.{key}", value))
        env |= {
            "AWS_LAMBDA_FUNCTION_NAME": name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_size),
            # Whole seconds, as in AWS; the deadline of an invocation is exact.
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(math.ceil(timeout)),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        }
        if (handler := values.get("handler")) is not None:
            env["_HANDLER"] = _text(f"{where}.handler", handler)
        return env

    def _scaling_of(self, where: str, default: object, own: object) -> Scaling:
        path = f"{where}.scaling"
        values = {
            **_mapping("functions.yml: defaults.scaling", default),
            **_mapping(path, own),
        }
        base = self._scaling
        numbers = {
            "min_capacity": _number(
                f"{path}.min_capacity", values.get("min_capacity", base.min_capacity), whole=True
            ),
            "max_capacity": _number(
                f"{path}.max_capacity", values.get("max_capacity", base.max_capacity), least=1, whole=True
            ),
            "idle_timeout": _number(f"{path}.idle_timeout", values.get("idle_timeout", base.idle_timeout)),
            "acquire_timeout": _number(
                f"{path}.acquire_timeout", values.get("acquire_timeout", base.acquire_timeout)
            ),
        }
        least, most = int(numbers["min_capacity"]), int(numbers["max_capacity"])
        if least > most and "min_capacity" in values and "max_capacity" in values:
            raise ConfigError(f"{path}: min_capacity {least} is more than max_capacity {most}")
        if "max_capacity" in values:
            least = min(least, most)
        return Scaling(least, max(least, most), numbers["idle_timeout"], numbers["acquire_timeout"])

    def _fill(self, where: str, text: str) -> str:
        def value(match: re.Match[str]) -> str:
            if (found := self._environ.get(match[1])) is None:
                raise ConfigError(f"{where}: ${{{match[1]}}} is not set in the gateway's environment")
            return found

        return _REFERENCE.sub(value, text)


def _routes(entries: list[Any], functions: Mapping[str, FunctionConfig]) -> Iterator[Route]:
    for index, entry in enumerate(entries):
        where = f"routing.yml: routes[{index}]"
        values = _mapping(where, entry)
        method = _text(f"{where}.method", values.get("method") or "GET").upper()
        if method not in _METHODS:
            raise ConfigError(f"{where}.method: {method!r} is not one of {', '.join(_METHODS)}")
        function = _text(f"{where}.function", values.get("function"))
        if function not in functions:
            raise ConfigError(f"{where}.function: functions.yml has no function {function!r}")
        yield Route(_text(f"{where}.path", values.get("path")), method, function)


def _schedules(where: str, events: object) -> Iterator[ScheduledEvent]:
    for index, event in enumerate(_sequence(f"{where}.events", events)):
        path = f"{where}.events[{index}].schedule"
        values = _mapping(path, _mapping(f"{where}.events[{index}]", event).get("schedule"))
        expression = _text(f"{path}.expression", values.get("expression", values.get("rate")))
        try:
            schedule = parse_schedule(expression)
        except ScheduleError as error:
            raise ConfigError(f"{path}: {error}") from error
        yield ScheduledEvent(expression, schedule, _schedule_input(f"{path}.input", values.get("input")))


def _schedule_input(where: str, value: object) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            json.loads(value)
        except ValueError as error:
            raise ConfigError(f"{where}: expected JSON, {error}") from error
        return value.encode()
    try:
        return json.dumps(value).encode()
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from error


def _mapping(where: str, value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ConfigError(f"{where}: expected a mapping with names as keys, found {_kind(value)}")
    return value


def _sequence(where: str, value: object) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise ConfigError(f"{where}: expected a list, found {_kind(value)}")
    return value


def _text(where: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{where}: expected text, found {_kind(value)}")
    return value.strip()


def _scalar(where: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    if value is None:
        return ""
    raise ConfigError(f"{where}: expected text, found {_kind(value)}")


def _number(where: str, value: object, *, least: float = 0, whole: bool = False) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int if whole else (int, float))
        or not least <= value < float("inf")
    ):
        kind = "a whole number" if whole else "a number"
        raise ConfigError(f"{where}: expected {kind} of at least {least:g}, found {value!r}")
    return value


def _kind(value: object) -> str:
    return "nothing" if value is None else type(value).__name__
