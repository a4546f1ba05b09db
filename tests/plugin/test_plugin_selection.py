"""Which tests run in which environments, as the node ids of real runs show it."""

from __future__ import annotations

import pytest

from tests.plugin.esb_project import Project, collected, entries, output, reported

MATRIX = """
suites:
  smoke: {targets: [../scenarios/smoke/]}
  standard: {targets: [../scenarios/standard/], exclude: [../scenarios/standard/test_slow.py]}
matrix:
- {esb_env: one-local, suites: [smoke, standard]}
- {esb_env: Two-Local, suites: [smoke]}
- {esb_env: off-local, suites: [smoke], enabled: false}
- {esb_env: off-docker, suites: [smoke], enabled: false}
"""

PING = "e2e/scenarios/smoke/test_ping.py::test_ping"
FEATURE = "e2e/scenarios/standard/test_feature.py::test_feature"
SLOW = "e2e/scenarios/standard/test_slow.py::test_slow"
PLAIN = "tests/test_unit.py::test_plain"
OUTSIDE = "tests/test_unit.py::test_outside"

HOW_TO_SELECT = "esb: {} test(s) need an environment and were deselected: select one with --esb-profile NAME"


@pytest.fixture
def shop(project: Project) -> Project:
    """A project with tests in two suites, an excluded one, and tests outside of both."""
    project.matrix(MATRIX)
    project.write("e2e/scenarios/smoke/test_ping.py", "def test_ping(esb_environment): pass\n")
    project.write(
        "e2e/scenarios/standard/test_feature.py",
        "import pytest\n"
        "@pytest.fixture\n"
        "def client(esb_gateway_url): pass\n"
        "@pytest.mark.parametrize('runtime', ['python', 'node'])\n"
        "def test_feature(runtime, client): pass\n",
    )
    project.write("e2e/scenarios/standard/test_slow.py", "def test_slow(esb_environment): pass\n")
    project.write(
        "tests/test_unit.py",
        "import pytest\n"
        "@pytest.mark.parametrize('number', [1, 2])\n"
        "def test_outside(esb_environment, number): pass\n"
        "def test_plain(): pass\n"
        "@pytest.mark.parametrize('name', ['x'])\n"
        "def test_named(name): pass\n",
    )
    return project


@pytest.fixture
def unusable_host(shop: Project) -> Project:
    """The same project where each environment fails at once: nothing is started, each test is reported."""
    shop.host.mkdir(parents=True)
    shop.host.chmod(0o777)
    return shop


def listed(project: Project, *args: str) -> list[str]:
    return collected(project.run("--collect-only", "-q", *args))


def test_a_profile_without_a_path_collects_the_targets_of_its_suites(shop: Project) -> None:
    """The suites' targets are collected, without what they exclude; the header says so."""
    assert listed(shop, "--esb-profile", "one-local") == [
        f"{PING}[one-local]",
        f"{FEATURE}[one-local-python]",
        f"{FEATURE}[one-local-node]",
    ]
    result = shop.run("--collect-only", "--esb-profile", "one-local")
    result.stdout.fnmatch_lines(["esb: collects e2e/scenarios/smoke, e2e/scenarios/standard"])
    assert result.ret == 0


def test_testpaths_give_way_to_the_suites(shop: Project) -> None:
    """`testpaths` says what a run without a profile collects, and does not change one with a profile."""
    shop.write("pyproject.toml", '[tool.pytest.ini_options]\ntestpaths = ["tests"]\n')
    assert listed(shop, "--esb-profile", "two-local") == [f"{PING}[Two-Local]"]


def test_a_path_on_the_command_line_wins_over_the_suites(shop: Project) -> None:
    """Only the given path is collected; its test outside all targets gets the environment."""
    assert listed(shop, "--esb-profile", "one-local", "tests/test_unit.py") == [
        PLAIN,
        "tests/test_unit.py::test_named[x]",
        f"{OUTSIDE}[one-local-1]",
        f"{OUTSIDE}[one-local-2]",
    ]


def test_a_node_id_on_the_command_line_wins_over_the_suites(shop: Project) -> None:
    """One id runs one test, as an IDE asks for it."""
    chosen = f"{FEATURE}[one-local-node]"
    assert listed(shop, "--esb-profile", "one-local", chosen) == [chosen]


def test_an_excluded_test_is_deselected_and_never_skipped(shop: Project) -> None:
    """A file that its only suite excludes has no environment, also when it is named."""
    result = shop.run("--esb-profile", "one-local", "-rs", "e2e/scenarios/standard/test_slow.py")
    result.assert_outcomes(deselected=1)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "SKIPPED" not in output(result)


