"""The project's own platform on the usual engine: its names, its images, and what a killed run leaves."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.e2e_docker_project import ENVIRONMENT, docker
from tests.engine.images import IMAGE
from tests.engine.platform_project import SMOKE, Platform, function_images, making_platform

pytestmark = pytest.mark.engine


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """A copy of the project's environments and scenarios."""
    with making_platform(tmp_path, Platform) as project:
        yield project


def images() -> dict[str, str]:
    """Return the ids of the images that a run uses, by name."""
    functions = [name for name in function_images() if name.endswith(f":e2e-{ENVIRONMENT}-latest")]
    names = sorted({IMAGE, *functions})
    ids = docker("image", "inspect", "--format", "{{.Id}}", *names).split()
    return dict(zip(names, ids, strict=True))


def test_a_run_after_a_killed_one_is_green_and_builds_no_image(platform: Platform) -> None:
    """What a run killed with its reaper has left is there, then is gone; images stay as they are."""
    own = f"{platform.name}-{ENVIRONMENT}"
    platform.hold.touch()
    killed = platform.start("-n0", "--esb-test-target", SMOKE)
    killed.reach("test")
    os.kill(killed.reaper(), signal.SIGKILL)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert int(platform.held.read_text()) == platform.port_base
    left = platform.there()["container"]
    services = {f"{own}-{name}-1" for name in ("gateway", "agent", "database", "s3-storage")}
    assert services <= set(left)
    assert [name for name in left if re.fullmatch(rf"{own}-[a-z0-9-]+-[0-9a-f]{{8}}", name)]
    built = images()
    platform.hold.unlink()
    result = platform.run("-n0", "--esb-test-target", SMOKE)
    assert result.code == 0, result.output + result.log
    assert " passed" in result.output
    assert not re.findall(r"building .*|docker build .*", result.log)
    assert images() == built
    platform.check_nothing_left()
