"""Fetches what Java functions need and builds their jars, so that both work without a network afterwards.

python scripts/jars.py           fills the cache of this host, and e2e/fixtures/functions/java/target
python scripts/jars.py --lock    first pins anew the jars that the pom stands for: after a change of versions
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from artifactctl import jars
from artifactctl.commands import Commands, checked
from artifactctl.errors import ArtifactError
from artifactctl.host_cache import HostCache

JAVA = Path(__file__).resolve().parent.parent / "e2e/fixtures/functions/java"
POM = JAVA / "base" / jars.POM


def lock(commands: Commands) -> None:
    """Write the lock file of the functions' pom."""
    with tempfile.TemporaryDirectory(prefix="jars-") as folder:
        jars.resolve_into(POM, Path(folder), commands)
        lines = jars.locked(Path(folder))
    new = POM.with_name(f".{jars.LOCK}.new")
    new.write_text("".join(lines), encoding="utf-8")
    new.replace(POM.with_name(jars.LOCK))
    print(f"{len(lines)} jars locked; stage them: make artifacts")


def main() -> int:
    """Lock if asked to, fetch, build, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--lock", action="store_true", help="write the lock file anew")
    arguments = parser.parse_args()
    commands = Commands(os.environ, None, jars.SECONDS)
    try:
        if arguments.lock:
            lock(commands)
        folder = jars.collect(POM, commands, HostCache(os.environ))
        argv = ["mvn", "--batch-mode", "--quiet", "--file", str(JAVA / jars.POM), "package"]
        checked(commands.run(argv), "the functions cannot be built")
        print(f"jars: {len(jars.locked(folder))} in the cache; those of the functions: {JAVA.name}/target")
    except ArtifactError as error:
        print(f"jars: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
