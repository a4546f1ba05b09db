"""Hooks in conftest files that xdist's controller never loads: all of them, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from esb_e2e_plugin import nested_hooks
from esb_e2e_plugin.errors import UserError

HOOKS = {
    "def pytest_esb_deploy(environment, log): pass": 1,
    "\nfrom shared import (\n    something,\n    pytest_esb_deploy,\n)": 4,
    "from shared import deploy as pytest_esb_deploy": 1,
    "import sys\nif sys:\n    pytest_esb_deploy = print": 3,
    "import pytest\n@pytest.hookimpl(specname='pytest_esb_deploy')\ndef mine(): pass": 2,
    (
        "class Seed:\n    def pytest_esb_deploy(self): pass\n"
        "def pytest_configure(config):\n    config.pluginmanager.register(Seed())"
    ): 2,
    "\ufeff\ndef pytest_esb_deploy(environment, log): pass": 2,
}

OTHERS = (
    '"""Here is no pytest_esb_deploy."""',
    "# def pytest_esb_deploy(): pass",
    "import pytest_esb_deploys",
    "def deploy():\n    pytest_esb_deploy = 1\n    return pytest_esb_deploy",
    "class Fake:\n    def pytest_esb_deploy(self): pass",
    "print(pytest_esb_deploy)",
    "def pytest_esb_deploy(:",
)


def check(folder: Path, text: str) -> None:
    """Write a conftest beside tests, and look at it."""
    (folder / "tests").mkdir()
    (folder / "tests/conftest.py").write_text(text, encoding="utf-8")
    nested_hooks.check(["tests"], folder=folder, root=folder, loaded=())


@pytest.mark.parametrize(("text", "line"), HOOKS.items())
def test_a_hook_that_would_not_run_is_refused_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    """However it gets its name: without xdist pytest would call it."""
    with pytest.raises(UserError, match=rf"tests/conftest.py:{line}: pytest_esb_deploy would not run"):
        check(tmp_path, text)


@pytest.mark.parametrize("text", OTHERS)
def test_what_is_no_hook_is_passed_over(tmp_path: Path, text: str) -> None:
    """Nobody would call it; and what Python cannot read pytest shows best."""
    check(tmp_path, text)
    assert (tmp_path / "tests/conftest.py").read_text(encoding="utf-8") == text
