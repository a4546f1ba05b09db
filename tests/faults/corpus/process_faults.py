"""Faults of environments whose services are processes of this machine."""

import contextlib
from collections.abc import Iterator

from esb_e2e_plugin.failure import Kind
from esb_e2e_plugin.ports import BLOCK_SIZE, OFFSETS
from tests.faults.corpus.fault import Corpus
from tests.faults.project import ENVIRONMENT, Project
from tests.ports import listener

PROCESS = Corpus()
ENV_FILE = f"e2e/environments/{ENVIRONMENT}/.env"
HOURS = '__import__("threading").Event().wait(3600)'

AT_START = """
import contextlib, os, signal
from esb_e2e_plugin.lifecycle.supervisor import Supervisor

start = Supervisor.start

def start_and_strike(self, command):
    start(self, command)
    if command.name == "{at}":
        pids = [self.identities()[victim].pid for victim in {victims}]
        for pid in pids:
            os.kill(pid, signal.{signal})
        for pid in pids:
            with contextlib.suppress(ChildProcessError):  # somebody has seen its end before
                os.waitid(os.P_PID, pid, os.WEXITED | os.WSTOPPED | os.WNOWAIT)

Supervisor.start = start_and_strike
"""

KILLS = """
import json, os, signal, time
from pathlib import Path

STATE = Path(".esb/e2e/state/e2e-local")

def test_kill(esb_environment):
    services = json.loads((STATE / "state.json").read_text())["services"]
    os.kill(services["database"]["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 60
    while '"phase": "cleanup"' not in (STATE / "events.jsonl").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
"""

CALLS = """
def test_hello(esb_gateway):
    assert esb_gateway.post("/api/hello").status_code == 200
"""


def strike(at: str, *victims: str, signal: str = "SIGKILL") -> str:
    """Return a conftest that sends services a signal when a command starts."""
    return AT_START.format(at=at, victims=victims, signal=signal)


@PROCESS.fault(
    "a folder that is not ours",
    "reset",
    Kind.USER_INPUT,
    r"{project}/\.esb/staging/config",
    cause=r"an earlier run left .*is not a list",
    remedy="remove it by hand",
    leaves=True,
    stays=True,
)
def _(project: Project) -> None:
    project.write(".esb/staging/config/.artifactctl.json", "not a list")


@PROCESS.fault(
    "a host folder that others may write to",
    "reset",
    Kind.ENGINE,
    ".*/host",
    cause="can be written by other users",
    remedy="chmod 700 .*/host",
    is_outside=True,
)
def _(project: Project) -> None:
    project.host.mkdir()
    project.host.chmod(0o777)


@PROCESS.fault(
    "an environment that another run holds",
    "reset",
    Kind.ENGINE,
    "lock",
    cause="is held by .*pid",
    remedy="--esb-lock-timeout",
    options=("--esb-lock-timeout=1",),
    is_outside=True,
)
@contextlib.contextmanager
def _(project: Project) -> Iterator[None]:
    project.hold.touch()
    other = project.start("-n0", "-k", "test_hold")
    other.reach("test")
    try:
        yield
    finally:
        project.hold.unlink()
        assert other.wait().code == 0


@PROCESS.fault(
    "no ports are left",
    "compose",
    Kind.ENGINE,
    "ports",
    cause=r"no block of \d+ free ports is left",
    remedy="port_base in the matrix",
)
@contextlib.contextmanager
def _(project: Project) -> Iterator[None]:
    base = project.port_base
    conftest = "from esb_e2e_plugin import ports\nports.range_end = lambda base: {end}\n"
    project.write("conftest.py", conftest.format(end=base + BLOCK_SIZE))
    with listener(base + OFFSETS["database"]):
        yield


@PROCESS.fault(
    "a variable that a service refuses",
    "compose",
    Kind.USER_INPUT,
    "gateway",
    cause="gateway exited with status 2",
    remedy="correct CIRCUIT_BREAKER_THRESHOLD: env_vars in the matrix, or the env file",
    shows="variable CIRCUIT_BREAKER_THRESHOLD is 'nonsense'; expected",
)
def _(project: Project) -> None:
    project.write(ENV_FILE, "CIRCUIT_BREAKER_THRESHOLD=nonsense\n")


