"""The command lines that run an environment again and remove it, with what says which one it is. Pure."""

import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from esb_e2e_plugin.planner import Scenario
from esb_e2e_plugin.settings import Settings


def invocation(scenario: Scenario, settings: Settings, folder: Path, more: Iterable[str] = ()) -> str:
    """Return the command that runs an environment's scenarios.

    What an ini file says is found again; what the command line or a variable says is repeated.

    Args:
        scenario: the environment.
        settings: what the user asked for.
        folder: where the command is to be given.
        more: arguments that come first, such as pytest's own.
    """
    arguments = ["pytest", *more, "--esb-profile", scenario.profile]
    for name, path in _places(settings):
        arguments += [f"--esb-{name}", _shown(path, folder)]
    if scenario.name != scenario.profile.lower():
        arguments += ["--esb-env", scenario.name]
    if settings.no_cache and not settings.sources["no_cache"].startswith("ini "):
        arguments.append("--esb-no-cache")
    return shlex.join(arguments)


def removal(scenario: Scenario, settings: Settings, folder: Path) -> str:
    """Return the command that removes an environment.

    Args:
        scenario: the environment.
        settings: what the user asked for.
        folder: where the command is to be given.
    """
    arguments = ["esb", "down", "--env", scenario.name]
    if scenario.name != scenario.profile.lower():
        arguments += ["--profile", scenario.profile]
    places = {name: _shown(path, folder) for name, path in _places(settings)}
    if "matrix" in places:
        arguments += ["--matrix", places["matrix"]]
    root = f"ESB_ROOT={shlex.quote(places['root'])} " if "root" in places else ""
    return root + shlex.join(arguments)


def node_id(test: str, rootpath: Path, folder: Path) -> str:
    """Return a test's node id as an argument of a command that is given in `folder`.

    Args:
        test: the node id, whose path starts at pytest's root.
        rootpath: pytest's root.
        folder: where the command is to be given.
    """
    path, separator, rest = test.partition("::")
    return shlex.quote(f"{_shown(rootpath / path, folder)}{separator}{rest}")


def _places(settings: Settings) -> list[tuple[str, Path]]:
    """Return where matrix and root are, where no ini file says so."""
    given = (("matrix", settings.matrix), ("root", settings.root))
    return [
        (name, path)
        for name, path in given
        if path is not None and not settings.sources[name].startswith("ini ")
    ]


def _shown(path: Path, folder: Path) -> str:
    return os.path.relpath(path, folder) if path.is_relative_to(folder) else str(path)
