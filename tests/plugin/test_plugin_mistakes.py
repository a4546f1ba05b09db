"""A user's mistakes: exit code 4 and one line, before anything is started or written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tests.plugin.esb_project import Project, entries, output

MATRIX = entries("one-local", "two-local")


def in_matrix(old: str, new: str) -> Callable[[Project], object]:
    """Return a change of the matrix' text."""
    assert old in MATRIX
    return lambda project: project.matrix(MATRIX.replace(old, new, 1))


def file(name: str, text: str) -> Callable[[Project], object]:
    """Return a change of a file."""
    return lambda project: project.write(name, text)


def without(name: str) -> Callable[[Project], object]:
    """Return the removal of a file."""
    return lambda project: (project.path / name).unlink()


@dataclass(frozen=True)
class Mistake:
    """What is wrong, and what the one line has to say; `FILE` stands for the matrix."""

    shown: tuple[str, ...]
    change: Callable[[Project], object] = field(default=lambda _: None)
    args: tuple[str, ...] = ("--esb-profile", "one-local")
    variables: tuple[tuple[str, str], ...] = ()


ONE = ("--esb-profile", "one-local")
ARTIFACT = "e2e/artifacts/one-local/artifact.yml"

NESTED = "\n\ndef pytest_esb_deploy(environment, log):\n    pass\n"

