"""`artifact.yml`: the only source of truth between who generates artifacts and who applies them."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from artifactctl import identity, yaml_source
from artifactctl.fields import Field

SCHEMA_VERSION: Final = "1"
MODES: Final = ("docker", "containerd", "process", "firecracker")

_ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*-[0-9a-f]{8}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class SourceTemplate:
    """Where an entry was generated from: management information, never opened."""

    path: str
    sha256: str | None
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RuntimeMeta:
    """What an entry's runtime hooks and renderer promise; None where the manifest says nothing."""

    hooks_api_version: Field | None = None
    sitecustomize_digest: Field | None = None
    renderer_name: Field | None = None
    renderer_api_version: Field | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One artifact of the manifest; its place in the manifest is its place in every order.

    Attributes:
        artifact_root: resolved; may not exist.
        runtime_config_dir: resolved, inside `artifact_root`; may not exist.
        bundle_manifest: resolved, inside `artifact_root`; may not exist.
        required_secret_env: names, trimmed, unique, sorted.
    """

    id: str
    artifact_root: Path
    runtime_config_dir: Path
    source_template: SourceTemplate
    bundle_manifest: Path | None = None
    required_secret_env: tuple[str, ...] = ()
    runtime_meta: RuntimeMeta = field(default=RuntimeMeta(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A valid manifest. The files that it names were not looked at."""

    path: Path
    project: str
    env: str
    mode: str
    artifacts: tuple[Entry, ...]


def load_manifest(path: Path) -> Manifest:
    """Read and validate the manifest at `path`.

    Raises:
        ArtifactError: it cannot be read or breaks a rule; names file, line, field, value and rule.
    """
    root = Field(yaml_source.load(path))
    version = root.required("schema_version")
    if version.value != SCHEMA_VERSION:
        raise version.error(f'the supported version is "{SCHEMA_VERSION}"', "generate the artifact again")
    project = root.required("project").string()
    env = root.required("env").string()
    mode = root.required("mode").one_of(MODES)
    _check_informational(root)
    artifacts = root.required("artifacts")
    if artifacts.items() == []:
        raise artifacts.error("expected at least one entry", "generate the artifact again")
    folder = Path(os.path.abspath(path)).parent  # noqa: PTH100 - a linked manifest stays in its own folder
    entries: dict[str, Entry] = {}
    for item in artifacts.items():
        entry = _entry(item, folder)
        if entry.id in entries:
            raise item.required("id").error("is not unique", "remove one of the two entries")
        entries[entry.id] = entry
    return Manifest(path, project, env, mode, tuple(entries.values()))


def _check_informational(root: Field) -> None:
    generator = root.optional("generator")
    for parent, key in (
        (root, "generated_at"),
        (root, "merge_policy"),
        (generator, "name"),
        (generator, "version"),
    ):
        if parent is not None and (found := parent.optional(key)) is not None:
            found.string()


def _entry(item: Field, folder: Path) -> Entry:
    identifier = item.required("id")
    template = _source_template(item.required("source_template"))
    _check_id(identifier, template)
    root = _artifact_root(item.required("artifact_root"), folder)
    bundle = item.optional("bundle_manifest")
    secrets = item.optional("required_secret_env")
    names = {name.string().strip() for name in secrets.items()} if secrets is not None else set()
    return Entry(
        id=identifier.string(),
        artifact_root=root,
        runtime_config_dir=_inside(item.required("runtime_config_dir"), root),
        source_template=template,
        bundle_manifest=_inside(bundle, root) if bundle is not None else None,
        required_secret_env=tuple(sorted(names)),
        runtime_meta=_runtime_meta(item.optional("runtime_meta")),
    )


def _source_template(template: Field) -> SourceTemplate:
    sha256 = template.optional("sha256")
    parameters = template.optional("parameters")
    return SourceTemplate(
        path=template.required("path").string(),
        sha256=sha256.string() if sha256 is not None else None,
        parameters=parameters.literal_strings() if parameters is not None else {},
    )


def _check_id(identifier: Field, template: SourceTemplate) -> None:
    if not _ID.fullmatch(identifier.string()):
        raise identifier.error("expected <slug>-<8 lower hex digits>", "generate the artifact again")
    expected = identity.entry_id(template.path, template.parameters, template.sha256)
    if identifier.value != expected:
        rule = f"source_template (path, parameters, sha256) gives {expected}"
        raise identifier.error(rule, "generate the artifact again, or write that id")


def _artifact_root(root: Field, folder: Path) -> Path:
    return Path(os.path.realpath(folder / _file_name(root)))


def _inside(relative: Field, root: Path) -> Path:
    text = _file_name(relative)
    cleaned = os.path.normpath(text)
    if text.startswith("/"):
        raise relative.error("expected a path relative to artifact_root")
    if cleaned == ".":
        raise relative.error("may not be artifact_root itself")
    resolved = Path(os.path.realpath(root / cleaned))
    if cleaned.split("/")[0] == ".." or not resolved.is_relative_to(root):
        raise relative.error("may not leave artifact_root", "move it below artifact_root")
    return resolved


def _file_name(value: Field) -> str:
    text = value.string()
    if not text.isprintable():
        raise value.error("a path may hold printable characters only")
    return text


def _runtime_meta(meta: Field | None) -> RuntimeMeta:
    hooks = meta.optional("runtime_hooks") if meta is not None else None
    renderer = meta.optional("template_renderer") if meta is not None else None
    digest = _optional_string(hooks, "python_sitecustomize_digest")
    if digest is not None and not _SHA256.fullmatch(digest.string()):
        raise digest.error("expected a sha256: 64 hex digits")
    return RuntimeMeta(
        hooks_api_version=_optional_string(hooks, "api_version"),
        sitecustomize_digest=digest,
        renderer_name=_optional_string(renderer, "name"),
        renderer_api_version=_optional_string(renderer, "api_version"),
    )


def _optional_string(parent: Field | None, key: str) -> Field | None:
    found = parent.optional(key) if parent is not None else None
    if found is not None:
        found.string()
    return found
