"""In which order the services of a compose project are started."""

from typing import Any

import pytest

from esb_e2e_plugin.lifecycle import start_order

_STARTED = {"condition": "service_started", "required": True}


def test_services_that_need_no_other_start_at_once() -> None:
    """What nothing orders is one wave."""
    assert start_order.waves({"a": {}, "b": {"depends_on": None}}) == [{"a", "b"}]


def test_a_service_starts_after_those_that_it_depends_on() -> None:
    """A proxy finds the name of what it passes requests to, as with Compose."""
    services = {
        "proxy": {"depends_on": {"app": _STARTED}},
        "app": {"depends_on": {"store": _STARTED, "not-there": {**_STARTED, "required": False}}},
        "store": {},
    }
    assert start_order.waves(services) == [{"store"}, {"app"}, {"proxy"}]


@pytest.mark.parametrize("key", ["network_mode", "pid", "ipc"])
def test_a_service_starts_after_the_one_whose_namespace_it_shares(key: str) -> None:
    """The engine joins no namespace of a container that does not run."""
    assert start_order.waves({"guest": {key: "service:host"}, "host": {key: "host"}}) == [{"host"}, {"guest"}]


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ({"depends_on": {"b": _STARTED}}, False),
        ({"depends_on": {"b": {"condition": "service_healthy"}}}, True),
        ({"depends_on": {"b": {"condition": "service_completed_successfully"}}}, True),
        ({"deploy": {"replicas": 1}}, False),
        ({"deploy": {"replicas": 2}}, True),
        ({"scale": 3}, True),
    ],
    ids=["started", "healthy", "completed", "one", "replicas", "scale"],
)
def test_conditions_and_repeated_services_are_left_to_compose(
    service: dict[str, Any], expected: bool
) -> None:
    """Each of several containers of a service is started, and what has to be waited for is."""
    assert start_order.needs_compose({"a": service, "b": {}}) is expected
