"""The walk-through of the documentation does what it shows."""

import os
import re
import subprocess
import sysconfig
from pathlib import Path

_PAGE = Path(__file__).parents[2] / "docs/artifactctl.md"


def _run(command: str, folder: Path) -> str:
    environment = {"PATH": f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout


def test_the_walk_through_prints_what_the_page_shows(tmp_path: Path) -> None:
    """Every command of the page is run in its order; only the digest is left open."""
    page = _PAGE.read_text(encoding="utf-8")
    (setup,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    (session,) = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    assert _run(setup, tmp_path) == ""
    shown = ""
    for command in re.findall(r"^\$ (.*)$", session, re.MULTILINE):
        shown += f"$ {command}\n" + _run(command, tmp_path)
    assert re.sub(r"config [0-9a-f]{32}:", "config DIGEST:", shown) == session
