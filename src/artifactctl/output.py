"""The output folder: complete configs side by side, one of them current, switched by one `rename(2)`.

    DIR/.generations/<digest>/{functions,routing,resources}.yml    a complete config, never changed
    DIR/.current -> .generations/<digest>                          renamed into place: the commit
    DIR/functions.yml -> .current/functions.yml                    …
    DIR/.artifactctl.json                                          what of all this an apply wrote
    DIR/.artifactctl.lock                                          held by one apply at a time

A process may be killed between any two lines here: what it leaves is listed before it is made, so that
the next apply or `remove` finds it.
"""

import contextlib
import errno
import hashlib
import json
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final

from artifactctl.errors import ArtifactError

CURRENT: Final = ".current"
GENERATIONS: Final = ".generations"
OWNED: Final = ".artifactctl.json"
LOCK: Final = ".artifactctl.lock"

_NO_LINK = (errno.ENOENT, errno.ENOTDIR, errno.EINVAL)
_NEW = ".new"
_OWN = frozenset({OWNED, OWNED + _NEW, LOCK})
_VERSION = 1
_DIGEST_LENGTH = 32
_READABLE = 0o644
_FOLDER = 0o755


def check(out: Path) -> None:
    """Check that `out` may be written to: absent, empty, or written by an earlier apply.

    Raises:
        ArtifactError: it is no folder, or holds files that no apply wrote; names the first one.
    """
    with _told(out):
        if not out.exists():
            return
        if not out.is_dir():
            raise ArtifactError("is not a folder", path=out, remedy="name another output folder")
        foreign = min((path.name for path in out.iterdir() if path.name not in _OWN), default=None)
        if foreign is not None and _read_owned(out) is None:
            raise ArtifactError(
                "was not written by an earlier apply",
                path=out / foreign,
                remedy="name an empty output folder, or remove the file",
            )
        generations = out / GENERATIONS
        if generations.is_symlink() or (generations.exists() and not generations.is_dir()):
            raise ArtifactError("is not a folder that an apply made", path=generations, remedy="remove it")


def check_outside(out: Path, artifact_roots: Iterable[Path]) -> None:
    """Check that `out` lies in no artifact root: artifacts are never written to.

    Raises:
        ArtifactError: it does; names the root.
    """
    with _told(out):
        real = Path(os.path.realpath(out))
        for root in artifact_roots:
            if real.is_relative_to(os.path.realpath(root)):
                raise ArtifactError(
                    f"lies inside the artifact root {root}",
                    path=out,
                    remedy="name a folder outside of every artifact root",
                )


@contextlib.contextmanager
def exclusive(out: Path, timeout: float) -> Iterator[None]:
    """Hold `out` for one writer; the folder is made if it does not exist.

    Args:
        out: the output folder.
        timeout: seconds to wait for another writer.

    Raises:
        ArtifactError: another writer holds it for longer than `timeout`; names that process.
    """
    import filelock  # costs more than all else that a command imports

    deadline = time.monotonic() + timeout
    lock = filelock.FileLock(out / LOCK, mode=_READABLE)
    while True:
        with _told(out):
            try:
                _make_folder(out)
                if os.path.lexists(out) and not out.is_dir():
                    raise ArtifactError("is not a folder", path=out, remedy="name another output folder")
                lock.acquire(timeout=max(0.0, deadline - time.monotonic()))
                break
            except filelock.Timeout:
                raise _locked(out, timeout) from None
            except FileNotFoundError:
                # A `remove` took the folder away between two of the calls above.
                if time.monotonic() >= deadline:
                    raise
    try:
        with _told(out):
            since = datetime.now(UTC).isoformat(timespec="seconds")
            holder = f"process {os.getpid()} on {socket.gethostname()} since {since}"
            (out / LOCK).write_text(holder, encoding="utf-8")
            check(out)
        yield
    finally:
        lock.release()


def current(out: Path) -> Path | None:
    """Return the resolved folder of the config that is current in `out`, or None if there is none."""
    link = out / CURRENT
    return Path(os.path.realpath(link)) if link.is_symlink() and link.is_dir() else None


