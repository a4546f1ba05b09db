"""The image store of `process` mode: which sources stand for which image.

What `prepare-images` builds into an engine, this module only looks up: the sources in the artifact roots, by
the image that `functions.yml` names.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from artifactctl import yaml_source
from artifactctl.manifest import load_manifest
from esb_e2e_plugin.failure import StepError

_COMMAND = re.compile(r"^\s*CMD\s+(\[.*\])\s*$", re.MULTILINE)
_HOOKS = Path("runtime-base", "runtime-hooks", "python")


def build(manifest_path: Path, fixture_images: Mapping[str, Path]) -> dict[str, Any]:
    """Return the index of every image that a manifest's functions name.

    Args:
        manifest_path: the artifact manifest.
        fixture_images: source folder of each image that is built from fixtures, by its reference.

    Raises:
        StepError: an image has no sources, or no handler is known for it.
        ArtifactError: the manifest or a `functions.yml` is wrong.
    """
    images: dict[str, Any] = {}
    for entry in load_manifest(manifest_path).artifacts:
        functions_file = entry.runtime_config_dir / "functions.yml"
        hooks = entry.artifact_root / _HOOKS
        python_path = [
            str(folder)
            for folder in (hooks / "sitecustomize" / "site-packages", hooks / "trace-bridge" / "layer")
            if folder.is_dir()
        ]
        for name, function in _functions(functions_file):
            image = function.get("image")
            if not isinstance(image, str) or not image:  # what is wrong with it, apply says
                continue
            folder = entry.artifact_root / "functions" / name
            fixture = fixture_images.get(image)
            source = fixture or (folder / "src" if (folder / "src").is_dir() else None)
            if source is None:
                raise StepError(
                    f"{functions_file}: functions.{name}.image = {image!r}: no sources in {folder / 'src'}",
                    remedy="regenerate the artifacts, or name its fixture in image_uri_overrides",
                )
            handler = function.get("handler") or _handler_of(fixture or folder)
            if handler is None:
                raise StepError(
                    f"{functions_file}: functions.{name} has no handler, and no Dockerfile names one in CMD",
                    remedy='add `handler:` or a last line CMD ["module.function"]',
                )
            images[image] = {
                "runtime": function.get("runtime", "python"),
                "source": str(source),
                "handler": handler,
                "python_path": [*python_path, *_layers(folder)],
            }
    return {"version": 1, "images": images}


def _functions(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    data = yaml_source.load(path).data if path.exists() else {}
    functions = data.get("functions") if isinstance(data, dict) else None
    if isinstance(functions, dict):
        yield from ((name, body) for name, body in functions.items() if isinstance(body, dict))


def _handler_of(folder: Path) -> str | None:
    dockerfile = folder / "Dockerfile"
    if not dockerfile.is_file():
        return None
    commands = _COMMAND.findall(dockerfile.read_text(encoding="utf-8"))
    if not commands:
        return None
    try:
        words = json.loads(commands[-1])
    except ValueError:
        return None
    return str(words[0]) if words else None


def _layers(folder: Path) -> list[str]:
    return [str(path) for path in sorted((folder / "layers").glob("*/python")) if path.is_dir()]
