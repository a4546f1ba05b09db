"""What the benchmarks share: runs of pytest, and rows of one table."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
RUN_SECONDS = 300
FOR_TESTS_ONLY = ("-p", "no:hypothesispytest", "-p", "no:anyio")
"""Plugins of this environment that nobody who is compared with has; importing them takes half a second."""
_COLUMNS = ("name", "value", "target", "ratio", "side by side with")


@dataclass(frozen=True)
class Row:
    """One measured value.

    Attributes:
        name: what was measured.
        value: the median, in `unit`.
        target: what it may be at most, in `unit`.
        unit: such as "s", "ms" or "x".
        beside: what it was compared with, measured in the same run.
    """

    name: str
    value: float
    target: float
    unit: str
    beside: str

    def cells(self) -> tuple[str, ...]:
        """Return the row as text; the ratio is value to target."""
        return (
            self.name,
            f"{self.value:.2f} {self.unit}",
            f"{self.target:g} {self.unit}",
            f"{self.value / self.target:.2f}",
            self.beside,
        )


@dataclass(frozen=True)
class Usage:
    """What a process took, in seconds."""

    started: float
    wall: float
    cpu: float


def table(rows: Iterable[Row]) -> str:
    """Return the rows as a table."""
    lines = [_COLUMNS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_COLUMNS))]
    padded = (
        " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines
    )
    head, *body = (line.rstrip() for line in padded)
    return "\n".join([head, "-+-".join("-" * width for width in widths), *body])


def pytest(
    arguments: Sequence[str],
    folder: Path,
    variables: Mapping[str, str] | None = None,
    exit_code: int = 0,
    python: Path | str = sys.executable,
) -> Usage:
    """Run pytest in `folder` to its end.

    Args:
        arguments: of the command line.
        folder: the working directory.
        variables: environment variables beside `PATH` and `HOME`.
        exit_code: the one that is expected.
        python: the interpreter that has pytest.

    Raises:
        SystemExit: pytest ended otherwise; its output is shown.
    """
    before, started, clock = getrusage(RUSAGE_CHILDREN), time.time(), time.perf_counter()
    done = subprocess.run(
        [str(python), "-m", "pytest", *FOR_TESTS_ONLY, *arguments],
        cwd=folder,
        env={**ENVIRONMENT, **(variables or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    wall, after = time.perf_counter() - clock, getrusage(RUSAGE_CHILDREN)
    if done.returncode != exit_code:
        raise SystemExit(f"pytest {' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Usage(started, wall, cpu)


@contextmanager
def project() -> Iterator[Path]:
    """Make a copy of the project's environments and scenarios that no other run shares anything with."""
    with TemporaryDirectory(prefix="esb-bench-") as folder:
        copy = Path(folder, "project")
        ignored = shutil.ignore_patterns("__pycache__", ".parallel-*.log")
        shutil.copytree(ROOT / "e2e", copy / "e2e", ignore=ignored)
        (copy / "pyproject.toml").write_text("")
        yield copy


def own_host(copy: Path) -> dict[str, str]:
    """Return the variables that keep locks and leases of a project's copy beside it."""
    return {"ESB_HOST_DIR": str(copy.parent / "host")}
