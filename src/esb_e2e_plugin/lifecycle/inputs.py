"""Everything that an environment is made of, looked at now: files, variables, programs, and the engine."""

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

import artifactctl
import esb_e2e_plugin
from artifactctl import manifest
from artifactctl.runtime_config import RESOURCES_FILE
from esb_e2e_plugin.context import handed_on, tag_of
from esb_e2e_plugin.env_file import variables_of
from esb_e2e_plugin.fingerprint import Fingerprint, digest
from esb_e2e_plugin.lifecycle import compose_inputs, contents
from esb_e2e_plugin.lifecycle.fixture_images import fixture_images
from esb_e2e_plugin.lifecycle.run import Run
from esb_e2e_plugin.planner import Scenario

_SERVICES = "esb_services"
_RECORDS = ("RECORD", "direct_url.json", "SOURCES.txt")


def look(scenario: Scenario, run: Run, place: Mapping[str, str], model: Mapping[str, Any]) -> Fingerprint:
    """Return the fingerprint of what an environment would be made of now, but for images by their names.

    Args:
        scenario: the environment.
        run: what all environments of the run share.
        place: what it runs on, see `Driver.place`.
        model: its compose files, see `compose_reading`; empty in process mode.

    Raises:
        ArtifactError: its artifact cannot be read.
        StepError: its compose file or the name of an image cannot be understood.
    """
    entry = scenario.entry
    # These have left something in the stores, or cannot be changed while functions run.
    services = _joined(_services(scenario, run, place, model))
    code = _joined(_code(scenario, run))
    config = _joined(_config(scenario, run))
    resources = {name: config.pop(name) for name in list(config) if name.endswith(RESOURCES_FILE)}
    if entry.mode == "containerd" or run.applier is not None:
        return Fingerprint({**services, **resources, **code}, config)
    return Fingerprint({**services, **resources}, {**config, **code})


def _joined(parts: Iterator[tuple[str, str]]) -> dict[str, str]:
    """Return the parts by name; of two with one name both count."""
    found: dict[str, str] = {}
    for name, value in parts:
        found[name] = digest([found[name], value]) if name in found else value
    return found


def _services(
    scenario: Scenario, run: Run, place: Mapping[str, str], model: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """Yield what the services are made of."""
    entry = scenario.entry
    tools = [Path(module.__path__[0]) for module in (esb_e2e_plugin, artifactctl)]
    yield "pytest-esb-e2e", digest(contents.of(tool) for tool in tools)
    yield "image tag", tag_of(scenario, run.commit if run.ci else None)
    yield "matrix: mode", f"{entry.mode} {entry.containerd_runtime}"
    yield "matrix: gateway", digest(map(str, astuple(entry.gateway)))
    yield "matrix: bind_address", entry.bind_address
    yield "matrix: docker_context", str(entry.docker_context)
    yield "matrix: engine_socket", entry.engine_socket
    yield "matrix: config_dir", str(entry.config_dir)
    yield "matrix: port_base", str(run.port_base)
    yield "matrix: subnet_pool", str(run.subnet_pool)
    for name, value in entry.env_vars.items():
        yield f"env_vars.{name}", digest([value])
    if entry.env_file is not None:
        yield entry.env_file.name, contents.of(entry.env_file)
    for name, value in place.items():
        yield name, digest([value])
    if entry.mode == "process":
        yield from _machine(run)
    else:
        yield from compose_inputs.parts(scenario, run.root, model)


def _machine(run: Run) -> Iterator[tuple[str, str]]:
    """Yield what services that are processes are made of."""
    found = importlib.util.find_spec(_SERVICES)
    folders = (found.submodule_search_locations if found is not None else None) or ()
    yield "services sources", digest(contents.of(Path(folder)) for folder in folders)
    yield "python", digest([sys.executable, sys.version, platform.platform()])
    yield "installed packages", digest(_installed())
    for name, value in handed_on(run.environ).items():
        yield f"variable {name}", digest([value])
    java = shutil.which("java", path=run.environ.get("PATH"))
    if java is not None:
        program = Path(java).resolve()
        facts = program.stat()
        yield "java", digest([str(program), str(facts.st_mtime_ns), str(facts.st_size)])


def _installed() -> Iterator[str]:
    """Yield what is installed beside this interpreter, by the records that installers write."""
    for folder in dict.fromkeys(map(os.path.realpath, filter(None, sys.path))):
        if not os.path.isdir(folder):  # noqa: PTH112  an archive, or what is not there
            continue
        yield folder
        for name in sorted(os.listdir(folder)):  # noqa: PTH208  a name is all that is needed of most
            if name.endswith((".dist-info", ".egg-info", ".pth", ".egg-link")):
                path = Path(folder, name)
                records = [path / record for record in _RECORDS] if path.is_dir() else [path]
                yield digest([name, *map(contents.of, records)])


def _config(scenario: Scenario, run: Run) -> Iterator[tuple[str, str]]:
    """Yield what is deployed beside the code of functions."""
    entry = scenario.entry
    for path in run.hook_files:
        yield _shown(path, run.root), contents.of(path)
    if entry.artifact_manifest is None:
        return
    yield "matrix: strict", str(entry.strict)
    yield (
        entry.artifact_manifest.name,
        digest([str(entry.artifact_manifest), contents.of(entry.artifact_manifest)]),
    )
    if entry.secret_env_file is not None:
        yield entry.secret_env_file.name, contents.of(entry.secret_env_file)
    if run.applier is not None:
        yield run.applier.name, digest([str(run.applier), contents.of(run.applier)])
    for artifact, prefix in _artifacts(entry.artifact_manifest):
        for name, found in contents.entries(artifact.runtime_config_dir):
            yield f"{prefix}{name}", found


def _code(scenario: Scenario, run: Run) -> Iterator[tuple[str, str]]:
    """Yield what functions are made of."""
    entry = scenario.entry
    if entry.artifact_manifest is None:
        return
    for artifact, prefix in _artifacts(entry.artifact_manifest):
        root = artifact.artifact_root
        functions, base = root / "functions", root / "runtime-base"
        for name, found in contents.entries(functions):
            yield f"{prefix}{name} sources", found
        yield f"{prefix}runtime-base", contents.of(base)
        told = frozenset((functions, base, artifact.runtime_config_dir))
        yield f"{prefix}{root.name}", contents.of(root, told.__contains__)
    for image, folder in fixture_images(scenario, run.root, _Lenient(variables_of(entry))).items():
        yield f"fixture of {image}", contents.of(folder)


class _Lenient(dict[str, str]):
    """Variables of which those that are not known yet, as they differ from run to run, stand for nothing."""

    def __missing__(self, name: str) -> str:
        return f"${{{name}}}"


def _artifacts(path: Path) -> Iterator[tuple[manifest.Entry, str]]:
    """Yield each artifact, and what tells its parts from those of others."""
    found = manifest.load_manifest(path).artifacts
    for artifact in found:
        yield artifact, f"{artifact.id}/" if len(found) > 1 else ""


def _shown(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