def digest_of(files: Mapping[str, bytes]) -> str:
    """Return the content digest of a config: 32 hex digits over names and bytes."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:_DIGEST_LENGTH]


def is_published(out: Path, files: Mapping[str, bytes]) -> bool:
    """Tell whether `files` is the current config of `out`, complete and listed as ours; needs no lock."""
    target, links, wanted = _layout(digest_of(files), files)
    with _told(out):
        return (
            _read_link(out / CURRENT) == target
            and wanted <= (_read_owned(out) or frozenset())
            and all(
                _read_link(out / name) == links[name] and _holds(out / target / name, content)
                for name, content in files.items()
            )
        )


def publish(out: Path, files: Mapping[str, bytes]) -> tuple[str, bool]:
    """Make `files` the current config of `out`, which the caller holds by `exclusive`.

    The config before it stays beside it, for readers that are in the middle of it.

    Args:
        out: the output folder.
        files: the config's files by name.

    Returns:
        The config's digest, and whether anything had to be written.
    """
    digest = digest_of(files)
    with _told(out):
        if is_published(out, files):
            return digest, False
        before = _read_owned(out) or frozenset()
        target, links, wanted = _layout(digest, files)
        unfinished = {f"{GENERATIONS}/{_NEW}/{name}" for name in files} | {name + _NEW for name in wanted}
        _open_to_readers(out)
        _write_owned(out, before | wanted | unfinished)
        previous = _read_link(out / CURRENT)
        _write_generation(out, digest, files)
        for name, link in links.items():
            _link(out / name, link)
        _link(out / CURRENT, target)
        kept = wanted | {name for name in before if previous and name.startswith(f"{previous}/")}
        _delete(out, before - kept)
        _write_owned(out, kept)
    return digest, True


def remove(out: Path, timeout: float) -> None:
    """Remove what earlier applies wrote into `out`, and `out` itself if it is empty then.

    Args:
        out: the output folder; nothing happens if it does not exist or no apply wrote into it.
        timeout: seconds to wait for a writer.

    Raises:
        ArtifactError: it cannot be removed, or a writer holds it for longer than `timeout`.
    """
    with _told(out):
        if not out.is_dir():
            return
        if not any((out / name).exists() for name in _OWN):
            _remove_folder(out)  # empty, it is all that an apply has made which was killed at once
            return
    try:
        check(out)
    except ArtifactError:
        if not (out / OWNED).exists():
            return
        raise
    with exclusive(out, timeout), _told(out):
        _unlink(out / CURRENT)
        _delete(out, _read_owned(out) or frozenset())
        for name in (OWNED + _NEW, OWNED, LOCK):
            _unlink(out / name)
        _remove_folder(out)


def _layout(digest: str, files: Mapping[str, bytes]) -> tuple[str, dict[str, str], set[str]]:
    """Return what `.current` links to, what each file's link links to, and every name of a config."""
    target = f"{GENERATIONS}/{digest}"
    links = {name: f"{CURRENT}/{name}" for name in files}
    return target, links, {CURRENT, *links, *(f"{target}/{name}" for name in files)}


def _write_generation(out: Path, digest: str, files: Mapping[str, bytes]) -> None:
    generations = out / GENERATIONS
    _make_folder(generations)
    _open_to_readers(generations)
    final = generations / digest
    if not final.exists():
        unfinished = generations / _NEW
        _make_folder(unfinished)
        _open_to_readers(unfinished)
        for name, content in files.items():
            _unlink(unfinished / name)
            _write(unfinished / name, content)
        unfinished.rename(final)
        return
    for name, content in files.items():
        if not _holds(final / name, content):
            _replace(final / name, content)


def _holds(path: Path, content: bytes) -> bool:
    try:
        return not path.is_symlink() and path.read_bytes() == content
    except OSError:
        return False


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        # A consumer with another user id reads it, whatever the umask here is.
        os.fchmod(file.fileno(), _READABLE)
        file.write(content)


def _replace(path: Path, content: bytes) -> None:
    new = path.with_name(path.name + _NEW)
    _unlink(new)
    _write(new, content)
    new.replace(path)


def _link(path: Path, target: str) -> None:
    if _read_link(path) == target:
        return
    new = path.with_name(path.name + _NEW)
    _unlink(new)
    new.symlink_to(target)
    new.replace(path)


def _read_link(path: Path) -> str | None:
    try:
        return os.readlink(path)  # noqa: PTH115 - Path() would tidy the text
    except OSError as error:
        if error.errno in _NO_LINK:
            return None
        raise


def _read_owned(out: Path) -> frozenset[str] | None:
    """Return what earlier applies wrote, relative to `out`; None if no apply wrote here."""
    path = out / OWNED
    try:
        names = _listed(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        names = None
    if names is None:
        raise ArtifactError(
            "is not a list that artifactctl wrote", path=path, remedy="empty the output folder by hand"
        )
    return names


def _listed(document: Any) -> frozenset[str] | None:
    """Return the names in an ownership list, or None if it is none or names something outside its folder."""
    if not isinstance(document, dict) or document.get("version") != _VERSION:
        return None
    names = document.get("files")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    inside = all(name and "\0" not in name and not {"", ".", ".."} & set(name.split("/")) for name in names)
    return frozenset(names) if inside else None


def _write_owned(out: Path, names: set[str] | frozenset[str]) -> None:
    content = json.dumps({"version": _VERSION, "files": sorted(names)}, indent=1) + "\n"
    _replace(out / OWNED, content.encode())


def _delete(out: Path, names: frozenset[str]) -> None:
    for name in sorted(names):
        _unlink(out / name)
    folders = {out / parent for name in names for parent in PurePosixPath(name).parents if parent.name}
    for folder in sorted(folders, reverse=True):
        _remove_folder(folder)


def _unlink(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        path.unlink()


def _remove_folder(path: Path) -> None:
    # Foreign files inside stay, and so does their folder.
    with contextlib.suppress(OSError):
        path.rmdir()


def _make_folder(path: Path) -> None:
    for folder in reversed([path, *path.parents]):
        if not folder.exists():
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                folder.chmod(_FOLDER)


def _open_to_readers(folder: Path) -> None:
    # A process killed right after mkdir leaves the mode that its umask gave.
    found = folder.stat()
    if found.st_uid == os.geteuid() and found.st_mode & _FOLDER != _FOLDER:
        folder.chmod(_FOLDER)


def _locked(out: Path, timeout: float) -> ArtifactError:
    try:
        holder = (out / LOCK).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        holder = ""
    return ArtifactError(
        f"is held by {holder or 'another apply'}, for longer than {timeout:g} s",
        path=out,
        remedy="wait for it to end, or end it",
    )


@contextlib.contextmanager
def _told(out: Path) -> Iterator[None]:
    """Turn the operating system's refusals into one clear error."""
    try:
        yield
    except OSError as error:
        name = error.filename if isinstance(error.filename, str) else str(out)
        raise ArtifactError(f"cannot be used: {error.strerror or error}", path=Path(name)) from error
    except ValueError as error:
        raise ArtifactError(f"cannot be used: {error}", path=out) from error
