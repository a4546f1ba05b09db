"""The files that an image is built from, as they are copied for its build."""

import os
import stat
from pathlib import Path

import pytest

from artifactctl import build_inputs


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002], ids=["usual", "private", "shared"])
def test_a_copy_is_the_same_under_every_umask(tmp_path: Path, umask: int) -> None:
    """Who runs in the image can read it, whoever has built it: the digest says nothing of permissions."""
    source = tmp_path / "source"
    (source / "package").mkdir(parents=True)
    (source / "package" / "module.py").write_text("VALUE = 1\n")
    (source / "program").write_text("#!/bin/sh\n")
    (source / "program").chmod(0o700)
    before = os.umask(umask)
    try:
        build_inputs.collect(source).copy_to(tmp_path / "copy")
    finally:
        os.umask(before)
    names = (".", "package", "package/module.py", "program")
    modes = [stat.S_IMODE((tmp_path / "copy" / name).stat().st_mode) for name in names]
    assert modes == [0o755, 0o755, 0o644, 0o755]
