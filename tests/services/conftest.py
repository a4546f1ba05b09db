"""A gateway for tests that differ in what its one function answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.services.gateway_support import Stack, answers, stack


@pytest.fixture(scope="module")
def echo_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A gateway that serves the function `echo` on several routes, for all tests of a module."""
    with stack(tmp_path_factory.mktemp("gateway")) as esb:
        routes = [
            {"path": "/echo", "method": "POST"},
            {"path": "/echo", "method": "GET"},
            {"path": "/items/{id}", "method": "GET"},
            {"path": "/items/{id}/parts/{part}", "method": "PUT"},
            {"path": "/files/{proxy+}", "method": "ANY"},
        ]
        digest = esb.gateway.apply(
            {"echo": {"image": "echo:1", "timeout": 20}}, [route | {"function": "echo"} for route in routes]
        )
        esb.gateway.start()
        esb.gateway.wait_for(digest)
        esb.gateway.login()
        yield esb


@pytest.fixture
def esb(echo_gateway: Stack) -> Stack:
    """That gateway, with a function that was not called yet and answers `fine` until a test decides."""
    echo_gateway.agent.calls.clear()
    answers(echo_gateway, {"statusCode": 200, "body": "fine"})
    return echo_gateway
