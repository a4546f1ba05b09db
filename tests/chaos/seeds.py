"""How much chaos is asked for: a short sample, or what `make test-chaos` runs."""

import os
from collections.abc import Sequence
from typing import TypeVar

_Value = TypeVar("_Value")

_ASKED = os.environ.get("CHAOS_RUNS", "")
_FIRST = int(os.environ.get("CHAOS_SEED", "0"))


def seeds(sample: int, full: int) -> range:
    """Return the seeds to run with.

    `CHAOS_SEED` is the first one; `CHAOS_RUNS` is their number, where `full` stands for all.

    Args:
        sample: how many there are where nothing is asked for.
        full: how many all are.
    """
    count = full if _ASKED == "full" else int(_ASKED or sample)
    return range(_FIRST, _FIRST + count)


def cases(sample: Sequence[_Value], full: Sequence[_Value]) -> Sequence[_Value]:
    """Return the sample, or all cases where more than a sample is asked for."""
    return full if _ASKED else sample
