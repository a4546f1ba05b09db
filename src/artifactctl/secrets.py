"""Required secrets: whether a file names them all. Their values go only to whoever must hide them."""

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
    given = read(secret_env)
    missing = [name for name in required if not given.get(name)]
    if missing:
        raise ArtifactError(
            f"has no value for {', '.join(missing)}", path=secret_env, remedy="add a line NAME=value for each"
        )


def read(secret_env: Path) -> dict[str, str]:
    """Return the secrets in a file of `NAME=value` lines: for whoever has to keep them out of its output.

    Raises:
        ArtifactError: the file cannot be read or is malformed; shows no value.
    """
    # A value in another encoding does no harm: only names are compared.
    text = regular_file.read(secret_env, _LIMIT_BYTES).decode("utf-8-sig", errors="replace")
    values: dict[str, str] = {}
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.removeprefix("export ").partition("=")
        if not equals or not name.strip():
            # The line itself may be part of a secret: it is not shown.
            raise ArtifactError("expected NAME=value", path=secret_env, line=number)
        values[name.strip()] = _unquoted(value.strip())
    return values


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value
