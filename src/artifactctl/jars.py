"""Jars for Java functions, resolved by Maven on the host because builds have no network."""

import hashlib
import shutil
from pathlib import Path
from typing import Final

from artifactctl import regular_file
from artifactctl.commands import CommandError, Commands, checked
from artifactctl.errors import ArtifactError
from artifactctl.host_cache import HostCache

POM: Final = "pom.xml"
LOCK: Final = "jars.sha256"
SECONDS: Final = 900.0

_KIND = "jars"
_LIMIT_BYTES = 4 * 1024 * 1024
_INSTALL = "install a JDK and Maven (`make engine` does on Debian)"


def collect(pom: Path, commands: Commands, cache: HostCache) -> Path:
    """Return a folder with the jars that `pom` depends on at run time, each as its lock file says.

    Args:
        pom: a Maven project with pinned versions; beside it lies `jars.sha256`, as `sha256sum` writes it.
        commands: runs Maven.
        cache: keeps the folder for as long as pom and lock stay the same.

    Raises:
        ArtifactError: they cannot be resolved, or are not what the lock says.
    """
    lock = pom.with_name(LOCK)
    wanted = _read_lock(lock)
    key = hashlib.sha256(regular_file.read(pom, _LIMIT_BYTES) + b"\n" + "".join(wanted).encode()).hexdigest()

    def resolve(folder: Path) -> None:
        resolve_into(pom, folder, commands)
        if (found := locked(folder)) != wanted:
            wrong = ", ".join(sorted({line.split()[1] for line in set(found) ^ set(wanted)}))
            rule = f"other jars than these were resolved: {wrong}"
            raise ArtifactError(rule, path=lock, remedy="run `make jars ARGS=--lock` if the pom has changed")

    with cache.lock(_KIND, key, commands):
        return cache.folder(_KIND, key[:32], resolve)


def resolve_into(pom: Path, folder: Path, commands: Commands) -> None:
    """Copy the jars that `pom` depends on at run time into `folder`.

    Raises:
        CommandError: Maven is missing, or fails.
    """
    if shutil.which("mvn", path=commands.environ.get("PATH")) is None:
        raise CommandError("the program mvn is not installed", path=pom, remedy=_INSTALL)
    argv = ["mvn", "--batch-mode", "--quiet", "--file", str(pom), "dependency:copy-dependencies"]
    done = commands.run([*argv, f"-DoutputDirectory={folder}"], limit=SECONDS)
    checked(done, f"the jars of {pom} cannot be resolved", "check that Maven reaches its repository")


def locked(folder: Path) -> list[str]:
    """Return the lines of a lock file for the jars of `folder`."""
    return [
        f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.name}\n"
        for jar in sorted(folder.glob("*.jar"))
    ]


def _read_lock(path: Path) -> list[str]:
    lines = regular_file.read(path, _LIMIT_BYTES).decode("utf-8", "replace").splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        if len(line.split()) != 2:
            raise ArtifactError("expected a digest and the name of a jar", path=path, line=number, value=line)
    return lines