@PROCESS.fault(
    "a service that is killed at its start",
    "compose",
    Kind.SERVICE_START,
    "agent",
    cause="agent was killed by signal 9",
    remedy="dmesg",
)
def _(project: Project) -> None:
    project.write("conftest.py", strike("gateway", "agent"))


@PROCESS.fault(
    "two services that end at once, one of which needs the other",
    "compose",
    Kind.SERVICE_START,
    "s3-storage",
    cause="s3-storage was killed by signal 9",
    remedy="dmesg",
)
def _(project: Project) -> None:
    project.write("conftest.py", strike("gateway", "gateway", "s3-storage"))


@PROCESS.fault(
    "a service that hangs",
    "compose",
    Kind.HEALTH,
    "gateway",
    cause="timed out after 8 s waiting for .*gateway to become healthy",
    remedy="--esb-timeout-compose allows more",
    options=("--esb-timeout-compose=8",),
)
def _(project: Project) -> None:
    project.write("conftest.py", strike("gateway", "gateway", signal="SIGSTOP"))


@PROCESS.fault(
    "a functions.yml that is no YAML",
    "deploy",
    Kind.DEPLOY_STEP,
    "functions.yml",
    cause="functions.yml:2: is not valid YAML",
    remedy="correct the artifact",
)
def _(project: Project) -> None:
    project.write("e2e/artifact/tiny/config/functions.yml", "functions:\n  hello: {image: [\n")


