"""Collection of many scenarios on several environments, beside plain `parametrize`."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.measuring import Row, pytest, table

ENVIRONMENTS = ("one-local", "two-local", "three-local", "four-local")
FILES = 20
SCENARIOS = 10_000
RUNS = 3

_MATRIX = "suites:\n  all: {{targets: [../scenarios/]}}\nmatrix:\n{entries}"
_PLAIN = f"""
import pytest
pytestmark = pytest.mark.parametrize("environment", {ENVIRONMENTS!r})
"""


def measure() -> Iterator[Row]:
    """Collect the same tests, parametrized by the plugin with a profile and without, and by a mark."""
    with TemporaryDirectory(prefix="esb-bench-") as folder:
        ours, plain = Path(folder, "ours"), Path(folder, "plain")
        _write_tests(ours / "e2e/scenarios", "", "esb_environment")
        _write_tests(plain / "e2e/scenarios", _PLAIN, "environment")
        matrix = ours / "e2e/environments/test_matrix.yaml"
        matrix.parent.mkdir()
        for name in ENVIRONMENTS:
            (matrix.parent / name).mkdir()
            (matrix.parent / name / ".env").write_text("")
        entries = "".join(f"- {{esb_env: {name}, suites: [all]}}\n" for name in ENVIRONMENTS)
        matrix.write_text(_MATRIX.format(entries=entries))
        for path in (ours, plain):
            (path / "pyproject.toml").write_text("")
        variants = {
            "without a profile": (["e2e/scenarios"], ours),
            "with profiles": (["--esb-profile", "all"], ours),
            "plain": (["-p", "no:esb_e2e", "e2e/scenarios"], plain),
        }
        taken: dict[str, list[float]] = {name: [] for name in variants}
        for _ in range(RUNS):
            for name, (arguments, path) in variants.items():
                taken[name].append(pytest(["--collect-only", "-qq", *arguments], path).cpu)
    reference = median(taken.pop("plain"))
    for name, seconds in taken.items():
        beside = f"parametrize: {reference:.2f} s of CPU for {SCENARIOS * len(ENVIRONMENTS)} items"
        yield Row(f"collection {name}", median(seconds) / reference, 1.1, "x", beside)


def _write_tests(folder: Path, head: str, fixture: str) -> None:
    folder.mkdir(parents=True)
    for number in range(FILES):
        tests = (f"def test_{n}({fixture}):\n    pass\n" for n in range(SCENARIOS // FILES))
        (folder / f"test_scenarios_{number}.py").write_text(head + "\n".join(tests))


if __name__ == "__main__":
    print(table(measure()))
