"""Generated files in their folder: all of them change at once, and nothing that a person wrote is lost."""

import ctypes
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from artifactctl.errors import ArtifactError
from esb_producer.sources import File, Files

LIST: Final = ".generated.json"
"""Says which files were generated, by digest: what differs from it was written by somebody else."""

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.EXDEV, errno.EOPNOTSUPP, errno.EPERM)
_CACHES = ("__pycache__",)


def differing(folder: Path, files: Files) -> list[str]:
    """Return the names of the files in `folder` that are missing, different, or should not be there."""
    wanted, found = listed(files), _read(folder)
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def write(folder: Path, files: Files, *, force: bool = False) -> bool:
    """Make `folder` hold exactly `files`, as one step, and tell whether anything had to change.

    Args:
        folder: made where it is not there.
        files: by name below it.
        force: overwrite files that were changed or added by hand where generated ones lie.

    Raises:
        ArtifactError: it holds what was not generated, or cannot be written.
    """
    folder = Path(os.path.realpath(folder))
    wanted = listed(files)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _restore(folder)
        found = _read(folder)
        if found == wanted:
            return False
        _check_owned(folder, wanted, found, force=force)
        with _staging(folder) as staging:
            new = staging / folder.name
            _fill(new, wanted)
            _commit(new, folder)
    except OSError as error:
        raise ArtifactError(
            f"cannot be written: {error.strerror}", path=Path(error.filename or folder)
        ) from None
    return True


def listed(files: Files) -> dict[str, File]:
    """Return `files` with the list of them beside it."""
    digests = {name: _digest(file) for name, file in sorted(files.items())}
    text = json.dumps({"files": digests}, indent=1) + "\n"
    return {**files, LIST: File(text.encode())}


def _digest(file: File) -> str:
    return hashlib.sha256(file.content).hexdigest()


def _read(folder: Path) -> dict[str, File]:
    """Return what `folder` holds, without caches of Python; what is no file counts as an empty one."""
    found: dict[str, File] = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _CACHES)
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        for name in sorted([*names, *links]):
            path = Path(parent) / name
            regular = path.is_file() and not path.is_symlink()
            program = regular and bool(path.stat().st_mode & 0o100)
            key = path.relative_to(folder).as_posix()
            found[key] = File(path.read_bytes() if regular else b"", program)
    return found


def _check_owned(folder: Path, wanted: Mapping[str, File], found: Mapping[str, File], *, force: bool) -> None:
    if os.path.lexists(folder) and not folder.is_dir():
        raise ArtifactError("is no folder", path=folder)
    generated = _generated(found)
    ours = {name.partition("/")[0] for name in (*wanted, *generated)}
    for name, file in sorted(found.items()):
        if name.partition("/")[0] not in ours:
            raise ArtifactError(
                f"holds {name}, which is no part of an artifact",
                path=folder,
                remedy="name a folder of its own with --output",
            )
        if force or name == LIST or wanted.get(name) == file:
            continue
        if generated.get(name) != _digest(file):
            raise ArtifactError(
                "was written or changed by hand since it was generated",
                path=folder / name,
                remedy="change the template instead, or overwrite it with --force",
            )


def _generated(found: Mapping[str, File]) -> Mapping[str, str]:
    try:
        digests = json.loads(found[LIST].content)["files"]
    except (KeyError, ValueError, TypeError):
        return {}
    return digests if isinstance(digests, dict) else {}


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """Give a locked folder beside `folder`, and remove those of processes that are gone."""
    prefix = f".{folder.name}.generated-"
    for left in folder.parent.glob(f"{prefix}*"):
        with _locked(left) as free:
            if free:
                shutil.rmtree(left, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    with _locked(staging):
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def _fill(folder: Path, files: Mapping[str, File]) -> None:
    folder.mkdir()
    for name, file in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        path.chmod(0o755 if file.program else 0o644)
    for parent, _, _ in os.walk(folder):
        Path(parent).chmod(0o755)  # whatever the umask: services run as another user


def _commit(new: Path, folder: Path) -> None:
    if not folder.exists():
        new.rename(folder)
        return
    try:
        _exchange(new, folder)
    except OSError as error:
        if error.errno not in _NO_EXCHANGE:
            raise
        # The file system cannot exchange folders: the old one stays whole, where _restore finds it.
        folder.rename(_aside(folder))
        new.rename(folder)
        shutil.rmtree(_aside(folder), ignore_errors=True)


def _exchange(one: Path, other: Path) -> None:
    """Let two folders change their names in one step: renameat2(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    renameat2 = getattr(libc, "renameat2", None)
    if renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(other))
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(other))


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.before")


def _restore(folder: Path) -> None:
    aside = _aside(folder)
    if aside.is_dir() and not folder.exists():
        aside.rename(folder)
    shutil.rmtree(aside, ignore_errors=True)
