"""Makes the artifacts of e2e-docker and e2e-containerd from e2e-local's: the same functions, as images.

python scripts/container_artifacts.py            writes what differs
python scripts/container_artifacts.py --check    exits 1 if something differs

Run it after scripts/runtime_base.py. What differs from e2e-local on purpose: the mode, and the tags of
images: they name the environment, so that no two on one engine run each other's functions.
"""

import argparse
import hashlib
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ARTIFACTS = ROOT / "e2e/artifacts"
LOCAL = "e2e-local"
MODES = {"e2e-docker": "docker", "e2e-containerd": "containerd"}
CONFIG = Path("template.e2e/config/functions.yml")
BUNDLE = Path("template.e2e/bundle/manifest.json")
_FUNCTION_IMAGE = re.compile(r"^(    image: esb-lambda-[a-z0-9-]+):latest$", re.MULTILINE)
_MODE = re.compile(r"^(mode: |ESB_MODE=)process$", re.MULTILINE)


def expected(environment: str) -> dict[Path, bytes]:
    """Return every file that the artifacts of an environment consist of, by name."""
    files = _files(ARTIFACTS / LOCAL)
    files[CONFIG] = _FUNCTION_IMAGE.sub(r"\1:${ESB_IMAGE_TAG}", files[CONFIG].decode()).encode()
    for name in map(Path, ("artifact.yml", "compose.env")):
        text = files[name].decode().replace(LOCAL, environment)
        files[name] = _MODE.sub(rf"\1{MODES[environment]}", text).encode()
    bundle = json.loads(files[BUNDLE])
    bundle["files"][str(CONFIG.relative_to(BUNDLE.parts[0]))] = hashlib.sha256(files[CONFIG]).hexdigest()
    files[BUNDLE] = (json.dumps(bundle, indent=2, sort_keys=True) + "\n").encode()
    return files


def differing(environment: str) -> list[Path]:
    """Return the names of the files that are missing, wrong, or not expected."""
    wanted, found = expected(environment), _files(ARTIFACTS / environment)
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def write(environment: str) -> list[Path]:
    """Write what differs, and return its names."""
    wanted, changed = expected(environment), differing(environment)
    for name in changed:
        path = ARTIFACTS / environment / name
        if name in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wanted[name])
        else:
            path.unlink()
    return changed


def _files(folder: Path) -> dict[Path, bytes]:
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def main() -> int:
    """Write or check, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 if something differs")
    check = parser.parse_args().check
    stale = False
    for environment in MODES:
        names = differing(environment) if check else write(environment)
        if check and names:
            stale = True
            listed = ", ".join(map(str, names))
            print(
                f"{environment}: {listed} differ; run: python scripts/container_artifacts.py", file=sys.stderr
            )
        elif names:
            print("\n".join(f"{environment}: {name}" for name in names))
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
