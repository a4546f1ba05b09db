"""What an environment is made of, as digests of named parts, and what follows from a difference.

Pure: `lifecycle.inputs` looks at files, variables and engine; here they are compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

IMAGE = "image "
"""Begins the name of a part that stands for what a name of an image means to the engine."""

MODEL = "compose model"
"""The part that follows from all compose files together."""

_VERSION = 1
_SHOWN = 3


class Decision(Enum):
    """What has to be done before tests may use an environment that an earlier run left."""

    REUSED = "reused"
    REDEPLOY = "redeploy"
    ANEW = "anew"


@dataclass(frozen=True)
class Verdict:
    """A decision and its reason, in a few words."""

    decision: Decision
    why: str

    def __str__(self) -> str:
        return f"{self.decision.value}: {self.why}"


@dataclass(frozen=True)
class Fingerprint:
    """Digests of everything that an environment is made of, by names that a user knows.

    Attributes:
        compose: what its services are made of: another digest means another environment.
        deploy: what is deployed to them: another digest means to deploy again.
    """

    compose: Mapping[str, str]
    deploy: Mapping[str, str]

    def with_images(self, compose: Mapping[str, str], deploy: Mapping[str, str]) -> Fingerprint:
        """Return it with what names of images stand for now.

        Args:
            compose: ids of the images that the services run from, by name.
            deploy: ids of the images that functions run from, and of those that these were made from.
        """
        return Fingerprint(
            {**self.compose, **{f"{IMAGE}{name}": id_ for name, id_ in compose.items()}},
            {**self.deploy, **{f"{IMAGE}{name}": id_ for name, id_ in deploy.items()}},
        )

    def images(self) -> tuple[list[str], list[str]]:
        """Return the names of the images of the services, and those of the functions."""
        compose, deploy = (
            [name.removeprefix(IMAGE) for name in parts if name.startswith(IMAGE)]
            for parts in (self.compose, self.deploy)
        )
        return compose, deploy

    def to_data(self) -> dict[str, Any]:
        """Return it as plain dictionaries, for a file."""
        return {"v": _VERSION, "compose": dict(self.compose), "deploy": dict(self.deploy)}

    @classmethod
    def from_data(cls, data: object) -> Fingerprint | None:
        """Return what `to_data` gave `data` for; None where it is of another version, or none at all."""
        if not isinstance(data, dict) or data.get("v") != _VERSION:
            return None
        compose, deploy = data.get("compose"), data.get("deploy")
        if not isinstance(compose, dict) or not isinstance(deploy, dict):
            return None
        return cls(compose, deploy)


def compare(before: Fingerprint | None, now: Fingerprint) -> Verdict:
    """Return what has to be done with an environment that was made of `before`.

    Args:
        before: what it was made of when it was deployed last; None where nobody wrote it down.
        now: what it would be made of now.
    """
    if before is None:
        return Verdict(Decision.ANEW, "nobody wrote down what it was made of")
    for decision, old, new in (
        (Decision.ANEW, before.compose, now.compose),
        (Decision.REDEPLOY, before.deploy, now.deploy),
    ):
        if why := _differences(old, new):
            return Verdict(decision, why)
    return Verdict(Decision.REUSED, "nothing changed")


def digest(parts: Iterable[str | bytes]) -> str:
    """Return one digest of several texts; other texts, or another order, give another one."""
    whole = hashlib.sha256()
    for part in parts:
        content = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        whole.update(hashlib.sha256(content).digest())
    return whole.hexdigest()


def _differences(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    told = [f"{name} is gone" if name not in new else f"{name} changed" for name in _differing(old, new)]
    told += [f"{name} is new" for name in sorted(new.keys() - old.keys())]
    more = len(told) - _SHOWN
    return ", ".join(told[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _differing(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    names = [name for name in old if new.get(name) != old[name]]
    # What a file says comes before what follows from it.
    return sorted(names, key=lambda name: (name == MODEL or name.startswith(IMAGE), name))
