"""Required secrets: whether a secrets file names them all. Their values go nowhere."""

from pathlib import Path

from artifactctl import regular_file
from artifactctl.errors import ArtifactError
from artifactctl.manifest import Manifest

_LIMIT_BYTES = 1024 * 1024


def check(manifest: Manifest, secret_env: Path | None) -> None:
    """Check that `secret_env` gives a value to every secret that an entry of `manifest` requires.

    Args:
        manifest: a valid manifest.
        secret_env: a file of `NAME=value` lines; it is read only if a secret is required.

    Raises:
        ArtifactError: there is no such file, it is malformed, or values are missing; names what is missing
            and never a value.
    """
    required = sorted({name for entry in manifest.artifacts for name in entry.required_secret_env})
    if not required:
        return
    names = ", ".join(required)
    if secret_env is None:
        raise ArtifactError(
            f"requires the secrets {names}, and no secrets file is given",
            path=manifest.path,
            field="required_secret_env",
            remedy="name a file of NAME=value lines with --secret-env",
        )
    content = regular_file.read(secret_env, _LIMIT_BYTES)
    # Only names are compared, so a value in another encoding does no harm.
    given = _names_with_value(content.decode("utf-8-sig", errors="replace"), secret_env)
    missing = [name for name in required if name not in given]
    if missing:
        raise ArtifactError(
            f"has no value for {', '.join(missing)}", path=secret_env, remedy="add a line NAME=value for each"
        )


def _names_with_value(text: str, path: Path) -> set[str]:
    values: dict[str, bool] = {}
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.removeprefix("export ").partition("=")
        if not equals or not name.strip():
            # The line itself may be part of a secret: it is not shown.
            raise ArtifactError("expected NAME=value", path=path, line=number)
        values[name.strip()] = bool(_unquoted(value.strip()))
    return {name for name, has_value in values.items() if has_value}


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value
