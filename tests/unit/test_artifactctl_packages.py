"""Packages for images: fetched by pip on the host, once for each set of pins."""

import base64
import hashlib
import os
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from artifactctl.commands import CommandError, Commands
from artifactctl.docker_engine import Interpreter
from artifactctl.errors import ArtifactError
from artifactctl.host_cache import HostCache
from artifactctl.packages import site_packages

_OTHER = Interpreter((3, 12), "x86_64", (2, 36))


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    """Pins of one package, of which there is one wheel for one interpreter beside it."""
    name = "tiny-1.0-cp312-cp312-manylinux_2_28_x86_64.whl"
    info = "tiny-1.0.dist-info"
    contents = {
        "tiny.py": "VALUE = 1\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: false\nTag: cp312-cp312-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\ntiny = tiny:main\n",
    }
    record = "".join(f"{path},sha256={_hash(text)},{len(text)}\n" for path, text in contents.items())
    with zipfile.ZipFile(tmp_path / name, "w") as wheel:
        for path, text in {**contents, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            wheel.writestr(path, text)
    digest = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    pins = tmp_path / "requirements.txt"
    pins.write_text(f"tiny==1.0 --hash=sha256:{digest}\n")
    return pins


def _hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def _commands(folder: Path, lines: list[str]) -> Commands:
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}
    return Commands({**os.environ, **offline}, lines.append, 120)


def test_packages_are_fetched_for_the_interpreter_of_the_image_and_kept(
    requirements: Path, tmp_path: Path
) -> None:
    """A wheel for another Python than this host's is unpacked without scripts, and only once."""
    lines: list[str] = []
    commands = _commands(tmp_path, lines)
    cache = HostCache(commands.environ)
    first = site_packages(requirements, _OTHER, commands, cache)
    assert (first / "tiny.py").read_text() == "VALUE = 1\n"
    assert not (first / "bin").exists()
    said = len(lines)
    assert site_packages(requirements, _OTHER, commands, cache) == first
    assert len(lines) == said


def test_packages_that_do_not_fit_are_told_and_leave_nothing(requirements: Path, tmp_path: Path) -> None:
    """Another interpreter has no wheel; the error names the pins, and no half-made entry stays."""
    commands = _commands(tmp_path, [])
    older = Interpreter((3, 11), "x86_64", (2, 36))
    with pytest.raises(
        CommandError, match=r"requirements\.txt cannot be fetched: .*; check that pip reaches"
    ):
        site_packages(requirements, older, commands, HostCache(commands.environ))
    assert list((tmp_path / "cache/artifactctl/packages").iterdir()) == []


def test_an_environment_without_pip_is_told_with_how_to_get_it(
    requirements: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not every tool that makes virtual environments puts pip into them."""
    venv.create(tmp_path / "venv", with_pip=False)
    python = str(tmp_path / "venv/bin/python")
    monkeypatch.setattr(sys, "executable", python)
    commands = _commands(tmp_path, [])
    with pytest.raises(CommandError, match=f"No module named pip.*; install it: {python} -m ensurepip"):
        site_packages(requirements, _OTHER, commands, HostCache(commands.environ))


def test_a_cache_that_cannot_be_used_is_told(requirements: Path, tmp_path: Path) -> None:
    """The error names the folder and the variable."""
    commands = _commands(tmp_path, [])
    (tmp_path / "file").write_text("")
    cache = HostCache({"XDG_CACHE_HOME": str(tmp_path / "file")})
    with pytest.raises(ArtifactError, match=r"file/artifactctl: cannot be used: .*; set XDG_CACHE_HOME"):
        site_packages(requirements, _OTHER, commands, cache)
