"""What function images are built from: hooks of this package, and the worker's supervisor of `esb-services`.

Artifacts are built without this repository, so each `runtime-base` holds a copy of both.
"""

import importlib.util
from pathlib import Path
from typing import Final

from artifactctl.errors import ArtifactError
from esb_producer import sources
from esb_producer.sources import File

HOOKS: Final = Path(__file__).parent / "runtime-hooks"
TARGET: Final = "runtime-base/runtime-hooks"

_MODULES = ("__init__.py", "http1.py", "listening.py", "logs.py", "variables.py", "function_runtime/*.py")


def files(language: str) -> dict[str, File]:
    """Return what an artifact root holds for `python` or `java`, by name in it.

    Raises:
        ArtifactError: `esb-services` is not installed.
    """
    found = {f"{TARGET}/{language}/{name}": file for name, file in sources.read(HOOKS / language).items()}
    services = _services()
    for pattern in _MODULES:
        for path in sorted(services.glob(pattern)):
            name = f"{TARGET}/{language}/supervisor/esb_services/{path.relative_to(services)}"
            found[name] = File(path.read_bytes())
    return found


def _services() -> Path:
    spec = importlib.util.find_spec("esb_services")
    if spec is None or not spec.submodule_search_locations:
        raise ArtifactError(
            "needs the worker's supervisor, which is part of esb-services",
            field="runtime-base",
            remedy="pip install 'pytest-esb-e2e[producer]'",
        )
    return Path(next(iter(spec.submodule_search_locations)))
