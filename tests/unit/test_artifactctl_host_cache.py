"""What the host keeps between runs: complete or absent, also after a kill."""

import subprocess
import sys
from pathlib import Path

from artifactctl.host_cache import HostCache

_KILLED = """
import os, signal, sys
from pathlib import Path
from artifactctl.host_cache import HostCache

def make(folder):
    (folder / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)

HostCache({"XDG_CACHE_HOME": sys.argv[1]}).folder("packages", "abc", make)
"""


def test_what_a_killed_process_left_half_made_is_gone_after_the_next_one(tmp_path: Path) -> None:
    """The entry is whole, and nothing else is there: packages are hundreds of megabytes."""
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path)], check=False)
    assert killed.returncode < 0
    entries = tmp_path / "artifactctl" / "packages"
    assert [(path.name.startswith(".abc-"), (path / "half").exists()) for path in entries.iterdir()] == [
        (True, True)
    ]

    def make(folder: Path) -> None:
        (folder / "whole").write_text("whole")

    made = HostCache({"XDG_CACHE_HOME": str(tmp_path)}).folder("packages", "abc", make)
    assert [path.name for path in made.iterdir()] == ["whole"]
    assert list(entries.iterdir()) == [made]
