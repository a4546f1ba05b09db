"""What the plugin costs a project that has no matrix."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.measuring import ENVIRONMENT, ROOT, Row, pytest, table

PLUGIN = "esb_e2e"
KEPT = ("xdist", "xdist.looponfail", PLUGIN)
PAIRS = 40
IMPORTS = 15
NO_TESTS = 5


def measure() -> Iterator[Row]:
    """Collect nothing in an empty project, in turns with the plugin and without it."""
    differences: list[float] = []
    without: list[float] = []
    with TemporaryDirectory(prefix="esb-bench-") as folder:
        path = Path(folder)
        (path / "pyproject.toml").write_text("")
        # Other plugins of this environment would add their own cost, and a garbage collection more or less.
        others = [found.name for found in entry_points(group="pytest11") if found.name not in KEPT]
        arguments = ["--collect-only", "-q", *(f"-pno:{name}" for name in others)]
        for _ in range(PAIRS):
            # CPU time: what other processes do on the machine moves it less than wall time.
            blocked = pytest([*arguments, "-p", f"no:{PLUGIN}"], path, exit_code=NO_TESTS).cpu
            loaded = pytest(arguments, path, exit_code=NO_TESTS).cpu
            differences.append((loaded - blocked) * 1000)
            without.append(blocked * 1000)
    beside = f"pytest with xdist: {median(without):.0f} ms of CPU; {PAIRS} pairs"
    yield Row("plugin in a project without a matrix", median(differences), 5, "ms", beside)
    imported = median(_import_milliseconds() for _ in range(IMPORTS))
    yield Row("of that, its import", imported, 5, "ms", "-X importtime, pytest loaded before")


def _import_milliseconds() -> float:
    """Return how long the import of the plugin takes once pytest is loaded."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import pytest, esb_e2e_plugin.plugin"],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    # Outermost imports have no indent: the package and its module `plugin` are two of them.
    rows = (line.removeprefix("import time:").split("|") for line in done.stderr.splitlines())
    ours = [int(row[1]) for row in rows if len(row) == 3 and row[2].startswith(" esb_e2e_plugin")]
    return sum(ours) / 1000


if __name__ == "__main__":
    print(table(measure()))
