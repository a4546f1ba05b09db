"""The image store of process mode: sources and handlers by image, and what is missing, told in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from artifactctl.errors import ArtifactError
from artifactctl.identity import entry_id
from esb_e2e_plugin.failure import StepError
from esb_e2e_plugin.lifecycle import image_index

Write = Callable[[dict[str, Any]], Path]


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """The root of the only artifact."""
    return tmp_path / "app"


@pytest.fixture
def write(tmp_path: Path, app: Path) -> Write:
    def write(functions: dict[str, Any]) -> Path:
        (app / "config").mkdir(parents=True, exist_ok=True)
        (app / "config" / "functions.yml").write_text(yaml.safe_dump({"functions": functions}))
        entry = {
            "id": entry_id("t.yaml"),
            "artifact_root": "app",
            "runtime_config_dir": "config",
            "source_template": {"path": "t.yaml"},
        }
        manifest = {
            "schema_version": "1",
            "project": "p",
            "env": "e",
            "mode": "process",
            "artifacts": [entry],
        }
        path = tmp_path / "artifact.yml"
        path.write_text(yaml.safe_dump(manifest))
        return path

    return write


def build(manifest: Path, fixtures: dict[str, Path], environ: dict[str, str]) -> dict[str, Any]:
    """Build the index; Java functions are told apart by their hooks and sources."""
    return image_index.build(
        manifest, fixtures, environ, lambda hooks, module: {"source": str(module), "java": str(hooks)}
    )


def sources(folder: Path, dockerfile: str | None = None) -> Path:
    """Make the sources of a function, and its Dockerfile."""
    (folder / "src").mkdir(parents=True)
    if dockerfile is not None:
        (folder / "Dockerfile").write_text(dockerfile)
    return folder / "src"


def test_an_image_is_found_by_the_name_of_its_function(write: Write, app: Path) -> None:
    """Sources, handler, runtime, hooks and layers of each image are there; a function without one is not."""
    made = sources(app / "functions" / "one")
    hooks = app / "runtime-base" / "runtime-hooks" / "python" / "sitecustomize" / "site-packages"
    layers = [app / "functions" / "one" / "layers" / name / "python" for name in ("a", "b")]
    for folder in (hooks, *layers):
        folder.mkdir(parents=True)
    manifest = write({"one": {"image": "one:1", "handler": "app.run"}, "two": {"handler": "app.run"}})
    assert build(manifest, {}, {}) == {
        "version": 1,
        "images": {
            "one:1": {
                "runtime": "python",
                "source": str(made),
                "handler": "app.run",
                "python_path": [str(hooks), *map(str, reversed(layers))],
            }
        },
    }


def test_without_a_handler_the_last_command_of_the_dockerfile_names_it(write: Write, app: Path) -> None:
    """As the engine does, the last CMD counts."""
    sources(app / "functions" / "one", 'FROM base\nCMD ["old.run"]\nCMD ["app.handler"]\n')
    images = build(write({"one": {"image": "one:1"}}), {}, {})["images"]
    assert images["one:1"]["handler"] == "app.handler"


def test_what_defaults_say_counts_where_a_function_says_nothing(write: Write, app: Path) -> None:
    """The applier and the gateway take image, handler and runtime from there, too."""
    made = sources(app / "functions" / "one")
    manifest = write({"one": {"handler": None}})
    (app / "config" / "functions.yml").write_text(
        "defaults: {image: 'one:1', handler: app.run, runtime: python3.12}\nfunctions: {one: {timeout: 3}}\n"
    )
    entry = build(manifest, {}, {})["images"]["one:1"]
    assert (entry["source"], entry["handler"], entry["runtime"]) == (str(made), "app.run", "python3.12")


def test_a_variable_in_the_name_of_an_image_is_filled_in(write: Write, app: Path) -> None:
    """The agent is asked for the name that the gateway has filled in."""
    sources(app / "functions" / "one")
    manifest = write({"one": {"image": "one:${TAG}", "handler": "app.run"}})
    assert list(build(manifest, {}, {"TAG": "7"})["images"]) == ["one:7"]
    with pytest.raises(StepError, match=r"functions\.one\.image = 'one:\$\{TAG\}': \$\{TAG\} is not set"):
        build(manifest, {}, {})


def test_a_fixture_image_takes_the_place_of_missing_sources(write: Write, tmp_path: Path) -> None:
    """An image of `image_uri_overrides` is run from its fixture's folder, with its handler."""
    fixture = tmp_path / "fixture"
    sources(fixture, 'CMD ["lambda.handler"]\n')
    images = build(write({"one": {"image": "fixture:1"}}), {"fixture:1": fixture}, {})["images"]
    assert images["fixture:1"]["source"] == str(fixture)
    assert images["fixture:1"]["handler"] == "lambda.handler"


def test_an_image_without_sources_is_an_error_that_names_both(write: Write, app: Path) -> None:
    """The message says which function of which file, which image, and where the sources should be."""
    with pytest.raises(StepError) as raised:
        build(write({"one": {"image": "one:1", "handler": "app.run"}}), {}, {})
    assert str(raised.value).startswith(
        f"{app}/config/functions.yml: functions.one.image = 'one:1': no sources in {app}/functions/one/src"
    )
    assert "image_uri_overrides" in str(raised.value)


@pytest.mark.parametrize("dockerfile", [None, "FROM base\n", "CMD []\n", "CMD [app.handler]\n"])
def test_an_image_without_a_handler_is_an_error(write: Write, app: Path, dockerfile: str | None) -> None:
    """No Dockerfile, no CMD, an empty one and one that is no JSON list are told alike."""
    sources(app / "functions" / "one", dockerfile)
    with pytest.raises(StepError, match=r"functions\.one has no handler, and no Dockerfile names one in CMD"):
        build(write({"one": {"image": "one:1"}}), {}, {})


@pytest.mark.parametrize("image", [["a"], {"a": 1}, 3, "", None])
def test_an_image_that_is_no_text_is_left_to_apply(write: Write, image: object) -> None:
    """Apply tells the mistake with its line; looking sources up is not the place."""
    assert build(write({"one": {"image": image}}), {}, {})["images"] == {}


def test_a_broken_file_is_told_with_its_line(write: Write, app: Path) -> None:
    """Invalid YAML is the artifact's mistake."""
    manifest = write({})
    (app / "config" / "functions.yml").write_text("functions:\n  one: [\n")
    with pytest.raises(ArtifactError, match=r"functions\.yml:\d+"):
        build(manifest, {}, {})


def test_a_java_function_is_compiled_against_the_hooks_of_its_root(write: Write, app: Path) -> None:
    """The entry of a Java image holds what the host's Java made of it, and no path of Python."""
    module = sources(app / "functions" / "one")
    manifest = write({"one": {"image": "one:1", "runtime": "java", "handler": "shop.Pay"}})
    assert build(manifest, {}, {})["images"]["one:1"] == {
        "runtime": "java",
        "handler": "shop.Pay",
        "source": str(module),
        "java": str(app / "runtime-base/runtime-hooks/java"),
    }
