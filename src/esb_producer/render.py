"""Applications → files: artifact roots, the manifest, and what lies beside it."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from artifactctl import identity, yaml_output
from artifactctl.errors import ArtifactError
from artifactctl.image_reference import JAVA_LAMBDA_BASE, LAMBDA_BASE
from artifactctl.manifest import SCHEMA_VERSION
from artifactctl.runtime_config import FUNCTIONS_FILE, RESOURCES_FILE, ROUTING_FILE
from artifactctl.runtime_meta import RENDERER_NAME, SITECUSTOMIZE, SUPPORTED_API
from esb_producer import runtime_base, sources
from esb_producer.model import Application, Code, Function, Layer
from esb_producer.sources import File

MANIFEST: Final = "artifact.yml"
CONFIG: Final = "config"
BUNDLE: Final = "bundle/manifest.json"
IMAGE_TAG: Final = "${ESB_IMAGE_TAG}"
COMPOSE_ENV: Final = "compose.env"
SECRETS_EXAMPLE: Final = "compose.secrets.env.example"

_API = ".".join(map(str, SUPPORTED_API))
_RUNTIME_PACKAGES = re.compile(r"python/lib/python3\.[0-9]+/site-packages/(.+)")
_NO_SLUG = re.compile("[^A-Za-z0-9]+")
_PYTHON_DOCKERFILE = """\
FROM {base}:latest
{layers}COPY src/ /var/task/
CMD [{handler}]
"""
_JAVA_DOCKERFILE = """\
FROM {base}:latest AS build
COPY src/ /module/
RUN ["python3", "/opt/esb/build/compile.py", "/module", "/tmp/task"]

FROM {base}:latest
COPY --from=build /tmp/task/ /var/task/
CMD [{handler}]
"""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which environment the artifacts are for."""

    project: str
    env: str
    mode: str


def render(applications: Sequence[Application], of: Identity) -> dict[str, File]:
    """Return every file of the artifacts, by name below the folder of the manifest.

    Raises:
        ArtifactError: sources cannot be read, or do not fit their function.
    """
    roots = _root_names(applications)
    _check_images(applications, of)
    found: dict[str, File] = {}
    entries = []
    for application, root in zip(applications, roots, strict=True):
        files = _root(application, of)
        found |= {f"{root}/{name}": file for name, file in files.items()}
        entries.append(_entry(application, root, files))
    document = {
        "schema_version": SCHEMA_VERSION,
        "project": of.project,
        "env": of.env,
        "mode": of.mode,
        "artifacts": entries,
    }
    secrets = sorted({name for application in applications for name in application.secrets})
    found[MANIFEST] = File(yaml_output.dumped(document, sort_keys=False))
    found[COMPOSE_ENV] = File(f"ESB_PROJECT={of.project}\nESB_ENV={of.env}\nESB_MODE={of.mode}\n".encode())
    found[SECRETS_EXAMPLE] = File(_secrets_example(secrets).encode())
    return dict(sorted(found.items()))


def image_of(function: Function, of: Identity) -> str:
    """Return the reference of a function's image; its tag is the environment's."""
    return function.image or f"{of.project}-{function.name}".lower() + f":{IMAGE_TAG}"


def _root_names(applications: Sequence[Application]) -> list[str]:
    names = []
    for application in applications:
        stem = Path(identity.clean_path(application.source.path)).stem or "template"
        names.append(_id(application) if stem in names or stem.startswith(".") else stem)
    return names


def _id(application: Application) -> str:
    source = application.source
    return identity.entry_id(source.path, source.parameters, source.sha256)


def _check_images(applications: Sequence[Application], of: Identity) -> None:
    taken: dict[str, Function] = {}
    for application in applications:
        for function in application.functions:
            if function.code is None:
                continue
            first = taken.setdefault(image_of(function, of), function)
            if first.name != function.name:
                rule = f"{function.where}: its image would have the name of that of {first.name}"
                raise ArtifactError(rule, remedy="give it another FunctionName")


def _root(application: Application, of: Identity) -> dict[str, File]:
    files: dict[str, File] = {}
    read: dict[Path, dict[str, File]] = {}
    for function in application.functions:
        if function.code is not None:
            folder = f"functions/{function.name}"
            parts = _function(function, function.code, read)
            files |= {f"{folder}/{name}": file for name, file in parts.items()}
    languages = {"python"} | {function.language for function in application.functions}
    for language in sorted(languages):
        files |= runtime_base.files(language)
    for name, document in _config(application, of).items():
        files[f"{CONFIG}/{name}"] = File(yaml_output.dumped(document))
    files[BUNDLE] = File(_bundle(application, files))
    return files


