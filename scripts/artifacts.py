"""Makes everything that is generated of artifacts: the pins in the producer's hooks, then e2e/artifacts.

python scripts/artifacts.py            writes what differs
python scripts/artifacts.py --check    changes nothing, exits 1 if something differs
python scripts/artifacts.py --force    also overwrites what was changed by hand in e2e/artifacts
"""

import argparse
import re
import sys
from pathlib import Path

from artifactctl.errors import ArtifactError
from esb_e2e_plugin.matrix import load_matrix
from esb_producer import folder, runtime_base
from esb_producer.generate import Request, generate

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "e2e/fixtures/template.e2e.yaml"
MATRIX = ROOT / "e2e/environments/test_matrix.yaml"
MODES = {"e2e-local": "process", "e2e-docker": "docker", "e2e-containerd": "containerd"}
PINS = ROOT / "requirements/dev.txt"
JAVA_PINS = ROOT / "e2e/fixtures/functions/java/base"
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


def hooks() -> dict[Path, bytes]:
    """Return what the producer's hooks hold of the repository's pins, by file."""
    found = {pin[1]: pin[0] for pin in _PIN.finditer(PINS.read_text(encoding="utf-8"))}
    head = "# What a worker and the functions in it import; made by `make artifacts`."
    requirements = "\n".join([head, *(found[name] for name in PACKAGES)]) + "\n"
    files = {runtime_base.HOOKS / "python/docker/requirements.txt": requirements.encode()}
    for name in ("pom.xml", "jars.sha256"):
        files[runtime_base.HOOKS / "java/docker" / name] = (JAVA_PINS / name).read_bytes()
    return files


def request(environment: str) -> Request:
    """Return what the artifacts of an environment of the matrix are made from."""
    entry = next(entry for entry in load_matrix(MATRIX).entries if entry.name == environment)
    return Request(
        templates=[TEMPLATE],
        env=environment,
        mode=MODES[environment],
        base=ROOT,
        image_uris=entry.image_uri_overrides,
        image_runtimes=entry.image_runtime_overrides,
    )


def main() -> int:
    """Write or check, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 if something differs")
    parser.add_argument("--force", action="store_true", help="overwrite what was changed by hand")
    arguments = parser.parse_args()
    stale = [path for path, content in hooks().items() if path.read_bytes() != content]
    for path in stale:
        print(f"{path.relative_to(ROOT)}: {'differs' if arguments.check else 'written'}")
        if not arguments.check:
            path.write_bytes(hooks()[path])
    for environment in MODES:
        target = ROOT / "e2e/artifacts" / environment
        try:
            files = generate(request(environment)).files
            names = folder.differing(target, files)
            if not arguments.check:
                folder.write(target, files, force=arguments.force)
        except ArtifactError as error:
            print(f"artifacts: {error}", file=sys.stderr)
            return 1
        for name in names:
            print(f"{target.relative_to(ROOT)}/{name}: {'differs' if arguments.check else 'written'}")
        stale += [target / name for name in names]
    if arguments.check and stale:
        print("artifacts: not what they are made from; run: make artifacts", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
