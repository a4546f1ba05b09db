"""Generated files in their folder: one step, no matter who is killed, and nothing of a person's is lost."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from artifactctl.errors import ArtifactError
from esb_producer import folder
from esb_producer.sources import File

OLD = {"artifact.yml": File(b"old\n"), "root/functions/a/src/run": File(b"#!/bin/sh\n", program=True)}
NEW = {"artifact.yml": File(b"new\n"), "root/config/functions.yml": File(b"{}\n")}


def _held(target: Path) -> dict[str, bytes]:
    return {
        path.relative_to(target).as_posix(): path.read_bytes()
        for path in target.rglob("*")
        if path.is_file() and path.name != folder.LIST
    }


def _expected(files: dict[str, File]) -> dict[str, bytes]:
    return {name: file.content for name, file in files.items()}


def test_a_folder_holds_exactly_what_was_generated_last(tmp_path: Path) -> None:
    """Old files are gone, programs stay programs, everybody may read, nothing lies beside."""
    target = tmp_path / "deep/artifacts"
    assert folder.write(target, OLD)
    assert _held(target) == _expected(OLD)
    assert (target / "root/functions/a/src/run").stat().st_mode & 0o777 == 0o755
    assert target.stat().st_mode & 0o777 == 0o755
    assert folder.write(target, NEW)
    assert _held(target) == _expected(NEW)
    assert (target / "artifact.yml").stat().st_mode & 0o777 == 0o644
    assert list(target.parent.iterdir()) == [target]


def test_what_is_the_same_is_not_touched(tmp_path: Path) -> None:
    """A second time nothing is written, also where Python left its caches; --check finds nothing."""
    target = tmp_path / "artifacts"
    folder.write(target, OLD)
    (target / "root/functions/a/src/__pycache__").mkdir()
    (target / "root/functions/a/src/__pycache__/run.pyc").write_bytes(b"")
    before = target.stat().st_ino
    assert not folder.write(target, OLD)
    assert target.stat().st_ino == before
    assert folder.differing(target, OLD) == []


def test_a_difference_names_missing_changed_and_added_files(tmp_path: Path) -> None:
    """And the list of files, which would be another one."""
    target = tmp_path / "artifacts"
    folder.write(target, OLD)
    (target / "root/more").write_text("x")
    assert folder.differing(target, NEW) == [
        folder.LIST,
        "artifact.yml",
        "root/config/functions.yml",
        "root/functions/a/src/run",
        "root/more",
    ]


@pytest.mark.parametrize("name", ["artifact.yml", "root/functions/a/src/run", "root/added"])
def test_what_was_written_by_hand_needs_force(tmp_path: Path, name: str) -> None:
    """A file that was changed, or added, is named and kept; --force overwrites it."""
    target = tmp_path / "artifacts"
    folder.write(target, OLD)
    (target / name).write_text("by hand")
    with pytest.raises(ArtifactError, match="by hand") as raised:
        folder.write(target, NEW)
    assert raised.value.path == target / name
    assert (target / name).read_text() == "by hand"
    assert folder.write(target, NEW, force=True)
    assert _held(target) == _expected(NEW)


def test_a_folder_that_nobody_generated_needs_force(tmp_path: Path) -> None:
    """A manifest that was written by hand is not replaced unasked."""
    target = tmp_path / "artifacts"
    target.mkdir()
    (target / "artifact.yml").write_text("mine")
    with pytest.raises(ArtifactError, match="by hand"):
        folder.write(target, NEW)
    assert folder.write(target, NEW, force=True)


def test_a_folder_with_other_things_is_never_taken(tmp_path: Path) -> None:
    """Not even with --force: a folder of sources would be gone."""
    (tmp_path / "template.yaml").write_text("mine")
    with pytest.raises(ArtifactError, match=r"holds template\.yaml, which is no part of an artifact"):
        folder.write(tmp_path, NEW, force=True)
    assert (tmp_path / "template.yaml").read_text() == "mine"


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    """It is not replaced."""
    (tmp_path / "artifacts").write_text("mine")
    with pytest.raises(ArtifactError, match="is no folder"):
        folder.write(tmp_path / "artifacts", NEW, force=True)


def test_where_folders_cannot_be_exchanged_they_are_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems know no exchange; a folder that was put aside by a killed run is put back."""

    def refused(_one: Path, other: Path) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(other))

    target = tmp_path / "artifacts"
    folder.write(target, OLD)
    monkeypatch.setattr(folder, "_exchange", refused)
    assert folder.write(target, NEW)
    assert _held(target) == _expected(NEW)
    target.rename(tmp_path / ".artifacts.before")
    assert not folder.write(target, NEW)
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(("moment", "whole"), [("before", OLD), ("after", NEW)])
def test_a_killed_run_leaves_whole_artifacts(tmp_path: Path, moment: str, whole: dict[str, File]) -> None:
    """SIGKILL before the commit leaves the old ones, after it the new ones; the next run removes the rest."""
    target = tmp_path / "artifacts"
    folder.write(target, OLD)
    code = (
        "import sys; from pathlib import Path; from esb_producer import folder\n"
        "from esb_producer.sources import File\n"
        "exchange = folder._exchange\n"
        "def stopping(one, other):\n"
        f"    {'exchange(one, other)' if moment == 'after' else 'pass'}\n"
        "    print('here', flush=True); sys.stdin.read()\n"
        "folder._exchange = stopping\n"
        f"folder.write(Path({str(target)!r}), {NEW!r})\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "here\n"
        assert len(list(tmp_path.iterdir())) == 2
        child.send_signal(signal.SIGKILL)
    assert _held(target) == _expected(whole)
    folder.write(target, NEW)
    assert _held(target) == _expected(NEW)
    folder.write(target, OLD)
    assert list(tmp_path.iterdir()) == [target]
