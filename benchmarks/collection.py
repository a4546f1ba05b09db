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
_PLAIN = """
import pytest
pytestmark = pytest.mark.parametrize("environment", {environments!r}, scope={scope!r})
"""


def measure() -> Iterator[Row]:
    """Collect the same tests, parametrized by the plugin with a profile and without, and by a mark."""
    with TemporaryDirectory(prefix="esb-bench-") as folder:
        ours, plain, unshared = (Path(folder, name) for name in ("ours", "plain", "unshared"))
        _write_tests(ours / "e2e/scenarios", "", "esb_environment")
        for path, scope in ((plain, "session"), (unshared, "function")):
            head = _PLAIN.format(environments=ENVIRONMENTS, scope=scope)
            _write_tests(path / "e2e/scenarios", head, "environment")
        matrix = ours / "e2e/environments/test_matrix.yaml"
        matrix.parent.mkdir()
        for name in ENVIRONMENTS:
            (matrix.parent / name).mkdir()
            (matrix.parent / name / ".env").write_text("")
        entries = "".join(f"- {{esb_env: {name}, suites: [all]}}\n" for name in ENVIRONMENTS)
        matrix.write_text(_MATRIX.format(entries=entries))
        for path in (ours, plain, unshared):
            (path / "pyproject.toml").write_text("")
        variants = {
            "without a profile": (["e2e/scenarios"], ours),
            "with profiles": (["--esb-profile", "all"], ours),
            "parametrize": (["-p", "no:esb_e2e", "e2e/scenarios"], plain),
            "parametrize, nothing shared": (["-p", "no:esb_e2e", "e2e/scenarios"], unshared),
        }
        taken: dict[str, list[float]] = {name: [] for name in variants}
        for _ in range(RUNS):
            for name, (arguments, path) in variants.items():
                taken[name].append(pytest(["--collect-only", "-qq", *arguments], path).cpu)
    for name in ("without a profile", "with profiles"):
        # An environment is shared by its tests, so its parameter has session scope, which costs pytest more.
        for reference in ("parametrize", "parametrize, nothing shared"):
            beside = (
                f"{reference}: {median(taken[reference]):.2f} s of CPU, {SCENARIOS * len(ENVIRONMENTS)} items"
            )
            yield Row(f"collection {name}", median(taken[name]) / median(taken[reference]), 1.1, "x", beside)


def _write_tests(folder: Path, head: str, fixture: str) -> None:
    folder.mkdir(parents=True)
    for number in range(FILES):
        tests = (f"def test_{n}({fixture}):\n    pass\n" for n in range(SCENARIOS // FILES))
        (folder / f"test_scenarios_{number}.py").write_text(head + "\n".join(tests))


if __name__ == "__main__":
    print(table(measure()))
