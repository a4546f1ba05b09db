"""What artifact roots hold of the worker runs where nothing else is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_HOOKS = "runtime-base/runtime-hooks/python"
ROOTS = sorted(path.parents[1] for path in ROOT.glob("e2e/artifacts/*/*/runtime-base/runtime-hooks"))


@pytest.mark.parametrize("root", ROOTS, ids=lambda path: path.parent.name)
def test_the_staged_supervisor_needs_nothing_of_the_repository(root: Path) -> None:
    """Every module of the copy can be imported where only the copy is."""
    supervisor = root / _HOOKS / "supervisor"
    names = sorted(
        ".".join(path.relative_to(supervisor).with_suffix("").parts)
        for path in supervisor.rglob("*.py")
        if path.name not in ("__init__.py", "__main__.py")
    )
    assert "esb_services.function_runtime.supervisor" in names
    code = (
        f"import importlib as i, esb_services as e; [i.import_module(n) for n in {names}]; print(e.__file__)"
    )
    environment = {"PYTHONPATH": str(supervisor), "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"]}
    # -S: without site-packages, where the services are installed from their source.
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.stdout.strip() == str(supervisor / "esb_services/__init__.py")
