"""One scenario made concrete: names, paths, addresses and variables, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from esb_e2e_plugin.credentials import Credentials
from esb_e2e_plugin.env_file import line_of
from esb_e2e_plugin.environment import Paths, Urls
from esb_e2e_plugin.errors import UserError
from esb_e2e_plugin.matrix import Mode
from esb_e2e_plugin.planner import Scenario
from esb_e2e_plugin.ports import OFFSETS, PortBlock

REGISTRY = "registry:5010"
AUTH_PATH_NAME = "AUTH_ENDPOINT_PATH"
LABEL_PREFIX = "com.esb"
PORT_NAMES = tuple(f"ESB_PORT_{name.upper()}" for name in OFFSETS)
COMPUTED_NAMES = frozenset(
    {
        "ESB_ENV",
        "ESB_PROJECT",
        "ESB_RUN_ID",
        "ESB_MODE",
        "ESB_BIND_ADDRESS",
        "ESB_IMAGE_TAG",
        "ESB_SUBNET_EXTERNAL",
        "ESB_SUBNET_RUNTIME",
        "ESB_SUBNET_FUNCTIONS",
        *PORT_NAMES,
    }
)
# A service that listens on every address is reached on the loopback one.
_REACHABLE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
_AUTH_PATH = "/user/auth/v1"
_HOST_NAMES = frozenset({"PATH", "HOME", "SSL_CERT_FILE"})


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """Everything that the phases need to know about one environment in one run.

    Attributes:
        scenario: What it is made from.
        name: The instance's name, part of the name of every resource.
        profile: The entry's name in the matrix.
        project: Prefix of everything that belongs to it, `<esb_project>-<name>`.
        mode: What drives its services.
        run_id: The run that it belongs to.
        ports: Its host ports.
        paths: Its files and folders.
        urls: Base URLs as the host reaches them.
        image_tag: Tag of its images.
        labels: What its containers, networks, volumes and images are labelled with.
        credentials: Its secrets, with those that the user chose.
        environment: Environment variables of every subprocess.
    """

    scenario: Scenario
    name: str
    profile: str
    project: str
    mode: Mode
    run_id: str
    ports: PortBlock
    paths: Paths
    urls: Urls
    image_tag: str
    labels: Mapping[str, str]
    credentials: Credentials
    environment: Mapping[str, str] = field(repr=False)


def build_context(
    scenario: Scenario,
    *,
    root: Path,
    run_id: str,
    ports: PortBlock,
    host_env: Mapping[str, str],
    env_file_values: Mapping[str, str],
    credentials: Credentials,
    git_sha: str | None,
    ci: bool,
    engine_host: str | None = None,
) -> RunContext:
    """Make a scenario concrete.

    Args:
        scenario: What to run.
        root: The project root.
        run_id: This run's id.
        ports: Its leased ports.
        host_env: The caller's environment variables, of which only a few are handed on.
        env_file_values: What its env file says.
        credentials: Its secrets, where the user chose none.
        git_sha: Short id of the commit that is tested; without git, of its content.
        ci: Whether this runs in CI, where tags name the commit.
        engine_host: The other machine that its engine is on; None for this one.

    Raises:
        UserError: A variable that the user set is one that the plugin computes, or a credential is unusable.
    """
    entry = scenario.entry
    project = f"{entry.project}-{scenario.name}".lower()
    host = _url_host(ports.bind_address, engine_host)
    image_tag = tag_of(scenario, git_sha if ci else None)
    computed = {
        "ESB_ENV": scenario.name,
        "ESB_PROJECT": project,
        "ESB_RUN_ID": run_id,
        "ESB_MODE": entry.mode,
        "ESB_BIND_ADDRESS": ports.bind_address,
        "ESB_IMAGE_TAG": image_tag,
        **ports.to_env(),
    }
    if entry.mode == "containerd":
        computed["CONTAINER_REGISTRY"] = REGISTRY
    if entry.containerd_runtime is not None:
        computed["CONTAINERD_RUNTIME"] = entry.containerd_runtime
    refused = COMPUTED_NAMES | computed.keys()
    if entry.mode == "containerd":
        refused |= {"HOST_REGISTRY_ADDR"}  # known when the registry runs
    refuse_computed(scenario, env_file_values, refused)
    chosen = {**env_file_values, **entry.env_vars}
    credentials = credentials.overridden(chosen)
    environment = {**handed_on(host_env), **chosen, **computed, **credentials.to_env()}
    return RunContext(
        scenario=scenario,
        name=scenario.name,
        profile=scenario.profile,
        project=project,
        mode=entry.mode,
        run_id=run_id,
        ports=ports,
        paths=environment_paths(scenario, root),
        urls=_urls(entry.gateway.scheme, host, ports, environment.get(AUTH_PATH_NAME) or _AUTH_PATH),
        image_tag=image_tag,
        labels={
            f"{LABEL_PREFIX}.managed": "true",
            f"{LABEL_PREFIX}.project": project,
            f"{LABEL_PREFIX}.env": scenario.name,
            f"{LABEL_PREFIX}.run": run_id,
        },
        credentials=credentials,
        environment=environment,
    )


def tag_of(scenario: Scenario, commit: str | None) -> str:
    """Return the tag of an environment's images.

    Args:
        scenario: what to run.
        commit: short id of the commit that a CI run tests; None elsewhere.
    """
    return f"e2e-{scenario.name}-{commit or 'latest'}"


def refuse_computed(scenario: Scenario, from_file: Mapping[str, str], computed: frozenset[str]) -> None:
    """Raise `UserError` where the user sets a variable that is computed for each environment.

    Args:
        scenario: What to run, with the variables of the matrix.
        from_file: What its env file says.
        computed: The names that are computed.
    """
    problem = "is computed for each environment and cannot be set"
    for name in scenario.entry.env_vars:
        if name in computed:
            raise scenario.entry.error(f"env_vars.{name}", problem, remedy="remove it")
    path = scenario.entry.env_file
    for name in from_file:
        if name in computed:
            place = f"{path}:{line_of(path, name)}" if path is not None else "env file"
            raise UserError(f"{place}: {name}: {problem}", "remove it")


def handed_on(host_env: Mapping[str, str]) -> dict[str, str]:
    """Return the few variables of the caller that enter an environment."""
    return {
        name: value
        for name, value in host_env.items()
        if name in _HOST_NAMES or name.startswith("DOCKER_") or name.upper().endswith("_PROXY")
    }


def states_folder(root: Path) -> Path:
    """Return where the state folders of a project's environments are, each by its environment's name."""
    return root / ".esb" / "e2e" / "state"


def environment_paths(scenario: Scenario, root: Path) -> Paths:
    """Return the files and folders of an environment, which depend on nothing but its name.

    Args:
        scenario: What to run.
        root: The project root.
    """
    state = states_folder(root) / scenario.name
    logs_folder = root / "e2e" if (root / "e2e").is_dir() else root / ".esb"
    return Paths(
        root=root,
        state=state,
        run=state / "run",
        config=scenario.entry.config_path(root, scenario.name),
        certificates=state / "certificates",
        ca_certificate=state / "certificates" / "ca.crt",
        logs=state / "logs",
        log=logs_folder / f".parallel-{scenario.name}.log",
        events=state / "events.jsonl",
    )


def _urls(scheme: str, host: str, ports: PortBlock, auth_path: str) -> Urls:
    gateway = f"{scheme}://{host}:{ports.gateway_https}"
    return Urls(
        gateway=gateway,
        gateway_http=f"http://{host}:{ports.gateway_http}",
        agent_metrics=f"http://{host}:{ports.agent_metrics}",
        database=f"http://{host}:{ports.database}",
        s3=f"http://{host}:{ports.s3}",
        authentication=gateway + auth_path,
    )


def _url_host(bind_address: str, engine_host: str | None) -> str:
    host = bind_address
    if bind_address in _REACHABLE:
        host = engine_host or _REACHABLE[bind_address]
    return f"[{host}]" if ":" in host else host
