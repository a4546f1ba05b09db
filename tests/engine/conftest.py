"""What every test on an engine may count on, also as the first one on a machine."""

import pytest

from tests.engine.images import build_images


@pytest.fixture(scope="session", autouse=True)
def _images(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The engine has the images of services and runtime-node; one worker builds them."""
    build_images(tmp_path_factory.getbasetemp().parent)
