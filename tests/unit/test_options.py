"""Options: where values come from, what is refused, what an import costs."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from esb_e2e_plugin.errors import MatrixError, UserError
from esb_e2e_plugin.pytest_options import Configured, add_options, profiles_named
from esb_e2e_plugin.settings import Settings, read_settings

OPTIONS = [
    "--esb-profile",
    "--esb-matrix",
    "--esb-root",
    "--esb-build-only",
    "--esb-test-only",
    "--esb-test-target",
    "--esb-keep",
    "--esb-keep-failed",
    "--esb-reuse",
    "--esb-log-lines",
    "--esb-report",
    "--esb-output",
    "--esb-lock-timeout",
    "--esb-timeout-reset",
    "--esb-timeout-compose",
    "--esb-timeout-deploy",
]

ConfigOf = Callable[..., pytest.Config]


class Adder:
    """A plugin that registers the options and nothing else."""

    def __init__(self) -> None:
        self.early: tuple[str, ...] | None = None

    def pytest_addoption(self, parser: pytest.Parser) -> None:
        """Register the options."""
        add_options(parser)

    def pytest_load_initial_conftests(self, early_config: pytest.Config) -> None:
        """Take the early look."""
        self.early = profiles_named(early_config, {})


@pytest.fixture
def adder() -> Adder:
    return Adder()


@pytest.fixture
def config_of(pytester: pytest.Pytester, adder: Adder) -> ConfigOf:
    pytester.plugins = [adder]

    def config_of(*args: str) -> pytest.Config:
        return pytester.parseconfig("-p", "no:esb_e2e", *args)

    return config_of


def settings(config: pytest.Config, environ: Mapping[str, str] | None = None) -> Settings:
    return read_settings(Configured(config), environ or {})


def test_defaults_are_those_of_the_contract(config_of: ConfigOf) -> None:
    """With nothing given, every value is its default and says so."""
    found = settings(config_of())
    assert (found.profiles, found.matrix, found.root, found.test_targets) == ((), None, None, ())
    assert (found.build_only, found.test_only, found.keep) == (False, False, False)
    assert (found.log_lines, found.output, found.lock_timeout) == (40, "auto", 600)
    assert (found.timeout_reset, found.timeout_compose, found.timeout_deploy) == (60, 180, 600)
    assert set(found.sources.values()) == {"default"}


def test_command_line_wins_over_environment_over_ini(pytester: pytest.Pytester, config_of: ConfigOf) -> None:
    """Each value comes from the strongest place that gives it, and names that place."""
    pytester.makeini("[pytest]\nesb_log_lines = 1\nesb_timeout_reset = 1\nesb_timeout_deploy = 1\n")
    environ = {"ESB_LOG_LINES": "2", "ESB_TIMEOUT_RESET": "2.5"}
    found = settings(config_of("--esb-log-lines=3"), environ)
    assert (found.log_lines, found.timeout_reset, found.timeout_deploy) == (3, 2.5, 1)
    assert found.sources["log_lines"] == "command line"
    assert found.sources["timeout_reset"] == "environment ESB_TIMEOUT_RESET"
    assert found.sources["timeout_deploy"] == "ini esb_timeout_deploy"
    assert found.sources["timeout_compose"] == "default"


def test_profiles_are_repeatable_and_listed_by_comma(config_of: ConfigOf) -> None:
    """Repeated options and comma lists add up; a name given twice, in whatever case, counts once."""
    config = config_of("--esb-profile=a, b", "--esb-profile", "A,c,")
    assert settings(config).profiles == ("a", "b", "c")


@pytest.mark.parametrize(
    ("ini", "environ", "expected"),
    [
        ("esb_profile = a, b", {}, ("a", "b")),
        ("esb_profile =\n    a\n    b", {}, ("a", "b")),
        ("esb_profile = a", {"ESB_PROFILE": "b,c"}, ("b", "c")),
        ("esb_profile = a", {"ESB_PROFILE": " "}, ("a",)),
        ("esb_profile =", {}, ()),
    ],
)
def test_profiles_come_from_ini_and_environment(
    pytester: pytest.Pytester,
    config_of: ConfigOf,
    ini: str,
    environ: dict[str, str],
    expected: tuple[str, ...],
) -> None:
    """Ini keys take lines or commas; a blank environment variable counts as unset."""
    pytester.makeini(f"[pytest]\n{ini}\n")
    config = config_of()
    assert settings(config, environ).profiles == expected
    assert profiles_named(config, environ) == expected


def test_native_toml_values_are_accepted(pytester: pytest.Pytester, config_of: ConfigOf) -> None:
    """A pytest that reads typed TOML hands over lists, booleans and numbers."""
    if pytest.version_tuple < (9,):
        pytest.skip("typed TOML came with pytest 9")
    pytester.makefile(
        ".toml",
        pytest='[pytest]\nesb_profile = ["a", "b"]\nesb_keep = true\nesb_log_lines = 7\nesb_lock_timeout = 8',
    )
    found = settings(config_of())
    assert (found.profiles, found.keep, found.log_lines, found.lock_timeout) == (("a", "b"), True, 7, 8.0)


def test_profiles_are_known_before_conftest_files_load(config_of: ConfigOf, adder: Adder) -> None:
    """The cheap look works on the early configuration."""
    config_of("--esb-profile", "a,b")
    assert adder.early == ("a", "b")


@pytest.mark.parametrize(("word", "expected"), [("1", True), ("YES", True), ("off", False), ("0", False)])
def test_environment_booleans_take_the_usual_words(config_of: ConfigOf, word: str, expected: bool) -> None:
    """Truth is written in eight ways and in any case."""
    assert settings(config_of(), {"ESB_KEEP": word}).keep is expected


@pytest.mark.parametrize(
    ("args", "environ", "message"),
    [
        ([], {"ESB_KEEP": "maybe"}, "environment ESB_KEEP: 'maybe' is neither true nor false"),
        (
            ["--esb-output=strem"],
            {},
            "--esb-output: 'strem' is not one of auto, live, plain, stream, quiet; did you mean 'stream'?",
        ),
        (["--esb-log-lines=0"], {}, "--esb-log-lines: '0' is not a whole number of at least 1"),
        (["--esb-log-lines=1.5"], {}, "--esb-log-lines: '1.5' is not a whole number"),
        ([], {"ESB_LOCK_TIMEOUT": "inf"}, "environment ESB_LOCK_TIMEOUT: 'inf' is not a number of seconds"),
        (["--esb-timeout-reset=nan"], {}, "--esb-timeout-reset: 'nan' is not a number of seconds"),
        (["--esb-timeout-reset=-1"], {}, "--esb-timeout-reset: '-1' is not a number of seconds"),
        (["--esb-profile="], {}, "--esb-profile: names no profile"),
        (["--esb-matrix="], {}, "--esb-matrix: '' is no path"),
        (["--esb-profile=a", "--esb-test-target="], {}, "--esb-test-target: '' is no path"),
    ],
)
def test_bad_values_name_their_place(
    config_of: ConfigOf, args: list[str], environ: dict[str, str], message: str
) -> None:
    """A malformed value is one error that names the option or the variable."""
    with pytest.raises(UserError) as raised:
        settings(config_of(*args), environ)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("line", ["esb_keep = maybe", "esb_log_lines = many", "esb_timeout_deploy = 0"])
def test_bad_ini_values_name_their_key(pytester: pytest.Pytester, config_of: ConfigOf, line: str) -> None:
    """A malformed ini value is one error that names the key."""
    pytester.makeini(f"[pytest]\n{line}\n")
    with pytest.raises(UserError, match=f"ini {line.split()[0]}: "):
        settings(config_of())


def test_build_only_and_test_only_contradict_each_other(config_of: ConfigOf) -> None:
    """Both together are refused, with where each came from."""
    with pytest.raises(UserError) as raised:
        settings(config_of("--esb-build-only"), {"ESB_TEST_ONLY": "1"})
    assert "--esb-build-only (command line)" in str(raised.value)
    assert "--esb-test-only (environment ESB_TEST_ONLY)" in str(raised.value)


@pytest.mark.parametrize("profiles", [[], ["--esb-profile=a,b"], ["--esb-profile=all"]])
def test_a_test_target_needs_exactly_one_profile(config_of: ConfigOf, profiles: list[str]) -> None:
    """None, several and `all` are refused."""
    with pytest.raises(UserError, match="needs exactly one profile"):
        settings(config_of("--esb-test-target=test_x.py", *profiles))


def test_relative_paths_start_where_they_were_written(
    pytester: pytest.Pytester, config_of: ConfigOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given for one run they start at the folder of the invocation, in an ini file at the file's own."""
    pytester.makeini("[pytest]\nesb_matrix = m.yaml\nesb_root = ../r\n")
    below = pytester.mkdir("below")
    monkeypatch.chdir(below)
    ini, here = pytester.path, below
    found = settings(config_of())
    assert (found.matrix, found.root) == (ini / "m.yaml", ini.parent / "r")
    found = settings(config_of("--esb-matrix=x.yaml"), {"ESB_ROOT": ".."})
    assert (found.matrix, found.root) == (here / "x.yaml", ini)


