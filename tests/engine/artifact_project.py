"""An artifact project whose images belong to one test, and are removed with it."""

import hashlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from artifactctl.identity import entry_id

BASE = "esb-lambda-base"
SECONDS = 300
_HOOKS = "runtime-base/runtime-hooks/python/docker"


class ArtifactProject:
    """Two functions on one base, all of it built from nothing (`FROM scratch`).

    Args:
        folder: where it is written.
    """

    def __init__(self, folder: Path) -> None:
        self.name = f"test-{uuid.uuid4().hex[:12]}"
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.root = folder / "root"
        self.manifest = folder / "artifact.yml"
        self.environ = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "TMPDIR": str(folder)}
        self.images: dict[str, str] = {}
        self.base = f"{BASE}:{self.name}"
        self.write(f"{_HOOKS}/Dockerfile", "FROM scratch\nCOPY docker/base.txt /\n")
        self.write(f"{_HOOKS}/base.txt", self.name)
        self.write_manifest()
        for function in ("pay", "ship"):
            self.add_function(function)

    def write(self, name: str, text: str) -> Path:
        """Write a file of the artifact root."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def write_manifest(self, name: str = "artifact.yml", **entry: Any) -> Path:
        """Write a manifest over the artifact root."""
        artifact = {
            "id": entry_id("t.yaml"),
            "artifact_root": str(self.root),
            "runtime_config_dir": "config",
            "source_template": {"path": "t.yaml"},
            **entry,
        }
        return self.write_manifest_of([artifact], name)

    def write_manifest_of(self, entries: Sequence[Mapping[str, Any]], name: str = "artifact.yml") -> Path:
        """Write a manifest with these entries."""
        document = {"schema_version": "1", "project": self.name, "env": "e", "mode": "docker"}
        path = self.folder / name
        path.write_text(yaml.safe_dump({**document, "artifacts": [dict(entry) for entry in entries]}))
        return path

    def add_function(self, name: str, dockerfile: str | None = None, image: str | None = None) -> None:
        """Add a function whose image is built from one file, or as `dockerfile` says."""
        self.images[name] = image or f"{self.name}-{name}:latest"
        text = dockerfile or f"FROM example.test/{self.base}\nCOPY src/ /var/task/\n"
        self.write(f"functions/{name}/Dockerfile", text)
        self.write(f"functions/{name}/src/app.py", f"# {name} of {self.name}\n")
        self.write_config()

    def write_config(self) -> None:
        """Write the runtime config for `images`."""
        functions = {name: {"image": image} for name, image in self.images.items()}
        routes = [{"path": f"/{name}", "function": name} for name in self.images]
        self.write("config/functions.yml", yaml.safe_dump({"functions": functions}))
        self.write("config/routing.yml", yaml.safe_dump({"routes": routes}))

    def command(self, *arguments: str | Path, manifest: Path | None = None) -> list[str]:
        """Return the command line of `artifactctl` for the manifest."""
        name, *rest = map(str, arguments)
        path = str(manifest or self.manifest)
        return [sys.executable, "-m", "artifactctl.cli", name, "--artifact", path, *rest]

    def run(
        self, *arguments: str | Path, environ: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run `artifactctl` to its end."""
        return subprocess.run(
            self.command(*arguments),
            env={**self.environ, **(environ or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )

    def prepare(self, *arguments: str, environ: Mapping[str, str] | None = None) -> dict[str, str]:
        """Run `prepare-images` and return what it did with each image, by name."""
        done = self.run("prepare-images", "--json", *arguments, environ=environ)
        assert done.returncode == 0, done.stderr
        return {image["reference"]: image["action"] for image in json.loads(done.stdout)["images"]}

    def remove_images(self) -> None:
        """Remove every image with this project's label."""
        label = f"label=com.esb.project={self.name}"
        found = docker("image", "ls", "--quiet", "--no-trunc", "--filter", label).split()
        if found:
            docker("image", "rm", "--force", *dict.fromkeys(found))


def docker(*arguments: str) -> str:
    """Run `docker` and return what it prints."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True, timeout=SECONDS)
    return done.stdout


def image_id(reference: str) -> str:
    """Return the engine's id of an image."""
    return docker("image", "inspect", "--format", "{{.Id}}", reference).strip()


def labels(reference: str) -> dict[str, str]:
    """Return the labels of an image."""
    found: dict[str, str] = json.loads(
        docker("image", "inspect", "--format", "{{json .Config.Labels}}", reference)
    )
    return found


def tree_digest(folder: Path) -> str:
    """Return a digest over every file below `folder`: names, modes, times and bytes."""
    lines: Sequence[str] = [
        f"{path.relative_to(folder)} {(found := path.lstat()).st_mode} {found.st_mtime_ns} "
        f"{hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ''}"
        for path in sorted(folder.rglob("*"))
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
