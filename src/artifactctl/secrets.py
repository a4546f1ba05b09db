"""Required secrets: whether a secrets file names them all. Their values go nowhere."""

import os
import stat
from pathlib import Path

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
    given = _names_with_value(_read(secret_env), secret_env)
    missing = [name for name in required if name not in given]
    if missing:
        raise ArtifactError(
            f"has no value for {', '.join(missing)}", path=secret_env, remedy="add a line NAME=value for each"
        )


def _read(path: Path) -> str:
    try:
        # Without O_NONBLOCK, opening a FIFO would wait for a writer for ever.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ArtifactError("is not a regular file", path=path)
            content = file.read(_LIMIT_BYTES + 1)
    except FileNotFoundError:
        raise ArtifactError("file not found", path=path) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ArtifactError(f"cannot be read: {reason}", path=path) from None
    if len(content) > _LIMIT_BYTES:
        raise ArtifactError(f"is larger than {_LIMIT_BYTES} bytes", path=path)
    # Only names are compared, so a value in another encoding does no harm.
    return content.decode("utf-8-sig", errors="replace")


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