def test_test_targets_become_absolute_and_keep_their_node_ids(config_of: ConfigOf) -> None:
    """Only the path in front of `::` is completed; parameters may hold anything."""
    config = config_of(
        "--esb-profile=a", "--esb-test-target=x/../t.py::test[a, b::c]", "--esb-test-target=/y"
    )
    here = config.invocation_params.dir
    assert settings(config).test_targets == (f"{here / 't.py'}::test[a, b::c]", "/y")
    found = settings(config_of("--esb-profile=a"), {"ESB_TEST_TARGET": "t.py\nu.py\n"})
    assert found.test_targets == (str(here / "t.py"), str(here / "u.py"))


def test_the_matrix_has_a_usual_place(config_of: ConfigOf) -> None:
    """It lies below the root; a named one wins."""
    usual = Path("e2e/environments/test_matrix.yaml")
    assert settings(config_of()).matrix_path(Path("/p")) == "/p" / usual
    assert settings(config_of("--esb-root=/r")).matrix_path(Path("/p")) == "/r" / usual
    assert settings(config_of("--esb-matrix=/m.yaml")).matrix_path(Path("/p")) == Path("/m.yaml")


def test_reports_are_files_with_a_known_suffix_each_one_once(config_of: ConfigOf) -> None:
    """Names are relative to where they are given; an ini file and a variable give one a line."""
    found = settings(config_of("--esb-report=a.json", "--esb-report", "b/../a.json", "--esb-report=/c.json"))
    folder = config_of().invocation_params.dir
    assert found.reports == (folder / "a.json", Path("/c.json"))
    assert settings(config_of(), {"ESB_REPORT": "a.json\n/c.json"}).reports == found.reports
    with pytest.raises(UserError) as caught:
        settings(config_of("--esb-report=report"))
    assert "unknown suffix ''" in str(caught.value)


