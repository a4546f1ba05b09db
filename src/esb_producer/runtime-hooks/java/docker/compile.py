"""Compiles a function: python3 compile.py MODULE TARGET [LIBRARIES].

MODULE is a folder of Maven, TARGET takes its classes, LIBRARIES holds the jars that functions may use.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

RELEASE = "17"
SECONDS = 600


def main(module: Path, target: Path, libraries: Path) -> int:
    """Compile `module` against the jars of `libraries` into `target`, and return the compiler's exit code."""
    resources = module / "src/main/resources"
    if resources.is_dir():
        shutil.copytree(resources, target, dirs_exist_ok=True)
    target.mkdir(parents=True, exist_ok=True)
    files = sorted(map(str, (module / "src/main/java").rglob("*.java")))
    if not files:
        raise SystemExit(f"error: {module / 'src/main/java'} holds no Java source")
    # The compiler is in every Java runtime of Debian; a JDK has no other one.
    command = ["java", "-XX:TieredStopAtLevel=1", "-m", "jdk.compiler/com.sun.tools.javac.Main"]
    options = ["--release", RELEASE, "-encoding", "UTF-8", "-proc:none", "-parameters", "-g"]
    class_path = os.pathsep.join(sorted(map(str, libraries.glob("*.jar"))))
    arguments = [*options, "-classpath", class_path, "-d", str(target), *files]
    return subprocess.run([*command, *arguments], stdin=subprocess.DEVNULL, timeout=SECONDS).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), Path((*sys.argv[3:], "/opt/esb/java/lib")[0])))
