"""The tutorial does what it says: a stack without artifacts, driven by a few lines, seeded by a hook."""

import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.e2e_docker_project import KINDS, labelled, remove_labelled
from tests.engine.images import IMAGE
from tests.faults.run import RUN_SECONDS
from tests.pages import DOCS, check_shown, sessions
from tests.ports import own_ports

PAGE = DOCS / "tutorial.md"
EXAMPLE = DOCS / "examples" / "tutorial"

pytestmark = pytest.mark.engine


class Tutorial:
    """A copy of the example, with a name, ports and an image that this machine has."""

    def __init__(self, folder: Path, port_base: int) -> None:
        self.root = folder / "tutorial"
        self._host = folder / "host"
        name = f"t{uuid.uuid4().hex[:8]}"
        self.label = f"com.esb.project={name}-shop"
        shutil.copytree(EXAMPLE, self.root, ignore=shutil.ignore_patterns("__pycache__"))
        matrix = self.root / "e2e/environments/test_matrix.yaml"
        text = matrix.read_text().replace("esb_project: tutorial", f"esb_project: {name}")
        pool = f"10.{100 + (port_base - 20000) // 200}.0.0/16"
        matrix.write_text(f"{text}port_base: {port_base}\nsubnet_pool: {pool}\n")
        self.compose = self.root / "e2e/environments/shop/docker-compose.yml"
        (self.compose.parent / ".env").write_text(f"PYTHON_IMAGE={IMAGE}\n")

    def run(self, command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of the page."""
        program, *options = command.split()
        assert program == "pytest"
        return subprocess.run(
            [sys.executable, "-m", program, *options, "-p", "no:cacheprovider"],
            cwd=self.root,
            env={"PATH": os.environ["PATH"], "HOME": str(self.root), "ESB_HOST_DIR": str(self._host)},
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
        )


@pytest.fixture
def tutorial(tmp_path: Path) -> Iterator[Tutorial]:
    """The tutorial's project."""
    with own_ports() as base:
        made = Tutorial(tmp_path, base)
        yield made
        remove_labelled(made.label)


def test_the_page_shows_the_files_of_the_example() -> None:
    """Whoever copies from the page gets the project that is tested here."""
    page = PAGE.read_text()
    blocks = re.findall(r"```(?:yaml|python|toml)\n(.*?)```", page, re.DOTALL)
    files = {path for path in EXAMPLE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    seeds = {path for path in files if "seeds" in path.parts}
    assert sorted(blocks) == sorted(path.read_text() for path in files - seeds)
    for path in seeds:
        assert f"`{path.relative_to(EXAMPLE)}`" in page
        assert f"`{path.read_text().strip()}`" in page


def test_the_tutorial_is_green_and_leaves_nothing(tutorial: Tutorial) -> None:
    """The command of the page prints what the page shows; the hook seeded what the tests read."""
    command, lines = sessions(PAGE)[0]
    done = tutorial.run(command)
    assert done.returncode == 0, done.stdout
    check_shown(lines, done.stdout)
    assert "warning" not in done.stdout
    assert "seeded stock" in (tutorial.root / "e2e/.parallel-shop.log").read_text()
    assert [labelled(tutorial.label, kind) for kind in KINDS] == [[], [], []]


def test_the_mistake_of_the_tutorial_is_told_as_shown(tutorial: Tutorial) -> None:
    """A service with a wrong command line fails the run at once, and is quoted."""
    command, lines = sessions(PAGE)[1]
    text = tutorial.compose.read_text()
    tutorial.compose.write_text(text.replace("http.server 8000", "http.server 8000 --mistake"))
    done = tutorial.run(command)
    assert done.returncode == 1, done.stdout
    check_shown(lines, done.stdout)
    assert "unrecognized arguments: --mistake" in done.stdout
    assert [labelled(tutorial.label, kind) for kind in KINDS] == [[], [], []]


def test_a_red_test_of_the_tutorial_shows_what_the_services_logged(tutorial: Tutorial) -> None:
    """A stack that knows nothing of traces, and a test with a client of its own."""
    command, lines = sessions(PAGE)[2]
    (tutorial.root / "seeds/stock/stock.json").write_text('{"apple": 3}')
    done = tutorial.run(command)
    assert done.returncode == 1, done.stdout
    check_shown(lines, re.sub(r"\d\d:\d\d:\d\d\.\d{3} ", "", done.stdout))


def test_the_environment_of_the_tutorial_is_reused_as_shown(tutorial: Tutorial) -> None:
    """The first run leaves it, the second one redoes nothing."""
    for command, lines in sessions(PAGE)[3:]:
        done = tutorial.run(command)
        assert done.returncode == 0, done.stdout
        check_shown(lines, done.stdout)
