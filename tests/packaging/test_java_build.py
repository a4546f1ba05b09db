"""The Java functions as Maven builds them: the same sources, the same bytes, and no network."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.jdk

FIXTURES = Path(__file__).parents[2] / "e2e/fixtures"
SECONDS = 600


def _jars(folder: Path, *options: str) -> dict[str, str]:
    """Build everything in a copy of the sources, and return the digest of each jar."""
    shutil.copytree(FIXTURES, folder, ignore=shutil.ignore_patterns("target"))
    java = folder / "functions/java"
    done = subprocess.run(
        ["mvn", "--batch-mode", "--quiet", "--file", str(java / "pom.xml"), *options, "package"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = sorted(java.glob("target/*/*.jar"))
    return {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in found}


def test_two_clean_builds_give_the_same_jars(tmp_path: Path) -> None:
    """The second build is in another folder and may not use the network."""
    first = _jars(tmp_path / "first")
    assert first.keys() == {"connectivity-1.jar", "echo-1.jar", "image-1.jar", "probe-1.jar"}
    assert _jars(tmp_path / "second", "--offline") == first
    assert not [path for path in (tmp_path / "second").rglob("target") if path.parent.name != "java"]
