"""Everything that can be known to be wrong before anything is started."""

import hashlib
import importlib.util
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from artifactctl import build_inputs, secrets
from artifactctl.errors import ArtifactError
from artifactctl.manifest import load_manifest
from esb_e2e_plugin.context import build_context, environment_paths, refuse_computed
from esb_e2e_plugin.credentials import Credentials
from esb_e2e_plugin.env_file import read_env_file
from esb_e2e_plugin.errors import UserError
from esb_e2e_plugin.planner import Plan, Scenario
from esb_e2e_plugin.ports import PortBlock
from esb_e2e_plugin.settings import Settings
from esb_e2e_plugin.store import StateFile

_GIT_SECONDS = 10
_CONTENT_LENGTH = 12
_FIRECRACKER = (
    "a host with /dev/kvm, a guest kernel and a root file system for the functions' virtual machines, "
    "and a runtime-node with firecracker-containerd"
)


def check(plan: Plan, settings: Settings, environ: Mapping[str, str]) -> None:
    """Raise the first mistake in what the selected environments are made of.

    Args:
        plan: the selected environments.
        settings: options.
        environ: the caller's environment variables.

    Raises:
        UserError: names what, where, and what to do.
    """
    _check_bound(plan, settings)
    _check_platform()
    if any(scenario.entry.mode == "process" for scenario in plan.scenarios):
        _check_services()
    for scenario in plan.scenarios:
        _check_secrets(scenario)
        _check_address(scenario)
        _check_variables(scenario, plan.root, environ)
        if settings.test_only:
            _check_running(scenario, plan.root)


def check_planned(plan: Plan) -> None:
    """Raise `UserError` for an environment whose way to run functions is planned, but not there yet.

    Args:
        plan: the selected environments.
    """
    for scenario in plan.scenarios:
        entry = scenario.entry
        if entry.containerd_runtime is not None:
            raise entry.error(
                "",
                f"functions in virtual machines ({entry.containerd_runtime}) are planned, not there yet",
                expected=f"once they can: {_FIRECRACKER}",
                remedy="select another profile; docs/firecracker.md says what is missing",
            )


def version_of(plan: Plan) -> str:
    """Return the short id of the commit that is checked out; without git, of the content of all artifacts.

    Raises:
        UserError: there is no git, and an artifact cannot be read.
    """
    return _commit_of(plan.root) or _content_of(plan)


def _content_of(plan: Plan) -> str:
    manifests = {s.entry.artifact_manifest for s in plan.scenarios if s.entry.artifact_manifest is not None}
    digest = hashlib.sha256()
    try:
        for manifest in sorted(manifests):
            for artifact in load_manifest(manifest).artifacts:
                for line in build_inputs.collect(artifact.artifact_root).lines():
                    digest.update(line.encode("utf-8", "surrogateescape") + b"\n")
    except ArtifactError as error:
        raise UserError(str(error)) from error
    return digest.hexdigest()[:_CONTENT_LENGTH]


def _commit_of(root: Path) -> str | None:
    """Return the short id of the commit that is checked out in `root`, or None where git does not know."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--short", "HEAD"],  # noqa: S607  the caller's git
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _check_platform() -> None:
    """Raise `UserError` where processes cannot be told apart."""
    if not sys.platform.startswith("linux"):
        raise UserError(
            f"environments run on Linux only, this is {sys.platform}", "use a Linux machine or VM"
        )


def _check_services() -> None:
    """Raise `UserError` where the services are not installed beside the plugin."""
    if importlib.util.find_spec("esb_services") is None:
        raise UserError(
            f"the package esb-services is not installed for {sys.executable}",
            "pip install 'pytest-esb-e2e[local]'",
        )


def _check_bound(plan: Plan, settings: Settings) -> None:
    most, left = settings.max_environments, len(plan.scenarios)
    if most is None or left <= most or not settings.leaves_running:
        return
    leaving = next(name for name in ("build_only", "keep", "reuse") if getattr(settings, name))
    sources = settings.sources
    raise UserError(
        f"--esb-max-environments ({sources['max_environments']}) allows {most} at once, "
        f"but --esb-{leaving.replace('_', '-')} ({sources[leaving]}) leaves {left} running",
        "select fewer profiles, or allow more",
    )


def _check_secrets(scenario: Scenario) -> None:
    entry = scenario.entry
    try:
        if entry.artifact_manifest is not None:
            secrets.check(load_manifest(entry.artifact_manifest), entry.secret_env_file)
        if entry.secret_env_file is not None:
            secrets.read(entry.secret_env_file)  # its values are hidden later, so it must be readable
    except ArtifactError as error:
        raise UserError(str(error)) from error


def _check_variables(scenario: Scenario, root: Path, environ: Mapping[str, str]) -> None:
    entry = scenario.entry
    from_file = read_env_file(entry.env_file) if entry.env_file is not None else {}
    context = build_context(
        scenario,
        root=root,
        run_id="",
        ports=PortBlock(1, entry.bind_address),
        host_env=environ,
        env_file_values=from_file,
        credentials=Credentials.random(),
        git_sha=None,
        ci=False,
    )
    if entry.mode == "process":
        from esb_e2e_plugin.lifecycle import stack

        refuse_computed(scenario, from_file, stack.computed_names(context))


def _check_address(scenario: Scenario) -> None:
    entry = scenario.entry
    if entry.mode != "process":
        return  # the address is one of the engine's host
    family = socket.AF_INET6 if ":" in entry.bind_address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((entry.bind_address, 0))
    except OSError as error:
        raise entry.error(
            "bind_address",
            f"{entry.bind_address} cannot be bound: {error.strerror or error}",
            expected="an address of this host",
        ) from error


def _check_running(scenario: Scenario, root: Path) -> None:
    state = StateFile(environment_paths(scenario, root).state).read()
    if state is None or state.status != "kept":
        found = f"its state is {state.status!r}" if state is not None else "there is no state of it"
        raise UserError(
            f"--esb-test-only: environment {scenario.name} is not running ({found})",
            f"start it with: pytest --esb-profile {scenario.profile} --esb-build-only",
        )
