"""What templates come to: functions, routes, layers, tables and buckets, with nothing left to resolve."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from artifactctl.manifest import SourceTemplate


@dataclass(frozen=True, slots=True)
class Layer:
    """Files that several functions share.

    Attributes:
        content: its folder or zip file.
        recorded: its entry in resources.yml.
    """

    name: str
    content: Path
    recorded: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Code:
    """What a function of the package type Zip runs.

    Attributes:
        source: a folder or zip file; None with `inline`.
        inline: the text of the only file, or None.
        layers: from the lowest; the later one's files win.
    """

    handler: str
    source: Path | None
    inline: str | None
    layers: tuple[Layer, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """One path and method that lead to a function."""

    path: str
    method: str
    function: str


@dataclass(frozen=True, slots=True)
class Function:
    """One function.

    Attributes:
        where: the located name of its place, for what is wrong later.
        language: `python` or `java`.
        code: what its image is built from; None where `image` is one that exists.
        image: the reference, or None where it follows from the function's name.
        handler: what the runtime is told; None leaves it to the image.
        timeout: in seconds; memory_size: in MiB.
        scaling, schedules: as functions.yml has them.
    """

    name: str
    where: str
    language: str
    code: Code | None
    image: str | None
    handler: str | None
    timeout: int
    memory_size: int
    environment: Mapping[str, str]
    scaling: Mapping[str, int | float]
    schedules: tuple[Mapping[str, Any], ...]
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class Application:
    """One template, resolved.

    Attributes:
        secrets: names of variables that carry NoEcho parameters, sorted.
        tables, buckets: as resources.yml has them.
        warnings: located lines about what has no effect.
    """

    source: SourceTemplate
    functions: tuple[Function, ...]
    layers: tuple[Layer, ...]
    tables: tuple[Mapping[str, Any], ...]
    buckets: tuple[Mapping[str, Any], ...]
    secrets: tuple[str, ...]
    warnings: tuple[str, ...] = field(default=())
