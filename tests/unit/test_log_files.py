"""Finding log files while others make and remove folders beside them."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from esb_e2e_plugin.log_files import log_files


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A folder with logs of a service and of a worker, and a folder beside them."""
    for name in ("gateway.log", "functions/echo-1.log", "functions/notes.txt", "functions/going/echo-2.log"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def test_a_folder_that_goes_away_meanwhile_holds_none(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers come and go while the logs are followed: that fails nobody."""
    scandir = os.scandir
    going = str(logs / "functions" / "going")

    def remove_and_scan(folder: Any) -> Iterable[Any]:
        if str(folder) == going:
            shutil.rmtree(going)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", remove_and_scan)
    assert log_files(logs) == [logs / "functions/echo-1.log", logs / "gateway.log"]
    assert not Path(going).exists()


def test_the_scratch_space_of_functions_is_not_looked_through(logs: Path) -> None:
    """What a function calls a log in its own /tmp is its own."""
    scratch = logs / "functions/.scratch/echo-1"
    scratch.mkdir(parents=True)
    (scratch / "mine.log").touch()
    names = [path.name for path in log_files(logs)]
    assert names == ["echo-1.log", "echo-2.log", "gateway.log"]


def test_without_the_folder_there_are_none(tmp_path: Path) -> None:
    """An environment that has failed early has none."""
    assert log_files(tmp_path / "logs") == []
