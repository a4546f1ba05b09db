"""The files that an image is built from: what they are, their digest, and a copy of them to build in.

The folder itself is only read; whatever a build changes or adds, it does in the copy.
"""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from artifactctl.errors import ArtifactError

_IGNORED_NAMES = frozenset({"__pycache__", ".git", ".DS_Store"})
_IGNORED_SUFFIXES = (".pyc", ".pyo", ".swp")


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a folder held when it was looked at.

    Attributes:
        folder: where the files lie.
        entries: by name, `f <sha256>` (a file), `x <sha256>` (a program), `l <target>` or `d`.
    """

    folder: Path
    entries: tuple[tuple[str, str], ...]

    def lines(self) -> Iterator[str]:
        """Yield what enters a digest, one line for each entry."""
        for name, entry in self.entries:
            yield f"{name!r} {entry}"

    def copy_to(self, target: Path) -> None:
        """Copy everything into the new folder `target`.

        Raises:
            ArtifactError: a file is not any more what it was.
        """
        _make_folder(target)
        for name, entry in self.entries:
            source, copy = self.folder / name, target / name
            try:
                _copy(source, copy, entry)
                unchanged = entry[0] not in "fx" or _sha256(copy) == entry[2:]
            except OSError as error:
                raise ArtifactError(f"cannot be copied: {error.strerror}", path=source) from None
            if not unchanged:
                raise ArtifactError("changed while it was built", path=source, remedy="run it again")


def collect(folder: Path) -> Inputs:
    """Return what `folder` holds, without what no build needs (caches of Python, .git).

    Raises:
        ArtifactError: something is no file, folder or link, leaves the folder, or cannot be read.
    """
    return Inputs(folder, tuple(sorted(_entries(folder, Path(os.path.realpath(folder)), ""))))


def _entries(folder: Path, root: Path, prefix: str) -> Iterator[tuple[str, str]]:
    try:
        with os.scandir(folder / prefix) as found:
            children = [child for child in found if not is_ignored(child.name)]
    except OSError as error:
        raise ArtifactError(f"cannot be read: {error.strerror}", path=folder / prefix) from None
    for child in children:
        name, path = f"{prefix}{child.name}", Path(child.path)
        if child.is_symlink():
            if not Path(os.path.realpath(path)).is_relative_to(root):
                rule = "is a link that leaves the folder that is built"
                raise ArtifactError(rule, path=path, remedy="copy the file")
            yield name, f"l {path.readlink()}"
        elif child.is_dir(follow_symlinks=False):
            yield name, "d"
            yield from _entries(folder, root, f"{name}/")
        elif child.is_file(follow_symlinks=False):
            yield name, _file_entry(path, child)
        else:
            raise ArtifactError("is neither a file nor a folder", path=path, remedy="remove it")


def _file_entry(path: Path, child: os.DirEntry[str]) -> str:
    try:
        program = child.stat(follow_symlinks=False).st_mode & stat.S_IXUSR
        return f"{'x' if program else 'f'} {_sha256(path)}"
    except OSError as error:
        raise ArtifactError(f"cannot be read: {error.strerror}", path=path) from None


def is_ignored(name: str) -> bool:
    """Tell whether a file or folder of that name is what a tool keeps for itself, and no input."""
    return name in _IGNORED_NAMES or name.endswith(_IGNORED_SUFFIXES)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make_folder(path: Path) -> None:
    path.mkdir()
    path.chmod(0o755)  # whatever the umask: who runs in the image is not root


def _copy(source: Path, copy: Path, entry: str) -> None:
    if entry == "d":
        _make_folder(copy)
    elif entry.startswith("l "):
        copy.symlink_to(entry[2:])
    else:
        shutil.copyfile(source, copy, follow_symlinks=False)
        # An image must not depend on the umask of whoever checked the sources out.
        copy.chmod(0o755 if entry.startswith("x ") else 0o644)
