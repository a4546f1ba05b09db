"""A full failing run with canary secrets everywhere: not one of them in any byte that is written."""

import json
from collections.abc import Mapping

import pytest

from tests.engine.e2e_docker_project import BACK, DockerProject, front_door, service
from tests.faults.canaries import CANARIES, CREDENTIALS, SECRETS, TEXT, VARIABLES, found_below, found_in
from tests.faults.project import ENVIRONMENT, Project

CANARY_FILE = "canaries.json"
REPORTS = (
    "--junitxml=report.xml",
    "--esb-report=report.json",
    "--esb-report=report.html",
    "--log-file=pytest.log",
    "-rA",
    "--showlocals",
)

SCENARIOS = """
import base64, json, logging, sys, warnings
from pathlib import Path
from urllib.parse import quote

import pytest

CANARIES = json.loads(Path("canaries.json").read_text())

@pytest.mark.parametrize("name", CANARIES)
def test_tells(esb_gateway, esb_token, record_property, name):
    secret = CANARIES[name]
    record_property("secret", secret)
    print(secret, base64.b64encode(f"user:{secret}".encode()).decode(), quote(secret, safe=""), esb_token)
    print(secret[:7], end="", file=sys.stderr, flush=True)
    print(secret[7:], file=sys.stderr)
    logging.getLogger("tests").warning("the secret is %s", secret)
    warnings.warn(f"it is {secret}")
    answer = esb_gateway.post("/api/hello", json={"secret": secret})
    assert answer.text == f"{secret} {json.dumps(secret)} {esb_token}", f"not {secret!r}"

def test_raises(esb_environment):
    try:
        raise ValueError(str(vars(esb_environment.credentials)))
    except ValueError as error:
        raise KeyError(tuple(CANARIES.values())) from error
"""

FUNCTION = """
import json, sys
from pathlib import Path

CANARIES = json.loads(Path({canaries!r}).read_text())

def handler(event, context):
    for secret in CANARIES.values():
        print("the function knows", secret)
        for character in secret:
            sys.stdout.write(character)
            sys.stdout.flush()
        print()
    raise ValueError(" ".join(CANARIES.values()))
"""

HOOKS = """
import json
from pathlib import Path

CANARIES = json.loads(Path("canaries.json").read_text())

def pytest_esb_deploy(environment, log):
    for secret in CANARIES.values():
        log(f"deploying with {secret}")
"""


@pytest.mark.parametrize("distribution", ["-n0", "-n2"])
def test_no_secret_is_in_any_byte_of_a_failing_run(project: Project, distribution: str) -> None:
    """Output, logs, events, reports, JUnit, the state of the kept environment: everything is searched."""
    project.write(CANARY_FILE, json.dumps(CANARIES))
    project.write("conftest.py", HOOKS)
    project.write("e2e/scenarios/test_tiny.py", SCENARIOS)
    function = FUNCTION.format(canaries=str(project.root / CANARY_FILE))
    project.write("e2e/artifact/tiny/functions/hello/src/app.py", function)
    project.write(f"e2e/environments/{ENVIRONMENT}/.env", lines({**CREDENTIALS, **VARIABLES}))
    project.write("secrets.env", lines(SECRETS))
    project.change_entry(secret_env_file="secrets.env")
    inputs = [path for path in project.root.rglob("*") if path.is_file()]
    result = project.run(
        distribution, "-v", "--esb-output=stream", "--esb-keep-failed", "-rA", "-l", *REPORTS
    )
    assert result.code == 1, result.output
    assert f"{len(CANARIES) + 1} failed" in result.output
    assert found_below(project.folder, inputs) == []
    assert "canary" not in result.output, "not even the beginning of one"
    # The search would find them: the run told of each of these places.
    for told in ("the secret is ***", "the function knows ***", "deploying with ***"):
        assert told in result.output + result.log, told
    logs = "".join(path.read_text() for path in project.state.rglob("functions/*.log"))
    assert "the function knows ****" in logs
    assert 'name="secret" value="***"' in (project.root / "report.xml").read_text()
    assert "not '***'" in (project.root / "report.json").read_text()
    assert "the secret is ***" in (project.root / "pytest.log").read_text()


@pytest.mark.engine
def test_no_secret_of_a_container_is_in_any_byte_of_a_failing_run(docker_project: DockerProject) -> None:
    """What services log, what health checks answer, and secrets of the compose file are hidden alike."""
    project = docker_project
    project.write("e2e/environments/e2e-docker/password.txt", SECRETS["DB_PASSWORD"])
    project.write("e2e/environments/e2e-docker/.env", lines({**CREDENTIALS, **VARIABLES}))
    project.write("secrets.env", lines({"HOOK_TOKEN": SECRETS["HOOK_TOKEN"]}))
    project.write_matrix(secret_env_file="secrets.env")
    tells = "cat /run/secrets/password; echo; echo $$CANARIES; echo $$CANARIES >&2"
    sick = service(
        "sh",
        "-c",
        f"{tells}; sleep infinity",
        environment={"CANARIES": TEXT.replace("$", "$$")},
        secrets=["password"],
        healthcheck={
            "test": ["CMD-SHELL", f"{tells}; test -e /tmp/late || {{ touch /tmp/late; exit 1; }}; exit 1"],
            "interval": "1s",
            "start_interval": "200ms",
            "retries": 2,
        },
    )
    compose = {"front": front_door(), "back": BACK, "sick": sick}
    project.write_compose(compose, secrets={"password": {"file": "./password.txt"}})
    inputs = [path for path in project.root.rglob("*") if path.is_file()]
    result = project.run("-n0", "-v", "--esb-output=stream", "--esb-keep-failed", "--junitxml=report.xml")
    assert result.code == 1, result.output
    assert "sick turned unhealthy: exit 1: ***" in result.summary
    assert found_in(result.output.encode()) == set()
    assert found_below(project.folder, inputs) == []
    assert "***; ***" in (project.state / "logs" / "sick.log").read_text()


def lines(values: Mapping[str, str]) -> str:
    """Return variables as a file has them."""
    return "".join(f"{name}={value}\n" for name, value in values.items())
