"""`esb` with environments whose services are processes: the same life as under pytest, without pytest."""

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.esb_shell import SECONDS, Shell, local_project, shell_in
from tests.faults.left_behind import reaper_of
from tests.lean import LEAN
from tests.plugin.esb_project import Project
from tests.waiting import eventually, until_it_ends

HELLO = """
def test_echo(esb_lambda):
    answer = esb_lambda.invoke(FunctionName="echo", Payload=b'{"body": "hi"}')
    assert b"hi" in answer["Payload"].read()
"""

HOLD = """
from pathlib import Path

def test_hold(esb_environment):
    Path("held").touch()
    input()
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project with one entry, and one environment of it that is up: `kept`."""
    found = local_project(tmp_path_factory.mktemp("esb") / "project", "e2e-local", "e2e-other")
    found.write("e2e/scenarios/test_echo.py", HELLO)
    shell = shell_in(found)
    shell.esb("up", "--env", "kept")
    yield found
    for name in ("kept", "more"):
        shell.esb("down", "--env", name)
    assert found.processes("kept") == []


@pytest.fixture
def shell(project: Project) -> Shell:
    return shell_in(project)


def test_up_of_what_is_up_says_so_and_changes_nothing(project: Project, shell: Shell) -> None:
    """The same processes as before, and the same log."""
    before, log = sorted(project.processes("kept")), project.log("kept")
    done = shell.esb("up", "--env", "kept")
    assert done.stdout.startswith("kept is up already: https://127.0.0.1:")
    assert sorted(project.processes("kept")) == before
    assert project.log("kept").startswith(log)
    facts = shell.json("up", "--env", "kept")
    assert (facts["already"], facts["environment"]["profile"]) == (True, "e2e-local")
    assert "credentials" not in facts["environment"]


def test_it_answers_at_its_url_with_a_certificate_of_its_own(shell: Shell) -> None:
    """What `esb url` prints is verified by the authority that `esb env` names."""
    url = shell.esb("url", "--env", "kept").stdout.strip()
    variables = shell.json("env", "--env", "kept")["variables"]
    trust = ssl.create_default_context(cafile=variables["ESB_CA_CERTIFICATE"])
    with urllib.request.urlopen(f"{url}/health", context=trust, timeout=30) as answer:  # noqa: S310
        assert json.load(answer)["run_id"] == variables["ESB_RUN_ID"]
    assert (variables["ESB_ENV"], variables["ESB_PROJECT"]) == ("kept", "esb-kept")


def test_variables_are_lines_for_a_shell_and_for_an_env_file(shell: Shell) -> None:
    """A shell that evaluates them has the same values as a reader of the .env file."""
    expected = shell.json("env", "--env", "kept")["variables"]
    lines = shell.esb("env", "--env", "kept", "--shell").stdout
    done = subprocess.run(["sh", "-c", f"{lines}\nenv -0"], capture_output=True, text=True, check=True)
    found = dict(entry.split("=", 1) for entry in done.stdout.split("\0") if "=" in entry)
    assert {name: found[name] for name in expected} == expected
    dotenv = shell.esb("env", "--env", "kept").stdout
    assert f"ESB_RUN_ID={expected['ESB_RUN_ID']}\n" in dotenv
    file = shell.folder / "kept.env"
    shell.esb("env", "--env", "kept", "-o", "kept.env")
    assert (file.read_text(), file.stat().st_mode & 0o777) == (dotenv, 0o600)


def test_invoke_prints_the_result_and_its_trace_finds_the_call(shell: Shell) -> None:
    """`esb logs` shows the lines of that call, by trace, by function, by service."""
    done = shell.esb("invoke", "--env", "kept", "echo", '{"body": "by hand"}')
    assert json.loads(json.loads(done.stdout)["body"]) == {"message": "by hand"}
    trace = re.fullmatch(r"trace (\S+)\n", done.stderr)
    assert trace
    of_call = [json.loads(line) for line in _logs(shell, "--trace", trace[1])]
    assert of_call
    assert {line["trace_id"] for line in of_call} == {trace[1]}
    of_function = [json.loads(line) for line in _logs(shell, "--function", "echo")]
    assert "echo was called" in [line["message"] for line in of_function]
    assert {line["source"] for line in map(json.loads, _logs(shell, "--service", "agent"))} == {"agent"}
    assert len(_logs(shell, "--tail", "2")) == 2


