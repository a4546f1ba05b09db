"""The files of a function or layer, from a folder or a zip file."""

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from artifactctl import build_inputs, regular_file
from artifactctl.errors import ArtifactError

LIMIT_BYTES: Final = 250 * 1024 * 1024
"""As AWS has it for functions and layers, unzipped."""

_FILE_TYPE = 0o170000
_REGULAR = (0, 0o100000)


@dataclass(frozen=True, slots=True)
class File:
    """One file: its bytes, and whether it is a program."""

    content: bytes
    program: bool = False


Files = Mapping[str, File]


def read(path: Path) -> dict[str, File]:
    """Return the files of a folder or zip file, by their names in it.

    What no function needs (caches of Python, .git) is left out.

    Raises:
        ArtifactError: it cannot be read, holds nothing, or holds what cannot be copied.
    """
    found = dict(sorted(_folder(path) if path.is_dir() else _zip(path)))
    if not found:
        raise ArtifactError("holds no file", path=path)
    if sum(len(file.content) for file in found.values()) > LIMIT_BYTES:
        raise ArtifactError(f"is larger than {LIMIT_BYTES} bytes", path=path)
    return found


def _folder(path: Path) -> Iterator[tuple[str, File]]:
    for name, entry in build_inputs.collect(path).entries:
        if entry == "d":
            continue
        source = path / name
        if entry.startswith("l ") and source.is_dir():
            raise ArtifactError("is a link to a folder", path=source, remedy="copy the folder")
        yield name, File(regular_file.read(source, LIMIT_BYTES), entry.startswith("x "))


def _zip(path: Path) -> Iterator[tuple[str, File]]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if sum(member.file_size for member in members) > LIMIT_BYTES:
                raise ArtifactError(f"is larger than {LIMIT_BYTES} bytes", path=path)
            for member in members:
                yield _member_name(path, member), File(archive.read(member), _is_program(member))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise ArtifactError(f"expected a folder or a zip file: {error}", path=path) from None
    except OSError as error:
        raise ArtifactError(f"cannot be read: {error.strerror}", path=path) from None


def _member_name(path: Path, member: zipfile.ZipInfo) -> str:
    name = PurePosixPath(member.filename)
    if name.is_absolute() or ".." in name.parts or not name.parts:
        raise ArtifactError(f"holds {member.filename!r}, which leaves it", path=path)
    if (member.external_attr >> 16) & _FILE_TYPE not in _REGULAR:
        raise ArtifactError(f"holds {member.filename!r}, which is no file", path=path)
    return str(name)


def _is_program(member: zipfile.ZipInfo) -> bool:
    return bool((member.external_attr >> 16) & 0o100)
