"""The network of containerd's workers, as runtime-node makes it and the agent uses it."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Self

from esb_services.variables import SettingError, Variables

DEFAULT_BRIDGE = "esb0"

_SMALLEST_PREFIX = 28
_NAME = re.compile(r"[A-Za-z0-9_-]{1,15}")


@dataclass(frozen=True)
class NetworkSettings:
    """The workers' bridge and its subnet; the first address is the bridge's own."""

    bridge: str
    subnet: IPv4Network

    @classmethod
    def from_variables(cls, variables: Variables) -> Self:
        """Read `CNI_SUBNET` and `CNI_BRIDGE`.

        Raises:
            SettingError: one of them is wrong.
        """
        expected = (
            f"a private subnet with room for workers (/{_SMALLEST_PREFIX} or larger), such as 10.88.0.0/24"
        )
        text = variables.text("CNI_SUBNET", expected)
        try:
            subnet = IPv4Network(text)
        except ValueError:
            raise SettingError("CNI_SUBNET", text, expected) from None
        if not subnet.is_private or subnet.prefixlen > _SMALLEST_PREFIX:
            raise SettingError("CNI_SUBNET", text, expected)
        name = "the name of a network interface, at most 15 letters and digits"
        bridge = variables.text("CNI_BRIDGE", name, DEFAULT_BRIDGE)
        if _NAME.fullmatch(bridge) is None:
            raise SettingError("CNI_BRIDGE", bridge, name)
        return cls(bridge, subnet)

    @property
    def gateway(self) -> IPv4Address:
        """The bridge's address: the workers' default route and name server."""
        return self.subnet.network_address + 1

    @property
    def hardware_address(self) -> str:
        """The bridge's hardware address: a locally administered one, made of its address."""
        return ":".join(f"{byte:02x}" for byte in (0x02, 0x42, *self.gateway.packed))
