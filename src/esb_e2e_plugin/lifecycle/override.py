"""The compose file that makes a project's own compose file fit for one environment.

Pure: the normalised model (`docker compose config --format json`) and names in, a document out.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any, Final

import yaml

from esb_e2e_plugin.failure import Kind, StepError
from esb_e2e_plugin.ports import BLOCK_SIZE, OFFSETS, PortBlock

FILE: Final = "compose.override.yaml"

_FIRST_FREE_OFFSET = max(OFFSETS.values()) + 1
_EXTERNAL_NETWORKS = ("default", "external")


class _Replace(list[Any]):
    """A list that takes the place of the project's own, not a place behind it."""


@dataclass(frozen=True)
class FrontDoor:
    """The container port that an environment is reached by."""

    service: str
    port: int


def override(
    model: Mapping[str, Any],
    *,
    project: str,
    labels: Mapping[str, str],
    ports: PortBlock,
    filled_in: PortBlock,
    subnets: Iterable[IPv4Network],
    front_door: FrontDoor,
    warn: Callable[[str], None],
    engine_socket: str | None = None,
) -> str:
    """Return a compose file, as YAML, to be read after the project's own.

    Everything gets the environment's labels, networks get its subnets, published ports move into its block.

    Args:
        model: the project's own compose file, normalised.
        project: the compose project.
        labels: labels of every container, network and volume.
        ports: the environment's host ports.
        filled_in: the host ports that the model has in their place.
        subnets: its subnets, for the external network first.
        front_door: the port that must be reachable.
        warn: told about ports that are replaced.
        engine_socket: on another machine's engine the one file that may be mounted from its host; None for
            an engine of this machine.

    Raises:
        StepError: more ports are published than the environment has.
    """
    services: Mapping[str, Any] = model.get("services") or {}
    door = _publishing(services, front_door)
    publisher = _Publisher(ports, filled_in, door, warn)
    document = {
        "services": {
            name: {
                "labels": dict(labels),
                "ports": _Replace(publisher.ports_of(name, service)),
                **_mounts(service, engine_socket),
                **({"build": {"labels": _build_labels(labels)}} if service.get("build") else {}),
            }
            for name, service in services.items()
        },
        "networks": _networks(model.get("networks") or {}, project, labels, list(subnets)),
        "volumes": {
            name: {"name": f"{project}_{name}", "labels": dict(labels)}
            for name, volume in (model.get("volumes") or {}).items()
            if not (volume or {}).get("external")
        },
    }
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False)


def network_owner(service: Mapping[str, Any]) -> str | None:
    """Return the service whose network `service` is in, and which publishes its ports, if not its own."""
    kind, _, owner = str(service.get("network_mode") or "").partition(":")
    return owner if kind == "service" else None


def _publishing(services: Mapping[str, Any], door: FrontDoor) -> FrontDoor:
    return FrontDoor(network_owner(services.get(door.service, {})) or door.service, door.port)


def _mounts(service: Mapping[str, Any], engine_socket: str | None) -> dict[str, Any]:
    binds = [volume for volume in service.get("volumes") or () if volume.get("source") == engine_socket]
    if engine_socket is None or not binds:
        return {}
    # An engine that has no such file must say so, and not make an empty folder in its place.
    return {
        "volumes": [
            {**bind, "bind": {**(bind.get("bind") or {}), "create_host_path": False}} for bind in binds
        ]
    }


def _build_labels(labels: Mapping[str, str]) -> dict[str, str]:
    # A container that somebody starts by hand has the labels of its image: it must not look like ours.
    environment = "".join(value for name, value in labels.items() if name.endswith(".env")).lower()
    return {
        name: value.removesuffix(f"-{environment}")
        for name, value in labels.items()
        if not name.endswith((".env", ".run"))
    }


def _networks(
    networks: Mapping[str, Any], project: str, labels: Mapping[str, str], subnets: list[IPv4Network]
) -> dict[str, Any]:
    own = [name for name, network in networks.items() if not (network or {}).get("external")]
    own.sort(key=lambda name: name not in _EXTERNAL_NETWORKS)
    return {
        name: {
            "name": f"{project}-{'external' if index == 0 else name}",
            "labels": dict(labels),
            **({"ipam": {"config": _Replace([{"subnet": str(subnet)}])}} if subnet is not None else {}),
        }
        for index, (name, subnet) in enumerate(zip(own, [*subnets, *[None] * len(own)], strict=False))
    }


class _Publisher:
    """Finds a host port in the environment's block for every published container port."""

    def __init__(
        self, ports: PortBlock, filled_in: PortBlock, front_door: FrontDoor, warn: Callable[[str], None]
    ) -> None:
        self._ports = ports
        self._front_door = front_door
        self._warn = warn
        named = ports.as_mapping()
        self._named = {str(port): named[name] for name, port in filled_in.as_mapping().items()}
        self._free = iter(range(ports.base + _FIRST_FREE_OFFSET, ports.base + BLOCK_SIZE))

    def ports_of(self, name: str, service: Mapping[str, Any]) -> list[dict[str, Any]]:
        given = list(service.get("ports") or [])
        if name == self._front_door.service and not any(p["target"] == self._front_door.port for p in given):
            given.append({"target": self._front_door.port, "protocol": "tcp"})
        return [self._publish(name, port) for port in given]

    def _publish(self, name: str, port: Mapping[str, Any]) -> dict[str, Any]:
        published = str(port.get("published") or "")
        named = self._named.get(published)
        if name == self._front_door.service and port["target"] == self._front_door.port:
            host_port = self._ports.gateway_https
        elif named is not None:
            host_port = named
        else:
            host_port = self._next(name, port["target"])
        if published and host_port not in (named, int(published) if published.isdecimal() else None):
            self._warn(f"services.{name}: host port {published} is replaced by {host_port}")
        return {
            "target": port["target"],
            "published": str(host_port),
            "host_ip": self._ports.bind_address,
            "protocol": port.get("protocol", "tcp"),
        }

    def _next(self, name: str, target: int) -> int:
        host_port = next(self._free, None)
        if host_port is None:
            raise StepError(
                f"services.{name}: no host port is left in the block at {self._ports.base} for port {target}",
                remedy="publish fewer ports; tests of other environments cannot reach them anyway",
                kind=Kind.USER_INPUT,
                component=name,
            )
        return host_port


class _Dumper(yaml.SafeDumper):
    """Writes `_Replace` as compose's `!override`."""


def _represent(dumper: _Dumper, data: _Replace) -> yaml.Node:
    return dumper.represent_sequence("!override", list(data))


_Dumper.add_representer(_Replace, _represent)
