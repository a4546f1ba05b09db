"""Deploying: images first, then the config that names them."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from artifactctl import output
from artifactctl.apply import ApplyResult, apply, check
from artifactctl.commands import Commands
from artifactctl.images import TIMEOUT, PrepareResult, prepare_manifest
from artifactctl.merge import LOCK_TIMEOUT


@dataclass(frozen=True, slots=True)
class DeployResult:
    """What a deploy prepared and applied."""

    prepared: PrepareResult
    applied: ApplyResult


def deploy(
    manifest_path: Path,
    out: Path,
    *,
    secret_env: Path | None = None,
    strict: bool = False,
    additive: bool = False,
    no_cache: bool = False,
    fixtures: Mapping[str, Path] | None = None,
    environ: Mapping[str, str] | None = None,
    log: Callable[[str], None] | None = None,
    timeout: float = TIMEOUT,
    lock_timeout: float = LOCK_TIMEOUT,
) -> DeployResult:
    """Prepare the manifest's images, then apply it to `out`; most mistakes are told before any build.

    Args:
        manifest_path: the `artifact.yml`.
        out: the output folder; made if it does not exist.
        secret_env: see `apply.apply`, as `strict`, `additive` and `lock_timeout`.
        strict: see `secret_env`.
        additive: see `secret_env`.
        no_cache: see `images.prepare`, as `fixtures`, `environ`, `log` and `timeout`.
        fixtures: see `no_cache`.
        environ: see `no_cache`.
        log: see `no_cache`.
        timeout: see `no_cache`.
        lock_timeout: see `secret_env`.

    Raises:
        ArtifactError: something is wrong with the input or `out`, or an image cannot be had; `out` is then
            untouched.
    """
    manifest, _ = check(manifest_path, secret_env=secret_env, strict=strict)
    output.check(out)
    commands = Commands(os.environ if environ is None else environ, log, timeout)
    prepared = prepare_manifest(manifest, no_cache=no_cache, fixtures=fixtures or {}, commands=commands)
    applied = apply(
        manifest_path,
        out,
        secret_env=secret_env,
        strict=strict,
        images=prepared.function_ids(),
        additive=additive,
        lock_timeout=lock_timeout,
    )
    return DeployResult(prepared, applied)
