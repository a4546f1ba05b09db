"""What is wrong with a project's compose files, by file, line and key.

Pure but for the lines, which are looked up in the files once a mistake is known.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from esb_e2e_plugin.errors import MatrixError
from esb_e2e_plugin.lifecycle import compose_source
from esb_e2e_plugin.matrix import Entry

_PARTS = r"services|networks|volumes|configs|secrets"
_PATH = re.compile(rf"\b(?P<path>(?:{_PARTS})(?:[.\[][\w-]+\]?)+)")
_UNKNOWN_KEY = re.compile(r"Additional property (?P<name>\S+) is not allowed")
_SERVICE = re.compile(r'^service "(?P<name>[^"]+)"')
_UNDEFINED = re.compile(r'undefined (?P<part>service|network|volume|config|secret) "?(?P<name>[\w.-]+)')
_VARIABLE = re.compile(r"required variable (?P<name>\w+) is missing a value")
_YAML_LINE = re.compile(r"\byaml: .*?line (?P<line>\d+): ")
_NOISE = re.compile(r"^(?:time=\"|level=|warning\b)", re.IGNORECASE)
_VALIDATING = re.compile(r"^validating (?P<file>.+?): ")
_INVALID = ": invalid compose project"
# For the nearest name only: what is valid is for Compose to say.
# fmt: off
_SERVICE_KEYS = (
    "annotations", "build", "cap_add", "cap_drop", "cgroup_parent", "command", "configs",
    "container_name", "cpus", "depends_on", "deploy", "devices", "dns", "dns_search", "domainname",
    "entrypoint", "env_file", "environment", "expose", "extends", "external_links", "extra_hosts",
    "group_add", "healthcheck", "hostname", "image", "init", "ipc", "isolation", "labels", "links",
    "logging", "mem_limit", "network_mode", "networks", "pid", "pids_limit", "platform", "ports",
    "privileged", "profiles", "pull_policy", "read_only", "restart", "runtime", "scale", "secrets",
    "security_opt", "shm_size", "stdin_open", "stop_grace_period", "stop_signal", "sysctls", "tmpfs",
    "tty", "ulimits", "user", "volumes", "volumes_from", "working_dir",
)
# fmt: on
_TOP_KEYS = ("configs", "include", "name", "networks", "secrets", "services", "version", "volumes")


def mistake(model: Mapping[str, Any], entry: Entry, *, remote: bool) -> MatrixError | None:
    """Return the first reason why environments of an entry cannot work, or None.

    Args:
        model: the compose files as Compose reads them, normalised.
        entry: the entry of the matrix.
        remote: whether its engine sees no file of this machine.
    """
    services: Mapping[str, Any] = model.get("services") or {}
    return (
        _container_name(services, entry)
        or _front_door(services, entry)
        or (_bind_mount(model, entry) if remote else None)
    )


def has_bind_mounts(model: Mapping[str, Any], entry: Entry) -> bool:
    """Return whether a service mounts anything of its engine's host but the engine's socket."""
    return next(_binds(model, entry), None) is not None


def rejected(text: str, entry: Entry, variables: Collection[str]) -> MatrixError:
    """Return what Compose says of compose files that it does not accept.

    Args:
        text: what `docker compose config` wrote to its standard error.
        entry: the entry of the matrix.
        variables: names that have a value.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip() and not _NOISE.match(line.strip())]
    problem = " ".join(lines).removesuffix(_INVALID) or "is no compose file"
    files = entry.compose_files
    if (of_yaml := _YAML_LINE.search(problem)) is not None:
        path = compose_source.unreadable(files) or files[-1]
        return MatrixError.at(path, int(of_yaml["line"]), "", problem[of_yaml.end() :])
    if (validating := _VALIDATING.match(problem)) is not None:
        problem = problem[validating.end() :]
    keys, given, known = _subject(problem, entry, variables)
    path, line = compose_source.find(files, keys)
    if (named := _named(validating, files)) is not None and line == 0:
        path = named
    remedy = None
    if _VARIABLE.search(problem):
        remedy = (
            f"give it a value in {entry.env_file or entry.env_dir / '.env'} or with env_vars in the matrix"
        )
    return MatrixError.at(path, line, "", problem, given=given, known=known, remedy=remedy)


