"""The compose file that makes a project's own fit for one environment."""

from typing import Any

import pytest
import yaml

from esb_e2e_plugin.failure import StepError
from esb_e2e_plugin.lifecycle.override import FrontDoor, override
from esb_e2e_plugin.networks import SubnetPair
from esb_e2e_plugin.ports import PortBlock

_LABELS = {"com.esb.managed": "true", "com.esb.project": "shop-a", "com.esb.env": "a", "com.esb.run": "r1"}
_SUBNETS = SubnetPair.of("10.231.4.0/23")


class _Loader(yaml.SafeLoader):
    """Reads `!override` as the list that it marks."""


def _marked(loader: yaml.SafeLoader, node: yaml.SequenceNode) -> list[Any]:
    return loader.construct_sequence(node, deep=True)


_Loader.add_constructor("!override", _marked)


def render(
    model: dict[str, Any], warnings: list[str] | None = None, engine_socket: str | None = None
) -> dict[str, Any]:
    """Return the override of `model`, filled in with 18000 and so on, for the ports from 18020 on."""
    text = override(
        model,
        project="shop-a",
        labels=_LABELS,
        ports=PortBlock(18020),
        filled_in=PortBlock(18000),
        subnets=(_SUBNETS.external, _SUBNETS.runtime),
        front_door=FrontDoor("web", 80),
        warn=(warnings if warnings is not None else []).append,
        engine_socket=engine_socket,
    )
    document: dict[str, Any] = yaml.load(text, Loader=_Loader)  # noqa: S506  a SafeLoader
    return document


def test_an_image_does_not_make_containers_look_like_those_of_the_environment() -> None:
    """A container that somebody starts from it by hand has its labels; no clean-up may find it by them."""
    document = render({"services": {"web": {"build": {"context": "."}}}})
    assert document["services"]["web"]["build"]["labels"] == {
        "com.esb.managed": "true",
        "com.esb.project": "shop",
    }


def test_everything_carries_the_labels_of_the_environment() -> None:
    """Clean-up selects by label: no container, network or volume may be without."""
    document = render(
        {"services": {"web": {}, "db": {}}, "networks": {"default": None}, "volumes": {"data": {}}}
    )
    parts = [*document["services"].values(), *document["networks"].values(), *document["volumes"].values()]
    assert len(parts) == 4
    assert all(part["labels"] == _LABELS for part in parts)


def test_the_front_door_is_published_even_if_the_compose_file_does_not() -> None:
    """A stack needs no change to be reached."""
    assert render({"services": {"web": {}}})["services"]["web"]["ports"] == [
        {"target": 80, "published": "18020", "host_ip": "127.0.0.1", "protocol": "tcp"}
    ]


def test_a_front_door_in_the_network_of_another_service_is_published_there() -> None:
    """A service without a network of its own cannot publish a port."""
    services = render({"services": {"web": {"network_mode": "service:node"}, "node": {}}})["services"]
    assert services["web"]["ports"] == []
    assert [(port["target"], port["published"]) for port in services["node"]["ports"]] == [(80, "18020")]


def test_a_fixed_host_port_moves_into_the_block_with_a_warning() -> None:
    """Two environments of one compose file run beside each other."""
    warnings: list[str] = []
    services = {
        "web": {"ports": [{"target": 80, "published": "8080"}]},
        "db": {"ports": [{"target": 5432, "published": "5432"}]},
    }
    document = render({"services": services}, warnings)
    assert [port["published"] for port in document["services"]["web"]["ports"]] == ["18020"]
    assert [port["published"] for port in document["services"]["db"]["ports"]] == ["18028"]
    assert warnings == [
        "services.web: host port 8080 is replaced by 18020",
        "services.db: host port 5432 is replaced by 18028",
    ]


def test_a_port_that_the_environment_named_stays() -> None:
    """What the compose file takes from ESB_PORT_S3 is right already."""
    warnings: list[str] = []
    services = {
        "web": {"ports": [{"target": 80, "published": "18000"}]},
        "store": {"ports": [{"target": 9000, "published": "18006"}]},
    }
    document = render({"services": services}, warnings)
    assert document["services"]["web"]["ports"][0]["published"] == "18020"
    assert document["services"]["store"]["ports"][0]["published"] == "18026"
    assert warnings == []


def test_own_networks_get_the_subnets_and_foreign_ones_stay_as_they_are() -> None:
    """The external network comes first; a network of somebody else is not ours to shape."""
    networks = {"runtime": {}, "external": {}, "theirs": {"external": True}}
    document = render({"services": {"web": {}}, "networks": networks})
    assert {name: (n["name"], n["ipam"]["config"]) for name, n in document["networks"].items()} == {
        "external": ("shop-a-external", [{"subnet": "10.231.4.0/24"}]),
        "runtime": ("shop-a-runtime", [{"subnet": "10.231.5.0/24"}]),
    }


def test_a_third_network_is_left_to_the_engine() -> None:
    """Two subnets are leased; more networks work all the same."""
    document = render({"services": {"web": {}}, "networks": {"default": {}, "b": {}, "c": {}}})
    assert "ipam" not in document["networks"]["c"]
    assert document["networks"]["c"]["labels"] == _LABELS


def test_a_volume_with_a_fixed_name_is_the_environments_own_all_the_same() -> None:
    """Two environments of one compose file share no data; a volume of somebody else stays theirs."""
    volumes = {"data": {"name": "the-data"}, "theirs": {"external": True}}
    document = render({"services": {"web": {}}, "volumes": volumes})
    assert document["volumes"] == {"data": {"name": "shop-a_data", "labels": _LABELS}}


def test_on_another_machines_engine_the_socket_must_be_there() -> None:
    """An engine that lacks the agent's socket says so, and makes no empty folder of that name."""
    socket = {"type": "bind", "source": "/run/engine.sock", "target": "/run/docker.sock", "bind": {}}
    data = {"type": "volume", "source": "data", "target": "/data"}
    model = {"services": {"web": {}, "agent": {"volumes": [socket, data, {"type": "tmpfs"}]}}}
    services = render(model, engine_socket="/run/engine.sock")["services"]
    assert services["agent"]["volumes"] == [{**socket, "bind": {"create_host_path": False}}]
    assert "volumes" not in services["web"]
    assert "volumes" not in render(model)["services"]["agent"]


def test_more_ports_than_the_block_has_are_an_error() -> None:
    """A block holds twelve ports beside the named ones."""
    ports = [{"target": number} for number in range(1, 14)]
    with pytest.raises(StepError, match="no host port is left in the block at 18020"):
        render({"services": {"web": {}, "many": {"ports": ports}}})
