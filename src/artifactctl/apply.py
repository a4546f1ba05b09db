"""Applying a manifest: everything is checked, then its config becomes current in the output folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from artifactctl import output, runtime_meta, secrets
from artifactctl.manifest import Manifest, load_manifest
from artifactctl.merge import LOCK_TIMEOUT, MergeResult, merge_manifest


@dataclass(frozen=True, slots=True)
class ApplyResult(MergeResult):
    """What an apply left in the output folder; the warnings include those of the runtime metadata."""


def apply(
    manifest_path: Path,
    out: Path,
    *,
    secret_env: Path | None = None,
    strict: bool = False,
    images: Mapping[str, str] | None = None,
    additive: bool = False,
    lock_timeout: float = LOCK_TIMEOUT,
) -> ApplyResult:
    """Validate the manifest, its runtime metadata and secrets, and merge its config into `out`.

    Args:
        manifest_path: the `artifact.yml`.
        out: the output folder; made if it does not exist.
        secret_env: a file of `NAME=value` lines with the required secrets.
        strict: runtime metadata that does not fit is an error instead of a warning.
        images: what each name of an image stands for now, if that is known; see `merge.merge_manifest`.
        additive: keep what an earlier apply left in `out`, as if it were the first entry.
        lock_timeout: seconds to wait for another apply to the same folder.

    Raises:
        ArtifactError: something is wrong with the input or `out`, which is then untouched.
    """
    manifest, warnings = check(manifest_path, secret_env=secret_env, strict=strict)
    merged = merge_manifest(manifest, out, images=images, additive=additive, lock_timeout=lock_timeout)
    return ApplyResult(
        digest=merged.digest,
        functions=merged.functions,
        routes=merged.routes,
        resources=merged.resources,
        changed=merged.changed,
        warnings=warnings + merged.warnings,
    )


def check(
    manifest_path: Path, *, secret_env: Path | None = None, strict: bool = False
) -> tuple[Manifest, tuple[str, ...]]:
    """Check the manifest, its runtime metadata and secrets, as `apply` does first.

    Returns:
        The manifest, and warnings of the runtime metadata.

    Raises:
        ArtifactError: something is wrong.
    """
    manifest = load_manifest(manifest_path)
    warnings = runtime_meta.check(manifest, strict=strict)
    secrets.check(manifest, secret_env)
    return manifest, warnings


def remove(out: Path, *, lock_timeout: float = LOCK_TIMEOUT) -> None:
    """Remove what earlier applies wrote into `out`, and `out` itself if it is empty then; foreign files stay.

    Args:
        out: the output folder; nothing happens if it does not exist.
        lock_timeout: seconds to wait for an apply to the same folder.

    Raises:
        ArtifactError: it cannot be removed, or an apply holds it for longer than `lock_timeout`.
    """
    output.remove(out, lock_timeout)
