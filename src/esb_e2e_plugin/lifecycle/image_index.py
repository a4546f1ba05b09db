"""The image store of `process` mode: which sources stand for which image.

What `prepare-images` builds into an engine, this module only looks up: the sources in the artifact roots, by
the image that `functions.yml` names.
"""

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from artifactctl import image_reference, yaml_source
from artifactctl.manifest import Entry, load_manifest
from artifactctl.runtime_config import FUNCTIONS_FILE
from esb_e2e_plugin import fingerprint
from esb_e2e_plugin.failure import StepError
from esb_e2e_plugin.lifecycle import contents

_COMMAND = re.compile(r"^\s*CMD\s+(\[.*\])\s*$", re.MULTILINE)
_HOOKS = Path("runtime-base", "runtime-hooks")

JavaEntry = Callable[[Path, Path], Mapping[str, str]]


def build(
    manifest_path: Path,
    fixture_images: Mapping[str, Path],
    environ: Mapping[str, str],
    java_entry: JavaEntry,
) -> dict[str, Any]:
    """Return the index of every image that a manifest's functions name.

    Args:
        manifest_path: the artifact manifest.
        fixture_images: source folder of each image that is built from fixtures, by its reference.
        environ: fills `${VAR}` in the names of images, as the gateway does.
        java_entry: see `JavaFunctions.entry`.

    Raises:
        StepError: an image has no sources, or no handler is known for it.
        ArtifactError: the manifest or a `functions.yml` is wrong.
    """
    defaults: dict[str, Any] = {}
    functions: dict[str, tuple[Entry, dict[str, Any]]] = {}
    for entry in load_manifest(manifest_path).artifacts:
        path = _functions_file(entry)
        data = yaml_source.load(path).data if os.path.exists(path) else {}  # noqa: PTH110  a name may be too long
        # As in a merge: of functions the last one counts, of defaults the first.
        defaults = {**_given(data.get("defaults")), **defaults}
        functions |= {name: (entry, _given(body)) for name, body in _given(data.get("functions")).items()}
    images: dict[str, Any] = {}
    for name, (entry, own) in functions.items():
        function = {**defaults, **own}
        if isinstance(function.get("image"), str) and function["image"]:  # what is wrong with it, apply says
            place = f"{_functions_file(entry)}: functions.{name}"
            image = _filled(place, function["image"], environ)
            images[image] = _image(
                place, entry.artifact_root, name, function, image, fixture_images.get(image), java_entry
            )
    return {"version": 1, "images": images}


def digests(index: Mapping[str, Any]) -> dict[str, str]:
    """Return what each image of an index stands for: a digest of all that its function runs.

    Args:
        index: as `build` returns it.
    """
    return {
        reference: fingerprint.digest([json.dumps(image, sort_keys=True), *map(contents.of, _folders(image))])
        for reference, image in index["images"].items()
    }


def _folders(image: Mapping[str, Any]) -> list[Path]:
    # What Java functions start from is named by its own digest.
    return [Path(path) for path in (image.get("source"), *image.get("python_path", ())) if path is not None]


def _image(
    place: str,
    root: Path,
    name: str,
    function: Mapping[str, Any],
    image: str,
    fixture: Path | None,
    java_entry: JavaEntry,
) -> dict[str, Any]:
    folder = root / "functions" / name
    source = fixture or (folder / "src" if (folder / "src").is_dir() else None)
    if source is None:
        raise StepError(
            f"{place}.image = {image!r}: no sources in {folder / 'src'}",
            remedy="regenerate the artifacts, or name its fixture in image_uri_overrides",
        )
    handler = function.get("handler") or _handler_of(fixture or folder)
    if handler is None:
        raise StepError(
            f"{place} has no handler, and no Dockerfile names one in CMD",
            remedy='add `handler:` or a last line CMD ["module.function"]',
        )
    runtime = function.get("runtime", "python")
    if str(runtime).startswith("java"):
        return {"runtime": runtime, "handler": handler, **java_entry(root / _HOOKS / "java", source)}
    hooks = root / _HOOKS / "python"
    own = (hooks / "sitecustomize" / "site-packages", hooks / "trace-bridge" / "layer")
    return {
        "runtime": runtime,
        "source": str(source),
        "handler": handler,
        "python_path": [*(str(path) for path in own if path.is_dir()), *_layers(folder)],
    }


def _functions_file(entry: Entry) -> Path:
    return entry.runtime_config_dir / FUNCTIONS_FILE


def _given(mapping: Any) -> dict[str, Any]:
    """Return what a mapping sets; nothing where it is none, which apply tells."""
    return {k: v for k, v in mapping.items() if v is not None} if isinstance(mapping, dict) else {}


def _filled(place: str, image: str, environ: Mapping[str, str]) -> str:
    try:
        return image_reference.filled(image, environ)
    except KeyError as error:
        raise StepError(
            f"{place}.image = {image!r}: ${{{error.args[0]}}} is not set in the environment",
            remedy="set it in env_vars or in the env file",
        ) from None


def _handler_of(folder: Path) -> str | None:
    dockerfile = folder / "Dockerfile"
    if not dockerfile.is_file():
        return None
    commands = _COMMAND.findall(dockerfile.read_text(encoding="utf-8", errors="replace"))
    if not commands:
        return None
    try:
        words = json.loads(commands[-1])
    except ValueError:
        return None
    return str(words[0]) if words else None


def _layers(folder: Path) -> list[str]:
    """Return where layers are imported from: in an image the last one lies over the others."""
    found = sorted((folder / "layers").glob("*/python"), reverse=True)
    return [str(path) for path in found if path.is_dir()]
