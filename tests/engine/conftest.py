"""What every test on an engine may count on, also as the first one on a machine."""

from pathlib import Path

import pytest
from filelock import FileLock

from tests.engine.agent_containerd_support import (
    BUILD_SECONDS,
    node_image_reference,
    services_image_reference,
)


@pytest.fixture(scope="session", autouse=True)
def _images(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The engine has the images of services and runtime-node; one worker builds them."""
    with FileLock(Path(tmp_path_factory.getbasetemp().parent, "esb-images.lock"), timeout=BUILD_SECONDS):
        services_image_reference()
        node_image_reference()