def test_tests_of_one_environment_stay_together_in_the_order_of_the_profiles(shop: Project) -> None:
    """Each test is listed for the environments whose suites contain it, sorted by environment."""
    ids = listed(shop, "--esb-profile", "two-local", "--esb-profile", "one-local", "e2e", "tests")
    plain = {PLAIN, "tests/test_unit.py::test_named[x]"}
    two = {f"{PING}[Two-Local]", f"{OUTSIDE}[Two-Local-1]", f"{OUTSIDE}[Two-Local-2]"}
    one = {
        f"{PING}[one-local]",
        f"{FEATURE}[one-local-python]",
        f"{FEATURE}[one-local-node]",
        f"{OUTSIDE}[one-local-1]",
        f"{OUTSIDE}[one-local-2]",
    }
    # Inside an environment the order is pytest's, which differs between its versions.
    assert [set(ids[:2]), set(ids[2:5]), set(ids[5:])] == [plain, two, one]
    assert len(ids) == 10


def test_all_is_every_enabled_entry(shop: Project) -> None:
    """`all` leaves out what is disabled, which runs only when it is named."""
    assert listed(shop, "--esb-profile", "all", "e2e/scenarios/smoke") == [
        f"{PING}[one-local]",
        f"{PING}[Two-Local]",
    ]
    assert listed(shop, "--esb-profile", "off-local", "e2e/scenarios/smoke") == [f"{PING}[off-local]"]


def test_markers_choose_environments_by_name_and_mode(shop: Project) -> None:
    """`esb_env` and `esb_mode` narrow a test's environments; with none left it is deselected."""
    shop.write(
        "e2e/scenarios/smoke/test_ping.py",
        "import pytest\n"
        "@pytest.mark.esb_env('TWO-local', 'three')\n"
        "def test_two(esb_environment): pass\n"
        "@pytest.mark.esb_mode('docker', 'containerd')\n"
        "def test_docker(esb_environment): pass\n"
        "@pytest.mark.esb_mode('process')\n"
        "@pytest.mark.esb_env('one-local')\n"
        "class TestOne:\n"
        "    def test_both(self, esb_environment): pass\n",
    )
    result = shop.run(
        "--collect-only", "-q", "--strict-markers", "--esb-profile", "all", "e2e/scenarios/smoke"
    )
    module = "e2e/scenarios/smoke/test_ping.py"
    assert collected(result) == [f"{module}::TestOne::test_both[one-local]", f"{module}::test_two[Two-Local]"]
    assert "2/3 tests collected (1 deselected)" in output(result)
    assert "need an environment" not in output(result)


def test_a_test_target_replaces_suites_and_paths(shop: Project) -> None:
    """`--esb-test-target` takes paths and node ids, even of what the suites exclude."""
    targets = ("--esb-test-target", SLOW, "--esb-test-target", "tests/test_unit.py::test_outside")
    assert listed(shop, "--esb-profile", "one-local", *targets, "e2e/scenarios/smoke") == [
        f"{SLOW}[one-local]",
        f"{OUTSIDE}[one-local-1]",
        f"{OUTSIDE}[one-local-2]",
    ]


def test_without_a_profile_collect_only_lists_every_enabled_entry(shop: Project) -> None:
    """An IDE finds each test once for each enabled environment that it belongs to."""
    result = shop.run("--collect-only", "-q", "e2e", OUTSIDE)
    assert collected(result) == [
        f"{PING}[one-local]",
        f"{FEATURE}[one-local-python]",
        f"{FEATURE}[one-local-node]",
        f"{OUTSIDE}[one-local-1]",
        f"{OUTSIDE}[one-local-2]",
        f"{PING}[Two-Local]",
        f"{OUTSIDE}[Two-Local-1]",
        f"{OUTSIDE}[Two-Local-2]",
    ]
    assert "need an environment" not in output(result)


def test_a_node_id_selects_its_environment_when_it_is_listed(shop: Project) -> None:
    """`--collect-only` with one id lists that test and no other environment's."""
    for chosen in (f"{PING}[Two-Local]", f"{FEATURE}[one-local-node]", f"{PING}[off-local]"):
        assert listed(shop, chosen) == [chosen]


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_node_id_selects_its_environment_when_it_is_run(unusable_host: Project, workers: str) -> None:
    """Without a profile an id runs in the environment that it names, and tests without one run too."""
    chosen = [f"{PING}[one-local]", f"{OUTSIDE}[Two-Local-2]", "tests/test_unit.py::test_named[x]"]
    result = unusable_host.run("-rA", "-n", workers, *chosen)
    assert reported(result) == sorted(chosen)
    result.assert_outcomes(passed=1, errors=2)
    for name in ("one-local", "Two-Local"):
        assert f"= Failed: {name.lower()} > reset =" in output(result)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_without_a_profile_tests_that_need_one_are_deselected_with_one_line(
    shop: Project, workers: str
) -> None:
    """Other tests run, and one line says how to select the rest."""
    result = shop.run("-n", workers, "-rs", "tests", "e2e")
    result.assert_outcomes(passed=2, deselected=6 if workers == "0" else 0)
    assert result.outlines.count(HOW_TO_SELECT.format(6)) == 1
    assert result.ret == 0


MORE = "import pytest\n@pytest.mark.parametrize('n', ['y'])\ndef test_more(n): pass\n"


