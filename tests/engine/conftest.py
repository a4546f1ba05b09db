"""What every test on an engine may count on, also as the first one on a machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.artifact_project import ArtifactProject
from tests.engine.images import build_images


@pytest.fixture(scope="session", autouse=True)
def _images(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The engine has the images of services and runtime-node; one worker builds them."""
    build_images(tmp_path_factory.getbasetemp().parent)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[ArtifactProject]:
    """Two functions on one base; the images go when the test ends."""
    made = ArtifactProject(tmp_path)
    yield made
    made.remove_images()
