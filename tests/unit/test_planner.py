"""Planning: which tests run on which environments."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from esb_e2e_plugin.errors import MatrixError
from esb_e2e_plugin.matrix import Matrix, load_matrix
from esb_e2e_plugin.planner import plan

MATRIX = """
suites:
  smoke: {targets: [../scenarios/smoke/]}
  standard: {targets: [../scenarios/standard, ../scenarios/one.py], exclude: [../scenarios/standard/slow]}
  slow: {targets: [../scenarios/standard/slow/test_s.py]}
  unused: {targets: [../scenarios/unused]}
matrix:
- {esb_env: E2E-Local, suites: [smoke, standard]}
- {esb_env: e2e-docker, suites: [smoke]}
- {esb_env: slow, suites: [slow, smoke]}
- {esb_env: later, suites: [standard], enabled: false}
"""


@pytest.fixture
def scenarios(tmp_path: Path) -> Path:
    return tmp_path / "scenarios"


@pytest.fixture
def matrix(tmp_path: Path) -> Matrix:
    path = tmp_path / "environments" / "test_matrix.yaml"
    path.parent.mkdir()
    path.write_text(MATRIX, encoding="utf-8")
    return load_matrix(path, tmp_path)


@pytest.mark.parametrize(
    ("file", "environments"),
    [
        ("smoke/test_a.py", ("E2E-Local", "e2e-docker", "slow")),
        ("smoke/deep/er/test_a.py", ("E2E-Local", "e2e-docker", "slow")),
        ("standard/test_b.py", ("E2E-Local",)),
        ("one.py", ("E2E-Local",)),
        ("standard/slow/test_s.py", ("slow",)),
        ("standard/slow/test_t.py", ()),
        ("unused/test_u.py", ()),
        ("smoker/test_x.py", ("E2E-Local", "e2e-docker", "slow")),
        ("one.pyx", ("E2E-Local", "e2e-docker", "slow")),
        ("../tests/test_x.py", ("E2E-Local", "e2e-docker", "slow")),
    ],
)
def test_a_test_gets_the_environments_whose_suites_contain_its_file(
    matrix: Matrix, scenarios: Path, file: str, environments: tuple[str, ...]
) -> None:
    """A file outside all targets of the matrix gets all; one inside only others' targets gets none."""
    found = plan(matrix, ["all"])
    assert found.environments_for(scenarios / file) == environments
    assert found.environments_for(scenarios / file) == environments


def test_the_plan_holds_what_was_named(matrix: Matrix) -> None:
    """Profiles are called as in the matrix, resources in lower case; a disabled entry runs when named."""
    found = plan(matrix, ["LATER", "e2e-local"])
    assert found.names == ("later", "E2E-Local")
    assert [scenario.name for scenario in found.scenarios] == ["later", "e2e-local"]
    assert found.mode_of("E2E-Local") == "process"
    assert (found.matrix_digest, found.root) == (matrix.digest, matrix.root)
    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301


def test_targets_of_several_environments_are_collected_once(matrix: Matrix, scenarios: Path) -> None:
    """What pytest is told to collect names each folder once, in order."""
    found = plan(matrix, ["e2e-local", "e2e-docker"])
    expected = (scenarios / "smoke", scenarios / "standard", scenarios / "one.py")
    assert found.targets() == expected
    assert found.arguments == tuple(map(str, expected))


def test_named_test_targets_take_the_place_of_the_suites(matrix: Matrix, scenarios: Path) -> None:
    """Even a file of another suite runs on the profile when it is named."""
    target = f"{scenarios / 'unused' / 'test_u.py'}::test_x[a::b]"
    found = plan(matrix, ["e2e-docker"], test_targets=[target])
    assert found.arguments == (target,)
    assert found.targets() == (scenarios / "unused" / "test_u.py",)
    assert found.environments_for(scenarios / "unused" / "test_u.py") == ("e2e-docker",)
    assert found.environments_for(scenarios / "smoke" / "test_a.py") == ()


def test_links_lead_to_the_same_environments(matrix: Matrix, scenarios: Path, tmp_path: Path) -> None:
    """A file reached through a link belongs to the suite that its real place belongs to."""
    (scenarios / "standard").mkdir(parents=True)
    (tmp_path / "link").symlink_to(scenarios)
    found = plan(matrix, ["e2e-local", "e2e-docker"])
    assert found.environments_for(tmp_path / "link" / "standard" / "test_b.py") == ("E2E-Local",)


def test_a_file_is_looked_at_once(matrix: Matrix, scenarios: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand items of one file cost one look at the disk."""
    found = plan(matrix, ["all"])
    first = found.environments_for(scenarios / "smoke" / "test_a.py")
    monkeypatch.setattr("os.path.realpath", _refuse)
    assert found.environments_for(scenarios / "smoke" / "test_a.py") == first


def _refuse(*_: object) -> None:
    raise AssertionError("looked at the disk again")


def test_an_unknown_name_stops_the_plan(matrix: Matrix) -> None:
    """Nothing is planned for a name that the matrix does not have."""
    with pytest.raises(MatrixError, match="unknown profile 'nope'"):
        plan(matrix, ["e2e-local", "nope"])


@pytest.mark.parametrize(
    ("instance", "problem"),
    [
        ("e2e-docker", "its instance 'e2e-docker' would share the folders of the entry of that name"),
        ("e" * 26, f"its instance '{'e' * 26}' has more than 25 characters"),
    ],
)
def test_an_instance_has_a_name_of_its_own(matrix: Matrix, instance: str, problem: str) -> None:
    """Another entry's name, as of a forgotten ESB_ENV, and one that is too long, are told with a remedy."""
    with pytest.raises(MatrixError) as raised:
        plan(matrix, ["e2e-local"], instance_of=lambda _: instance)
    assert f"E2E-Local: {problem} (choose another --esb-env or --esb-suffix)" in str(raised.value)
    assert plan(matrix, ["e2e-local"], instance_of=lambda _: "e" * 25).scenarios[0].name == "e" * 25
