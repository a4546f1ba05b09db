"""The project's own platform as a project of its own, and the images of its functions."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml

from tests.engine.e2e_docker_project import ENVIRONMENT, HOLD, DockerProject, docker
from tests.engine.images import IMAGE
from tests.ports import own_ports

SMOKE = "e2e/scenarios/smoke"
MATRIX = "e2e/environments/test_matrix.yaml"
CONTAINERD = "e2e-containerd"
WARM = "lambda-warm"
"""A function of which a worker is there before the first call."""

_CONFIG = f"e2e/artifacts/{CONTAINERD}/template.e2e/config"
_ROOT = Path(__file__).parents[2]
_IMAGES = ("esb-lambda-*", "esb-e2e-lambda-*", "esb-python-base", "esb-java-base")


class Platform(DockerProject):
    """The project's own platform with all its functions, of which a run needs what its tests call."""

    def _write_files(self) -> None:
        ignored = shutil.ignore_patterns("__pycache__", ".parallel-*")
        shutil.copytree(_ROOT / "e2e", self.root / "e2e", ignore=ignored)
        self.write(f"{SMOKE}/test_smoke_hold.py", HOLD)
        self.write_matrix()
        self.write("pyproject.toml", '[tool.pytest.ini_options]\naddopts = "-p no:cacheprovider"\n')
        # What is fetched for builds is the same for all projects of a user.
        (self._home / ".cache").symlink_to(Path.home() / ".cache")

    def write_matrix(self, **more: Any) -> None:
        """Write the project's own matrix, with more keys of the entries that stay."""
        matrix = yaml.safe_load((_ROOT / MATRIX).read_text())
        named = self.environment.split(",")
        entries = [entry for entry in matrix["matrix"] if entry["esb_env"] in named]
        own = {"esb_project": self.name, "enabled": True, "env_vars": {"ESB_SERVICES_IMAGE": IMAGE}}
        pool = more.pop("subnet_pool", self.subnet_pool)
        matrix["matrix"] = [{**entry, **own, **more} for entry in entries]
        self.write(MATRIX, {**matrix, "port_base": self.port_base, "subnet_pool": pool})

    def left_over(self) -> list[str]:
        """Return what its runs have left behind, on the engine too."""
        return [line for line in super().left_over() if line != str(self._home / ".cache")]


class Containerd(Platform):
    """The platform with the one entry that has a containerd, and with one function."""

    environment = CONTAINERD

    def _write_files(self) -> None:
        super()._write_files()
        functions = yaml.safe_load((self.root / _CONFIG / "functions.yml").read_text())
        functions["functions"] = {WARM: functions["functions"][WARM]}
        self.write(f"{_CONFIG}/functions.yml", functions)
        self.write(f"{_CONFIG}/routing.yml", {"routes": []})

    def write_matrix(self, **more: Any) -> None:
        """Write the matrix; no image is built from fixtures."""
        super().write_matrix(image_uri_overrides={}, image_runtime_overrides={}, **more)


_Platform = TypeVar("_Platform", bound=Platform)


@contextmanager
def making_platform(folder: Path, kind: type[_Platform]) -> Iterator[_Platform]:
    """Yield a platform with ports of its own below a folder; remove whatever a failed test has left."""
    with own_ports() as base:
        project = kind(folder / "platform", base)
        try:
            yield project
        finally:
            project.end()


def function_images() -> list[str]:
    """Return all names of the function images on the first engine that a run of the platform uses."""
    found = []
    for pattern in _IMAGES:
        lines = docker(
            "image", "ls", "--filter", f"reference={pattern}", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"
        )
        rows = [line.split() for line in lines.splitlines()]
        current = {image for name, image in rows if name.endswith((f":e2e-{ENVIRONMENT}-latest", ":latest"))}
        found += [name for name, image in rows if image in current]
    return found
