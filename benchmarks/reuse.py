"""A run with `--esb-reuse` where nothing has changed, beside plain pytest; and one changed function."""

import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from statistics import median

import yaml

from benchmarks.measuring import ROOT, Row, own_host, project, pytest, table

KEPT = ("xdist", "xdist.looponfail", "esb_e2e")
RUNS = 7
CHANGES = 3
MOST_SECONDS = 1.0
SERVICES = ("services/images", "services/esb_services")
TEST = "e2e/scenarios/smoke/test_smoke_health.py"
SOURCE = "functions/lambda-echo/src/app.py"
PROFILES = {"e2e-local": "template.e2e", "e2e-docker": "template.e2e"}


def measure() -> Iterator[Row]:
    """Take turns between plain pytest and a run that reuses, in each mode that this machine has."""
    profiles = list(PROFILES)
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode != 0:  # noqa: S607
        profiles.remove("e2e-docker")
    for profile in profiles:
        with project() as copy:
            yield from _measure(copy, profile)


def _measure(copy: Path, profile: str) -> Iterator[Row]:
    for folder in SERVICES:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    _give_own_name(copy)
    plain = copy.parent / "test_plain.py"
    plain.write_text("def test_plain():\n    pass\n")
    # What other plugins of this environment import at their end is no cost of a run that reuses.
    others = [found.name for found in entry_points(group="pytest11") if found.name not in KEPT]
    alone = ["-n0", *(f"-pno:{name}" for name in others)]
    arguments = [*alone, "--esb-profile", profile, "--esb-suffix", "bench", TEST]
    reused, without, more, changed = [], [], [], []
    try:
        pytest([*arguments, "--esb-reuse"], copy, own_host(copy))
        for _ in range(RUNS):
            without.append(pytest([*alone, str(plain)], copy.parent).wall)
            reused.append(pytest([*arguments, "--esb-reuse"], copy, own_host(copy)).wall)
            more.append(reused[-1] - without[-1])
        source = copy / "e2e/artifacts" / profile / PROFILES[profile] / SOURCE
        for number in range(CHANGES):
            source.write_text(f"{source.read_text()}# {copy.parent.name} {number}\n")
            changed.append(pytest([*arguments, "--esb-reuse"], copy, own_host(copy)).wall)
    finally:
        up = pytest(arguments, copy, own_host(copy)).wall
    beside = f"plain pytest: {median(without):.2f} s; the run: {median(reused):.2f} s; {RUNS} pairs"
    yield Row(f"{profile}, reused, one smoke test, more", median(more), MOST_SECONDS, "s", beside)
    beside = f"a whole run: {up:.2f} s"
    yield Row(f"{profile}, one changed function, one smoke test", median(changed), up, "s", beside)


def _give_own_name(copy: Path) -> None:
    path = copy / "e2e/environments/test_matrix.yaml"
    matrix = yaml.safe_load(path.read_text())
    for entry in matrix["matrix"]:
        entry["esb_project"] = "benchreuse"
    path.write_text(yaml.safe_dump(matrix))


if __name__ == "__main__":
    print(table(measure()))