def test_help_shows_one_group_with_every_option(pytester: pytest.Pytester) -> None:
    """All options stand in the group, none takes an optional value, each names its variable."""
    pytester.makepyfile(
        only_options="from esb_e2e_plugin.pytest_options import add_options as pytest_addoption"
    )
    result = pytester.runpytest_subprocess("-p", "no:esb_e2e", "-p", "only_options", "--help")
    group = result.stdout.str().partition("\nesb:\n")[2].partition("\n\n")[0]
    assert result.ret == 0
    for option in OPTIONS:
        assert option in group
        assert f"[{option[2:].upper().replace('-', '_')}]" in " ".join(group.split())
    assert "[=" not in group


def test_importing_options_loads_nothing_heavy() -> None:
    """The module is imported in every pytest run there is, so it brings no library along."""
    code = """if True:
        import pytest, sys
        before = set(sys.modules)
        import esb_e2e_plugin.options
        print(*set(sys.modules) - before)
    """
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    brought = {name.partition(".")[0] for name in run.stdout.split()}
    assert brought <= {"esb_e2e_plugin"} | set(sys.stdlib_module_names)


def test_errors_survive_pickling() -> None:
    """An error that a worker raises reads the same in the controller."""
    error = MatrixError.at(Path("m.yaml"), 3, "k", "wrong", expected="right", given="rigth", known=["right"])
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert str(again) == str(error) == "m.yaml:3: k: wrong; expected right; did you mean 'right'?"
    assert type(again) is MatrixError
    assert str(pickle.loads(pickle.dumps(UserError("what", "do")))) == "what (do)"  # noqa: S301
