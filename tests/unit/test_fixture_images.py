"""Names of images that are built from fixtures."""

from pathlib import Path

import pytest

from esb_e2e_plugin.failure import StepError
from esb_e2e_plugin.lifecycle.fixture_images import fixture_images
from esb_e2e_plugin.matrix import load_matrix
from esb_e2e_plugin.planner import Scenario, plan

_MATRIX = """\
suites:
  smoke: {targets: [.]}
matrix:
- esb_env: e2e-local
  suites: [smoke]
  image_uri_overrides: {lambda-image: "fixture:${ESB_IMAGE_TAG}", lambda-java: "java:latest"}
  image_runtime_overrides: {lambda-java: java17}
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    """An environment with two images built from fixtures."""
    path = tmp_path / "test_matrix.yaml"
    path.write_text(_MATRIX)
    return plan(load_matrix(path, tmp_path), ["e2e-local"]).scenarios[0]


def test_the_tag_of_an_environment_keeps_its_fixture_images_apart(scenario: Scenario, tmp_path: Path) -> None:
    """`${ESB_IMAGE_TAG}` is filled in; a name without it is taken as it is; the runtime finds the folder."""
    images = fixture_images(scenario, tmp_path, {"ESB_IMAGE_TAG": "e2e-a-latest"})
    assert {name: folder.name for name, folder in images.items()} == {
        "fixture:e2e-a-latest": "python",
        "java:latest": "java",
    }


def test_a_variable_without_a_value_is_named(scenario: Scenario, tmp_path: Path) -> None:
    """The error says which function's image needs which variable."""
    with pytest.raises(StepError, match=r"image_uri_overrides\.lambda-image = .*ESB_IMAGE_TAG.* is not set"):
        fixture_images(scenario, tmp_path, {})
