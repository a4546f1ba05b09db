"""The owner of environments, where nothing has to be brought up to see what it does."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from esb_e2e_plugin.capacity import Bounds
from esb_e2e_plugin.failure import EnvironmentFailedError
from esb_e2e_plugin.owner import Owner


def test_what_is_asked_for_after_the_end_is_not_brought_up() -> None:
    """A worker's request may come while the run ends: nobody would remove that environment any more."""
    scenario = cast("Any", SimpleNamespace(profile="late", name="late"))
    run = cast("Any", SimpleNamespace(cancelled=threading.Event()))
    owner = Owner([scenario], run, Bounds(starting=1), on_change=lambda _: None, while_waiting=lambda: None)
    owner.finish()
    owner.request(["late"])
    with pytest.raises(EnvironmentFailedError, match="late"):
        owner.wait("late")
    assert owner.outcomes() == {}