MISTAKES = {
    "each test in each worker": Mistake(
        ("--dist=each runs every test once per worker", "choose another --dist"),
        args=("--esb-profile", "one-local", "--dist", "each", "-n", "2"),
    ),
    "hook beside the tests": Mistake(
        ("e2e/scenarios/deep/conftest.py:3: pytest_esb_deploy would not run with xdist", "move it to "),
        file("e2e/scenarios/deep/conftest.py", NESTED),
    ),
    "hook that a nested file imports": Mistake(
        ("e2e/conftest.py:2: pytest_esb_deploy would not run with xdist",),
        file("e2e/conftest.py", "from shared import (\n    pytest_esb_deploy,\n)\n"),
    ),
    "hook that a nested file assigns": Mistake(
        ("e2e/conftest.py:4: pytest_esb_deploy would not run with xdist",),
        file(
            "e2e/conftest.py",
            '"""No pytest_esb_deploy yet."""\nimport sys\nif sys:\n    pytest_esb_deploy = print\n',
        ),
    ),
    "hook under another name": Mistake(
        ("e2e/conftest.py:2: pytest_esb_results would not run with xdist",),
        file(
            "e2e/conftest.py",
            'import pytest\n@pytest.hookimpl(specname="pytest_esb_results")\ndef told(): pass\n',
        ),
    ),
    "hook above the tests": Mistake(
        ("e2e/conftest.py:3: pytest_esb_deploy would not run with xdist", "/conftest.py, or into a plugin"),
        file("e2e/conftest.py", NESTED),
    ),
    "unknown profile": Mistake(
        (
            "FILE: --esb-profile: unknown profile 'on-local'",
            "one-local, two-local",
            "did you mean 'one-local'?",
        ),
        args=("--esb-profile", "on-local"),
    ),
    "unknown key": Mistake(
        ("FILE:7: matrix[0].suits", "did you mean 'suites'?"), in_matrix("  suites:", "  suits:")
    ),
    "wrong type": Mistake(
        ("FILE:7: matrix[0].suites", "expected a list"), in_matrix("suites: [every]", "suites: every")
    ),
    "unknown suite": Mistake(
        ("FILE:7: matrix[0].suites[0]", "'every'"), in_matrix("suites: [every]", "suites: [evry]")
    ),
    "duplicate key": Mistake(
        ("FILE:7:", "'mode': duplicate key"),
        in_matrix("  mode: process\n", "  mode: process\n  mode: docker\n"),
    ),
    "invalid syntax": Mistake(("FILE:",), in_matrix("suites: [every]", "suites: [every")),
    "no matrix": Mistake(
        ("FILE", "there is no matrix", "--esb-matrix"), without("e2e/environments/test_matrix.yaml")
    ),
    "no matrix where one is named": Mistake(
        ("there is no matrix", "other.yaml"), args=(*ONE, "--esb-matrix", "other.yaml")
    ),
    "missing target": Mistake(
        ("FILE:3: suites.every.targets[0]", "nowhere does not exist"),
        in_matrix("../scenarios/", "../nowhere/"),
    ),
    "missing manifest": Mistake(
        ("FILE:8: one-local: artifact_manifest", "artifact.yml does not exist"), without(ARTIFACT)
    ),
    "missing manifest of another enabled entry": Mistake(
        ("FILE:13: two-local: artifact_manifest", "artifact.yml does not exist"),
        without("e2e/artifacts/two-local/artifact.yml"),
    ),
    "invalid manifest": Mistake(
        ("artifact.yml", "schema_version", '"1"'), file(ARTIFACT, "schema_version: '2'\n")
    ),
    "manifest of another mode": Mistake(
        ("FILE:", "was made for mode process", "expected mode docker"),
        lambda project: (
            project.matrix(MATRIX.replace("mode: process", "mode: docker", 1)),
            project.write("e2e/environments/one-local/docker-compose.yml", "services: {}\n"),
        ),
    ),
    "functions in virtual machines, which are planned": Mistake(
        ("FILE:2: one-firecracker", "aws.firecracker", "planned", "/dev/kvm", "docs/firecracker.md"),
        lambda project: project.matrix(
            "suites: {every: {targets: [../scenarios/]}}\n"
            "matrix: [{esb_env: one-firecracker, enabled: false, suites: [every]}]"
        ),
        args=("--esb-profile", "one-firecracker"),
    ),
    "env file without a value": Mistake(
        (".env:2: is no variable", "KEY=value"), file("e2e/environments/one-local/.env", "A=b\nLEVEL debug\n")
    ),
    "computed variable in the env file": Mistake(
        (".env:1: ESB_PROJECT: is computed", "remove it"),
        file("e2e/environments/one-local/.env", "ESB_PROJECT=mine\n"),
    ),
    "variable of the services in the env file": Mistake(
        (".env:1: CONFIG_DIR: is computed", "remove it"),
        file("e2e/environments/one-local/.env", "CONFIG_DIR=/nowhere\n"),
    ),
    "address of another host": Mistake(
        ("one-local: bind_address: 192.0.2.1 cannot be bound", "expected an address of this host"),
        in_matrix("  suites:", "  bind_address: 192.0.2.1\n  suites:"),
    ),
    "name that no instance can have": Mistake(
        ("environment ESB_ENV: 'a b' is no name for an environment",), variables=(("ESB_ENV", "a b"),)
    ),
    "two names for an instance": Mistake(
        ("--esb-env (command line)", "--esb-suffix (command line)", "give one of them"),
        args=(*ONE, "--esb-env", "a", "--esb-suffix", "b"),
    ),
    "weak key in the env file": Mistake(
        ("JWT_SECRET_KEY: is too short", "32"),
        file("e2e/environments/one-local/.env", "JWT_SECRET_KEY=short\n"),
    ),
    "option that is no number": Mistake(
        ("--esb-log-lines: 'abc' is not a whole number of at least 1",), args=(*ONE, "--esb-log-lines", "abc")
    ),
    "negative deadline": Mistake(
        ("--esb-timeout-deploy: '-1' is not a number of seconds greater than 0",),
        args=(*ONE, "--esb-timeout-deploy=-1"),
    ),
    "variable that is no number": Mistake(
        ("environment ESB_LOG_LINES: 'abc' is not a whole number of at least 1",),
        variables=(("ESB_LOG_LINES", "abc"),),
    ),
    "variable that is no flag": Mistake(
        ("environment ESB_KEEP: 'perhaps' is neither true nor false",), variables=(("ESB_KEEP", "perhaps"),)
    ),
    "ini value that is no number": Mistake(
        ("ini esb_log_lines",),
        file("pyproject.toml", '[tool.pytest.ini_options]\nesb_log_lines = "abc"\n'),
    ),
    "no profile in the list": Mistake(("--esb-profile: names no profile",), args=("--esb-profile", ",")),
    "build-only and test-only": Mistake(
        ("--esb-build-only (command line)", "--esb-test-only (environment ESB_TEST_ONLY)", "contradict"),
        args=(*ONE, "--esb-build-only"),
        variables=(("ESB_TEST_ONLY", "1"),),
    ),
    "build-only without a profile": Mistake(
        ("--esb-build-only: no environment is selected", "--esb-profile"), args=("--esb-build-only",)
    ),
    "test-only without a profile": Mistake(
        ("--esb-test-only: no environment is selected", "--esb-profile"), args=("--esb-test-only", "-n", "2")
    ),
    "test target without a profile": Mistake(
        ("--esb-test-target (command line) needs exactly one profile, got none",),
        args=("--esb-test-target", "x"),
    ),
    "test target for two profiles": Mistake(
        ("--esb-test-target", "exactly one profile, got one-local, two-local"),
        args=("--esb-profile", "one-local,two-local", "--esb-test-target", "x"),
    ),
    "test-only without an environment": Mistake(
        ("environment one-local is not running", "pytest --esb-profile one-local --esb-build-only"),
        args=(*ONE, "--esb-test-only"),
    ),
    "report in no known format": Mistake(
        ("--esb-report: ", "report.txt: unknown suffix '.txt'", "name a file that ends in"),
        args=(*ONE, "--esb-report", "report.txt"),
    ),
    "report where nothing can be written": Mistake(
        ("--esb-report (environment ESB_REPORT)", "pyproject.toml is no folder", "name another folder"),
        args=ONE,
        variables=(("ESB_REPORT", "pyproject.toml/report.json"),),
    ),
    "report without a profile": Mistake(
        ("--esb-report: no environment is selected", "--esb-profile"), args=("--esb-report", "report.json")
    ),
    "applier that does not exist": Mistake(
        ("ARTIFACTCTL_BIN=/nowhere/artifactctl", "not a program"),
        variables=(("ARTIFACTCTL_BIN", "/nowhere/artifactctl"),),
    ),
}


