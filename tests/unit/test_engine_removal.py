"""Removing what an environment has on an engine, while others remove and use it."""

from typing import Any

import pytest
import requests
from docker.errors import APIError

from esb_e2e_plugin.lifecycle.engine import Engine


def _refused(status: int) -> APIError:
    response = requests.Response()
    response.status_code = status
    return APIError("refused", response=response)


class _Api:
    """An engine with one container, which somebody else removes, and the network that it is in."""

    def __init__(self, looks: int) -> None:
        self._looks = looks
        self._network = True

    def containers(self, **_: Any) -> list[dict[str, Any]]:
        self._looks -= 1
        return [{"Id": "c" * 64, "Names": ["/esb-x-web-1"]}] if self._looks >= 0 else []

    def remove_container(self, _container: str, **_: Any) -> None:
        raise _refused(409)

    def networks(self, **_: Any) -> list[dict[str, Any]]:
        return [{"Id": "n1", "Name": "esb-x-external"}] if self._network else []

    def inspect_network(self, _network: str) -> dict[str, Any]:
        return {"Containers": {}}

    def remove_network(self, _network: str) -> None:
        if self._looks > 0:
            raise _refused(403)
        self._network = False

    def volumes(self, **_: Any) -> dict[str, Any]:
        return {"Volumes": None}


def _engine(api: _Api, monkeypatch: pytest.MonkeyPatch) -> tuple[Engine, list[float]]:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    engine = object.__new__(Engine)
    engine._api = api
    return engine, pauses


def test_what_somebody_else_removes_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A removal that is going on, and the network that it keeps, are nothing that is left."""
    engine, pauses = _engine(_Api(looks=3), monkeypatch)
    assert engine.remove_all("esb-x") == []
    assert sum(pauses) > 0


def test_what_nobody_removes_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stays is told with the command that removes it, not as an error of the engine."""
    engine, _ = _engine(_Api(looks=1000), monkeypatch)
    left = engine.remove_all("esb-x")
    assert [thing.partition(" (")[0] for thing in left] == [
        "container esb-x-web-1",
        "network esb-x-external",
    ]
