"""Digests of files and folders as they are now: every byte counts, when it was written does not."""

import os
import stat
from collections.abc import Callable, Iterator
from hashlib import file_digest
from pathlib import Path
from typing import Final

from artifactctl.build_inputs import is_ignored
from esb_e2e_plugin import fingerprint

ABSENT: Final = "absent"

_CACHE_TAG = "CACHEDIR.TAG"
_CACHE_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55"  # the Cache Directory Tagging Standard


def nothing(_: Path) -> bool:
    """Leave nothing out."""
    return False


def of(path: Path, leave_out: Callable[[Path], bool] = nothing) -> str:
    """Return the digest of a file, or of everything in a folder; caches of tools do not count.

    A link counts by its text and by what it leads to.

    Args:
        path: what to look at; that it is not there has a digest, too.
        leave_out: tells of a file or folder below that it does not count.
    """
    return fingerprint.digest(_lines(path, leave_out, frozenset()))


def entries(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield name and digest of each file and folder directly in a folder, by name; caches left out."""
    for child in _children(folder):
        if not is_ignored(child.name):
            yield child.name, of(folder / child.name)


def _lines(path: Path, leave_out: Callable[[Path], bool], above: frozenset[str]) -> Iterator[str]:
    try:
        found = path.lstat()
    except OSError:
        yield ABSENT
        return
    mode = stat.S_IMODE(found.st_mode)
    if stat.S_ISLNK(found.st_mode):
        yield f"link {path.readlink()}"
        real = os.path.realpath(path)
        if real not in above and os.path.exists(real):  # noqa: PTH110  a text, as `above` holds
            yield from _lines(Path(real), leave_out, above | {real})
    elif stat.S_ISREG(found.st_mode):
        yield f"file {mode:o} {_sha256(path)}"
    elif stat.S_ISDIR(found.st_mode):
        yield f"folder {mode:o}"
        inside = above | {os.path.realpath(path)}
        for child in _children(path):
            below = path / child.name
            if not is_ignored(child.name) and not leave_out(below) and not _is_cache(below):
                yield f"{child.name!r}"
                yield from _lines(below, leave_out, inside)
        yield "end"
    else:
        yield f"special {stat.S_IFMT(found.st_mode)}"  # a socket or device has no content of its own


def _children(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda child: child.name)
    except OSError:
        return []


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"unreadable {error.errno}"


def _is_cache(path: Path) -> bool:
    try:
        with (path / _CACHE_TAG).open("rb") as file:
            return file.read(len(_CACHE_SIGNATURE)) == _CACHE_SIGNATURE
    except OSError:
        return False
