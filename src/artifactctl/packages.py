"""Python packages for an image, fetched on the host because builds have no network."""

import hashlib
import shutil
import sys
from pathlib import Path
from typing import Final

from artifactctl import regular_file
from artifactctl.commands import Commands, checked
from artifactctl.docker_engine import Interpreter
from artifactctl.host_cache import HostCache

SECONDS: Final = 600.0

_LIMIT_BYTES = 4 * 1024 * 1024
_OLDEST_GLIBC = 17
_NO_PIP = "No module named pip"


def site_packages(requirements: Path, interpreter: Interpreter, commands: Commands, cache: HostCache) -> Path:
    """Return a folder with the packages that `requirements` pins, as `interpreter` imports them.

    Args:
        requirements: pins with hashes, as pip reads them; complete, nothing else is installed.
        interpreter: of the image that they are for.
        commands: runs pip.
        cache: keeps the folder for as long as pins and interpreter stay the same.

    Raises:
        ArtifactError: they cannot be fetched.
    """
    pins = regular_file.read(requirements, _LIMIT_BYTES)
    key = hashlib.sha256(f"{interpreter}\n".encode() + pins).hexdigest()[:32]

    def fetch(folder: Path) -> None:
        done = commands.run(_pip(requirements, interpreter, folder), limit=SECONDS)
        remedy = "check that pip reaches its package index and that the pins have wheels"
        if any(_NO_PIP in line for line in done.tail):
            remedy = f"install it: {sys.executable} -m ensurepip"
        checked(done, f"the packages of {requirements} cannot be fetched", remedy)
        # Scripts start with the path of this host's interpreter.
        shutil.rmtree(folder / "bin", ignore_errors=True)

    with cache.lock("packages", key, commands):
        return cache.folder("packages", key, fetch)


def _pip(requirements: Path, interpreter: Interpreter, folder: Path) -> list[str]:
    major, minor = interpreter.version
    libc_major, libc_minor = interpreter.libc
    platforms = [
        f"manylinux_{libc_major}_{number}_{interpreter.machine}"
        for number in range(libc_minor, _OLDEST_GLIBC - 1, -1)
    ]
    platforms.append(f"manylinux2014_{interpreter.machine}")
    return [
        sys.executable,
        *("-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"),
        *("--requirement", str(requirements), "--require-hashes", "--no-deps", "--only-binary", ":all:"),
        *("--implementation", "cp", "--python-version", f"{major}.{minor}"),
        *(word for platform in platforms for word in ("--platform", platform)),
        *("--no-compile", "--target", str(folder)),
    ]