def test_a_plan_says_what_up_would_do_and_does_nothing(project: Project, shell: Shell) -> None:
    """Names, ports, images and phases; not a file is written. What is up has the ports that it has."""
    before = project.files()
    plan = shell.json("plan", "--env", "new")["plan"]
    assert (plan["environment"], plan["profile"], plan["project"]) == ("new", "e2e-local", "esb-new")
    assert (plan["state"], plan["images"], plan["suites"]) == (None, ["esb-echo:latest"], ["every"])
    assert [phase["name"] for phase in plan["phases"]] == ["reset", "compose", "deploy"]
    kept = shell.json("plan", "--env", "kept")["plan"]
    assert kept["url"] == shell.esb("url", "--env", "kept").stdout.strip()
    assert kept["ports"]["gateway_https"] != plan["ports"]["gateway_https"]
    assert "phase    deploy: " in shell.esb("plan", "--env", "new").stdout
    assert project.files() == before


def test_a_shell_completes_commands_options_and_environments(shell: Shell) -> None:
    """By the script that `esb completion` prints."""
    assert "_ESB_COMPLETE=bash_complete" in shell.esb("completion", "bash").stdout

    def complete(words: str, position: int) -> list[str]:
        asked = {"COMP_WORDS": words, "COMP_CWORD": str(position), "_ESB_COMPLETE": "bash_complete"}
        return Shell(shell.folder, {**shell.variables, **asked}).esb().stdout.splitlines()

    assert complete("esb down --env k", 3) == ["plain,kept"]
    assert complete("esb up --profile e2e-o", 3) == ["plain,e2e-other"]
    assert "plain,down" in complete("esb do", 1)


def _logs(shell: Shell, *options: str) -> list[str]:
    return shell.esb("logs", "--env", "kept", *options, "--json").stdout.splitlines()


def test_logs_show_no_secret(project: Project, shell: Shell) -> None:
    """Also where a service has written one."""
    secret = shell.json("env", "--env", "kept")["variables"]["S3_SECRET_KEY"]
    with (project.state("kept") / "logs" / "gateway.log").open("a") as log:
        log.write(f"the key is {secret}\n")
    shown = shell.esb("logs", "--env", "kept", "--service", "gateway").stdout
    assert "the key is ***" in shown
    assert secret not in shown


def test_logs_follow_until_the_user_has_enough(shell: Shell) -> None:
    """Lines of a call that was made meanwhile are there; Ctrl-C is no failure."""
    process = shell.start("logs", "--env", "kept", "-f", "--function", "echo", "--json")
    assert process.stdout is not None
    trace = shell.json("invoke", "--env", "kept", "echo", '{"body": "again"}')["trace_id"]
    line = next(line for line in process.stdout if trace in line)
    assert json.loads(line)["function"] == "echo"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=SECONDS)
    assert process.returncode == 0


def test_exec_runs_a_command_with_the_variables(shell: Shell) -> None:
    """Its output is the command's, its exit code 1 where the command's is not 0."""
    done = shell.esb("exec", "--env", "kept", "sh", "-c", "echo $ESB_ENV at $AWS_ENDPOINT_URL_S3")
    assert done.stdout.strip() == f"kept at {shell.esb('url', '--env', 'kept', 's3').stdout.strip()}"
    said = shell.esb("exec", "--env", "kept", "--json", "sh", "-c", "echo no >&2; exit 7", code=1)
    failed = json.loads(said.stdout)
    assert (failed["exit"], failed["stderr"]) == (7, "no\n")
    assert "no containers" in shell.esb("exec", "-e", "kept", "-s", "agent", "ls", code=2).stderr


def test_ps_lists_environments_and_what_runs_in_one(shell: Shell) -> None:
    """Name, profile, status, and where; then services and function workers."""
    (row,) = shell.json("ps")["environments"]
    assert (row["name"], row["profile"], row["status"]) == ("kept", "e2e-local", "up")
    shell.esb("invoke", "--env", "kept", "echo")
    inside = shell.json("ps", "--env", "kept")["services"]
    services = {row["name"]: row["status"] for row in inside if row["kind"] == "service"}
    assert services == dict.fromkeys(("agent", "database", "gateway", "s3-storage"), "running")
    assert "echo" in {row["name"] for row in inside if row["kind"] == "function"}


