"""Tar archives, as the engine's API takes files."""

import io
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path


def archive_of(files: Mapping[str, bytes | str], *, uid: int, gid: int, mode: int = 0o400) -> bytes:
    """Return a tar archive.

    Args:
        files: content by name; a text is the target of a link.
        uid: owner of everything in it.
        gid: group of everything in it.
        mode: permissions of the files.
    """
    buffer = io.BytesIO()
    folders: set[str] = set()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            for folder in reversed([str(parent) for parent in Path(name).parents if str(parent) != "."]):
                if folder not in folders:
                    folders.add(folder)
                    archive.addfile(_member(folder, uid, gid, 0o755, tarfile.DIRTYPE))
            if isinstance(content, str):
                member = _member(name, uid, gid, 0o777, tarfile.SYMTYPE)
                member.linkname = content
                archive.addfile(member)
            else:
                member = _member(name, uid, gid, mode, tarfile.REGTYPE)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _member(name: str, uid: int, gid: int, mode: int, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.uid, member.gid, member.mode, member.type, member.mtime = uid, gid, mode, kind, int(time.time())
    return member
