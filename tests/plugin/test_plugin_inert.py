"""What the plugin leaves alone: runs that only ask, and runs that have nothing to do with it."""

from __future__ import annotations

import re

import pytest

from tests.plugin.esb_project import Project, entries, output

LISTINGS = ("--collect-only", "--setup-plan", "--fixtures")
QUESTIONS = (*LISTINGS, "--fixtures-per-test", "--markers", "--help", "--version")


@pytest.fixture
def shop(project: Project) -> Project:
    """A project with one environment, a test that needs it and one that does not."""
    project.matrix(entries("one-local"))
    project.artifact("one-local")
    project.write("e2e/scenarios/test_ping.py", "def test_ping(esb_environment): pass\n")
    project.write("tests/test_plain.py", "def test_plain(): print('plain')\ndef test_other(): pass\n")
    return project


@pytest.mark.parametrize(
    ("questions", "args"),
    [
        (LISTINGS[:1], ()),
        (QUESTIONS, ("--esb-profile", "one-local")),
        (LISTINGS, ("--esb-profile", "one-local", "--esb-build-only")),
        (LISTINGS, ("e2e/scenarios/test_ping.py::test_ping[one-local]",)),
    ],
    ids=["no profile", "profile", "build only", "node id"],
)
def test_a_question_starts_and_writes_nothing(
    shop: Project, questions: tuple[str, ...], args: tuple[str, ...]
) -> None:
    """Listing tests, fixtures, markers or options leaves no file but caches, and no environment."""
    before = shop.files()
    for question in questions:
        result = shop.run(question, *args)
        assert result.ret in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED), question
        assert "\n[one-local] " not in output(result), question
        assert shop.files() == before, question
    assert shop.processes("one-local") == []


def test_a_setup_plan_starts_nothing_with_workers_either(shop: Project) -> None:
    """Workers that only plan ask for no environment."""
    before = shop.files()
    result = shop.run("--setup-plan", "-n", "2", "--esb-profile", "one-local")
    assert result.ret == 0
    assert shop.files() == before


def test_markers_and_fixtures_are_documented(shop: Project) -> None:
    """`--markers` and `--fixtures` tell what the plugin offers."""
    markers = output(shop.run("--markers"))
    for name in ("esb_env(name", "esb_mode(mode", "esb_exclusive:"):
        assert f"@pytest.mark.{name}" in markers
    fixtures = output(shop.run("--fixtures"))
    for name in (
        "environment",
        "gateway_url",
        "gateway",
        "token",
        "ports",
        "lambda",
        "s3",
        "dynamodb",
        "logs",
    ):
        assert f"\nesb_{name} " in fixtures
        assert "no docstring available" not in fixtures.split(f"\nesb_{name} ")[1].splitlines()[1]


@pytest.mark.parametrize("workers", ["0", "2"])
def test_unrelated_tests_run_as_without_the_plugin(shop: Project, workers: str) -> None:
    """Output and order are those of pytest alone, no file is written, xdist's own scheduler distributes."""
    before = shop.files()
    args = ("-v", "-n", workers, "tests")
    with_it, without = (shop.run(*args), shop.run(*args, "-p", "no:esb_e2e"))
    assert with_it.ret == without.ret == 0
    with_it.assert_outcomes(passed=2)
    shown = re.sub(r"^plugins: .*$", "", output(with_it), flags=re.MULTILINE)
    assert "esb" not in shown.replace(str(shop.path), "")
    assert shop.files() == before
    if workers == "2":
        for result in (with_it, without):
            result.stdout.fnmatch_lines(["scheduling tests via LoadScheduling"])


def test_without_a_profile_nothing_heavy_is_imported(shop: Project) -> None:
    """A run that needs no environment loads no library that only environments need."""
    shop.write(
        "tests/test_plain.py",
        "import sys\n"
        "def test_imports():\n"
        "    heavy = {'yaml', 'docker', 'requests', 'boto3', 'filelock', 'cryptography', 'pydantic'}\n"
        "    assert not heavy & set(sys.modules)\n",
    )
    shop.run("tests").assert_outcomes(passed=1)


def test_asking_for_an_environment_too_late_says_what_to_do(shop: Project) -> None:
    """`getfixturevalue` cannot choose an environment: the test fails with one line."""
    shop.write("tests/test_plain.py", "def test_late(request): request.getfixturevalue('esb_gateway_url')\n")
    result = shop.run("tests")
    result.assert_outcomes(failed=1)
    assert "no environment is selected for this test: run with --esb-profile NAME" in output(result)
    assert "Traceback" not in output(result)


def test_a_module_that_cannot_be_collected_starts_nothing(shop: Project) -> None:
    """An error in the collection ends the run before an environment is brought up for it."""
    shop.write("e2e/scenarios/test_broken.py", "import nowhere\n")
    before = shop.files()
    result = shop.run("--esb-profile", "one-local")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "No module named 'nowhere'" in output(result)
    assert shop.files() == before


def test_a_variable_of_that_name_means_nothing_where_there_is_no_matrix(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ESB_ENV may belong to somebody else's tool."""
    monkeypatch.setenv("ESB_ENV", "not a name")
    pytester.makepyfile("def test_plain(): pass")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1)