@pytest.mark.parametrize("matrix", [None, "suites: [", "matrix: 1\n"], ids=["absent", "syntax", "shape"])
def test_a_matrix_that_cannot_be_read_disturbs_no_other_test(shop: Project, matrix: str | None) -> None:
    """Tests without an environment run as ever; a listing says what is wrong with the matrix, and goes on."""
    path = shop.matrix(matrix or "")
    if matrix is None:
        path.unlink()
    assert shop.run("tests/test_unit.py::test_plain", "tests/test_unit.py::test_named[x]").ret == 0
    shop.write("more/test_more.py", MORE)
    result = shop.run("-n", "2", "tests", "more/test_more.py::test_more[y]")
    result.assert_outcomes(passed=3)
    assert result.ret == 0
    result = shop.run("--collect-only", "-q", "tests")
    assert collected(result) == [PLAIN, "tests/test_unit.py::test_named[x]"]
    assert result.ret == 0
    assert len([line for line in result.outlines if line.startswith("esb: 2 test(s)")]) == 1
    assert str(path) in output(result)


def test_node_ids_are_the_same_however_pytest_and_the_plugin_are_started(
    unusable_host: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers or not, xdist or not, autoload or not: same ids, and the plugin is registered once."""
    unusable_host.write(
        "conftest.py",
        "def pytest_report_header(config):\n"
        "    found = [n for n, p in config.pluginmanager.list_name_plugin()\n"
        "             if getattr(p, '__name__', '') == 'esb_e2e_plugin.plugin']\n"
        "    return f'registered as {found}'\n",
    )
    expected = sorted(
        [
            f"{PING}[one-local]",
            f"{PING}[Two-Local]",
            f"{FEATURE}[one-local-python]",
            f"{FEATURE}[one-local-node]",
        ]
    )
    ways = [
        [],
        ["-n", "0"],
        ["-n", "2"],
        ["-p", "no:xdist"],
        ["-p", "esb_e2e"],
        ["-p", "esb_e2e", "-n", "2"],
    ]
    without_autoload = [
        ["-p", "esb_e2e"],
        ["-p", "esb_e2e", "-p", "xdist", "-n", "0"],
        ["-p", "esb_e2e", "-p", "xdist", "-n", "2"],
    ]
    for way in [*ways, None, *without_autoload]:
        if way is None:
            monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
            continue
        result = unusable_host.run("-rA", "--esb-profile", "all", *way)
        assert reported(result) == expected, way
        assert "registered as ['esb_e2e']" in output(result), way
        assert result.ret == 1, way
        assert "Traceback" not in output(result), way


def test_a_single_environment_needs_no_ids_of_its_own(shop: Project) -> None:
    """Both spellings of a profile's name select it, and the id carries the one of the matrix."""
    for spelling in ("two-local", "TWO-LOCAL", "Two-Local"):
        assert listed(shop, "--esb-profile", spelling) == [f"{PING}[Two-Local]"]


def test_a_profile_can_come_from_environment_or_ini(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The header names the place that a profile came from, and the stronger place wins."""
    shop.write("pyproject.toml", '[tool.pytest.ini_options]\nesb_profile = ["one-local"]\n')
    result = shop.run("--collect-only")
    result.stdout.fnmatch_lines(["esb: one-local (process) from ini esb_profile"])
    monkeypatch.setenv("ESB_PROFILE", "two-local")
    result = shop.run("--collect-only")
    result.stdout.fnmatch_lines(["esb: Two-Local (process) from environment ESB_PROFILE"])
    result = shop.run("--collect-only", "--esb-profile", "one-local", "--esb-log-lines", "7")
    result.stdout.fnmatch_lines(
        ["esb: one-local (process) from command line", "esb: log-lines from command line"]
    )


def test_a_file_that_is_named_by_another_path_keeps_its_environments(shop: Project) -> None:
    """A target reached through a symbolic link is the same target."""
    (shop.path / "linked").symlink_to(shop.path / "e2e" / "scenarios" / "standard")
    assert listed(shop, "--esb-profile", "two-local", "linked/test_feature.py") == []


def test_setup_of_one_environment_is_over_before_the_next_one(unusable_host: Project) -> None:
    """A session fixture per environment is set up once for each, never a, b, a."""
    unusable_host.write(
        "e2e/scenarios/smoke/test_more.py",
        "def test_first(esb_environment): pass\ndef test_second(esb_environment): pass\n",
    )
    result = unusable_host.run("-rA", "--setup-plan", "--esb-profile", "all", "e2e/scenarios/smoke")
    setups = [line.split("'")[1] for line in result.outlines if "SETUP    S esb_environment" in line]
    assert setups == ["one-local", "Two-Local"]


EMPTY = entries("one-local", artifacts=False)


def test_a_selected_environment_without_tests_changes_nothing(project: Project) -> None:
    """A profile whose targets hold no test starts nothing and ends as pytest does."""
    project.matrix(EMPTY)
    project.write("e2e/scenarios/readme.txt", "")
    before = project.files()
    result = project.run("--esb-profile", "one-local")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert project.files() == before
