"""Stages what function images are built from into every artifact root below e2e/artifacts.

python scripts/runtime_base.py            copies the worker's supervisor and the pins of its packages and jars
python scripts/runtime_base.py --check    exits 1 if a root differs

Artifacts are built without this repository, so each `runtime-base` holds a copy of the modules of
`esb_services` that a worker runs. Digests in `bundle/manifest.json` follow.
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SERVICES = ROOT / "services/esb_services"
HOOKS = Path("runtime-base/runtime-hooks")
LANGUAGES = ("python", "java")
JAVA_PINS = ROOT / "e2e/fixtures/functions/java/base"
PINS = ROOT / "requirements/dev.txt"
MODULES = ("__init__.py", "http1.py", "listening.py", "logs.py", "variables.py", "function_runtime/*.py")
PACKAGES = (
    "awslambdaric",
    "boto3",
    "botocore",
    "jmespath",
    "python-dateutil",
    "s3transfer",
    "simplejson",
    "six",
    "snapshot-restore-py",
    "urllib3",
)
_PIN = re.compile(r"^([a-z0-9-]+)==.*(?:\n[ \t].*)*", re.MULTILINE)


def staged() -> dict[Path, bytes]:
    """Return what a root must hold of this repository, by name."""
    files = {
        HOOKS / language / "supervisor/esb_services" / path.relative_to(SERVICES): path.read_bytes()
        for language in LANGUAGES
        for pattern in MODULES
        for path in SERVICES.glob(pattern)
    }
    files[HOOKS / "python/docker/requirements.txt"] = _pins().encode()
    for name in ("pom.xml", "jars.sha256"):
        files[HOOKS / "java/docker" / name] = (JAVA_PINS / name).read_bytes()
    return files


def _pins() -> str:
    found = {pin[1]: pin[0] for pin in _PIN.finditer(PINS.read_text(encoding="utf-8"))}
    head = "# What a worker and the functions in it import; made by scripts/runtime_base.py."
    return "\n".join([head, *(found[name] for name in PACKAGES)]) + "\n"


def stage(root: Path) -> bool:
    """Bring one artifact root up to date and tell whether anything had to be written."""
    files = staged()
    extra = _extra(root, files)
    for name in extra:
        (root / name).unlink()
    changed = bool(extra)
    for name, content in files.items():
        path = root / name
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            changed = True
    return _write_bundle(root) or changed


def differing(root: Path) -> list[str]:
    """Return the names in which an artifact root differs from this repository."""
    files = staged()
    wrong = [
        name
        for name, content in files.items()
        if not (root / name).is_file() or (root / name).read_bytes() != content
    ]
    return sorted(map(str, (*wrong, *_extra(root, files))))


def _extra(root: Path, files: dict[Path, bytes]) -> set[Path]:
    supervisors = [root / HOOKS / language / "supervisor" for language in LANGUAGES]
    return {path.relative_to(root) for folder in supervisors for path in _files(folder)} - files.keys()


def _write_bundle(root: Path) -> bool:
    path = root / "bundle/manifest.json"
    text = path.read_text(encoding="utf-8")
    bundle = json.loads(text)
    bundle["files"] = {
        str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in _files(root)
        if file != path
    }
    new = json.dumps(bundle, indent=2, sort_keys=True) + "\n"
    path.write_text(new, encoding="utf-8")
    return new != text


def _files(folder: Path) -> Iterator[Path]:
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return (path for path in found if "__pycache__" not in path.parts)


def roots() -> list[Path]:
    """Return the artifact roots that are built from this repository."""
    return sorted(path.parents[1] for path in ROOT.glob("e2e/artifacts/*/*/runtime-base/runtime-hooks"))


def main() -> int:
    """Stage or check every root, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 if a root differs")
    check = parser.parse_args().check
    code = 0
    for root in roots():
        name = root.relative_to(ROOT)
        if check and (names := differing(root)):
            print(f"{name}: {', '.join(names)} differ; run: python scripts/runtime_base.py", file=sys.stderr)
            code = 1
        elif not check and stage(root):
            print(f"{name}: staged")
    return code


if __name__ == "__main__":
    sys.exit(main())
