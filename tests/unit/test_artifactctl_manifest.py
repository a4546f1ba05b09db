"""The manifest: what is valid, and how each mistake is told."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from artifactctl.errors import ArtifactError
from artifactctl.manifest import load_manifest

_VALID = """\
schema_version: "1"
project: shop
env: e2e-docker
mode: docker
generated_at: 2026-01-31T12:00:00Z
generator: {name: esb, version: "1.0"}
future: {unknown: field}
artifacts:
- id: stack-main-86173fe2
  artifact_root: ../orders
  runtime_config_dir: config
  bundle_manifest: bundle/manifest.json
  required_secret_env: [" B_TOKEN ", A_KEY, B_TOKEN]
  source_template:
    path: apps/orders/stack.main.yml
    sha256: 1c168adb00d208e42f93314529f1fa9c0427eb63233ceda95a5db52b7012a719
    parameters: {Region: eu-1, Tier: gold}
- id: audit-log-847b10d2
  artifact_root: /srv/audit
  runtime_config_dir: ./config/../runtime
  source_template: {path: apps/audit/Audit Log.yaml}
"""


def _write(folder: Path, text: str | bytes) -> Path:
    path = folder / "artifact.yml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_a_valid_manifest_is_read_in_order_with_resolved_paths(tmp_path: Path) -> None:
    """Order, names and folders are as written; unknown fields do no harm and no file needs to exist."""
    manifest = load_manifest(_write(tmp_path, _VALID))
    assert (manifest.project, manifest.env, manifest.mode) == ("shop", "e2e-docker", "docker")
    first, second = manifest.artifacts
    assert first.id == "stack-main-86173fe2"
    assert first.artifact_root == tmp_path.parent / "orders"
    assert first.runtime_config_dir == tmp_path.parent / "orders/config"
    assert first.bundle_manifest == tmp_path.parent / "orders/bundle/manifest.json"
    assert first.required_secret_env == ("A_KEY", "B_TOKEN")
    assert second.artifact_root == Path("/srv/audit")
    assert second.runtime_config_dir == Path("/srv/audit/runtime")
    assert second.required_secret_env == ()


def test_parameters_enter_the_id_with_their_literal_text(tmp_path: Path) -> None:
    """An unquoted 1.10 or yes is not turned into a number or a truth value."""
    text = _VALID.replace("{Region: eu-1, Tier: gold}", "{Size: 1.10, yes: 007, Empty: }")
    with pytest.raises(ArtifactError, match="gives stack-main-"):
        load_manifest(_write(tmp_path, text))
    quoted = _VALID.replace("{Region: eu-1, Tier: gold}", '{Size: "1.10", "yes": "007", Empty: ""}')
    with pytest.raises(ArtifactError) as from_quoted:
        load_manifest(_write(tmp_path, quoted))
    with pytest.raises(ArtifactError) as from_plain:
        load_manifest(_write(tmp_path, text))
    assert str(from_quoted.value) == str(from_plain.value)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"1"\n', '"2"\n', ":1: schema_version = '2': the supported version is \"1\""),
        ('"1"\n', "1\n", ':1: schema_version = 1: the supported version is "1"'),
        ("project: shop\n", "", ":1: project: is required"),
        ("project: shop", "project: '  '", ":2: project = '  ': may not be blank"),
        ("env: e2e-docker", "env: 7", ":3: env = 7: expected a string; put it in quotes"),
        (
            "mode: docker",
            "mode: docke",
            ":4: mode = 'docke': expected one of docker, containerd, process, firecracker; did you me",
        ),
        ("name: esb", "name: [1]", ":6: generator.name = a list: expected a string"),
        ("- id: stack-main-86173fe2", "- id: Stack", ":9: artifacts[0].id = 'Stack': expected <slug>-"),
        (
            "stack-main-86173fe2",
            "stack-main-00000000",
            ":9: artifacts[0].id = 'stack-main-00000000': source_template (path, ",
        ),
        (
            "runtime_config_dir: config\n",
            "runtime_config_dir: ../x\n",
            ":11: artifacts[0].runtime_config_dir = '../x': may not leave artifact_root",
        ),
        (
            "runtime_config_dir: config\n",
            "runtime_config_dir: a/..\n",
            ":11: artifacts[0].runtime_config_dir = 'a/..': may not be artifact_root itself",
        ),
        (
            "runtime_config_dir: config\n",
            "runtime_config_dir: /etc\n",
            ":11: artifacts[0].runtime_config_dir = '/etc': expected a path relative to artifact_root",
        ),
        (
            "runtime_config_dir: config\n",
            'runtime_config_dir: "a\\0b"\n',
            r":11: artifacts[0].runtime_config_dir = 'a\x00b': a path may hold printable characters only",
        ),
        (
            "bundle/manifest.json",
            "..",
            ":12: artifacts[0].bundle_manifest = '..': may not leave artifact_root",
        ),
        ("A_KEY, ", "'', ", ":13: artifacts[0].required_secret_env[1] = '': may not be blank"),
        ("    path: apps/orders/stack.main.yml\n", "", ":14: artifacts[0].source_template.path: is required"),
        (
            "Tier: gold",
            "Tier: [gold]",
            ":17: artifacts[0].source_template.parameters.Tier = a list: ",
        ),
        ("artifact_root: /srv/audit\n", "artifact_root: \n", ":19: artifacts[1].artifact_root: is required"),
        ("mode: docker", "mode: docker\nmode: process", ":5: 'mode': duplicate key, first on line 4"),
    ],
)
def test_each_mistake_names_file_line_field_value_and_rule(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    """One line is enough to find and repair the mistake."""
    assert old in _VALID
    path = _write(tmp_path, _VALID.replace(old, new, 1))
    with pytest.raises(ArtifactError) as caught:
        load_manifest(path)
    assert str(caught.value).startswith(f"{path}{told}")


def test_no_entry_and_a_repeated_entry_are_errors(tmp_path: Path) -> None:
    """A manifest has at least one entry, and each only once."""
    head, _, entries = _VALID.partition("artifacts:\n")
    with pytest.raises(ArtifactError, match=r"artifacts = a list: expected at least one entry"):
        load_manifest(_write(tmp_path, f"{head}artifacts: []\n"))
    with pytest.raises(ArtifactError, match=r"artifacts\[2\].id = 'stack-main-86173fe2': is not unique"):
        load_manifest(_write(tmp_path, f"{head}artifacts:\n{entries}{entries}"))


@pytest.mark.parametrize(
    ("meta", "told"),
    [
        (
            "runtime_hooks: {api_version: 1.0}",
            r"runtime_hooks.api_version = 1.0: expected a string; put it in quo",
        ),
        ("runtime_hooks: {python_sitecustomize_digest: abc}", "= 'abc': expected a sha256: 64 hex digits"),
        ("runtime_hooks: []", r"artifacts\[1\].runtime_meta.runtime_hooks = a list: expected a mapping"),
        ("template_renderer: {name: 7}", "template_renderer.name = 7: expected a string"),
    ],
)
def test_runtime_metadata_of_a_wrong_form_is_an_error(tmp_path: Path, meta: str, told: str) -> None:
    """The form is checked with the manifest; whether it fits is a matter of apply."""
    with pytest.raises(ArtifactError, match=told):
        load_manifest(_write(tmp_path, f"{_VALID}  runtime_meta:\n    {meta}\n"))


def test_a_link_may_not_lead_out_of_the_artifact_root(tmp_path: Path) -> None:
    """A runtime config behind a link that leaves its root is refused, one that stays inside is followed."""
    root = tmp_path / "orders"
    (root / "real").mkdir(parents=True)
    (root / "config").symlink_to("real")
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    path = _write(manifests, _VALID)
    assert load_manifest(path).artifacts[0].runtime_config_dir == root / "real"
    (root / "config").unlink()
    (root / "config").symlink_to("../../elsewhere")
    with pytest.raises(ArtifactError, match=r"runtime_config_dir = 'config': may not leave artifact_root"):
        load_manifest(path)


_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_scalars = st.none() | st.booleans() | st.integers() | st.floats() | _texts
_keys = _texts | st.integers() | st.booleans() | st.none()
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=3),
    max_leaves=8,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in items for place in _places(inner, (*path, key)))]


_DATA: dict[str, Any] = yaml.safe_load(_VALID.replace("2026-01-31T12:00:00Z", "now"))


@settings(deadline=None)
@given(st.sampled_from(_places(_DATA)[1:]), _values)
def test_no_value_at_any_place_causes_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[Any, ...], value: object
) -> None:
    """A manifest with one value replaced is valid, or one line says what is wrong."""
    data: Any = copy.deepcopy(_DATA)
    parent = data
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    path = tmp_path_factory.getbasetemp() / "fuzzed-artifact.yml"
    path.write_bytes(yaml.safe_dump(data, encoding="utf-8", allow_unicode=True))
    told = ""
    try:
        assert load_manifest(path).artifacts
    except ArtifactError as error:
        told = str(error)
    assert told == "" or told.startswith(f"{path}:")
    assert told.isprintable()
