"""The deploy phase: committed artifacts become the configuration that the services run."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from artifactctl.apply import apply
from artifactctl.commands import CommandError
from artifactctl.errors import ArtifactError
from esb_e2e_plugin.context import RunContext
from esb_e2e_plugin.diagnosis import LAST_LINES
from esb_e2e_plugin.errors import UserError
from esb_e2e_plugin.events import Journal
from esb_e2e_plugin.failure import Kind, StepError
from esb_e2e_plugin.lifecycle.deadline import Deadline
from esb_e2e_plugin.lifecycle.driver import Driver, FunctionImages
from esb_e2e_plugin.lifecycle.health import probe
from esb_e2e_plugin.lifecycle.supervisor import GUILTY_LINES, POLL_SECONDS, Command, Supervisor

APPLIER_VARIABLE = "ARTIFACTCTL_BIN"
PREPARE_IMAGES = "prepare-images"

_T = TypeVar("_T")


@dataclass(frozen=True)
class Artifacts:
    """What is applied to an environment, and how.

    Attributes:
        manifest: the artifact manifest.
        config: the folder that is applied to.
        secret_env: file with the secrets that the manifest requires.
        strict: whether a difference in runtime metadata is an error.
        applier: program that applies in place of the built-in applier.
    """

    manifest: Path
    config: Path
    secret_env: Path | None
    strict: bool
    applier: Path | None


def find_applier(environ: Mapping[str, str]) -> Path | None:
    """Return the program that `ARTIFACTCTL_BIN` names, or None for the built-in applier.

    Raises:
        UserError: there is no such program.
    """
    named = environ.get(APPLIER_VARIABLE, "").strip()
    if not named:
        return None
    found = shutil.which(named)
    if found is None:
        raise UserError(
            f"{APPLIER_VARIABLE}={named} is not a program that can be run",
            f"name an executable file, or unset {APPLIER_VARIABLE} to use the built-in applier",
        )
    return Path(found).absolute()


def deploy(
    artifacts: Artifacts,
    context: RunContext,
    driver: Driver,
    supervisor: Supervisor,
    journal: Journal,
    deadline: Deadline,
) -> FunctionImages:
    """Prepare images, apply the artifacts, create the resources, and wait until the gateway serves them.

    Returns:
        What the functions run from now.

    Raises:
        StepError: a step failed; names it.
    """
    images = _step(journal, PREPARE_IMAGES, lambda: driver.prepare_images(context, deadline))
    digest = _step(
        journal, "apply", lambda: _apply(artifacts, images.code, context, supervisor, journal, deadline)
    )
    _step(journal, "publish", lambda: driver.publish_config(context, deadline))
    _step(journal, "provisioner", lambda: driver.provision(context, deadline))
    _step(journal, "gateway", lambda: _wait_for_config(digest, context, driver, deadline))
    return images


def applied_digest(config: Path) -> str | None:
    """Return the digest of the configuration that is current in the folder `config`, or None."""
    try:
        return (config / ".current").readlink().name
    except OSError:
        return None


def _step(journal: Journal, name: str, run: Callable[[], _T]) -> _T:
    journal.event("phase.progress", phase="deploy", step=name)
    journal.line("esb", f"deploy: {name}")
    try:
        return run()
    except ArtifactError as error:
        raise _failed(name, error) from error
    except StepError as error:
        if error.service is None:
            error.component = error.component or name
        raise


def _failed(step: str, error: ArtifactError) -> StepError:
    lines = error.output if isinstance(error, CommandError) else ()
    is_image = isinstance(error, CommandError) or error.field == "image"
    return StepError(
        f"{step} failed: {error}",
        remedy=error.remedy or (LAST_LINES if lines else "correct the artifact, then run again"),
        service=step if lines else None,
        lines=lines,
        kind=Kind.IMAGE_BUILD if is_image and step == PREPARE_IMAGES else Kind.DEPLOY_STEP,
        component=(error.value or step).strip("'") if is_image else _guilty_file(error) or step,
    )


def _guilty_file(error: ArtifactError) -> str | None:
    return error.path.name if error.path is not None else None


def _apply(
    artifacts: Artifacts,
    images: Mapping[str, str],
    context: RunContext,
    supervisor: Supervisor,
    journal: Journal,
    deadline: Deadline,
) -> str | None:
    config = artifacts.config
    if artifacts.applier is not None:
        _run_applier(artifacts.applier, artifacts, context, supervisor, deadline)
        return applied_digest(config)
    result = apply(
        artifacts.manifest,
        config,
        secret_env=artifacts.secret_env,
        strict=artifacts.strict,
        images=images,
        lock_timeout=deadline.remaining(),
    )
    for warning in result.warnings:
        journal.say(f"apply: warning: {warning}")
    return result.digest


def _run_applier(
    applier: Path,
    artifacts: Artifacts,
    context: RunContext,
    supervisor: Supervisor,
    deadline: Deadline,
) -> None:
    argv = [str(applier), "apply", "--artifact", str(artifacts.manifest), "--out", str(artifacts.config)]
    if artifacts.secret_env is not None:
        argv += ["--secret-env", str(artifacts.secret_env)]
    if artifacts.strict:
        argv.append("--strict")
    try:
        supervisor.run(Command("artifactctl", tuple(argv), context.environment), deadline)
    except StepError as error:
        if error.service == "artifactctl":
            error.kind = Kind.DEPLOY_STEP
        raise


def _wait_for_config(digest: str | None, context: RunContext, driver: Driver, deadline: Deadline) -> None:
    check = driver.gateway_health(context)
    while True:
        ended = driver.watch(POLL_SECONDS)
        if ended is not None:
            raise ended
        health = probe(check)
        config = (health.body or {}).get("config") or {}
        served, rejected = config.get("digest"), config.get("rejected") or {}
        if health.ok and served == digest:
            return
        if rejected.get("digest") == digest:
            raise StepError(
                f"the gateway rejects the applied configuration: {rejected.get('reason')}",
                remedy="correct the artifact, then run again",
                service="gateway",
                lines=driver.last_lines("gateway", GUILTY_LINES),
                kind=Kind.DEPLOY_STEP,
            )
        try:
            deadline.check(f"the gateway to serve configuration {digest}")
        except StepError as error:
            raise StepError(
                f"{error.message}; it serves {served or 'none'} ({health.detail})",
                remedy=error.remedy or "",
                service="gateway",
                lines=driver.last_lines("gateway", GUILTY_LINES),
            ) from None
