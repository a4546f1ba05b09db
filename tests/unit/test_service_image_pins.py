"""What the image of the services installs, and when there is nothing to build."""

import re
import tomllib
from pathlib import Path

import pytest

from artifactctl.commands import Commands
from esb_e2e_plugin.lifecycle import service_images

ROOT = Path(__file__).parents[2]
_PIN = re.compile(r"^([a-z0-9-]+==\S+)([^\n]*\\\n(?:[ \t]+--hash=\S+(?: \\)?\n?)+)", re.MULTILINE)


def _pins(path: Path) -> dict[str, str]:
    # Where a version applies may differ: another package of the project may need it elsewhere, too.
    text = path.read_text(encoding="utf-8")
    return {pin[1]: " ".join(re.findall(r"--hash=\S+", pin[2])) for pin in _PIN.finditer(text)}


def test_pins_are_those_of_the_project() -> None:
    """The image runs what the tests run: the same versions by the same hashes."""
    image, project = _pins(ROOT / "services/images/requirements.txt"), _pins(ROOT / "requirements/dev.txt")
    assert image
    assert {pin: rest for pin, rest in image.items() if project.get(pin) != rest} == {}


def test_pins_cover_what_the_services_need() -> None:
    """A new dependency of the services needs `sh services/images/requirements.sh`."""
    with (ROOT / "services/pyproject.toml").open("rb") as file:
        dependencies = tomllib.load(file)["project"]["dependencies"]
    needed = {re.split(r"[\[<>=!~; ]", dependency, maxsplit=1)[0] for dependency in dependencies}
    assert (
        needed - {pin.partition("==")[0] for pin in _pins(ROOT / "services/images/requirements.txt")} == set()
    )


def test_project_without_services_builds_nothing(tmp_path: Path) -> None:
    """A stack that has nothing to do with the platform needs none of its images, and no engine for that."""
    assert service_images.ensure(tmp_path, Commands({}, pytest.fail, 1.0)) == {}


def test_image_that_the_user_names_is_taken_as_it_is() -> None:
    """`ESB_SERVICES_IMAGE` says that the image is there already."""
    assert service_images.ensure(ROOT, Commands({"ESB_SERVICES_IMAGE": "mine:1"}, pytest.fail, 1.0)) == {}
