"""Which environment an `esb` command is about: names, profiles, matrix, ini file."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from esb_cli.ini import find_ini
from esb_cli.project import Target, find_project
from esb_e2e_plugin.errors import MatrixError, UserError

MATRIX = """
suites: {all: {targets: [tests]}}
matrix:
- {esb_env: e2e-local, mode: process, suites: [all]}
- {esb_env: e2e-docker, mode: docker, suites: [all]}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with two profiles."""
    folder = tmp_path / "project"
    (folder / "e2e" / "environments").mkdir(parents=True)
    (folder / "e2e" / "environments" / "test_matrix.yaml").write_text(MATRIX)
    (folder / "pyproject.toml").write_text("")
    return folder


def target(
    root: Path, env: str | None = None, profile: str | None = None, environ: Mapping[str, str] | None = None
) -> Target:
    return find_project(None, environ or {}, root).target(env, profile)


def of(found: Target) -> tuple[str, str]:
    return found.name, found.scenario.profile


def test_the_name_is_that_of_the_option_then_of_the_variable_then_default(root: Path) -> None:
    """The first that says something; in lower case."""
    assert of(target(root)) == ("default", "e2e-local")
    assert of(target(root, environ={"ESB_ENV": "mine"})) == ("mine", "e2e-local")
    assert of(target(root, "Other", environ={"ESB_ENV": "mine"})) == ("other", "e2e-local")


def test_the_profile_is_that_of_the_name_then_of_the_variable_then_of_the_ini_file(root: Path) -> None:
    """`e2e-local` where nothing says another one; what is given on the command line wins."""
    assert of(target(root, "E2E-Docker")) == ("e2e-docker", "e2e-docker")
    assert of(target(root, "x", environ={"ESB_PROFILE": "e2e-docker"})) == ("x", "e2e-docker")
    (root / "pyproject.toml").write_text('[tool.pytest.ini_options]\nesb_profile = "e2e-docker"\n')
    assert of(target(root, "x")) == ("x", "e2e-docker")
    assert of(target(root, "x", environ={"ESB_PROFILE": "e2e-local"})) == ("x", "e2e-local")
    assert of(target(root, "x", "e2e-local")) == ("x", "e2e-local")


def test_an_environment_stays_one_of_the_profile_that_it_was_made_from(root: Path) -> None:
    """Whatever variables say later; another one on the command line is refused."""
    state = root / ".esb" / "e2e" / "state" / "x"
    state.mkdir(parents=True)
    (state / "state.json").write_text('{"profile": "e2e-docker"}')
    assert of(target(root, "x", environ={"ESB_PROFILE": "e2e-local"})) == ("x", "e2e-docker")
    with pytest.raises(UserError, match="was made from e2e-docker, not from e2e-local"):
        target(root, "x", "e2e-local")


def test_a_profile_that_is_not_there_is_named_with_those_that_are(root: Path) -> None:
    """As pytest says it."""
    with pytest.raises(MatrixError, match=r"unknown profile 'nope'.*e2e-local, e2e-docker"):
        target(root, "x", "nope")


def test_several_profiles_are_no_answer(root: Path) -> None:
    """One environment is made from one of them."""
    with pytest.raises(UserError, match="ESB_PROFILE names several profiles: e2e-local, e2e-docker"):
        target(root, "x", environ={"ESB_PROFILE": "e2e-local,e2e-docker"})


def test_options_of_a_run_come_from_the_same_places_as_under_pytest(root: Path) -> None:
    """Command line, variable, ini file; what only pytest can be asked for is passed over."""
    (root / "pytest.ini").write_text(
        "[pytest]\nesb_timeout_compose = 7\nesb_test_only = true\nesb_env = no\n"
    )
    environ = {"ESB_TIMEOUT_DEPLOY": "8", "ESB_SUFFIX": "s", "ESB_KEEP": "1"}
    project = find_project(None, environ, root / "e2e", {"timeout_reset": 9.0})
    settings = project.target("x").settings
    assert (settings.timeout_compose, settings.timeout_deploy, settings.timeout_reset) == (7, 8, 9)
    assert (settings.build_only, settings.test_only, settings.keep, settings.suffix) == (
        True,
        False,
        False,
        None,
    )


def test_outside_a_project_a_matrix_has_to_be_named(root: Path, tmp_path: Path) -> None:
    """By option or variable; one that is not there is said with its path."""
    with pytest.raises(UserError, match="no project here"):
        find_project(None, {}, tmp_path)
    matrix = root / "e2e" / "environments" / "test_matrix.yaml"
    assert find_project(matrix, {}, tmp_path).root == root
    assert find_project(None, {"ESB_MATRIX": str(matrix)}, tmp_path).root == root
    with pytest.raises(UserError, match=r"there is no matrix at .*none\.yaml"):
        find_project(Path("none.yaml"), {}, tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytest.toml", '[pytest]\nesb_profile = "p"\n'),
        ("pytest.ini", "[pytest]\nesb_profile = p\n"),
        ("pyproject.toml", '[tool.pytest.ini_options]\nesb_profile = "p"\n'),
        ("pyproject.toml", '[tool.pytest]\nesb_profile = "p"\n'),
        ("tox.ini", "[pytest]\nesb_profile = p\n"),
        ("setup.cfg", "[tool:pytest]\nesb_profile = p\n"),
    ],
)
def test_every_ini_file_of_pytest_is_read(name: str, text: str, tmp_path: Path) -> None:
    """From the folder itself or one above it; others are passed over."""
    (tmp_path / name).write_text(text)
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "pyproject.toml").write_text('[project]\nname = "x"\n')
    found = find_ini(inner)
    assert (found.folder, found.values["esb_profile"]) == (tmp_path, "p")


def test_an_ini_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """With what is wrong with it."""
    (tmp_path / "pyproject.toml").write_text("[tool\n")
    with pytest.raises(UserError, match=r"pyproject\.toml: cannot be read"):
        find_ini(tmp_path)
