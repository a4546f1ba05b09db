"""Merging the runtime config of a manifest's entries: order decides, nothing is a conflict."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from artifactctl import output, runtime_config, yaml_output
from artifactctl.fields import Field
from artifactctl.manifest import Manifest, load_manifest
from artifactctl.runtime_config import (
    FUNCTIONS_FILE,
    IMAGES_FILE,
    RESOURCES_FILE,
    ROUTING_FILE,
    RuntimeConfig,
)

LOCK_TIMEOUT: Final = 60.0

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class MergeResult:
    """What a merge left in the output folder.

    Attributes:
        digest: names the config; the gateway reports it on `/health`.
        functions: number of functions.
        routes: number of routes.
        resources: number of tables, buckets and layers.
        changed: False if the folder held this config already; then nothing was written.
        warnings: what was left out, one located line each.
    """

    digest: str
    functions: int
    routes: int
    resources: int
    changed: bool
    warnings: tuple[str, ...] = ()


def merge(manifest_path: Path, out: Path) -> MergeResult:
    """Validate the manifest and merge its entries' runtime config into `out`.

    Raises:
        ArtifactError: something is wrong with the manifest, the config or `out`, which is then untouched.
    """
    return merge_manifest(load_manifest(manifest_path), out)


def merge_manifest(
    manifest: Manifest,
    out: Path,
    *,
    images: Mapping[str, str] | None = None,
    additive: bool = False,
    lock_timeout: float = LOCK_TIMEOUT,
) -> MergeResult:
    """Merge the entries of `manifest` into `out`.

    Args:
        manifest: a valid manifest.
        out: the output folder; made if it does not exist.
        images: what each name of an image stands for now, if that is known: it becomes a part of the config,
            so that a new image under an old name is a new config.
        additive: keep what an earlier apply left in `out`, as if it were the first entry.
        lock_timeout: seconds to wait for another apply to the same folder.

    Raises:
        ArtifactError: something is wrong with the config or `out`, which is then untouched.
    """
    output.check(out)
    output.check_outside(out, [entry.artifact_root for entry in manifest.artifacts])
    entries = [
        runtime_config.read(entry.runtime_config_dir, entry.artifact_root) for entry in manifest.artifacts
    ]
    # Before the lock: a mistake must not even leave a lock file in the folder.
    merged, files = _merged(entries, images or {}, out, additive=additive)
    digest, changed = output.digest_of(files), False
    if not output.is_published(out, files):
        with output.exclusive(out, lock_timeout):
            if additive:
                merged, files = _merged(entries, images or {}, out, additive=True)
            digest, changed = output.publish(out, files)
    return MergeResult(
        digest=digest,
        functions=len(merged.functions),
        routes=len(merged.routes),
        resources=sum(len(items) for items in merged.resources.values()),
        changed=changed,
        warnings=merged.warnings,
    )


def _merged(
    entries: Sequence[RuntimeConfig], images: Mapping[str, str], out: Path, *, additive: bool
) -> tuple[RuntimeConfig, dict[str, bytes]]:
    earlier = output.current(out) if additive else None
    base = [runtime_config.read(earlier, earlier)] if earlier is not None else []
    merged = combine([*base, *entries])
    check_references(merged)
    known = {**runtime_config.images(earlier), **images} if earlier is not None else images
    return merged, render(merged, known)


def combine(configs: Iterable[RuntimeConfig]) -> RuntimeConfig:
    """Return `configs` merged in their order; associative, and neutral for an empty config."""
    merged = RuntimeConfig()
    for config in configs:
        merged = RuntimeConfig(
            functions=_last(merged.functions, config.functions),
            default_environment=_first(merged.default_environment, config.default_environment),
            default_scaling=_first(merged.default_scaling, config.default_scaling),
            other_defaults=_first(merged.other_defaults, config.other_defaults),
            routes=_last(merged.routes, config.routes),
            resources={
                kind: _last(merged.resources.get(kind, {}), config.resources.get(kind, {}))
                for kind in _last(merged.resources, config.resources)
            },
            other_resources=_last(merged.other_resources, config.other_resources),
            other_keys={
                name: _last(merged.other_keys.get(name, {}), config.other_keys.get(name, {}))
                for name in (FUNCTIONS_FILE, ROUTING_FILE, RESOURCES_FILE)
            },
            warnings=merged.warnings + config.warnings,
        )
    return merged


def check_references(config: RuntimeConfig) -> None:
    """Check what only the merged config can tell: routes have their function, functions their image.

    Raises:
        ArtifactError: names the file and line that refers to nothing.
    """
    for route in config.routes.values():
        function = route.required("function")
        if function.string() not in config.functions:
            raise function.error("no artifact has a function of that name", "add it, or remove the route")
    for function in config.functions.values():
        if "image" not in config.other_defaults:
            function.required("image")
        _check_capacities(function, config.default_scaling)


def _check_capacities(function: Field, defaults: Mapping[str, Field]) -> None:
    scaling = function.optional("scaling")
    own = {str(value.key): value for value in scaling.entries() if value.value is not None} if scaling else {}
    values = {**defaults, **own}
    least, most = values.get("min_capacity"), values.get("max_capacity")
    if least is not None and most is not None and least.value > most.value:
        wrong = own.get("min_capacity") or own.get("max_capacity") or least
        raise wrong.error(f"min_capacity {least.value} is more than max_capacity {most.value}")


def render(config: RuntimeConfig, images: Mapping[str, str] | None = None) -> dict[str, bytes]:
    """Return the files of `config`, and of what is known of its images; equal input gives equal bytes."""
    defaults = _plain(config.other_defaults)
    for key, values in (("environment", config.default_environment), ("scaling", config.default_scaling)):
        if values:
            defaults[key] = _plain(values)
    functions: dict[str, Any] = {"functions": _plain(config.functions)}
    if defaults:
        functions["defaults"] = defaults
    routes = [_route(route, method) for (_, method), route in config.routes.items()]
    resources: dict[str, Any] = _plain(config.other_resources)
    for kind, items in config.resources.items():
        resources[kind] = [item.value for item in items.values()]
    documents = {
        FUNCTIONS_FILE: functions,
        RESOURCES_FILE: {"resources": resources},
        ROUTING_FILE: {"routes": routes},
    }
    files = {
        name: yaml_output.dumped({**_plain(config.other_keys.get(name, {})), **document})
        for name, document in documents.items()
    }
    return {**files, IMAGES_FILE: yaml_output.dumped({"images": dict(images)})} if images else files


def _route(route: Field, method: str) -> dict[str, Any]:
    given = dict(route.mapping())
    if given.pop("method", None) is not None:
        given["method"] = method
    return given


def _first(earlier: Mapping[_Key, _Value], later: Mapping[_Key, _Value]) -> dict[_Key, _Value]:
    return {**later, **earlier}


def _last(earlier: Mapping[_Key, _Value], later: Mapping[_Key, _Value]) -> dict[_Key, _Value]:
    return {**earlier, **later}


def _plain(fields: Mapping[str, Field]) -> dict[str, Any]:
    return {name: value.value for name, value in fields.items()}
