"""Options of the runs that tests start, where xdist may not be installed."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec

import pytest


def fitting(options: Sequence[str]) -> list[str]:
    """Return the options of a run as the installed pytest takes them.

    Without xdist no run has workers: `-n 0` is left out, and a test that asks for workers is skipped.
    """
    return list(options) if find_spec("xdist") is not None else list(_without_xdist(options))


def _without_xdist(options: Sequence[str]) -> Iterator[str]:
    remaining = iter(options)
    for option in remaining:
        if option == "-n":
            option += next(remaining)
        if option.startswith(("-n", "--dist")) and option != "-n0":
            pytest.skip(f"{option} needs pytest-xdist")
        if option == "xdist":
            pytest.skip("-p xdist needs pytest-xdist")
        if option != "-n0":
            yield option
