"""The context of a run: names, paths, and which variables reach the services."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from esb_e2e_plugin.context import RunContext, build_context
from esb_e2e_plugin.credentials import CREDENTIAL_NAMES, Credentials
from esb_e2e_plugin.errors import MatrixError, UserError
from esb_e2e_plugin.matrix import load_matrix
from esb_e2e_plugin.planner import plan
from esb_e2e_plugin.ports import PortBlock

CREDENTIALS = Credentials("user", "pass", "key", "j" * 32, "s3key", "s3secret")

Build = Callable[..., RunContext]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Build the context of an entry, given as YAML; keyword arguments replace the usual ones."""

    def build(entry: str = "esb_env: E2E-Local, esb_project: Shop", **changes: object) -> RunContext:
        path = tmp_path / "test_matrix.yaml"
        path.write_text(f"suites: {{s: {{targets: [s]}}}}\nmatrix:\n- {{{entry}, suites: [s]}}\n")
        (scenario,) = plan(load_matrix(path, tmp_path), ["all"]).scenarios
        usual: dict[str, object] = {
            "root": tmp_path,
            "run_id": "run1",
            "ports": PortBlock(18020),
            "host_env": {},
            "env_file_values": {},
            "credentials": CREDENTIALS,
            "git_sha": "abc1234",
            "ci": False,
        }
        return build_context(scenario, **(usual | changes))  # type: ignore[arg-type]  # changes are by name

    return build


def test_names_follow_the_contract(build: Build) -> None:
    """Resources are named `<esb_project>-<env>` in lower case; node ids keep the entry's name."""
    context = build()
    assert (context.name, context.profile, context.project) == ("e2e-local", "E2E-Local", "shop-e2e-local")
    assert context.labels == {
        "com.esb.managed": "true",
        "com.esb.project": "shop-e2e-local",
        "com.esb.env": "e2e-local",
        "com.esb.run": "run1",
    }


@pytest.mark.parametrize(
    ("ci", "git_sha", "tag"),
    [
        (False, "abc1234", "e2e-e2e-local-latest"),
        (True, "abc1234", "e2e-e2e-local-abc1234"),
        (True, None, "e2e-e2e-local-latest"),
    ],
)
def test_image_tags_name_the_commit_in_ci_only(build: Build, ci: bool, git_sha: str | None, tag: str) -> None:
    """Locally a tag is overwritten by the next run; in CI it stays with its commit."""
    assert build(ci=ci, git_sha=git_sha).image_tag == tag


def test_paths_lie_in_the_state_folder_of_the_environment(build: Build, tmp_path: Path) -> None:
    """Everything lies where `reset` finds it, but the log: that is beside the scenarios, if there are any."""
    paths = build().paths
    state = tmp_path / ".esb" / "e2e" / "state" / "e2e-local"
    assert (paths.root, paths.state, paths.run) == (tmp_path, state, state / "run")
    assert (paths.certificates, paths.logs) == (state / "certificates", state / "logs")
    assert paths.ca_certificate.parent == paths.certificates
    assert (paths.events, paths.config) == (state / "events.jsonl", None)
    assert paths.log == tmp_path / ".esb" / ".parallel-e2e-local.log"
    (tmp_path / "e2e").mkdir()
    assert build().paths.log == tmp_path / "e2e" / ".parallel-e2e-local.log"


def test_the_config_dir_is_that_of_the_matrix(build: Build, tmp_path: Path) -> None:
    """Its placeholders stand for the project and the environment."""
    context = build(
        "esb_env: e2e-local, artifact_manifest: a.yml, config_dir: '.esb/${ESB_PROJECT}-${ESB_ENV}/c'"
    )
    assert context.paths.config == tmp_path / ".esb" / "esb-e2e-local" / "c"


@pytest.mark.parametrize(
    ("address", "host"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "[::1]"), ("::", "[::1]")],  # noqa: S104
)
def test_urls_name_an_address_that_answers(build: Build, address: str, host: str) -> None:
    """A service that listens everywhere is reached on the loopback address."""
    urls = build(ports=PortBlock(18020, address)).urls
    assert (urls.gateway, urls.gateway_http) == (f"https://{host}:18020", f"http://{host}:18021")
    assert (urls.database, urls.s3) == (f"http://{host}:18025", f"http://{host}:18026")
    assert urls.agent_metrics == f"http://{host}:18023"


def test_a_stack_without_tls_has_a_plain_gateway_url(build: Build) -> None:
    """The matrix says how the front door is spoken to."""
    assert build("esb_env: a, gateway: {scheme: http}").urls.gateway == "http://127.0.0.1:18020"


def test_little_of_the_callers_environment_enters(build: Build) -> None:
    """Only what finds programs, engines and the way through a proxy is handed on."""
    handed_on = {
        "PATH": "/bin",
        "HOME": "/h",
        "DOCKER_HOST": "unix:///x",
        "HTTPS_PROXY": "http://p",
        "no_proxy": "localhost",
        "SSL_CERT_FILE": "/ca",
    }
    dropped = {"AWS_PROFILE": "x", "ESB_PROFILE": "x", "PYTHONPATH": "x", "AUTH_USER": "x", "PROXY": "x"}
    environment = build(host_env=handed_on | dropped).environment
    assert {name: environment.get(name) for name in handed_on} == handed_on
    assert "x" not in environment.values()


def test_later_sources_win(build: Build) -> None:
    """The env file wins over the caller, the matrix over the env file."""
    context = build(
        "esb_env: e2e-local, env_vars: {B: matrix}",
        host_env={"PATH": "host", "HOME": "host"},
        env_file_values={"A": "file", "B": "file", "PATH": "file"},
    )
    found = {name: context.environment[name] for name in ("A", "B", "PATH", "HOME")}
    assert found == {"A": "file", "B": "matrix", "PATH": "file", "HOME": "host"}


