"""What the documentation shows fits the code, also where it is not run."""

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from esb_cli.catalogue import COMMANDS, GROUPS
from esb_e2e_plugin.matrix import load_matrix
from esb_e2e_plugin.options import OPTIONS
from esb_e2e_plugin.reporting.sections import CONTAINERS, LOGS, REQUESTS
from tests.pages import DOCS, blocks

ROOT = DOCS.parent
PAGES = [*sorted(DOCS.glob("*.md")), ROOT / "README.md", ROOT / "e2e/README.md", ROOT / "services/README.md"]
FLAGS = {option.flag for option in OPTIONS}
LINK = re.compile(r"\]\(([^)#\s]+)(?:#([^)\s]+))?\)")


def written(pattern: str) -> Iterator[tuple[str, str]]:
    """Yield what matches in any page, with the page's name."""
    for page in PAGES:
        for match in re.finditer(pattern, page.read_text(encoding="utf-8")):
            yield page.name, match[1]


def test_tables_of_the_reference_are_what_the_code_says() -> None:
    """An option, fixture, marker, hook, key or event that is added is in the reference."""
    command = [sys.executable, str(ROOT / "scripts/reference.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_options_that_pages_name_exist() -> None:
    """Nobody copies a command that is refused."""
    unknown = [(page, flag) for page, flag in written(r"(--esb-[a-z-]*[a-z])") if flag not in FLAGS]
    assert [entry for entry in unknown if entry[1] not in ("--esb-x-y", "--esb-timeout")] == []


def test_commands_of_esb_that_pages_name_exist() -> None:
    """The same for the commands of `esb`."""
    known = {*COMMANDS, *(f"{group} {name}" for group, (_, names) in GROUPS.items() for name in names)}
    commands = [*written(r"`esb ([a-z]+(?: [a-z]+)?)"), *written(r"\n\$ esb ([a-z]+(?: [a-z]+)?)")]
    unknown = [(page, name) for page, name in commands if name not in known and name.split()[0] not in known]
    sections = {title.removeprefix("esb ") for title in (REQUESTS, LOGS, CONTAINERS)}
    assert [entry for entry in unknown if entry[1] not in {*GROUPS, *sections}] == []


def test_links_lead_somewhere() -> None:
    """To a file of the repository, and where they name a heading, to one of that page."""
    broken = []
    for page in PAGES:
        for target, heading in LINK.findall(page.read_text(encoding="utf-8")):
            path = page.parent / target
            if target.startswith("http"):
                continue
            if not path.exists() or (heading and heading not in _headings(path)):
                broken.append((page.name, target, heading))
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_of_a_page_can_be_compiled(page: Path) -> None:
    """And names no fixture of the plugin that there is not."""
    from esb_e2e_plugin import fixtures

    for code in blocks(page, "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                asked = {argument.arg for argument in node.args.args if argument.arg.startswith("esb_")}
                assert asked <= set(fixtures.__all__)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_yaml_of_a_page_is_what_it_stands_for(page: Path, tmp_path: Path) -> None:
    """Each matrix is accepted, and a workflow runs commands whose options exist."""
    for number, text in enumerate(blocks(page, "yaml")):
        document = yaml.safe_load(text)
        if "matrix" in document:
            path = tmp_path / str(number) / "e2e/environments/test_matrix.yaml"
            path.parent.mkdir(parents=True)
            path.write_text(text)
            assert load_matrix(path, None).entries
        for job in document.get("jobs", {}).values():
            commands = [step["run"] for step in job["steps"] if "run" in step]
            assert any(shlex.split(command)[0] == "pytest" for command in commands)


def _headings(path: Path) -> set[str]:
    """Return the names by which links find the headings of a page."""
    found = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}