def _named(validating: re.Match[str] | None, files: Sequence[Path]) -> Path | None:
    return next((path for path in files if validating and str(path) == validating["file"]), None)


def _subject(
    problem: str, entry: Entry, variables: Collection[str]
) -> tuple[list[str], str | None, Collection[str]]:
    """Return the keys that Compose's message is about, the name that it refuses, and the valid ones."""
    keys: list[str] = []
    if (path := _PATH.search(problem)) is not None:
        keys = [key for key in re.split(r"[.\[\]]", path["path"]) if key]
    elif (service := _SERVICE.match(problem)) is not None:
        keys = ["services", service["name"]]
    if (unknown := _UNKNOWN_KEY.search(problem)) is not None:
        return [*keys, unknown["name"]], unknown["name"], _SERVICE_KEYS if keys else _TOP_KEYS
    if (undefined := _UNDEFINED.search(problem)) is not None:
        names = compose_source.names(entry.compose_files, f"{undefined['part']}s")
        users = {"service": "depends_on", "network": "networks", "volume": "volumes"}
        return [*keys, users.get(undefined["part"], f"{undefined['part']}s")], undefined["name"], names
    if (variable := _VARIABLE.search(problem)) is not None:
        return keys, variable["name"], variables
    return keys, None, ()


def _container_name(services: Mapping[str, Any], entry: Entry) -> MatrixError | None:
    for name, service in services.items():
        if service.get("container_name"):
            keys = ("services", name, "container_name")
            return _at(
                entry,
                keys,
                f"{service['container_name']!r} would be the name of a container of every environment",
                expected="no container_name; compose names the container <project>-<service>-<n>",
                remedy="remove it",
            )
    return None


def _front_door(services: Mapping[str, Any], entry: Entry) -> MatrixError | None:
    gateway = entry.gateway
    if (service := services.get(gateway.service)) is None:
        return MatrixError.at(
            entry.source,
            entry.line("gateway.service"),
            f"{entry.name}: gateway.service",
            f"{_names(entry)} has no service {gateway.service!r}",
            expected=f"one of {', '.join(services)}",
            given=gateway.service,
            known=services,
            remedy="name the front door with gateway: {service: …, port: …}",
        )
    declared = {str(port["target"]) for port in service.get("ports") or ()}
    declared |= {str(port) for port in service.get("expose") or ()}
    if not declared or any(_holds(ports, gateway.port) for ports in declared):
        return None
    return entry.error(
        "gateway.port",
        f"service {gateway.service!r} of {_names(entry)} has no port {gateway.port}",
        expected=f"one of {', '.join(sorted(declared))}",
        remedy="name the container's port, or declare it there with expose",
    )


def _holds(ports: str, port: int) -> bool:
    first, _, last = ports.partition("/")[0].partition("-")
    return int(first) <= port <= int(last or first)


def _bind_mount(model: Mapping[str, Any], entry: Entry) -> MatrixError | None:
    found = next(_binds(model, entry), None)
    if found is None:
        return None
    name, key, source = found
    return _at(
        entry,
        ("services", name, key),
        f"{source} is on this machine, which the engine of this environment does not see",
        expected=f"named volumes, or {entry.engine_socket} of the engine's own host",
        remedy="put the files into a volume or an image, or run on an engine of this machine",
    )


def _binds(model: Mapping[str, Any], entry: Entry) -> Iterator[tuple[str, str, str]]:
    """Yield what is mounted from the engine's host: service, key, and path."""
    for name, service in (model.get("services") or {}).items():
        for volume in service.get("volumes") or ():
            if volume["type"] == "bind" and volume["source"] != entry.engine_socket:
                yield name, "volumes", volume["source"]
        for part in ("configs", "secrets"):  # Compose mounts the file of each
            for used in service.get(part) or ():
                if path := ((model.get(part) or {}).get(used["source"]) or {}).get("file"):
                    yield name, part, path


def _at(entry: Entry, keys: Sequence[str], problem: str, *, expected: str, remedy: str) -> MatrixError:
    path, line = compose_source.find(entry.compose_files, keys)
    return MatrixError.at(path, line, ".".join(keys), problem, expected=expected, remedy=remedy)


def _names(entry: Entry) -> str:
    return ", ".join(path.name for path in entry.compose_files)
