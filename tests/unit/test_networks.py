"""Leases of subnets."""

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from esb_e2e_plugin import networks
from esb_e2e_plugin.errors import EsbError
from esb_e2e_plugin.networks import SubnetLedger, host_routes

_POOL = IPv4Network("10.231.0.0/22")


def test_two_environments_never_share_a_subnet(tmp_path: Path) -> None:
    """Each gets a pair of its own."""
    ledger = SubnetLedger(tmp_path)
    first = ledger.lease("a", environment="a", pool=_POOL, used=())
    second = ledger.lease("b", environment="b", pool=_POOL, used=())
    subnets = [first.external, first.runtime, second.external, second.runtime]
    assert [subnet.prefixlen for subnet in subnets] == [24] * 4
    assert not any(a.overlaps(b) for index, a in enumerate(subnets) for b in subnets[index + 1 :])


def test_an_environment_gets_its_subnets_again(tmp_path: Path) -> None:
    """What was given back is remembered."""
    ledger = SubnetLedger(tmp_path)
    first = ledger.lease("a", environment="a", pool=_POOL, used=())
    ledger.release("a")
    ledger.lease("b", environment="b", pool=_POOL, used=())
    assert ledger.lease("a", environment="a", pool=_POOL, used=()) == first


def test_a_subnet_of_the_engine_is_passed_over(tmp_path: Path) -> None:
    """A foreign network that overlaps moves the pair."""
    moves: list[tuple[int, int, str]] = []
    pair = SubnetLedger(tmp_path).lease(
        "a",
        environment="a",
        pool=_POOL,
        used=[IPv4Network("10.231.1.128/25")],
        on_move=lambda *move: moves.append(move),
    )
    assert str(pair.external) == "10.231.2.0/24"
    assert [reason for _, _, reason in moves] == ["overlaps 10.231.1.128/25"]


def test_an_exhausted_pool_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    """It names the environment and the pool."""
    with pytest.raises(EsbError, match=r"environment a in 10\.231\.0\.0/22.*subnet_pool"):
        SubnetLedger(tmp_path).lease("a", environment="a", pool=_POOL, used=[IPv4Network("10.0.0.0/8")])


def test_an_engine_network_without_addresses_of_its_own_takes_none(tmp_path: Path) -> None:
    """One whose addresses something else gives out is listed with all addresses, and overlaps nothing."""
    used = [IPv4Network("0.0.0.0/0")]
    pair = SubnetLedger(tmp_path).lease("a", environment="a", pool=_POOL, used=used)
    assert pair.external.subnet_of(_POOL)


def test_halves_of_the_default_route_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A VPN that takes all traffic by two routes leaves room for subnets; its own network stays taken."""
    table = tmp_path / "route"
    routes = ("00000000 00000080", "00000080 00000080", "0008E70A 00FFFFFF")
    lines = [f"tun0 {route.split()[0]} 00000000 0003 0 0 0 {route.split()[1]} 0 0 0" for route in routes]
    table.write_text("\n".join(["Iface Destination Gateway Flags", *lines, ""]), encoding="utf-8")
    monkeypatch.setattr(networks, "_ROUTES", table)
    assert host_routes() == [IPv4Network("10.231.8.0/24")]


def test_routes_of_this_host_leave_the_default_route_out() -> None:
    """The default route overlaps everything and means nothing."""
    assert IPv4Network("0.0.0.0/0") not in host_routes()
