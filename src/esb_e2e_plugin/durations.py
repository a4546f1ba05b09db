"""How long tests and bring-ups took in earlier runs, as pytest's cache remembers it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from esb_e2e_plugin.dispatcher import LONG_SECONDS

_KEY = "esb/durations"
_MOST_TESTS = 20_000
_GUESSED_BRING_UP = 10.0
_GUESSED_TEST = 0.1


class Cache(Protocol):
    """As much of pytest's cache as is used."""

    def get(self, key: str, default: object) -> object:
        """Return what was set in an earlier run."""

    def set(self, key: str, value: object) -> None:
        """Remember something."""


class Durations:
    """What earlier runs took, and what this one takes.

    Only long tests are remembered one by one; for all others their environment's mean is close enough.
    """

    def __init__(self) -> None:
        """Know nothing."""
        self._long: dict[str, float] = {}
        self._bring_up: dict[str, float] = {}
        self._mean: dict[str, float] = {}
        self._now: dict[str, float] = defaultdict(float)
        self._profile_of: dict[str, str] = {}

    def load(self, cache: Cache | None) -> None:
        """Read pytest's cache, where there is one."""
        if cache is not None:
            self.remember(cache.get(_KEY, None))

    def save(self, cache: Cache | None) -> None:
        """Write pytest's cache, where there is one, and something has been measured."""
        if cache is not None and self._now:
            cache.set(_KEY, self.to_data())

    def remember(self, data: object) -> None:
        """Start from what an earlier run made with `to_data`, as far as it can be read."""
        known = data if isinstance(data, Mapping) else {}
        self._long = _numbers(known.get("tests"))
        self._bring_up = _numbers(known.get("bring_up"))
        self._mean = _numbers(known.get("mean"))

    def cost(self, profile: str, weight: float, tests: int) -> float:
        """Return how long an environment is expected to take, bring-up and all of its tests.

        Args:
            profile: its entry in the matrix.
            weight: the matrix' first guess, for an environment that no run has brought up.
            tests: how many tests it has.
        """
        if profile in self._bring_up:
            return self._bring_up[profile] + tests * self._mean.get(profile, _GUESSED_TEST)
        return weight * (_GUESSED_BRING_UP + tests * _GUESSED_TEST)

    def seconds(self, ids: Iterable[str]) -> list[float]:
        """Return how long each test is expected to take."""
        long = self._long
        return [long.get(nodeid, _GUESSED_TEST) for nodeid in ids]

    def took(self, nodeid: str, profile: str | None, seconds: float) -> None:
        """Record a phase of a test."""
        self._now[nodeid] += seconds
        if profile is not None:
            self._profile_of[nodeid] = profile

    def brought_up(self, profile: str, seconds: float) -> None:
        """Record how long an environment took until tests could use it; 0 where the run ended before."""
        if seconds:
            self._bring_up[profile] = round(seconds, 3)

    def to_data(self) -> dict[str, Any]:
        """Return what to remember."""
        tests = {nodeid: seconds for nodeid, seconds in self._long.items() if nodeid not in self._now}
        tests |= {nodeid: round(s, 3) for nodeid, s in self._now.items() if s >= LONG_SECONDS}
        by_profile: dict[str, list[float]] = defaultdict(list)
        for nodeid, profile in self._profile_of.items():
            by_profile[profile].append(self._now[nodeid])
        means = {profile: round(sum(taken) / len(taken), 3) for profile, taken in by_profile.items()}
        return {
            "tests": dict(list(tests.items())[-_MOST_TESTS:]),
            "bring_up": self._bring_up,
            "mean": self._mean | means,
        }


def _numbers(found: object) -> dict[str, float]:
    """Return the numbers of a mapping, whatever somebody has made of the cache."""
    if not isinstance(found, Mapping):
        return {}
    return {str(key): float(value) for key, value in found.items() if isinstance(value, int | float)}
