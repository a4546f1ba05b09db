"""Subnets, leased so that no two environments, networks or routes of this host ever share one."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Self

from esb_e2e_plugin.errors import EsbError
from esb_e2e_plugin.leases import LeaseLedger, OnMove

SUBNET_PREFIX = 24

_PAIR_PREFIX = SUBNET_PREFIX - 1
_ROUTES = Path("/proc/net/route")
_HALF = 1  # prefix of each of the two routes that a VPN puts before the default one


@dataclass(frozen=True)
class SubnetPair:
    """The two subnets of one environment, a /24 each.

    Attributes:
        external: for services that the host reaches.
        runtime: for function workers and what they call.
    """

    external: IPv4Network
    runtime: IPv4Network

    @classmethod
    def of(cls, network: str | IPv4Network) -> Self:
        """Return the halves of `network`, a /23."""
        external, runtime = IPv4Network(network).subnets(new_prefix=SUBNET_PREFIX)
        return cls(external, runtime)

    def to_env(self) -> dict[str, str]:
        """Return them under the names of their environment variables."""
        return {"ESB_SUBNET_EXTERNAL": str(self.external), "ESB_SUBNET_RUNTIME": str(self.runtime)}


class SubnetLedger:
    """The subnet leases of this host.

    Args:
        host_dir: The folder that all runs of this user on this host share.
    """

    def __init__(self, host_dir: Path) -> None:
        self._ledger = LeaseLedger(host_dir, "subnets")

    def lease(
        self,
        key: str,
        *,
        environment: str,
        pool: IPv4Network,
        used: Collection[IPv4Network],
        on_move: OnMove | None = None,
    ) -> SubnetPair:
        """Lease two subnets for this process, the ones that `key` had where they are still free.

        Args:
            key: What the lease is for: the key of the environment's lock.
            environment: The environment's name, for people who read the table or an error.
            pool: The network that they are taken from.
            used: Subnets of the engine's networks.
            on_move: Called for each pair that had to be passed over.

        Raises:
            EsbError: No pair is left.
        """
        base = self._ledger.lease(
            key,
            environment=environment,
            blocks=_blocks(pool),
            taken=_overlapping(used),
            none_left=EsbError(
                f"no pair of free /{SUBNET_PREFIX} subnets is left for environment {environment} in {pool}",
                "remove networks that nobody uses (docker network prune), or choose another subnet_pool",
                "subnet_pool",
            ),
            on_move=on_move,
        )
        return SubnetPair.of(IPv4Network((base, _PAIR_PREFIX)))

    def preview(self, key: str, *, pool: IPv4Network, used: Collection[IPv4Network]) -> SubnetPair | None:
        """Return the subnets that `lease` would lease now; None where none are left. Nothing is leased."""
        base = self._ledger.preview(key, _blocks(pool), _overlapping(used))
        return None if base is None else SubnetPair.of(IPv4Network((base, _PAIR_PREFIX)))

    def release(self, key: str) -> None:
        """Give the subnets of `key` back; they stay remembered for the next time."""
        self._ledger.release(key)

    def keep(self, key: str) -> None:
        """Let the lease of `key` outlive this process, until it is leased again or released."""
        self._ledger.keep(key)


def _blocks(pool: IPv4Network) -> range:
    size = 2 ** (32 - _PAIR_PREFIX)
    return range(int(pool.network_address), int(pool.broadcast_address) - size + 2, size)


def _overlapping(used: Collection[IPv4Network]) -> Callable[[int], tuple[int, str] | None]:
    # A network whose addresses are none of the engine's business is listed as one of all addresses.
    taken = (*(network for network in used if network.prefixlen), *host_routes())

    def overlap(base: int) -> tuple[int, str] | None:
        pair = IPv4Network((base, _PAIR_PREFIX))
        other = next((network for network in taken if network.overlaps(pair)), None)
        return None if other is None else (base, f"overlaps {other}")

    return overlap


def host_routes() -> list[IPv4Network]:
    """Return the networks that this host has routes to, but for default routes (proc_net(5))."""
    try:
        lines = _ROUTES.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return []
    routes = []
    for fields in (line.split() for line in lines):
        address, mask = (IPv4Address(int(fields[column], 16).to_bytes(4, "little")) for column in (1, 7))
        route = IPv4Network(f"{address}/{mask}", strict=False)
        if route.prefixlen > _HALF:
            routes.append(route)
    return routes
