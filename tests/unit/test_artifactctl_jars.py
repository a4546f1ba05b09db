"""Jars for Java functions: resolved by Maven on the host, once for each pom, and as their lock says."""

import hashlib
import os
from pathlib import Path

import pytest

from artifactctl import jars
from artifactctl.commands import CommandError, Commands
from artifactctl.errors import ArtifactError
from artifactctl.host_cache import HostCache

MAVEN = """#!/bin/sh
for argument; do
    case $argument in -DoutputDirectory=*) printf %s "$JAR" >"${argument#*=}/one-1.0.jar" ;; esac
done
"""


class Host:
    """A host whose Maven knows one jar, and a project that needs it."""

    def __init__(self, folder: Path) -> None:
        self.lines: list[str] = []
        self.pom = folder / "pom.xml"
        self.lock = folder / "jars.sha256"
        self._folder = folder
        self.pom.write_text("<project/>")
        self.write_lock("content")
        maven = folder / "bin/mvn"
        maven.parent.mkdir()
        maven.write_text(MAVEN)
        maven.chmod(0o755)

    def write_lock(self, content: str) -> None:
        """Lock the jar to a content."""
        self.lock.write_text(f"{hashlib.sha256(content.encode()).hexdigest()}  one-1.0.jar\n")

    def collect(self, *, jar: str = "content", path: str = os.environ["PATH"]) -> Path:
        """Collect the project's jars; the repository holds `jar`."""
        own = {"PATH": f"{self._folder}/bin:{path}", "XDG_CACHE_HOME": f"{self._folder}/cache", "JAR": jar}
        commands = Commands(own, self.lines.append, 60)
        return jars.collect(self.pom, commands, HostCache(own))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host with a project."""
    return Host(tmp_path)


def test_jars_are_resolved_once_for_a_pom_and_its_lock(host: Host) -> None:
    """What lies in the cache needs no Maven; another pom does."""
    first = host.collect()
    assert [path.read_text() for path in first.iterdir()] == ["content"]
    said = len(host.lines)
    assert said > 0
    assert host.collect() == first
    assert len(host.lines) == said
    host.pom.write_text("<project><!-- changed --></project>")
    assert host.collect() != first


def test_a_jar_that_is_not_the_locked_one_is_refused(host: Host) -> None:
    """A repository that hands out something else is told by the jar's name, and nothing of it is kept."""
    with pytest.raises(ArtifactError, match=r"jars.sha256: other jars .* resolved: one-1.0.jar") as caught:
        host.collect(jar="forged")
    assert "make jars" in str(caught.value)
    assert host.collect().is_dir()


def test_a_line_that_locks_nothing_is_told(host: Host) -> None:
    """The lock file is read before Maven is asked."""
    host.lock.write_text("only-a-name.jar\n")
    with pytest.raises(ArtifactError, match=r"jars.sha256:1: .*only-a-name"):
        host.collect()
    assert host.lines == []


def test_a_host_without_maven_is_told_what_to_install(host: Host, tmp_path: Path) -> None:
    """The error names the program, the project that needs it, and the command that installs it."""
    (tmp_path / "bin/mvn").unlink()
    with pytest.raises(CommandError, match=r"pom.xml: the program mvn is not installed.*make engine"):
        host.collect(path="")