def test_computed_variables_describe_the_environment(build: Build) -> None:
    """Services are told who they are and where they listen."""
    environment = build().environment
    assert environment["ESB_ENV"] == "e2e-local"
    assert environment["ESB_PROJECT"] == "shop-e2e-local"
    assert environment["ESB_RUN_ID"] == "run1"
    assert environment["ESB_MODE"] == "process"
    assert environment["ESB_BIND_ADDRESS"] == "127.0.0.1"
    assert environment["ESB_IMAGE_TAG"] == "e2e-e2e-local-latest"
    ports = {name: value for name, value in environment.items() if name.startswith("ESB_PORT_")}
    assert ports == {
        "ESB_PORT_GATEWAY_HTTPS": "18020",
        "ESB_PORT_GATEWAY_HTTP": "18021",
        "ESB_PORT_AGENT_GRPC": "18022",
        "ESB_PORT_AGENT_METRICS": "18023",
        "ESB_PORT_REGISTRY": "18024",
        "ESB_PORT_DATABASE": "18025",
        "ESB_PORT_S3": "18026",
        "ESB_PORT_S3_CONSOLE": "18027",
    }
    assert "CONTAINER_REGISTRY" not in environment


def test_containerd_gets_a_registry_and_firecracker_its_runtime(build: Build) -> None:
    """The runtime pulls from the registry's name; where the host pushes to is known when it runs."""
    environment = build("esb_env: e2e-firecracker").environment
    assert environment["ESB_MODE"] == "containerd"
    assert environment["CONTAINER_REGISTRY"] == "registry:5010"
    assert "HOST_REGISTRY_ADDR" not in environment
    assert environment["CONTAINERD_RUNTIME"] == "aws.firecracker"


@pytest.mark.parametrize("name", ["CONTAINER_REGISTRY", "HOST_REGISTRY_ADDR", "ESB_SUBNET_FUNCTIONS"])
def test_the_registry_of_a_containerd_environment_cannot_be_set(build: Build, name: str) -> None:
    """All environments of an engine share one, and each gets a subnet of its own."""
    with pytest.raises(MatrixError, match=f"env_vars.{name}: is computed"):
        build(f"esb_env: e2e-containerd, env_vars: {{{name}: x}}")


@pytest.mark.parametrize("name", ["ESB_ENV", "ESB_PROJECT", "ESB_PORT_S3", "ESB_SUBNET_EXTERNAL"])
def test_a_computed_variable_cannot_be_set(build: Build, name: str) -> None:
    """The error names the line of the matrix, or the env file and the variable."""
    with pytest.raises(MatrixError) as in_matrix:
        build(f"esb_env: e2e-local, env_vars: {{{name}: x}}")
    assert (
        f"test_matrix.yaml:3: E2E-Local: env_vars.{name}: is computed".lower() in str(in_matrix.value).lower()
    )
    with pytest.raises(UserError, match=rf"{name}: is computed .* \(remove it\)"):
        build(env_file_values={name: "x"})


def test_credentials_that_the_user_chose_win(build: Build) -> None:
    """A chosen user name replaces the random one everywhere; a blank one chooses nothing."""
    context = build(
        "esb_env: a, env_vars: {AUTH_USER: chosen}",
        env_file_values={"AUTH_USER": "file", "X_API_KEY": "from-file", "AUTH_PASS": " "},
    )
    assert context.credentials.auth_user == context.environment["AUTH_USER"] == "chosen"
    assert context.credentials.x_api_key == context.environment["X_API_KEY"] == "from-file"
    assert context.credentials.auth_pass == context.environment["AUTH_PASS"] == "pass"
    assert set(CREDENTIAL_NAMES) <= context.environment.keys()


def test_a_short_signing_key_is_refused_without_being_shown(build: Build) -> None:
    """Tokens signed with it would be refused by every careful library."""
    with pytest.raises(UserError, match="JWT_SECRET_KEY: is too short; expected at least 32") as raised:
        build(env_file_values={"JWT_SECRET_KEY": "hunter2"})
    assert "hunter2" not in str(raised.value)


def test_random_credentials_differ_and_are_not_shown(build: Build) -> None:
    """Each run has its own, and no representation of a context or of credentials gives them away."""
    one, other = Credentials.random(), Credentials.random()
    assert not set(one.to_env().values()) & set(other.to_env().values())
    assert len(one.jwt_secret_key) >= 32
    context = build(credentials=one)
    for secret in one.to_env().values():
        assert secret not in repr(one)
        assert secret not in repr(context)


def test_a_context_survives_pickling(build: Build) -> None:
    """It may travel to another process."""
    context = build()
    assert pickle.loads(pickle.dumps(context)) == context  # noqa: S301


@pytest.mark.parametrize(
    ("bind_address", "engine_host", "host"),
    [
        ("127.0.0.1", None, "127.0.0.1"),
        ("0.0.0.0", None, "127.0.0.1"),  # noqa: S104  the address of a test's data
        ("0.0.0.0", "build-box", "build-box"),  # noqa: S104  the same
        ("::", "build-box", "build-box"),
        ("192.0.2.7", "build-box", "192.0.2.7"),
    ],
)
def test_urls_name_the_host_of_the_engine(
    build: Build, bind_address: str, engine_host: str | None, host: str
) -> None:
    """What listens on every address of another machine is reached by that machine's name."""
    context = build(ports=PortBlock(18020, bind_address), engine_host=engine_host)
    assert context.urls.gateway == f"https://{host}:18020"
