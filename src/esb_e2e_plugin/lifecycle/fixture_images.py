"""Images that are built from fixtures instead of an artifact: the matrix' `image_uri_overrides`."""

from collections.abc import Mapping
from pathlib import Path

from artifactctl import image_reference
from esb_e2e_plugin.failure import StepError
from esb_e2e_plugin.planner import Scenario

_FOLDER = Path("e2e", "fixtures", "images", "lambda")


def fixture_images(scenario: Scenario, root: Path, environ: Mapping[str, str]) -> Mapping[str, Path]:
    """Return the source folder of each image that is built from fixtures, by its name.

    Args:
        scenario: the environment.
        root: the project root.
        environ: fills `${VAR}` in the names, as it does in `functions.yml`; with `${ESB_IMAGE_TAG}` in its
            name, no other environment of the engine builds another image under it.

    Raises:
        StepError: a variable of a name is not set.
    """
    runtimes = scenario.entry.image_runtime_overrides
    images = {}
    for function, name in scenario.entry.image_uri_overrides.items():
        key = f"image_uri_overrides.{function}"
        try:
            filled = image_reference.filled(name, environ)
        except KeyError as error:
            raise StepError(
                f"{key} = {name!r}: ${{{error.args[0]}}} is not set in the environment",
                remedy="set it in env_vars or in the env file",
            ) from None
        images[filled] = root / _FOLDER / runtimes.get(function, "python").rstrip("0123456789")
    return images