def _function(function: Function, code: Code, read: dict[Path, dict[str, File]]) -> dict[str, File]:
    if code.inline is not None:
        source = {"index.py": File(code.inline.encode())}
    else:
        source = dict(_read(code.source or Path(), function, read))
    if function.language == "java":
        source = _module(source, function, code)
    files = {f"src/{name}": file for name, file in source.items()}
    copies = []
    for number, layer in enumerate(code.layers, 1):
        folder = f"layers/{number}-{_NO_SLUG.sub('-', layer.name)}"
        content = _layer(_read(layer.content, function, read), layer, function)
        files |= {f"{folder}/{name}": file for name, file in content.items()}
        copies.append(f"COPY {folder}/ /opt/\n")
    template = _JAVA_DOCKERFILE if function.language == "java" else _PYTHON_DOCKERFILE
    base = JAVA_LAMBDA_BASE if function.language == "java" else LAMBDA_BASE
    text = template.format(base=base, layers="".join(copies), handler=json.dumps(code.handler))
    return {"Dockerfile": File(text.encode()), **files}


def _read(path: Path, function: Function, read: dict[Path, dict[str, File]]) -> dict[str, File]:
    if path not in read:
        try:
            read[path] = sources.read(path)
        except ArtifactError as error:
            raise ArtifactError(f"{function.where}: {error}") from None
    return read[path]


def _module(source: Mapping[str, File], function: Function, code: Code) -> dict[str, File]:
    """Return a module of Maven without what Maven made of it."""
    if "pom.xml" not in source or not any(name.startswith("src/main/java/") for name in source):
        raise ArtifactError(
            f"{function.where}: {code.source}: expected a Maven module (pom.xml, src/main/java)",
            remedy="name its folder in CodeUri, not its jar",
        )
    return {name: file for name, file in source.items() if not name.startswith("target/")}


def _layer(content: Mapping[str, File], layer: Layer, function: Function) -> dict[str, File]:
    """Return a layer as it lies in /opt, packages of one Python version where every version finds them."""
    found: dict[str, File] = {}
    for name, file in content.items():
        match = _RUNTIME_PACKAGES.fullmatch(name)
        target = f"python/{match[1]}" if match is not None else name
        if target in found:
            rule = f"{function.where}: the layer {layer.name} holds {target} twice"
            raise ArtifactError(rule, path=layer.content)
        if target.startswith("esb/"):
            rule = (
                f"{function.where}: the layer {layer.name} holds {target}, and /opt/esb is the runtime's own"
            )
            raise ArtifactError(rule, path=layer.content)
        found[target] = file
    return found


def _config(application: Application, of: Identity) -> dict[str, dict[str, Any]]:
    config: dict[str, dict[str, Any]] = {
        FUNCTIONS_FILE: {
            "functions": {function.name: _described(function, of) for function in application.functions}
        },
        ROUTING_FILE: {
            "routes": [
                {"path": route.path, "method": route.method, "function": route.function}
                for function in application.functions
                for route in function.routes
            ]
        },
    }
    kinds = {
        "dynamodb": application.tables,
        "s3": application.buckets,
        "layers": [layer.recorded for layer in application.layers],
    }
    resources = {kind: [dict(item) for item in items] for kind, items in kinds.items() if items}
    if resources:
        config[RESOURCES_FILE] = {"resources": resources}
    return config


def _described(function: Function, of: Identity) -> dict[str, Any]:
    optional = {
        "handler": function.handler,
        "environment": dict(function.environment),
        "scaling": dict(function.scaling),
        "events": [dict(event) for event in function.schedules],
    }
    return {
        "image": image_of(function, of),
        "runtime": function.language,
        "timeout": function.timeout,
        "memory_size": function.memory_size,
        **{key: value for key, value in optional.items() if value},
    }


def _source(application: Application) -> dict[str, Any]:
    source: dict[str, Any] = {"path": application.source.path, "sha256": application.source.sha256}
    if application.source.parameters:
        source["parameters"] = dict(sorted(application.source.parameters.items()))
    return source


def _bundle(application: Application, files: Mapping[str, File]) -> bytes:
    document = {
        "schema_version": SCHEMA_VERSION,
        "source_template": _source(application),
        "files": {name: _sha256(file) for name, file in files.items()},
    }
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _entry(application: Application, root: str, files: Mapping[str, File]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": _id(application),
        "artifact_root": root,
        "runtime_config_dir": CONFIG,
        "bundle_manifest": BUNDLE,
    }
    if application.secrets:
        entry["required_secret_env"] = list(application.secrets)
    entry["source_template"] = _source(application)
    entry["runtime_meta"] = {
        "runtime_hooks": {
            "api_version": _API,
            "python_sitecustomize_digest": _sha256(files[SITECUSTOMIZE]),
        },
        "template_renderer": {"name": RENDERER_NAME, "api_version": _API},
    }
    return entry


def _secrets_example(names: Sequence[str]) -> str:
    if not names:
        return "# The functions of this artifact need no secret.\n"
    head = "# What the functions of this artifact need: copy this file, and write the values there.\n"
    return head + "".join(f"{name}=\n" for name in names)


def _sha256(file: File) -> str:
    return hashlib.sha256(file.content).hexdigest()
