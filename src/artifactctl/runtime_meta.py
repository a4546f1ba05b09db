"""What an artifact promises about its runtime hooks and renderer, against what is there."""

import hashlib
import os
import re
from pathlib import Path
from typing import Final

from artifactctl import regular_file
from artifactctl.errors import ArtifactError
from artifactctl.fields import Field
from artifactctl.manifest import Entry, Manifest

SUPPORTED_API: Final = (1, 0)
RENDERER_NAME: Final = "esb-cli-embedded-templates"
SITECUSTOMIZE: Final = "runtime-base/runtime-hooks/python/sitecustomize/site-packages/sitecustomize.py"

_VERSION = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,9}))?")
_LIMIT_BYTES = 16 * 1024 * 1024
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
    if not Path(os.path.realpath(source)).is_relative_to(entry.artifact_root):
        return ArtifactError("is a link that leaves its artifact root", path=source, remedy="copy the file")
    try:
        found = hashlib.sha256(regular_file.read(source, _LIMIT_BYTES)).hexdigest()
    except ArtifactError as error:
        return ArtifactError(f"{error.rule}: its digest cannot be compared", path=source, remedy=_AGAIN)
    if found != recorded.string().lower():
        return recorded.error(f"{SITECUSTOMIZE} has the digest {found}", _AGAIN)
    return None
