"""Java functions in `process` mode: compiled here, started by the host's own Java.

What the image of their base holds lies in the host's cache: jars, and what `prepare.py` makes of them.
"""

import hashlib
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from artifactctl import build_inputs, jars
from artifactctl.commands import CommandError, Commands, checked
from artifactctl.host_cache import HostCache

SECONDS: Final = 1200.0

_DOCKER = "docker"
_REMEDY = "`make engine` installs a JDK and Maven on Debian"


class JavaFunctions:
    """Makes what the image index says of Java functions.

    Args:
        commands: runs Java and Maven.
    """

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._cache = HostCache(commands.environ)

    def entry(self, hooks: Path, module: Path) -> Mapping[str, str]:
        """Return where the classes of a function and what they start from lie, or what is missing here.

        Args:
            hooks: `runtime-hooks/java` of its artifact root.
            module: the function's Maven module.

        Raises:
            ArtifactError: it cannot be compiled, or its jars cannot be had.
        """
        path = self._commands.environ.get("PATH")
        java = shutil.which("java", path=path)
        if java is None or shutil.which("javac", path=path) is None:
            return {"missing": f"there is no JDK (`java`, `javac`) on PATH; {_REMEDY}"}
        try:
            libraries = jars.collect(hooks / _DOCKER / jars.POM, self._commands, self._cache)
        except CommandError:
            if shutil.which("mvn", path=path) is None:
                return {
                    "missing": f"there is no Maven (`mvn`) on PATH, and the jars are not cached; {_REMEDY}"
                }
            raise
        made_by = (_identity(java), str(libraries), *build_inputs.collect(hooks / _DOCKER).lines())
        training = build_inputs.collect(hooks / "training")
        prepared = self._make("java", (*made_by, *training.lines()), hooks, "prepare.py", libraries)
        sources = build_inputs.collect(module)
        classes = self._make("classes", (*made_by, *sources.lines()), hooks, "compile.py", module, libraries)
        return {"source": str(classes), "java": str(prepared)}

    def _make(
        self, kind: str, content: tuple[str, ...], hooks: Path, script: str, source: Path, *more: Path
    ) -> Path:
        """Return the folder that a script of the hooks fills from `source`, if it is not there yet."""
        key = hashlib.sha256("\n".join(content).encode("utf-8", "surrogateescape")).hexdigest()[:32]

        def fill(folder: Path) -> None:
            # -B: an artifact root is never written to
            argv = [sys.executable, "-B", str(hooks / _DOCKER / script), str(source), str(folder)]
            done = self._commands.run([*argv, *map(str, more)], limit=SECONDS)
            checked(done, f"{script} failed for {source}")

        with self._cache.lock(kind, key, self._commands):
            return self._cache.folder(kind, key, fill)


def _identity(java: str) -> str:
    """Return what changes whenever another Java is installed."""
    program = Path(java).resolve()
    found = program.stat()
    return f"{program} {found.st_mtime_ns} {found.st_size}"