def test_pytest_takes_an_environment_by_its_name_and_esb_one_of_pytest(
    project: Project, shell: Shell
) -> None:
    """`pytest --esb-env NAME --esb-test-only` needs no profile; what pytest has kept is seen here."""
    before = sorted(shell.json("ps", "--env", "kept")["services"], key=str)
    done = _pytest(shell, "--esb-env", "kept", "--esb-test-only", "-n0")
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout
    services = [row for row in before if row["kind"] == "service"]
    assert [
        row for row in shell.json("ps", "--env", "kept")["services"] if row["kind"] == "service"
    ] == services
    kept = _pytest(shell, "--esb-profile", "e2e-other", "--esb-env", "more", "--esb-build-only")
    assert kept.returncode == 0, kept.stdout
    rows = {row["name"]: (row["profile"], row["status"]) for row in shell.json("ps")["environments"]}
    assert rows == {"kept": ("e2e-local", "up"), "more": ("e2e-other", "up")}
    assert "was made from e2e-other" in shell.esb("up", "-e", "more", "--profile", "e2e-local", code=2).stderr
    assert shell.esb("invoke", "--env", "more", "echo").returncode == 0
    assert shell.json("down", "--env", "more") == {"ok": True, "environment": "more", "removed": True}
    project.assert_removed("more")
    assert shell.esb("down", "--env", "more").stdout == "more is not there\n"


def _pytest(shell: Shell, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pytest", *LEAN, "-p", "no:cacheprovider", *options],
        cwd=shell.folder,
        env=shell.variables,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_what_a_live_run_holds_is_not_taken_down(project: Project, shell: Shell) -> None:
    """`esb down` names the holder, and nothing of the environment is touched."""
    held = project.path / "held"
    project.write("e2e/scenarios/test_hold.py", HOLD)
    command = [sys.executable, "-m", "pytest", *LEAN, "-s", "-n0", "--esb-env", "kept", "--esb-test-only"]
    holder = subprocess.Popen(
        [*command, "--esb-profile", "e2e-local", "e2e/scenarios/test_hold.py"],
        cwd=shell.folder,
        env=shell.variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        eventually(held.exists, "a test that holds the environment")
        refused = shell.esb("down", "--env", "kept", code=1)
        assert f"environment kept is held by pid {holder.pid} " in refused.stderr
        row = shell.json("ps")["environments"][0]
        assert f"held by pid {holder.pid} " in row["detail"]
    finally:
        holder.communicate("\n", timeout=SECONDS)
        (project.path / "e2e/scenarios/test_hold.py").unlink()
    assert holder.returncode == 0
    assert shell.json("ps")["environments"][0]["status"] == "up"


def test_an_interrupted_up_leaves_nothing(tmp_path: Path) -> None:
    """SIGTERM while it comes up: what was there is removed, exit code 1, no traceback."""
    project = local_project(tmp_path / "project", "e2e-local")
    shell = shell_in(project)
    process = shell.start("up", "--env", "cut", "--profile", "e2e-local")
    assert process.stderr is not None
    next(line for line in process.stderr if "reset: done" in line)
    process.terminate()
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert "interrupted: what is there is removed" in err
    assert err.endswith("esb up: interrupted\n")
    assert "Traceback" not in err
    project.assert_removed("cut")


def test_a_killed_up_is_cleaned_up_by_its_reaper(tmp_path: Path) -> None:
    """SIGKILL while it comes up: nothing is left as soon as the reaper is done."""
    project = local_project(tmp_path / "project", "e2e-local")
    shell = shell_in(project)
    process = shell.start("up", "--env", "cut")
    assert process.stderr is not None
    next(line for line in process.stderr if "reset: done" in line)
    with until_it_ends(eventually(lambda: reaper_of(project.path), "there is a reaper")):
        process.kill()
        process.communicate(timeout=SECONDS)
    project.assert_removed("cut")
    assert shell.esb("down", "--env", "cut").returncode == 0


def test_a_failed_up_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    """Phase and cause in one line, exit code 1; with --keep-failed it stays to be looked at."""
    project = local_project(tmp_path / "project", "e2e-local")
    project.artifact("e2e-local", functions="functions: {echo: {image: [wrong]}}\n")
    shell = shell_in(project)
    failed = shell.json("up", "--env", "bad", code=1)
    assert failed["error"]["message"].startswith("[bad] failed in deploy: ")
    project.assert_removed("bad")
    kept = shell.esb("up", "--env", "bad", "--keep-failed", code=1)
    assert "left as it failed in deploy" in kept.stderr
    assert shell.json("ps")["environments"][0]["detail"].startswith("failed in deploy: ")
    assert os.listdir(project.state("bad") / "logs")  # noqa: PTH208
    shell.esb("down", "--env", "bad")
    project.assert_removed("bad")
