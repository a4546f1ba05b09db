"""The walk-throughs of the documentation do what they show."""

import os
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

_DOCS = Path(__file__).parents[2] / "docs"


def _run(command: str, folder: Path) -> str:
    environment = {
        "PATH": f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("name", "number"),
    [
        pytest.param("artifactctl.md", 0, id="config"),
        pytest.param("artifactctl.md", 1, id="images", marks=pytest.mark.engine),
        pytest.param("artifacts.md", 0, id="generate"),
    ],
)
def test_a_walk_through_prints_what_the_page_shows(tmp_path: Path, name: str, number: int) -> None:
    """Every command is run in its order; only the digest and the folder are left open."""
    page = (_DOCS / name).read_text(encoding="utf-8")
    walks = re.findall(
        r"n an empty folder:\n\n```sh\n(.*?)```(?:(?!```).)*```console\n(.*?)```", page, re.DOTALL
    )
    setup, session = walks[number]
    assert _run(setup, tmp_path) == ""
    shown = ""
    for command in re.findall(r"^\$ (.*)$", session, re.MULTILINE):
        shown += f"$ {command}\n" + _run(command, tmp_path)
    assert (
        re.sub(r"config [0-9a-f]{32}:", "config DIGEST:", shown).replace(str(tmp_path), "FOLDER") == session
    )
