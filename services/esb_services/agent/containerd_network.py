"""The network of containerd workers: their subnet's addresses, and what the network hook is told."""

import json
from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import Any

from esb_services.agent.runtime import WorkerStartError
from esb_services.cni import NetworkSettings

CNI_VERSION = "1.0.0"
HOOK = "/opt/esb/network-hook"
"""Where runtime-node has it."""
HOOK_SECONDS = 10


class AddressPool:
    """The addresses of a subnet, given out one after the other, so that none comes back soon.

    What is in use is written nowhere but in the labels of the containers that use it: an address cannot be
    lost.

    Args:
        settings: the network.
        used: addresses that are in use already.
    """

    def __init__(self, settings: NetworkSettings, used: Iterable[IPv4Address] = ()) -> None:
        self._subnet = settings.subnet
        self._first = int(settings.gateway) + 1
        self._number = settings.subnet.num_addresses - 3
        self._next = 0
        self._used = set(used)

    def take(self) -> IPv4Address:
        """Return a free address.

        Raises:
            WorkerStartError: there is none.
        """
        for step in range(self._number):
            place = (self._next + step) % self._number
            address = IPv4Address(self._first + place)
            if address not in self._used:
                self._next = place + 1
                self._used.add(address)
                return address
        raise WorkerStartError(
            f"all {self._number} addresses of the workers' subnet {self._subnet} are in use;"
            " CNI_SUBNET must be larger"
        )

    def give_back(self, address: IPv4Address) -> None:
        """Take an address back; it is fine if it is free."""
        self._used.discard(address)


def cni_config(settings: NetworkSettings, address: IPv4Address) -> dict[str, Any]:
    """Return the configuration of CNI's `bridge` plugin for one worker."""
    return {
        "cniVersion": CNI_VERSION,
        "name": settings.bridge,
        "type": "bridge",
        "bridge": settings.bridge,
        "isGateway": True,
        "ipam": {
            "type": "static",
            "addresses": [
                {"address": f"{address}/{settings.subnet.prefixlen}", "gateway": str(settings.gateway)}
            ],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }


def network_hook(settings: NetworkSettings, name: str, address: IPv4Address) -> dict[str, Any]:
    """Return the OCI hook that gives a worker its network when its namespaces have been made."""
    return {
        "path": HOOK,
        "args": ["network-hook"],
        "env": [
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            f"CNI_CONTAINERID={name}",
            f"ESB_ADDRESS={address}",
            f"ESB_CNI_CONFIG={json.dumps(cni_config(settings, address))}",
        ],
        "timeout": HOOK_SECONDS,
    }
