"""What names the images of a CI run: the commit, or what is deployed where there is no git."""

import shutil
import subprocess
from pathlib import Path

import pytest

from esb_e2e_plugin import preflight
from esb_e2e_plugin.matrix import load_matrix
from esb_e2e_plugin.planner import Plan, plan

ROOT = Path(__file__).parents[2]


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """The plan of a copy of the embedded environment, in a folder that no repository holds."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.delenv("GIT_DIR", raising=False)
    for part in ("artifacts", "environments", "scenarios"):
        shutil.copytree(ROOT / "e2e" / part, tmp_path / "e2e" / part)
    matrix = load_matrix(tmp_path / "e2e" / "environments" / "test_matrix.yaml", tmp_path)
    return plan(matrix, ["e2e-local"])


def test_without_git_the_content_of_the_artifacts_is_the_version(planned: Plan) -> None:
    """The same content has the same version, another content another one."""
    first = preflight.version_of(planned)
    assert len(first) == 12
    assert preflight.version_of(planned) == first
    (handler,) = (planned.root / "e2e/artifacts/e2e-local").rglob("lambda-echo/**/*.py")
    handler.write_text(handler.read_text() + "\n# another content\n")
    assert preflight.version_of(planned) != first


def test_with_git_the_commit_is_the_version(planned: Plan) -> None:
    """Tags name what can be checked out again."""
    git = ["git", "-C", str(planned.root), "-c", "user.name=t", "-c", "user.email=t@example.invalid"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], check=True, capture_output=True, text=True)
    assert preflight.version_of(planned) == head.stdout.strip()
