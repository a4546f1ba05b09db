"""The JSON Schemas that editors and producers use say what the applier accepts."""

import copy
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from artifactctl import runtime_config
from artifactctl.errors import ArtifactError
from artifactctl.identity import entry_id
from artifactctl.manifest import load_manifest

ROOT = Path(__file__).parents[2]


def _schema(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((files("artifactctl") / f"schemas/{name}.schema.json").read_text())
    return loaded


def _valid(name: str, value: Any) -> bool:
    return jsonschema.Draft202012Validator(_schema(name)).is_valid(value)


_DOCUMENTS: dict[str, dict[str, Any]] = {
    "artifact": {
        "schema_version": "1",
        "project": "shop",
        "env": "e",
        "mode": "docker",
        "generator": {"name": "esb", "version": "1"},
        "artifacts": [
            {
                "id": entry_id("t.yaml", {"A": "1"}),
                "artifact_root": "root",
                "runtime_config_dir": "config",
                "bundle_manifest": "bundle/manifest.json",
                "required_secret_env": ["TOKEN"],
                "source_template": {"path": "t.yaml", "parameters": {"A": 1}},
                "runtime_meta": {
                    "runtime_hooks": {"api_version": "1.0", "python_sitecustomize_digest": "0" * 64},
                    "template_renderer": {"name": "r", "api_version": "1.0"},
                },
            }
        ],
    },
    "functions": {
        "defaults": {"environment": {"A": "1"}, "scaling": {"max_capacity": 2}, "timeout": 3},
        "functions": {
            "f": {
                "image": "i",
                "memory_size": 128,
                "environment": {"B": 2},
                "scaling": {"min_capacity": 1, "idle_timeout": 0.5},
                "events": [{"schedule": {"rate": "rate(1 minute)", "input": {"x": 1}}}],
            }
        },
    },
    "routing": {"routes": [{"path": "/a", "method": "GET", "function": "f"}]},
    "resources": {
        "resources": {
            "dynamodb": [{"TableName": "t"}],
            "s3": [{"BucketName": "b"}],
            "layers": [{"Name": "l"}],
        }
    },
}


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in items for place in _places(inner, (*path, key)))]


def _replaced(document: str, place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    data = copy.deepcopy(_DOCUMENTS[document])
    parent: Any = data
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    return data


def _accepted(folder: Path, document: str, data: Any) -> bool:
    """Tell whether the applier accepts `data` in place of one of the four documents."""
    folder.mkdir(exist_ok=True)
    for name in ("functions", "routing", "resources", "artifact"):
        content = data if name == document else _DOCUMENTS[name]
        (folder / f"{name}.yml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    try:
        if document == "artifact":
            load_manifest(folder / "artifact.yml")
        else:
            runtime_config.read(folder, folder)
    except ArtifactError:
        return False
    return True


_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ["/a", "post", "docker", "rate(2 hours)", "1.1", "config"]
)
_scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _texts
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_texts, inner, max_size=2),
    max_leaves=4,
)
_cases = [(name, place) for name, document in _DOCUMENTS.items() for place in _places(document) if place]


@settings(deadline=None)
@given(st.sampled_from(_cases), _values)
def test_whatever_the_applier_accepts_fits_the_schema(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[str, tuple[Any, ...]], value: Any
) -> None:
    """An editor never marks what would be applied."""
    name, place = case
    data = _replaced(name, place, value)
    if _accepted(tmp_path_factory.getbasetemp() / "schema-cases", name, data):
        assert _valid(name, data)


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("artifact", ("schema_version",), "2"),
        ("artifact", ("mode",), "dockr"),
        ("artifact", ("project",), " "),
        ("artifact", ("artifacts",), []),
        ("artifact", ("artifacts", 0, "id"), "Stack"),
        ("artifact", ("artifacts", 0, "runtime_config_dir"), "/config"),
        ("artifact", ("artifacts", 0, "source_template"), {"sha256": "0"}),
        ("artifact", ("artifacts", 0, "required_secret_env"), [""]),
        ("functions", ("functions", "f", "timeout"), 0),
        ("functions", ("functions", "f", "memory_size"), "128"),
        ("functions", ("functions", "f", "environment"), {"A=B": "1"}),
        ("functions", ("functions", "f", "scaling", "min_capacity"), -1),
        ("functions", ("functions", "f", "events", 0), {"schedule": {"input": {}}}),
        ("functions", ("functions",), {"a b": {"image": "i"}}),
        ("routing", ("routes", 0, "path"), "a"),
        ("routing", ("routes", 0, "method"), "FETCH"),
        ("resources", ("resources", "dynamodb", 0), {"Name": "t"}),
        ("resources", ("resources", "s3"), {}),
    ],
)
def test_common_mistakes_are_found_by_both(
    tmp_path: Path, name: str, place: tuple[Any, ...], value: Any
) -> None:
    """An editor marks them, and the applier refuses them."""
    data = _replaced(name, place, value)
    assert not _valid(name, data)
    assert not _accepted(tmp_path / "case", name, data)


@pytest.mark.parametrize(
    "manifest", sorted(ROOT.glob("e2e/**/artifact.yml")), ids=lambda path: path.parent.name
)
def test_committed_artifacts_fit_the_schemas(manifest: Path) -> None:
    """What the project itself ships is valid."""
    assert _valid("artifact", yaml.safe_load(manifest.read_text()))
    for entry in load_manifest(manifest).artifacts:
        for path in sorted(entry.runtime_config_dir.glob("*.yml")):
            assert _valid(path.stem, yaml.safe_load(path.read_text())), path
