"""What an artifact promises about its runtime hooks and renderer, against what is there."""

import hashlib
import os
import re
import stat
from pathlib import Path
from typing import Final

from artifactctl.errors import ArtifactError
from artifactctl.fields import Field
from artifactctl.manifest import Entry, Manifest

SUPPORTED_API: Final = (1, 0)
RENDERER_NAME: Final = "esb-cli-embedded-templates"
SITECUSTOMIZE: Final = "runtime-base/runtime-hooks/python/sitecustomize/site-packages/sitecustomize.py"

_VERSION = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,9}))?")
_AGAIN = "generate the artifact again"


def check(manifest: Manifest, *, strict: bool = False) -> tuple[str, ...]:
    """Check the runtime metadata of every entry.

    Args:
        manifest: a valid manifest.
        strict: what would be a warning is an error, but for the renderer's name.

    Returns:
        Warnings, one located line each.

    Raises:
        ArtifactError: an api version has another major, or, if `strict`, anything else does not fit.
    """
    warnings: list[str] = []
    for entry in manifest.artifacts:
        meta = entry.runtime_meta
        findings = [
            finding
            for finding in (
                _api_finding(meta.hooks_api_version),
                _digest_finding(meta.sitecustomize_digest, entry),
                _api_finding(meta.renderer_api_version),
            )
            if finding is not None
        ]
        if strict and findings:
            raise findings[0]
        warnings += [str(finding) for finding in findings]
        name = meta.renderer_name
        if name is not None and name.string() != RENDERER_NAME:
            warnings.append(str(name.error(f"this version expects the renderer {RENDERER_NAME!r}")))
    return tuple(warnings)


def _api_finding(version: Field | None) -> ArtifactError | None:
    if version is None:
        return None
    supported = ".".join(map(str, SUPPORTED_API))
    parsed = _VERSION.fullmatch(version.string().strip())
    if parsed is None:
        return version.error(f"is not major[.minor]; supported is {supported}", _AGAIN)
    if int(parsed[1]) != SUPPORTED_API[0]:
        raise version.error(f"the major version differs from the supported {supported}", _AGAIN)
    if int(parsed[2] or 0) != SUPPORTED_API[1]:
        return version.error(f"the minor version differs from the supported {supported}", _AGAIN)
    return None


def _digest_finding(recorded: Field | None, entry: Entry) -> ArtifactError | None:
    if recorded is None:
        return None
    source = entry.artifact_root / SITECUSTOMIZE
    try:
        found = _sha256(source, entry.artifact_root)
    except OSError as error:
        reason = error.strerror or str(error)
        return ArtifactError(f"cannot be read for its digest: {reason}", path=source, remedy=_AGAIN)
    if found != recorded.string().lower():
        return recorded.error(f"{SITECUSTOMIZE} has the digest {found}", _AGAIN)
    return None


def _sha256(path: Path, root: Path) -> str:
    if not Path(os.path.realpath(path)).is_relative_to(root):
        raise OSError("it is a link that leaves its artifact root")
    # Without O_NONBLOCK, opening a FIFO would wait for a writer for ever.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError("it is not a regular file")
        return hashlib.file_digest(file, "sha256").hexdigest()
