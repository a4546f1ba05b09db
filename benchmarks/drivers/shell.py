"""The environment is up already: shell commands have brought it up, and will take it down."""

from typing import Any

import pytest

from benchmarks.by_hand import Stack


@pytest.fixture(scope="session")
def esb_environment() -> Any:
    """The facts of the stack that the variables tell of."""
    return Stack.from_environment().facts()