@pytest.fixture
def shop(project: Project) -> Project:
    """A project without a mistake."""
    project.matrix(MATRIX)
    project.artifact("one-local")
    project.artifact("two-local")
    project.write("e2e/scenarios/test_ping.py", "def test_ping(esb_environment): pass\n")
    return project


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line_before_anything_is_started(
    shop: Project, mistake: Mistake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 4, exactly one line that says what is wrong and where; no file and no process more."""
    mistake.change(shop)
    for name, value in mistake.variables:
        monkeypatch.setenv(name, value)
    before = shop.files()
    result = shop.run(*mistake.args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = [line for line in output(result).splitlines() if line.strip()]
    assert len(lines) == 1, lines
    assert lines[0].startswith("ERROR: ")
    matrix = str(shop.path / "e2e" / "environments" / "test_matrix.yaml")
    for part in mistake.shown:
        assert part in lines[0].replace(matrix, "FILE")
    assert shop.files() == before
    assert [name for name in ("one-local", "two-local") if shop.processes(name)] == []


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_mistake_is_told_once_by_all_workers_together(shop: Project, workers: str) -> None:
    """With xdist the controller finds the mistake, and no worker is started."""
    result = shop.run("-n", workers, "--esb-profile", "nobody")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert len([line for line in output(result).splitlines() if "unknown profile" in line]) == 1
    assert "Traceback" not in output(result)
    assert "created:" not in output(result)


def test_a_node_id_with_a_mistake_in_its_environment_is_one_line(shop: Project) -> None:
    """An id selects its environment, whose mistakes are then told as for a profile."""
    (shop.path / ARTIFACT).unlink()
    before = shop.files()
    result = shop.run("e2e/scenarios/test_ping.py::test_ping[one-local]")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert len([line for line in output(result).splitlines() if "artifact.yml does not exist" in line]) == 1
    assert "Traceback" not in output(result)
    assert shop.files() == before


def test_a_mistake_does_not_keep_help_and_version_from_being_shown(shop: Project) -> None:
    """What a user reads to find the mistake works beside it."""
    shop.matrix("nonsense")
    for question in ("--help", "--version"):
        assert shop.run("--esb-profile", "nobody", question).ret == 0
