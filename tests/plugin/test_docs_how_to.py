"""The how-to pages do what they show."""

import re
import shlex
from pathlib import Path

import yaml

from tests.pages import DOCS, blocks, check_shown, sessions
from tests.plugin.esb_project import Project

PAGE = DOCS / "how-to.md"
ENVIRONMENT = "e2e-local"
ECHO = Path(__file__).parents[2] / "e2e/fixtures/functions/python/echo/app.py"
CLOCK = re.compile(r"\d\d:\d\d:\d\d\.\d{3} ")
MATRIX = f"""
suites:
  all: {{targets: [../scenarios/test_echo.py]}}
matrix:
- esb_env: {ENVIRONMENT}
  suites: [all]
  artifact_manifest: e2e/artifacts/{ENVIRONMENT}/artifact.yml
  config_dir: .esb/staging/${{ESB_PROJECT}}-${{ESB_ENV}}/config
"""


def files(page: Path) -> dict[str, str]:
    """Return the Python files of a page, by the path in front of each."""
    text = page.read_text(encoding="utf-8")
    return dict(re.findall(r"^`([\w./]+\.py)`:\n\n```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))


def test_the_commands_of_the_page_print_what_it_shows(project: Project) -> None:
    """In their order, in a project with the scenarios of the page."""
    function = {"image": "esb-echo:latest", "runtime": "python", "handler": "app.handler", "timeout": 10}
    project.matrix(MATRIX)
    project.artifact(ENVIRONMENT, {"lambda-echo": function})
    app = f"e2e/artifacts/{ENVIRONMENT}/app"
    project.write(f"{app}/functions/lambda-echo/src/app.py", ECHO.read_text())
    routes = [{"path": "/api/echo", "method": "POST", "function": "lambda-echo"}]
    project.write(f"{app}/config/routing.yml", yaml.safe_dump({"routes": routes}))
    assert len(files(PAGE)) == 2
    for path, text in files(PAGE).items():
        project.write(path, text)
    commands = sessions(PAGE)
    assert len(commands) == len(re.findall(r"^\$ ", "".join(blocks(PAGE, "console")), re.MULTILINE)) == 4
    for command, shown in commands:
        program, *options = shlex.split(command)
        assert program == "pytest"
        check_shown(shown, CLOCK.sub("", project.run(*options).stdout.str()))
    assert project.processes(f"{ENVIRONMENT}-ana") == []