@PROCESS.fault(
    "a resource that cannot be made",
    "deploy",
    Kind.DEPLOY_STEP,
    "provisioner",
    cause="provisioner exited with status 1",
    remedy="its last lines",
    shows="crooked",
)
def _(project: Project) -> None:
    table = {
        "TableName": "crooked",
        "KeySchema": [{"AttributeName": "id", "KeyType": "SIDEWAYS"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    project.write("e2e/artifact/tiny/config/resources.yml", {"resources": {"dynamodb": [table]}})


@PROCESS.fault(
    "a service that the provisioner needs is killed",
    "deploy",
    Kind.SERVICE_START,
    "s3-storage",
    cause="s3-storage was killed by signal 9",
    remedy="dmesg",
)
def _(project: Project) -> None:
    project.write("conftest.py", strike("provisioner", "s3-storage"))


@PROCESS.fault(
    "a deploy hook that raises",
    "deploy",
    Kind.DEPLOY_STEP,
    "pytest_esb_deploy",
    cause="a pytest_esb_deploy hook failed: KeyError: 'no such thing'",
    remedy=r"mend the hook: {project}/conftest.py:2",
)
def _(project: Project) -> None:
    project.write("conftest.py", "def pytest_esb_deploy(environment, log):\n    {}['no such thing']\n")


@PROCESS.fault(
    "a deploy hook that never returns",
    "deploy",
    Kind.DEPLOY_STEP,
    "pytest_esb_deploy",
    cause=r"does not return: timed out after 8 s .*; it is at {project}/conftest.py:2",
    remedy="--esb-timeout-deploy",
    options=("--esb-timeout-deploy=8",),
)
def _(project: Project) -> None:
    project.write("conftest.py", f"def pytest_esb_deploy(environment, log):\n    {HOURS}\n")


@PROCESS.fault(
    "a ready hook that raises",
    "deploy",
    Kind.DEPLOY_STEP,
    "pytest_esb_environment_ready",
    cause="a pytest_esb_environment_ready hook failed: RuntimeError: not today",
    remedy=r"mend the hook: {project}/conftest.py:2",
)
def _(project: Project) -> None:
    hook = "def pytest_esb_environment_ready(environment):\n    raise RuntimeError('not today')\n"
    project.write("conftest.py", hook)


@PROCESS.fault(
    "an applier that cannot be executed",
    "deploy",
    Kind.DEPLOY_STEP,
    "artifactctl",
    cause="artifactctl cannot be started: No such file or directory: {project}/applier",
    remedy="make {project}/applier a file that this machine can execute",
)
def _(project: Project) -> None:
    apply_by(project, "#!/no/such/interpreter\n")


@PROCESS.fault(
    "an applier that fails",
    "deploy",
    Kind.DEPLOY_STEP,
    "artifactctl",
    cause="artifactctl exited with status 3",
    remedy="its last lines",
)
def _(project: Project) -> None:
    apply_by(project, "#!/bin/sh\necho the artifact is old >&2\nexit 3\n")


@PROCESS.fault(
    "an applier for which no room is left",
    "deploy",
    Kind.ENGINE,
    "artifactctl",
    cause="artifactctl exited with status",
    remedy="make room on the disk",
)
def _(project: Project) -> None:
    apply_by(project, "#!/bin/sh\nset -e\ncat /proc/version >/dev/full\n")


@PROCESS.fault(
    "a configuration that the gateway rejects",
    "deploy",
    Kind.DEPLOY_STEP,
    "gateway",
    cause="the gateway rejects the applied configuration",
    remedy="correct the artifact",
    leaves=True,
)
def _(project: Project) -> None:
    digest = "0" * 64
    applied = f'"$out/{digest}"'
    apply_by(
        project,
        "#!/bin/sh\n"
        'while [ "$1" != --out ]; do shift; done; out=$2\n'
        f"mkdir -p {applied}\n"
        f"for name in routing resources; do echo '{{}}' >{applied}/$name.yml; done\n"
        f"echo '- [' >{applied}/functions.yml\n"
        f'ln -s {digest} "$out/.current"\n',
    )


@PROCESS.fault(
    "a service that dies under the tests",
    "test",
    Kind.PLATFORM,
    "database",
    cause="database was killed by signal 9",
    remedy="dmesg",
)
def _(project: Project) -> None:
    project.write("e2e/scenarios/test_tiny.py", KILLS)


@PROCESS.fault(
    "a function that cannot be imported",
    "test",
    Kind.PLATFORM,
    "hello",
    cause=r"test_tiny.py::test_hello\[e2e-local\]: .*assert 503 == 200",
    remedy="mend hello: its last lines say why",
    shows="No module named 'no_such_module_anywhere'",
)
def _(project: Project) -> None:
    project.write("e2e/artifact/tiny/functions/hello/src/app.py", "import no_such_module_anywhere\n")
    project.write("e2e/scenarios/test_tiny.py", CALLS)


@PROCESS.fault(
    "a function that raises",
    "test",
    Kind.PLATFORM,
    "hello",
    cause=r"test_tiny.py::test_hello\[e2e-local\]: .*assert 502 == 200",
    remedy="mend hello: its last lines say why",
    shows="ValueError: the shelf is empty",
)
def _(project: Project) -> None:
    source = "def handler(event, context):\n    raise ValueError('the shelf is empty')\n"
    project.write("e2e/artifact/tiny/functions/hello/src/app.py", source)
    project.write("e2e/scenarios/test_tiny.py", CALLS)


@PROCESS.fault(
    "a test that expects something else",
    "test",
    Kind.TEST,
    r"e2e/scenarios/test_tiny.py::test_sum\[e2e-local\]",
    cause="assert 1 == 2",
    remedy="look at the test itself",
)
def _(project: Project) -> None:
    project.write("e2e/scenarios/test_tiny.py", "def test_sum(esb_environment):\n    assert 1 == 2\n")


@PROCESS.fault(
    "a folder that the clean-up may not touch",
    "cleanup",
    Kind.ENGINE,
    r"{project}/\.esb/staging/config",
    cause="still there: .*is not a list",
    remedy="run the commands given",
    leaves=True,
)
def _(project: Project) -> None:
    spoils = "def test_spoils(esb_environment):\n    config = esb_environment.paths.config\n"
    project.write(
        "e2e/scenarios/test_tiny.py", f"{spoils}    (config / '.artifactctl.json').write_text('no list')\n"
    )


def apply_by(project: Project, script: str) -> None:
    """Let a program of the project's own apply its artifacts."""
    project.write("applier", script).chmod(0o755)
    project.more["ARTIFACTCTL_BIN"] = str(project.root / "applier")
