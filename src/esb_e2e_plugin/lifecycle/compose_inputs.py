"""What containers of a compose project are made of beside images: its files, what they mount and build."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from artifactctl import dockerfile
from artifactctl.errors import ArtifactError
from esb_e2e_plugin.env_file import variables_of
from esb_e2e_plugin.fingerprint import MODEL, digest
from esb_e2e_plugin.lifecycle import contents, node_image, service_images
from esb_e2e_plugin.lifecycle.image_recipe import DOCKERFILE, step_error
from esb_e2e_plugin.matrix import Entry
from esb_e2e_plugin.planner import Scenario

_SERVICES = Path("services")
_OF_THE_SERVICES = ("esb_services", "images", "runtime-node")
_IGNORE_FILE = ".dockerignore"
_KERNELS = ("/dev", "/proc", "/sys")


def parts(scenario: Scenario, root: Path, model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the name and digest of each part.

    Args:
        scenario: the environment.
        root: the project root.
        model: its compose files, see `compose_reading`.
    """
    entry = scenario.entry
    for path in entry.compose_files:
        yield _shown(path, entry.env_dir), contents.of(path)
    yield MODEL, digest([json.dumps(model, sort_keys=True)])
    if service_images.builds(root, variables_of(entry)):
        folders = [root / _SERVICES / name for name in _OF_THE_SERVICES]
        yield "services sources", digest(map(contents.of, folders))
    for mounted in dict.fromkeys(_mounted(entry, model)):
        yield _shown(mounted, root), contents.of(mounted, lambda path: path == root / ".esb")
    for name, build in _builds(model):
        yield f"build context of {name}", _context(build, root)


def bases(scenario: Scenario, root: Path, model: Mapping[str, Any]) -> list[str]:
    """Return the names of the images that images of the services are built on.

    Raises:
        StepError: a Dockerfile of the services cannot be understood.
    """
    entry, found = scenario.entry, []
    variables = variables_of(entry)
    try:
        if service_images.builds(root, variables):
            found.append(service_images.base(root, variables))
        if entry.mode == "containerd" and node_image.builds(root, variables):
            found.append(node_image.base(root, variables))
    except ArtifactError as error:
        raise step_error("the image of the services", error) from error
    for _, build in _builds(model):
        found += _starts(build)
    return list(dict.fromkeys(found))


def _mounted(entry: Entry, model: Mapping[str, Any]) -> Iterator[Path]:
    for service in (model.get("services") or {}).values():
        for volume in service.get("volumes") or ():
            if volume.get("type") == "bind" and volume["source"] != entry.engine_socket:
                yield from _own(volume["source"])
    for kind in ("configs", "secrets"):
        for source in (model.get(kind) or {}).values():
            if source.get("file"):
                yield from _own(source["file"])


def _own(source: str) -> Iterator[Path]:
    # What the kernel shows there is no input, and has no end.
    if not any(source == folder or source.startswith(f"{folder}/") for folder in _KERNELS):
        yield Path(source)


def _builds(model: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, service in (model.get("services") or {}).items():
        if service.get("build"):
            yield name, service["build"]


def _context(build: Mapping[str, Any], root: Path) -> str:
    folders = [build.get("context") or "", *(build.get("additional_contexts") or {}).values()]
    local = [Path(folder) for folder in folders if Path(folder).is_dir()]
    return digest(
        [
            contents.of(_dockerfile(build)),
            *(_sent(folder, root) for folder in local),
        ]
    )


def _sent(folder: Path, root: Path) -> str:
    """Return the digest of what of a folder goes into a build."""
    ignored = folder / _IGNORE_FILE
    if not ignored.is_file():
        return contents.of(folder, lambda path: path == root / ".esb")
    from docker.utils.build import exclude_paths

    patterns = [line.strip() for line in ignored.read_text(encoding="utf-8", errors="replace").splitlines()]
    names = exclude_paths(str(folder), [line for line in patterns if line and not line.startswith("#")])
    files = [name for name in sorted(names) if not (folder / name).is_dir()]
    return digest(
        [contents.of(ignored), *(text for name in files for text in (name, contents.of(folder / name)))]
    )


def _dockerfile(build: Mapping[str, Any]) -> Path:
    return Path(build.get("context") or "", build.get("dockerfile") or DOCKERFILE)


def _starts(build: Mapping[str, Any]) -> list[str]:
    text = build.get("dockerfile_inline")
    try:
        if text is None:
            text = _dockerfile(build).read_text(encoding="utf-8", errors="replace")
        arguments = {
            name: str(value) for name, value in (build.get("args") or {}).items() if value is not None
        }
        return list(dockerfile.bases(text, arguments))
    except (OSError, dockerfile.DockerfileError):
        return []  # what Docker makes of it, only Docker knows


def _shown(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
