"""The committed scenarios, matrix and artifacts fit together."""

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from artifactctl.apply import apply
from artifactctl.manifest import load_manifest
from esb_e2e_plugin.env_file import read_env_file
from esb_e2e_plugin.matrix import check_files, load_matrix

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "e2e/fixtures/template.e2e.yaml"
HOOKS = Path("runtime-base/runtime-hooks/python")
TRACE = "1-5759e988-bd862e3fe1be46a994272793"
MANIFESTS = sorted((ROOT / "e2e/artifacts").glob("*/artifact.yml"))


class TemplateLoader(yaml.SafeLoader):
    """Reads a template; `!Ref X` is the text X."""


TemplateLoader.add_constructor("!Ref", lambda _loader, node: node.value)


def _template_functions() -> dict[str, dict[str, Any]]:
    document = yaml.load(TEMPLATE.read_text(), TemplateLoader)  # noqa: S506 a subclass of the safe one
    properties = [
        resource["Properties"]
        for resource in document["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    ]
    return {function["FunctionName"]: function for function in properties}


def _config(manifest: Path, name: str) -> Any:
    (entry,) = load_manifest(manifest).artifacts
    return yaml.safe_load((entry.runtime_config_dir / name).read_text())


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_test_file_names_are_unique_in_the_tree() -> None:
    """Two test files of one name cannot be collected side by side by every import mode."""
    names = Counter(
        path.name for folder in ("tests", "e2e/scenarios") for path in (ROOT / folder).rglob("test_*.py")
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_matrix_is_valid_and_lists_the_shipped_environments() -> None:
    """The matrix has the four shipped environments, and every file that an enabled one names."""
    matrix = load_matrix(ROOT / "e2e/environments/test_matrix.yaml")
    names = [entry.name for entry in matrix.entries]
    assert names == ["e2e-local", "e2e-docker", "e2e-containerd", "e2e-firecracker"]
    check_files(matrix, [entry for entry in matrix.entries if entry.enabled])


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.parent.name)
def test_artifacts_apply_without_a_warning(manifest: Path, tmp_path: Path) -> None:
    """Ids, layout and recorded digests of the committed artifacts are right, strictly."""
    result = apply(manifest, tmp_path / "config", strict=True)
    assert result.warnings == ()


def test_hot_reload_artifact_applies_on_top(tmp_path: Path) -> None:
    """The second artifact adds its function and route to those of the first."""
    apply(ROOT / "e2e/artifacts/e2e-local/artifact.yml", tmp_path / "config")
    apply(ROOT / "e2e/fixtures/artifacts/hot-reload/artifact.yml", tmp_path / "config", additive=True)
    functions = yaml.safe_load((tmp_path / "config/functions.yml").read_text())["functions"]
    assert {"lambda-hot", "lambda-echo"} <= functions.keys()
    assert functions["lambda-hot"]["image"] == functions["lambda-echo"]["image"]


def test_artifacts_are_what_they_are_made_from() -> None:
    """A change of template, sources, worker, hooks or pins needs `make artifacts`."""
    command = [sys.executable, str(ROOT / "scripts/artifacts.py"), "--check"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@pytest.mark.parametrize("environment", ["e2e-local", "e2e-docker", "e2e-containerd"])
def test_images_are_tagged_for_their_environment(environment: str) -> None:
    """Two environments on one engine build the same names without taking each other's images."""
    functions = _config(ROOT / f"e2e/artifacts/{environment}/artifact.yml", "functions.yml")["functions"]
    built = {name: function["image"] for name, function in functions.items() if "-image" not in name}
    assert built == {name: f"esb-{name}:${{ESB_IMAGE_TAG}}" for name in built}


def test_docker_tuning_is_that_of_local() -> None:
    """The scenarios expect the same numbers of every environment."""
    environments = ROOT / "e2e/environments"
    docker, local = (read_env_file(environments / name / ".env") for name in ("e2e-docker", "e2e-local"))
    assert docker == local


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.parent.name)
def test_bundle_manifest_lists_every_file(manifest: Path) -> None:
    """The bundle's digests are those of the files beside it, and no file is missing from it."""
    (entry,) = load_manifest(manifest).artifacts
    assert entry.bundle_manifest is not None
    root = entry.artifact_root
    found = {
        str(path.relative_to(root)): _sha256(path)
        for path in root.rglob("*")
        if path.is_file() and path != entry.bundle_manifest and "__pycache__" not in path.parts
    }
    assert json.loads(entry.bundle_manifest.read_text())["files"] == found


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.parent.name)
def test_functions_and_routes_are_those_of_the_template(manifest: Path) -> None:
    """Every function of the template is there with its routes, and no other."""
    functions = _config(manifest, "functions.yml")["functions"]
    routes = _config(manifest, "routing.yml")["routes"]
    template = _template_functions()
    assert functions.keys() == template.keys()
    expected = {
        (event["Properties"]["Path"], event["Properties"]["Method"].upper(), name)
        for name, function in template.items()
        for event in function["Events"].values()
        if event["Type"] == "Api"
    }
    assert {(route["path"], route["method"], route["function"]) for route in routes} == expected
    assert len(routes) == len(expected)


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.parent.name)
def test_files_beside_the_manifest_hold_no_secret(manifest: Path) -> None:
    """`compose.env` says what an environment is, and the example of secrets has names without values."""
    names = {line.partition("=")[0] for line in manifest.with_name("compose.env").read_text().splitlines()}
    assert names == {"ESB_PROJECT", "ESB_ENV", "ESB_MODE"}
    secrets = manifest.with_name("compose.secrets.env.example").read_text().splitlines()
    assert all(line.startswith("#") or line.endswith("=") for line in secrets)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"Root={TRACE};Parent=53995c3f42cd8ad8;Sampled=1", TRACE),
        (f"Sampled=1; Root={TRACE}", TRACE),
        ("Sampled=1", "none"),
        (None, "none"),
    ],
    ids=["whole", "out-of-order", "no-root", "no-header"],
)
def test_runtime_hook_adds_the_trace_to_log_records(header: str | None, expected: str) -> None:
    """With the hooks on its path, Python gives every log record the running invocation's trace id."""
    hooks = MANIFESTS[0].parent / "template.e2e" / HOOKS
    path = [str(hooks / "sitecustomize/site-packages"), str(hooks / "trace-bridge/layer")]
    environment = {"PYTHONPATH": os.pathsep.join(path), "PYTHONDONTWRITEBYTECODE": "1"}
    if header is not None:
        environment["_X_AMZN_TRACE_ID"] = header
    record = "logging.getLogger().makeRecord('name', 20, 'file', 1, 'message', (), None)"
    code = f"import logging; print(getattr({record}, 'trace_id', 'none'))"
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=30
    )
    assert (run.stdout.strip(), run.stderr) == (expected, "")
