"""Reading a file that somebody else named: never a wait, never more than the limit, always a clear error."""

import os
import stat
from pathlib import Path

from artifactctl.errors import ArtifactError


def read(path: Path, limit_bytes: int, kind: type[ArtifactError] = ArtifactError) -> bytes:
    """Return the content of the regular file at `path`.

    Args:
        path: the file.
        limit_bytes: refuse a larger file.
        kind: the error to raise.

    Raises:
        ArtifactError: of `kind`: the file is missing, unreadable, too large or not a regular file.
    """
    try:
        # Without O_NONBLOCK, opening a FIFO would wait for a writer for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            content = _read(descriptor, limit_bytes) if regular else b""
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise kind("file not found", path=path) from None
    except OSError as error:
        raise kind(f"cannot be read: {error.strerror}", path=path) from None
    except ValueError:
        raise kind("is not a file name: it contains a NUL character", path=path) from None
    if not regular:
        raise kind("is not a regular file", path=path)
    if len(content) > limit_bytes:
        raise kind(f"is larger than {limit_bytes} bytes", path=path)
    return content


def _read(descriptor: int, limit_bytes: int) -> bytes:
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        return file.read(limit_bytes + 1)
